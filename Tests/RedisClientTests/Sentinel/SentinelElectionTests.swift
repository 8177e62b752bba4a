import Testing

@testable import RedisClient

/// Which primary is believed in, whatever sentinels say: transcripts.
@Suite("Elections among sentinels")
struct SentinelElectionTests {
  typealias Address = RedisEndpoint.Address

  private static func place(_ name: String) -> Address { .tcp(host: name, port: 6379) }
  private static let sentinels = ["s1", "s2", "s3"].map { Address.tcp(host: $0, port: 26379) }
  private static let refused = SentinelAnswer.failed(
    .unreachable("s1:26379", reason: "connection refused"))

  /// `A3` names A with epoch 3, `A` without one; `-` is null, `!` a failure, `.` no answer yet.
  private static func election(
    _ answers: String..., known: (String, UInt64?)? = nil
  ) -> SentinelElection {
    var election = SentinelElection(
      primary: "m", configured: sentinels,
      known: known.map { .init(address: place($0.0), epoch: $0.1) })
    for (sentinel, answer) in zip(sentinels, answers) {
      switch answer {
      case ".": break
      case "-": election.heard(.doesNotKnow, from: sentinel)
      case "!": election.heard(refused, from: sentinel)
      default:
        election.heard(
          .names(
            place(String(answer.prefix(1))), epoch: UInt64(answer.dropFirst()), isDown: false),
          from: sentinel)
      }
    }
    return election
  }

  private static func elected(_ name: String, _ epoch: UInt64?) -> SentinelElection.Verdict {
    .elected(.init(address: place(name), epoch: epoch))
  }

