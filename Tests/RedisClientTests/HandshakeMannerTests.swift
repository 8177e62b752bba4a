import NIOCore
import TestSupport
import Testing

@testable import RedisClient

/// How much of the first commands a server gets, and what their answers mean.
@Suite("What a handshake leaves out")
struct HandshakeMannerTests {
  private let now = ContinuousClock.now

  /// What an attempt leaves out, and whether the connection is used: nil when the server hangs up.
  private func attempt(
    _ manner: inout HandshakeManner, hangsUpOn: Set<String>, at now: ContinuousClock.Instant
  ) -> Bool? {
    let sent = Set(["CLIENT", "INFO", "PING"]).subtracting(manner.begin(at: now))
    guard sent.isDisjoint(with: hangsUpOn) else {
      _ = manner.hungUp(at: now)
      return nil
    }
    return manner.succeeded()
  }

  @Test("a server that takes everything is given everything")
  func whole() {
    var manner = HandshakeManner()
    #expect(manner.begin(at: now).isEmpty && manner.succeeded())
  }

  @Test(
    "one that hangs up is given less, and what it takes it is given from then on",
    arguments: [
      (["CLIENT"], [nil, false, nil, true], ["CLIENT"]),
      (["CLIENT", "INFO"], [nil, nil, false, nil, true], ["CLIENT", "INFO"]),
      (["INFO"], [nil, nil, false, nil, true], ["CLIENT", "INFO"]),
    ] as [(Set<String>, [Bool?], [String])])
  func less(hangsUpOn: Set<String>, attempts: [Bool?], leftOut: [String]) {
    var manner = HandshakeManner()
    for expected in attempts {
      #expect(attempt(&manner, hangsUpOn: hangsUpOn, at: now) == expected)
    }
    #expect(manner.begin(at: now + .seconds(60)) == leftOut)
    #expect(attempt(&manner, hangsUpOn: hangsUpOn, at: now + .seconds(60)) == true)
    // After an hour it may be another one.
    #expect(manner.begin(at: now + .seconds(3600)).isEmpty)
  }

  @Test("one that was not there for a moment is given everything again")
  func moment() {
    var manner = HandshakeManner()
    for _ in 0..<2 {
      #expect(attempt(&manner, hangsUpOn: ["PING"], at: now) == nil)
    }
    // It is back: with little, then with more, then with all.
    #expect(attempt(&manner, hangsUpOn: [], at: now) == false)
    #expect(attempt(&manner, hangsUpOn: [], at: now) == false)
    #expect(attempt(&manner, hangsUpOn: [], at: now) == true)
    #expect(manner.begin(at: now).isEmpty)
    // However long it is away, everything is tried again and again.
    var away = HandshakeManner()
    for _ in 0..<7 { #expect(attempt(&away, hangsUpOn: ["PING"], at: now) == nil) }
    #expect(away.begin(at: now) == ["CLIENT"])
  }

  @Test("another handshake follows at once, but not when all were hung up on")
  func pace() {
    var manner = HandshakeManner()
    var paces: [Bool] = []
    for _ in 0..<4 {
      _ = manner.begin(at: now)
      paces.append(manner.hungUp(at: now))
    }
    #expect(paces == [true, true, false, true])
    var life = ConnectionLife(backoff: Backoff())
    var random = SystemRandomNumberGenerator()
    for event: ConnectionLife.Event in [.started, .opened] {
      _ = life.handle(event, at: now, using: &random)
    }
    let failure = RedisFailure.hungUp(commands: "PING")
    #expect(
      life.handle(.handshakeChanged(failure), at: now, using: &random)
        == [.close(failure), .tell(.connectFailed(failure)), .open])
  }

  private func handshake() throws -> RedisHandshake {
    let set = SentinelSet([.tcp(host: "h", port: 1)], primary: "m")
    return try RedisHandshake(
      endpoint: RedisEndpoint(set), address: .tcp(host: "p", port: 2), password: nil,
      clientName: nil)
  }

  private let refusal = RedisServerError(
    "NOPERM this user has no permissions to run the 'role' command")

  @Test(
    "where ROLE is refused INFO tells the role, and where that is refused the server is taken",
    arguments: [("role:master", nil), ("role:slave", "replica"), (nil, nil)] as [(String?, String?)]
  )
  func role(information: String?, other: String?) throws {
    let handshake = try handshake()
    let info = information.map { RedisReply.bulk(Array("# Replication\r\n\($0)\r\n".utf8)) }
    let replies: [RedisReply] = [
      .bulk(Array("run_id:r\r\n".utf8)), .status("PONG"), .error(refusal),
      info ?? .error(RedisServerError("NOPERM no")),
    ]
    guard let other else {
      let server = try handshake.judge(replies)
      #expect(server.runID == "r")
      #expect(
        server.lacking.map(\.name) == (info == nil ? ["ROLE", "INFO"] : ["ROLE"]))
      return
    }
    #expect(throws: RedisFailure.notPrimary("p:2", role: other)) { try handshake.judge(replies) }
  }

  @Test("what is hung up on is counted until it is answered, and a refusal is an answer")
  func hangUps() {
    let lost = RedisFailure.connectionLost(reason: "the server closed it")
    var hangUps = HangUps()
    #expect(!hangUps.lost(lost) && !hangUps.lost(lost))
    hangUps.answered()
    #expect(!hangUps.lost(lost) && !hangUps.lost(.deadlinePassed) && !hangUps.lost(lost))
    #expect(hangUps.lost(lost) && hangUps.lost(lost))
  }

  @Test("who may not listen asks again after a minute, not with every attempt")
  func silentSubscriber() {
    let refusals: [RedisFailure] = [
      .refused(command: "SUBSCRIBE", refusal), .hungUp(commands: "SUBSCRIBE"),
    ]
    for failure in refusals {
      var life = ConnectionLife(backoff: Backoff(), tellsOfUnused: true)
      var random = SystemRandomNumberGenerator()
      let server = RedisServerInfo(runID: nil, version: nil)
      for event: ConnectionLife.Event in [
        .started, .opened, .handshakePassed(server), .judged(objection: nil),
      ] { _ = life.handle(event, at: now, using: &random) }
      let actions = life.handle(.ended(failure), at: now, using: &random)
      guard case .rest(let rest)? = actions.last else {
        Issue.record("\(actions)")
        continue
      }
      #expect(rest > .seconds(50) && rest <= .seconds(60))
    }
  }
}
