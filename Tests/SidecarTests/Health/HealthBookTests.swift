import Testing
import TokenCore

@testable import Sidecar

/// What is told of conditions, and when.
@Suite("The book of what was told") struct HealthBookTests {
  /// A book beside a clock that the test moves.
  private struct Stand {
    var book = HealthBook()
    private(set) var now: Moment = .origin
    var wall: Timestamp { Timestamp(milliseconds: (now - .origin).wholeMilliseconds) }

    mutating func look(_ conditions: [Condition], after span: Duration = .zero) -> [String] {
      now = now + span
      return book.observe(conditions, at: now, wall: wall).map(\.brief)
    }
  }

  private static func failing(
    _ account: String = "shop", code: Int? = -1, severity: Condition.Severity = .warning,
    since: Int64 = 0, observer: String? = nil
  ) -> Condition {
    var facts = Condition.Facts()
    facts.code = code
    facts.reason = code.map { "errcode \($0)" } ?? "no answer"
    return Condition(
      .refreshFailing, severity, account: CredentialID(account), since: Timestamp(second: since),
      facts: facts, observer: observer)
  }

  private static func missing(
    _ severity: Condition.Severity = .critical, kind: Condition.Kind = .noToken
  ) -> Condition {
    Condition(kind, severity, account: CredentialID("shop"), since: Timestamp(second: 0))
  }

  @Test("an outage of 18 minutes: it begins, worsens, lapses, is reminded of, and ends")
  func outage() {
    var stand = Stand()
    #expect(stand.look([Self.failing()]) == ["began refresh_failing"])
    #expect(stand.look([Self.failing()], after: .seconds(60)) == [])
    let lapsing = Self.missing(.error, kind: .tokenLapsing)
    #expect(stand.look([lapsing, Self.failing()], after: .seconds(60)) == ["began token_lapsing"])
    let last = Self.missing(.critical, kind: .tokenLapsing)
    #expect(stand.look([last, Self.failing()], after: .seconds(60)) == ["worsened token_lapsing"])
    let over = stand.look([Self.missing(), Self.failing()], after: .seconds(30))
    #expect(over == ["began no_token"], "that it no longer lapses is no news")
    // The failure was told 210 s ago.
    #expect(stand.look([Self.missing(), Self.failing()], after: .seconds(89)) == [])
    let first = stand.look([Self.missing(), Self.failing()], after: .seconds(1))
    #expect(first == ["lasts refresh_failing"])
    let second = stand.look([Self.missing(), Self.failing()], after: .seconds(210))
    #expect(second == ["lasts no_token"])
    #expect(stand.look([Self.missing(), Self.failing()], after: .seconds(270)).count == 1)
    let end = stand.look([], after: .seconds(300))
    #expect(Set(end) == ["ended no_token 1080", "ended refresh_failing 1080"])
    #expect(stand.look([], after: .seconds(3600)) == [])
  }

  @Test("what may be over by itself is not told, but since when it is known is")
  func pending() {
    var stand = Stand()
    var young = Self.failing()
    young.isPending = true
    #expect(stand.look([young]) == [])
    #expect(stand.book.met(young.identity)?.since == young.since)
    #expect(stand.look([], after: .seconds(1)) == [])
    #expect(stand.book.met(young.identity) == nil)
  }