  @Test("the highest epoch wins, wherever in the list it is, and then the most votes")
  func epochs() {
    #expect(Self.election("A1", "A1", "B2").verdict(isPatient: true) == Self.elected("B", 2))
    #expect(Self.election("B2", "A1", "A1").verdict(isPatient: true) == Self.elected("B", 2))
    #expect(Self.election("B2", "A2", "A2").verdict(isPatient: true) == Self.elected("A", 2))
    #expect(Self.election("A2", "B2", "-").verdict(isPatient: true) == Self.elected("A", 2))
    #expect(
      Self.election("A2", "B2", "!", known: ("B", 2)).verdict(isPatient: true)
        == Self.elected("B", 2))
    // One that tells its epoch outweighs those that do not.
    #expect(Self.election("A", "A", "B1").verdict(isPatient: true) == Self.elected("B", 1))
  }

  @Test("all have a moment, since after a fail-over only one may know, and no more than that")
  func patience() {
    #expect(Self.election("A1", "A1", ".").verdict(isPatient: true) == .wait)
    #expect(Self.election("A1", ".", ".").verdict(isPatient: false) == Self.elected("A", 1))
    #expect(Self.election("A1", "!", "-").verdict(isPatient: true) == Self.elected("A", 1))
    // While nobody has named one, the late ones are waited for.
    #expect(Self.election("!", ".", ".").verdict(isPatient: false) == .wait)
    #expect(Self.election(".", ".", ".").verdict(isPatient: false) == .wait)
  }

  @Test("no sentinel that answers, and none that knows the name, are told apart")
  func failures() {
    guard
      case .failed(.noSentinel(let troubles)) = Self.election("!", "!", "!")
        .verdict(isPatient: true)
    else {
      Issue.record("not failed")
      return
    }
    #expect(troubles.map(\.sentinel) == ["s1:26379", "s2:26379", "s3:26379"])
    #expect(
      Self.election("-", "!", "-").verdict(isPatient: true)
        == .failed(.primaryUnknown("m", sentinels: ["s1:26379", "s3:26379"])))
    #expect(
      Self.election("-", ".", ".").verdict(isPatient: false)
        == .failed(.primaryUnknown("m", sentinels: ["s1:26379"])))
  }

  @Test("without epochs most of them must agree")
  func majority() {
    #expect(Self.election("A", "B", "A").verdict(isPatient: true) == Self.elected("A", nil))
    #expect(Self.election("A", "!", "!").verdict(isPatient: true) == Self.elected("A", nil))
    #expect(
      Self.election("A", "B", "!").verdict(isPatient: true)
        == .failed(.sentinelsDisagree(["s1:26379", "s2:26379", "s3:26379"])))
  }

  @Test("a few that have missed the last fail-over are not believed; most of them are")
  func behind() {
    #expect(
      Self.election("A1", ".", ".", known: ("B", 2)).verdict(isPatient: false)
        == .failed(.sentinelsBehind(["s1:26379"])))
    #expect(
      Self.election("A1", "A1", ".", known: ("B", 2)).verdict(isPatient: false)
        == Self.elected("A", 1))
    #expect(
      Self.election("B2", ".", ".", known: ("B", 2)).verdict(isPatient: false)
        == Self.elected("B", 2))
    #expect(
      Self.election("C3", ".", ".", known: ("B", 2)).verdict(isPatient: false)
        == Self.elected("C", 3))
    // Of those without epochs nobody knows whether they are behind.
    #expect(
      Self.election("A", "!", "!", known: ("B", 2)).verdict(isPatient: true)
        == Self.elected("A", nil))
  }

  @Test("others that are asked too count, and are waited for while nobody else has named one")
  func learned() {
    var election = Self.election("!", "!", "!")
    let other = Address.tcp(host: "s4", port: 26379)
    election.ask([other, Self.sentinels[0]])
    #expect(election.asked == Self.sentinels + [other])
    #expect(election.verdict(isPatient: false) == .wait)
    election.heard(.names(Self.place("A"), epoch: 1, isDown: true), from: other)
    #expect(election.verdict(isPatient: false) == Self.elected("A", 1))
  }

  // MARK: What one says

  private static func bulk(_ text: String) -> RedisReply { .bulk(Array(text.utf8)) }
  private static func map(_ pairs: KeyValuePairs<String, String>) -> RedisReply {
    .array(pairs.flatMap { [bulk($0.key), bulk($0.value)] })
  }

  @Test("an answer is read from three replies, of which two may be refused")
  func answers() {
    let question = SentinelQuestion(primary: "m")
    let place = RedisReply.array([Self.bulk("h"), Self.bulk("1")])
    let no = RedisReply.error(RedisServerError("NOPERM no"))
    let more = Self.map(["ip": "old", "flags": "master,s_down", "config-epoch": "7"])
    let others = RedisReply.array([
      Self.map(["ip": "x", "port": "2"]), Self.map(["ip": "", "port": "2"]),
      Self.map(["ip": "y", "port": "0"]), .integer(1),
    ])
    let address = Address.tcp(host: "h", port: 1)
    #expect(
      question.answer([place, more, others]) == .names(address, epoch: 7, isDown: true))
    #expect(question.others([place, more, others]) == [.tcp(host: "x", port: 2)])
    #expect(question.answer([place, no, no]) == .names(address, epoch: nil, isDown: false))
    #expect(question.others([place, no, no]) == [])
    #expect(question.answer([.null, no, no]) == .doesNotKnow)
    #expect(
      question.answer([no, more, others])
        == .failed(
          .refused(command: "SENTINEL GET-MASTER-ADDR-BY-NAME", RedisServerError("NOPERM no"))))
    for strange in [
      RedisReply.integer(1), .array([]), .array([Self.bulk("h"), Self.bulk("65536")]),
      .array([Self.bulk("h h"), Self.bulk("1")]), .array([Self.bulk(""), Self.bulk("1")]),
      .array([.null, Self.bulk("1")]),
    ] {
      #expect(question.answer([strange, more, others]) == .failed(.unmatchedReply))
    }
    #expect(question.answer([place]) == .failed(.unmatchedReply))
  }

  @Test("of what sentinels publish, only this primary's fail-over is a reason to ask")
  func hints() {
    #expect(SentinelWatch.isAbout("m", Array("m 10.0.0.1 1 10.0.0.2 1".utf8)))
    for other in ["mm 10.0.0.1 1 10.0.0.2 1", "n 10.0.0.1", "", " m "] {
      #expect(!SentinelWatch.isAbout("m", Array(other.utf8)))
    }
    #expect(SentinelWatch.interval(spread: 0) == .seconds(5))
    #expect(SentinelWatch.interval(spread: 1) == .seconds(4))
  }

  @Test("a sentinel's refusal says whose password it is, and which TLS")
  func words() {
    let login = SentinelTrouble(
      sentinel: "s1:26379", failure: .authenticationFailed(RedisServerError("NOAUTH no")))
    #expect(
      login.reason
        == "NOAUTH no (sentinels have a login of their own: sentinel_user in the URL, "
        + "and redisSentinelPassword)")
    let both = RedisFailure.noSentinel([login, login])
    #expect("\(both)".hasSuffix(": \(login.reason) (s1:26379, s1:26379)"))
    let plain = SentinelTrouble(sentinel: "s1:26379", failure: .tls(.notTLS))
    #expect(plain.reason.contains("sentinel_tls=off"))
    #expect(RedisFailure.noSentinel([login, login]).needsOperator)
    let down = SentinelTrouble(
      sentinel: "s2:26379", failure: .unreachable("s2:26379", reason: "connection refused"))
    #expect(!RedisFailure.noSentinel([login, down]).needsOperator)
    #expect(down.reason == "connection refused")
    let reported = RedisFailure.tls(.wrongReportedName(expected: "10.0.0.1", by: .sentinels))
    #expect("\(reported)".contains("announce-hostnames"))
  }
}