  @Test("another code is told, the same one is not, and neither is a milder severity")
  func changes() {
    var stand = Stand()
    #expect(stand.look([Self.failing(code: -1)]) == ["began refresh_failing"])
    #expect(stand.look([Self.failing(code: -1)], after: .seconds(1)) == [])
    let other = Self.failing(code: 40164, severity: .error)
    #expect(stand.look([other], after: .seconds(1)) == ["worsened refresh_failing"])
    #expect(
      stand.look([Self.failing(code: nil)], after: .seconds(1)) == ["changed refresh_failing"])
    #expect(stand.look([Self.failing(code: nil)], after: .seconds(1)) == [])
  }

  @Test("a file or a program that fails in another way is told once more")
  func reasons() {
    func failing(_ reason: String) -> Condition {
      var facts = Condition.Facts()
      (facts.subject, facts.reason) = ("/run/t", reason)
      return Condition(.fileUnwritten, .warning, since: Timestamp(second: 0), facts: facts)
    }
    var stand = Stand()
    #expect(stand.look([failing("the disk is full")]) == ["began file_unwritten"])
    #expect(
      stand.look([failing("is a directory")], after: .seconds(1)) == ["changed file_unwritten"])
    #expect(stand.look([failing("is a directory")], after: .seconds(1)) == [])
  }

  @Test("what comes and goes for a day does not fill the log, and its last state is told")
  func flapping() {
    var stand = Stand()
    var told: [String] = []
    for round in 0..<(86_400 / 10) {
      told += stand.look(round.isMultiple(of: 2) ? [Self.failing()] : [], after: .seconds(10))
    }
    #expect(told.count <= 86_400 / 900 * HealthBook.mostOfOne)
    told += stand.look([], after: .seconds(1000))
    #expect(told.last?.hasPrefix("ended") == true)
    #expect(stand.look([], after: .seconds(1000)) == [])
  }

  @Test("250 accounts that fail one a second, for one reason, take few lines, and reminders one")
  func manyAccounts() {
    var stand = Stand()
    let all = (0..<250).map { Self.failing("a\($0)", since: Int64($0)) }
    var lines = 0
    for count in 1...300 {
      let changes = stand.look(Array(all.prefix(count)), after: .seconds(1))
      lines += changes.isEmpty ? 0 : 1
    }
    #expect(lines <= HealthBook.mostOfGroup + 2)
    // The next minutes: all of them are told, and told again together.
    var told: [Int] = []
    for _ in 0..<900 {
      let changes = stand.look(all, after: .seconds(1))
      if !changes.isEmpty { told.append(changes.count) }
    }
    #expect(told.count <= 8, "\(told)")
    #expect(told.last == 250)
  }

  @Test("what another replica sees is told once here, and aloud when this one sees it itself")
  func heard() {
    var stand = Stand()
    let heard = Self.failing(observer: "b")
    #expect(stand.look([heard]) == ["began refresh_failing, heard"])
    #expect(stand.look([heard], after: .seconds(400)) == [])
    #expect(stand.look([Self.failing()], after: .seconds(1)) == ["began refresh_failing"])
    #expect(stand.look([heard], after: .seconds(400)) == [])
    #expect(stand.look([], after: .seconds(1)) == ["ended refresh_failing 802"])
  }

  @Test("a failure that the next leader meets as well is one failure")
  func changeOfLeader() {
    var stand = Stand()
    let heard = Self.failing(since: 0, observer: "b")
    #expect(stand.look([heard]) == ["began refresh_failing, heard"])
    let own = Self.failing(since: 90)
    #expect(stand.look([own], after: .seconds(90)) == ["began refresh_failing"])
    #expect(stand.book.met(own.identity)?.since == Timestamp(second: 0))
    #expect(stand.look([], after: .seconds(30)) == ["ended refresh_failing 120"])
  }

  @Test("a key that lapsed is told by a replica that only heard why")
  func everybodys() {
    var stand = Stand()
    let told = stand.look([Self.missing(), Self.failing(observer: "b")])
    #expect(told == ["began no_token", "began refresh_failing, heard"])
  }

  @Test("why a token is missed is told once it is known, and since when as it was met first")
  func cause() {
    var stand = Stand()
    var missing = Self.missing()
    #expect(stand.look([missing], after: .seconds(10)) == ["began no_token"])
    missing.facts.cause = .refreshFailing
    missing.since = Timestamp(second: 15)
    #expect(stand.look([missing], after: .seconds(10)) == ["changed no_token"])
    #expect(stand.look([missing], after: .seconds(10)) == [])
    #expect(stand.look([], after: .seconds(10)) == ["ended no_token 40"])
  }

  @Test("what is remembered is bounded, whatever comes")
  func bounded() {
    var stand = Stand()
    for round in 0..<3 {
      let many = (0..<10_000).map { Self.failing("a\(round)-\($0)") }
      #expect(stand.look(many, after: .seconds(1)).count <= HealthBook.mostRemembered * 2)
    }
  }
}

extension HealthBook.Change {
  /// The change in a few words.
  fileprivate var brief: String {
    func words(_ verb: String, _ condition: Condition) -> String {
      "\(verb) \(condition.kind.rawValue)" + (condition.observer == nil ? "" : ", heard")
    }
    return switch self {
    case .began(let it): words("began", it)
    case .changed(let it): words("changed", it)
    case .worsened(let it): words("worsened", it)
    case .lasts(let it): words("lasts", it)
    case .ended(let it, let span): words("ended", it) + " \(span.components.seconds)"
    }
  }
}
