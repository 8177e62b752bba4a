import RedisClient
import Sidecar
import TestSupport
import Testing
import TokenCore

/// Until when Redis states that a token lives, after each step, to the millisecond
/// (TokenCore.md#the-record).
extension TokenStoreTests {
  private static let state = layout.state(account)
  private static let token = layout.accessToken(account.account)
  private static let expiry = layout.expiresIn(account.account)
  private static let first = Version(epoch: Epoch(1), sequence: 1)
  private static let second = Version(epoch: Epoch(1), sequence: 2)

  private static func at(_ seconds: Double) -> String { "\(StoppedRedis.time(seconds))" }

  /// Both keys as they are at a moment when the token's life ends at another one, both in seconds
  /// after the start.
  private static func keys(_ token: String, at now: Double, end: Double) -> [String: String] {
    let left = Int64((end - now) * 1000)
    let expiry = (StoppedRedis.time(end).milliseconds - 120_000) / 1000
    return [Self.token: "\(token) for \(left)", Self.expiry: "\(expiry) for \(left)"]
  }

  private static func doubt(_ first: Double, _ last: Double) -> [String: String] {
    [.record("doubt_first"): at(first), .record("doubt_last"): at(last)]
  }

  private static let noDoubt: [String: String] = [
    .record("doubt_first"): "none", .record("doubt_last"): "none",
  ]

  private static func intent(_ sequence: Int, _ seconds: Double) -> [String: String] {
    [
      .record("intent_epoch"): "1", .record("intent_seq"): "\(sequence)",
      .record("intent_at"): at(seconds), .record("intent_deadline"): at(seconds + 6),
      .record("intent_kills"): "1",
    ]
  }

  private static let noIntent = intent(0, 0).mapValues { _ in "none" }

  private func all(_ parts: [String: String]...) -> [String: String] {
    parts.reduce(into: [:]) { $0.merge($1) { $1 } }
  }

  /// Has 1.1 committed at the start, to end 7199.9 s later, and nothing that may have killed it.
  private func settle(_ redis: StoppedRedis) async throws {
    _ = try await redis.store.run(takeOver(Epoch(1)))
    _ = try await redis.store.run(begin(Epoch(1), 1))
    _ = try await redis.store.run(commit(fence: Epoch(1), Epoch(1), 1, token: "T1"))
  }

  /// The record as one that was written at a server of that doubt, for a token of that end.
  private func doubting(_ redis: StoppedRedis, _ first: Double, _ last: Double) async throws {
    try await settle(redis)
    try await redis.server.command(
      "HSET", Self.state, "doubt_first", Self.at(first), "doubt_last", Self.at(last))
  }

  // MARK: BEGIN and RESOLVE

  @Test(
    "a begin ends both keys 290 s later, keeps its first moment, and a resolution restores them")
  func boundByAnIntent() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: 10)
      let begun = try await redis.outcome(of: begin(Epoch(1), 2))
      #expect(
        begun.changes
          == all(
            Self.intent(2, 10), [.record("fetches"): "2"], Self.keys("T1", at: 10, end: 300)))
      let receipt = BeginReceipt(
        committed: Self.first, fetchesToday: 2, at: StoppedRedis.time(10),
        now: StoppedRedis.time(10))
      #expect(begun.reply == .began(receipt))
      try redis.move(to: 17)
      var again = receipt
      again.now = StoppedRedis.time(17)
      #expect(
        try await redis.outcome(of: begin(Epoch(1), 2))
          == .init(reply: .began(again), changes: [:]))
      // Another's intent is not this one's to take back.
      for version in [Self.first, Version(epoch: Epoch(2), sequence: 2)] {
        #expect(
          try await redis.outcome(of: resolve(version)) == .init(reply: .resolved, changes: [:]))
      }
      let resolved = try await redis.outcome(of: resolve(Self.second))
      #expect(
        resolved
          == .init(
            reply: .resolved,
            changes: all(Self.noIntent, Self.keys("T1", at: 17, end: 7199.9))))
      #expect(
        try await redis.outcome(of: resolve(Self.second)) == .init(reply: .resolved, changes: [:]))
    }
  }

  @Test("a resolution restores no more than the doubt beside it leaves")
  func resolvingBesideADoubt() async throws {
    try await StoppedRedis.run { redis in
      try await doubting(redis, 20, 20)
      try redis.move(to: 10)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      let resolved = try await redis.outcome(of: resolve(Self.second))
      #expect(resolved.changes == all(Self.noIntent, Self.keys("T1", at: 10, end: 310)))
    }
  }

  @Test("an intent that kills no token bounds none, and leaves no doubt")
  func harmlessIntent() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: 10)
      let begun = try await redis.outcome(of: begin(Epoch(1), 2, kills: false))
      var intent = Self.intent(2, 10)
      intent[.record("intent_kills")] = "0"
      #expect(begun.changes == all(intent, [.record("fetches"): "2"]))
      try redis.move(to: 20)
      let next = try await redis.outcome(of: begin(Epoch(1), 3))
      #expect(
        next.changes
          == all(
            [.record("fetches"): "3"],
            Self.intent(3, 20).filter { $0.key != .record("intent_epoch") },
            Self.keys("T1", at: 20, end: 310)))
    }
  }

  @Test("a begin folds an older intent into the doubt, the earliest first, the latest last")
  func folding() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: 10)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      for (second, sequence) in [(25, 3), (60, 4)] as [(Int64, Int64)] {
        try redis.move(to: second)
        _ = try await redis.store.run(begin(Epoch(1), sequence))
        let record = try await redis.record()
        #expect(record["doubt_first"] == Self.at(10))
        #expect(record["doubt_last"] == Self.at(sequence == 3 ? 10 : 25))
        #expect(record["intent_at"] == Self.at(Double(second)))
        let left = try await redis.server.command("PTTL", Self.token).number
        #expect(left == 300_000 - second * 1000, "the first of them bounds it")
      }
    }
  }

  /// What a BEGIN says and finds, and whether it leaves a doubt of now.
  struct History: Sendable {
    let hasHistory: Bool
    let isCommitted: Bool
    let kills: Bool
    let doubts: Bool
  }

  @Test(
    "a begin doubts when a record is gone that its replica has seen",
    arguments: [
      History(hasHistory: false, isCommitted: false, kills: true, doubts: false),
      History(hasHistory: true, isCommitted: false, kills: true, doubts: true),
      History(hasHistory: true, isCommitted: false, kills: false, doubts: true),
      History(hasHistory: true, isCommitted: true, kills: true, doubts: false),
    ])
  func missingRecord(_ history: History) async throws {
    try await StoppedRedis.run { redis in
      if history.isCommitted { try await settle(redis) }
      try redis.move(to: 5)
      _ = try await redis.store.run(
        begin(Epoch(1), 2, kills: history.kills, hasHistory: history.hasHistory))
      let record = try await redis.record()
      #expect(record["doubt_first"] == (history.doubts ? Self.at(5) : nil))
      #expect(record["doubt_last"] == (history.doubts ? Self.at(5) : nil))
      try redis.move(to: 9)
      _ = try await redis.store.run(
        begin(Epoch(1), 2, kills: history.kills, hasHistory: history.hasHistory))
      let again = try await redis.record()
      #expect(again["doubt_first"] == record["doubt_first"])
      #expect(again["intent_at"] == record["intent_at"])
    }
  }

  // MARK: COMMIT

  @Test(
    "a commit clears a doubt whose last is more than 90 s before its begin, and no other",
    arguments: [(99, false), (100, false), (101, true)] as [(Int64, Bool)])
  func clearing(_ second: Int64, _ clears: Bool) async throws {
    try await StoppedRedis.run { redis in
      try await doubting(redis, 5, 10)
      try redis.move(to: second)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      let began = Double(second)
      try redis.move(to: second + 2)
      let committing = commit(
        fence: Epoch(1), Epoch(1), 2, token: "T2", parent: Self.first, age: .milliseconds(1900),
        instance: "b")
      let outcome = try await redis.outcome(of: committing)
      let fields: [String: String] = [
        .record("committed_seq"): "2", .record("parent_epoch"): "1", .record("parent_seq"): "1",
        .record("sha256"): TokenStore.digest("T2"), .record("fetched_by"): "b",
        .record("fetched_at"): Self.at(began), .record("expires_at"): Self.at(began + 7200),
      ]
      let end = clears ? began + 7200 : began + 290
      let expected = all(
        fields, Self.noIntent, clears ? Self.noDoubt : [.record("doubt_first"): Self.at(began)],
        Self.keys("T2", at: began + 2, end: end))
      #expect(outcome == .init(reply: .committed(isCertain: clears), changes: expected))
      // An equal retry writes the same, and settles nothing more.
      #expect(
        try await redis.outcome(of: committing)
          == .init(reply: .committed(isCertain: clears), changes: [:]))
    }
  }

  @Test(
    "a commit without its intent doubts from its begin to now, and clears nothing",
    arguments: [nil, StoppedRedis.time(2)])
  func lostIntent(begunAt: RedisTime?) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      // Another fetch's intent is none of its own.
      _ = try await redis.store.run(begin(Epoch(1), 3))
      try redis.move(to: 200)
      let late = commit(
        fence: Epoch(1), Epoch(1), 2, token: "T2", parent: Self.first, begunAt: begunAt,
        age: .seconds(50))
      let outcome = try await redis.outcome(of: late)
      #expect(outcome.reply == .committed(isCertain: false))
      let record = try await redis.record()
      #expect(record["doubt_first"] == (begunAt == nil ? Self.at(150) : Self.at(2)))
      #expect(record["doubt_last"] == Self.at(200))
      #expect(record["intent_seq"] == "3")
      #expect(
        try await redis.server.command("PTTL", Self.token).number == 90_000,
        "the intent beside it ends sooner than its own doubt")
      try redis.move(to: 210)
      #expect(
        try await redis.outcome(of: late)
          == .init(reply: .committed(isCertain: false), changes: [:]))
    }
  }

  @Test("a commit that killed nothing leaves no doubt, and keeps the one that is there")
  func harmlessCommit() async throws {
    try await StoppedRedis.run { redis in
      try await doubting(redis, 5, 10)
      try redis.move(to: 20)
      let outcome = try await redis.outcome(
        of: commit(fence: Epoch(1), Epoch(1), 2, token: "T2", kills: false))
      #expect(outcome.reply == .committed(isCertain: false))
      let record = try await redis.record()
      #expect(record["doubt_first"] == Self.at(5) && record["doubt_last"] == Self.at(10))
    }
  }

  @Test("a deposed leader's commit doubts from its begin to now, also when it is sent again")
  func deposing() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(takeOver(Epoch(2)))
      try redis.move(to: 30)
      let late = commit(
        fence: Epoch(1), Epoch(1), 2, token: "T2", begunAt: StoppedRedis.time(20),
        age: .seconds(5))
      #expect(
        try await redis.outcome(of: late)
          == .init(
            reply: .deposed(Epoch(2)),
            changes: all(Self.doubt(20, 30), Self.keys("T1", at: 30, end: 310))))
      #expect(
        try await redis.outcome(of: late) == .init(reply: .deposed(Epoch(2)), changes: [:]))
      // What is the record's, or its parent, was published in its turn.
      #expect(
        try await redis.outcome(of: commit(fence: Epoch(1), Epoch(1), 1, token: "T1"))
          == .init(reply: .superseded(Epoch(2)), changes: [:]))
      _ = try await redis.store.run(begin(Epoch(2), 1))
      _ = try await redis.store.run(
        commit(fence: Epoch(2), Epoch(2), 1, token: "T3", parent: Self.first))
      #expect(
        try await redis.outcome(of: commit(fence: Epoch(1), Epoch(1), 1, token: "T1"))
          == .init(reply: .superseded(Epoch(2)), changes: [:]))
    }
  }

  @Test("the commit of a fetch that kills nothing is refused without a doubt")
  func harmlessDeposing() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(takeOver(Epoch(2)))
      #expect(
        try await redis.outcome(of: commit(fence: Epoch(1), Epoch(1), 2, token: "T2", kills: false))
          == .init(reply: .deposed(Epoch(2)), changes: [:]))
    }
  }

  @Test(
    "a commit older than the last writes no token, and doubts if that is another epoch's",
    arguments: [(Version(epoch: Epoch(2), sequence: 1), false), (Self.third, true)],
    [false, true])
  func ghosts(_ ghost: (version: Version, doubts: Bool), isRecommit: Bool) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      let committed = Version(epoch: Epoch(2), sequence: 2)
      _ = try await redis.store.run(begin(Epoch(2), 2))
      _ = try await redis.store.run(
        commit(fence: Epoch(2), Epoch(2), 2, token: "T2", parent: Self.first))
      try redis.move(to: 5)
      let late = commit(
        fence: Epoch(2), ghost.version.epoch, ghost.version.sequence, token: "T0",
        isRecommit: isRecommit, age: .seconds(3))
      let doubted = all(Self.doubt(2, 5), Self.keys("T2", at: 5, end: 292))
      #expect(
        try await redis.outcome(of: late)
          == .init(reply: .stale(committed: committed), changes: ghost.doubts ? doubted : [:]))
      #expect(
        try await redis.outcome(of: late)
          == .init(reply: .stale(committed: committed), changes: [:]))
    }
  }

  private static let third = Version(epoch: Epoch(1), sequence: 3)

  @Test("a re-commit restores both keys and doubts from its begin to now")
  func recommitting() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try await redis.server.command("DEL", Self.token, Self.expiry)
      try redis.move(to: 10)
      let again = commit(
        fence: Epoch(2), Epoch(1), 1, token: "T1", begunAt: StoppedRedis.time(0),
        isRecommit: true, age: .seconds(10), instance: "b")
      #expect(
        try await redis.outcome(of: again)
          == .init(
            reply: .committed(isCertain: false),
            changes: all(
              [.record("epoch"): "2"], Self.doubt(0, 10), Self.keys("T1", at: 10, end: 290))))
    }
  }

  @Test("a re-commit of what Redis lost follows the commit that its fetch followed")
  func recommittingOverAnOlderOne() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: 10)
      let again = commit(
        fence: Epoch(1), Epoch(1), 2, token: "T2", parent: Self.first,
        begunAt: StoppedRedis.time(7), isRecommit: true, age: .seconds(3), instance: "b")
      let fields: [String: String] = [
        .record("committed_seq"): "2", .record("parent_epoch"): "1", .record("parent_seq"): "1",
        .record("sha256"): TokenStore.digest("T2"), .record("fetched_at"): Self.at(7),
        .record("expires_at"): Self.at(7207),
      ]
      #expect(
        try await redis.outcome(of: again)
          == .init(
            reply: .committed(isCertain: false),
            changes: all(fields, Self.doubt(7, 10), Self.keys("T2", at: 10, end: 297))))
    }
  }

  @Test(
    "a commit whose token is over writes nothing",
    arguments: [Duration.milliseconds(7_200_000), .milliseconds(7_200_001)])
  func expiredCommit(age: Duration) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      #expect(
        try await redis.outcome(
          of: commit(fence: Epoch(1), Epoch(1), 2, token: "T2", age: age))
          == .init(reply: .stale(committed: Self.first), changes: [:]))
    }
  }

  @Test("a commit that is carried out late gives its token no life that is over")
  func lateCommit() async throws {
    try await StoppedRedis.run { redis in
      _ = try await redis.store.run(begin(Epoch(1), 1))
      let late = commit(fence: Epoch(1), Epoch(1), 1, token: "T1")
      try redis.move(to: 100)
      #expect(try await redis.store.run(late) == .committed(isCertain: true))
      // By the time of its BEGIN.
      #expect(try await redis.server.command("PTTL", Self.token).number == 7_100_000)
      try redis.move(to: 200)
      #expect(
        try await redis.outcome(of: late)
          == .init(reply: .committed(isCertain: true), changes: [:]))
      _ = try await redis.store.run(begin(Epoch(1), 2))
      try redis.move(to: 200 + 7200)
      #expect(
        try await redis.outcome(of: commit(fence: Epoch(1), Epoch(1), 2, token: "T2"))
          == .init(reply: .stale(committed: Self.first), changes: [:]))
      // Also without the intent, by the time that BEGIN answered.
      let lost = commit(
        fence: Epoch(1), Epoch(1), 3, token: "T3", begunAt: StoppedRedis.time(200))
      #expect(
        try await redis.outcome(of: lost)
          == .init(reply: .stale(committed: Self.first), changes: [:]))
    }
  }

  // MARK: MARK

  /// What a MARK says 50 s after the start, and what the doubt is then.
  struct Marking: Sendable {
    let age: Int64
    let begunAt: Double?
    let known: Int64?
    let first: Double
    let last: Double
  }

  @Test(
    "a mark doubts from the earlier of its two beginnings to when its outcome was known, or now",
    arguments: [
      Marking(age: 20, begunAt: nil, known: 12, first: 30, last: 38),
      Marking(age: 20, begunAt: 25, known: 12, first: 25, last: 38),
      Marking(age: 30, begunAt: 25, known: 0, first: 20, last: 50),
      Marking(age: 20, begunAt: nil, known: nil, first: 30, last: 50),
      Marking(age: 20, begunAt: 90, known: nil, first: 30, last: 50),
    ])
  func marking(_ it: Marking) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: 50)
      let mark = mark(
        Self.second, age: .seconds(it.age), begunAt: it.begunAt.map { StoppedRedis.time($0) },
        known: it.known.map { .seconds($0) })
      #expect(
        try await redis.outcome(of: mark)
          == .init(
            reply: .marked,
            changes: all(
              Self.doubt(it.first, it.last), Self.keys("T1", at: 50, end: it.first + 290))))
      #expect(try await redis.outcome(of: mark) == .init(reply: .marked, changes: [:]))
      // Sent again later it says the same, but for an outcome that is still not known.
      try redis.move(to: 57)
      let later = self.mark(
        Self.second, age: .seconds(it.age + 7), begunAt: it.begunAt.map { StoppedRedis.time($0) },
        known: it.known.map { .seconds($0 + 7) })
      #expect(
        try await redis.outcome(of: later)
          == .init(
            reply: .marked, changes: it.known == nil ? [.record("doubt_last"): Self.at(57)] : [:]))
    }
  }

  @Test(
    "a mark changes nothing when what Redis has was fetched more than 90 s after it was over",
    arguments: [(109, false), (110, false), (111, true)] as [(Int64, Bool)])
  func settled(_ second: Int64, _ isSettled: Bool) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: second)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      _ = try await redis.store.run(
        commit(fence: Epoch(1), Epoch(1), 2, token: "T2", parent: Self.first))
      try redis.move(to: 200)
      // Over 20 s after the start.
      let outcome = try await redis.outcome(
        of: mark(Version(epoch: Epoch(1), sequence: 7), age: .seconds(190), known: .seconds(180)))
      #expect(outcome.reply == (isSettled ? .settled : .marked))
      #expect(
        outcome.changes
          == (isSettled ? [:] : all(Self.doubt(10, 20), Self.keys("T2", at: 200, end: 300))))
      // While the outcome is not known nothing is settled.
      let unknown = try await redis.store.run(
        mark(Version(epoch: Epoch(1), sequence: 7), age: .seconds(190), known: nil))
      #expect(unknown == .marked)
    }
  }

  @Test("a mark of what was published in its turn changes nothing")
  func inOrder() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      _ = try await redis.store.run(
        commit(fence: Epoch(1), Epoch(1), 2, token: "T2", parent: Self.first))
      for version in [Self.first, Self.second] {
        #expect(
          try await redis.outcome(of: mark(version, known: nil))
            == .init(reply: .inOrder, changes: [:]))
      }
    }
  }

  @Test("a mark raises the fence to its epoch, and lowers none")
  func raisingTheFence() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(mark(Version(epoch: Epoch(4), sequence: 1)))
      #expect(try await redis.record()["epoch"] == "4")
      _ = try await redis.store.run(mark(Version(epoch: Epoch(3), sequence: 1)))
      #expect(try await redis.record()["epoch"] == "4")
      #expect(try await redis.store.run(begin(Epoch(3), 2)) == .fenced(Epoch(4)))
      #expect(
        try await redis.store.run(commit(fence: Epoch(3), Epoch(3), 2, token: "T"))
          == .deposed(Epoch(4)))
    }
  }

  @Test("where the record is gone and the keys are not, a mark leaves them 290 s from now")
  func markingNothing() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try await redis.server.command("DEL", Self.state)
      try redis.move(to: 50)
      #expect(
        try await redis.outcome(of: mark(Self.second, age: .seconds(400), known: .seconds(300)))
          == .init(
            reply: .marked,
            changes: all(
              [.record("epoch"): "1"], Self.doubt(50, 50), Self.keys("T1", at: 50, end: 340))))
      // Again it is no reason to let them live longer.
      try redis.move(to: 60)
      _ = try await redis.store.run(mark(Self.second, age: .seconds(410), known: .seconds(310)))
      #expect(try await redis.server.command("PTTL", Self.token).number == 280_000)
    }
  }

  @Test("where the record is gone and the keys are not, a begin leaves them 290 s, and no more")
  func beginningWithoutARecord() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try await redis.server.command("DEL", Self.state)
      try redis.move(to: 50)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      #expect(try await redis.server.command("PTTL", Self.token).number == 290_000)
      #expect(try await redis.server.command("PTTL", Self.expiry).number == 290_000)
      try redis.move(to: 60)
      _ = try await redis.store.run(begin(Epoch(1), 3))
      #expect(try await redis.server.command("PTTL", Self.token).number == 280_000)
      // What took nothing gives nothing back: nobody knows how long the token lives.
      _ = try await redis.store.run(resolve(Version(epoch: Epoch(1), sequence: 3)))
      #expect(try await redis.server.command("PTTL", Self.token).number == 280_000)
    }
  }

  @Test("what a mark makes doubtful wakes its account's leader, and nothing else does")
  func waking() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(mark(Self.first))
      #expect(try await redis.server.command("LPOP", Self.layout.refreshRequests).text == nil)
      _ = try await redis.store.run(mark(Self.second))
      #expect(
        try await redis.server.command("LPOP", Self.layout.refreshRequests).text
          == #"{"wake":true,"account":"default"}"#)
    }
  }

  @Test("a doubt that is older than 290 s ends both keys at once")
  func overdueDoubt() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: 400)
      for _ in 0..<2 {
        _ = try await redis.store.run(
          mark(Self.second, age: .seconds(290), known: .seconds(280)))
        let contents = try await redis.contents()
        #expect(contents.keys[Self.token] == nil && contents.keys[Self.expiry] == nil)
      }
      // What is gone comes back with the next token only.
      _ = try await redis.store.run(takeOver(Epoch(2)))
      #expect(try await redis.contents().keys[Self.token] == nil)
    }
  }

  // MARK: TAKEOVER

  /// The server that a TAKEOVER names, and what it does to a record of server r.
  struct Server: Sendable {
    let runID: String?
    let recorded: String?
    let doubts: Bool
  }

  @Test(
    "a take-over at another server than the record's doubts from 30 s ago to now",
    arguments: [
      Server(runID: "r", recorded: "r", doubts: false),
      Server(runID: nil, recorded: "r", doubts: false),
      Server(runID: "s", recorded: "r", doubts: true),
      Server(runID: "s", recorded: nil, doubts: false),
    ])
  func otherServer(_ it: Server) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      if it.recorded == nil { try await redis.server.command("HDEL", Self.state, "run_id") }
      try redis.move(to: 50)
      let command = takeOver(Epoch(2), runID: it.runID)
      var changes: [String: String] = [.record("epoch"): "2"]
      if it.runID == "s" { changes[.record("run_id")] = "s" }
      if it.doubts {
        changes = all(changes, Self.doubt(20, 50), Self.keys("T1", at: 50, end: 310))
      }
      #expect(try await redis.outcome(of: command).changes == changes)
      #expect(try await redis.outcome(of: command).changes == [:])
    }
  }

  @Test("a take-over of what has no commit names no server")
  func otherServerOfNothing() async throws {
    try await StoppedRedis.run { redis in
      _ = try await redis.store.run(takeOver(Epoch(2), runID: "s"))
      #expect(try await redis.record()["run_id"] == nil)
    }
  }

  // MARK: REPUBLISH

  @Test(
    "damaged keys go back to the stated end, whatever the replica thinks of it",
    arguments: [60, 300, 7200] as [Int64])
  func republishingToTheStatedEnd(certain: Int64) async throws {
    try await StoppedRedis.run { redis in
      try await doubting(redis, 20, 20)
      try redis.move(to: 50)
      try await redis.server.command("DEL", Self.token)
      let command = republish(
        fence: Epoch(1), Self.first, token: "T1", certain: .seconds(certain),
        slack: .seconds(300))
      #expect(
        try await redis.outcome(of: command)
          == .init(
            reply: .republished(wrote: true), changes: Self.keys("T1", at: 50, end: 310)))
      #expect(
        try await redis.outcome(of: command)
          == .init(reply: .republished(wrote: false), changes: [:]))
    }
  }

  @Test("a record whose clock was set back states no more than the replica knows, and a little")
  func recordFromTheFuture() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: -3600)
      let sound = republish(
        fence: Epoch(1), Self.first, token: "T1", certain: .milliseconds(10_797_900),
        slack: .seconds(2))
      #expect(
        try await redis.outcome(of: sound)
          == .init(reply: .republished(wrote: false), changes: [:]), "within the slack")
      let command = republish(
        fence: Epoch(1), Self.first, token: "T1", certain: .seconds(7000), slack: .seconds(2))
      #expect(
        try await redis.outcome(of: command)
          == .init(
            reply: .republished(wrote: true),
            changes: all(
              [.record("expires_at"): Self.at(3400)], Self.keys("T1", at: -3600, end: 3400))))
    }
  }

  @Test("what has no life left is published nowhere", arguments: [0, 1] as [Int64])
  func nothingLeft(milliseconds: Int64) async throws {
    try await StoppedRedis.run { redis in
      try redis.move(to: 5)
      let copy = republish(
        fence: Epoch(3), Self.first, token: "T1", certain: .milliseconds(milliseconds))
      let outcome = try await redis.outcome(of: copy)
      #expect(outcome.reply == .republished(wrote: milliseconds > 0))
      if milliseconds == 0 { #expect(outcome.changes == [:]) }
      try redis.move(to: 0)
      try await redis.server.command("FLUSHALL")
      try await doubting(redis, 0, 0)
      try redis.move(to: 290)
      #expect(
        try await redis.outcome(
          of: republish(fence: Epoch(1), Self.first, token: "T1", certain: .seconds(900)))
          == .init(
            reply: .republished(wrote: true), changes: [Self.token: "none", Self.expiry: "none"]))
    }
  }

  @Test("a COMMIT leaves the server that the record was taken over on: TAKEOVER tells of another")
  func committingOverAFailOver() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try await redis.server.command("HSET", Self.state, "run_id", "before")
      try redis.move(to: 100)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      let commit = commit(fence: Epoch(1), Epoch(1), 2, token: "T2")
      #expect(try await redis.store.run(commit) == .committed(isCertain: true))
      guard case .account(let view) = try await redis.store.run(Self.looking) else {
        Issue.record("no view")
        return
      }
      #expect(view.runID == "before")
    }
  }

  @Test("what a clock that was set back has in the future settles nothing, and is over by now")
  func doubtsOfTheFuture() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      // The committed fetch began an hour from now: no proof that it came after all of this.
      try redis.move(to: -3600)
      let late = mark(Self.second, age: .seconds(40), known: .seconds(30))
      #expect(try await redis.store.run(late) == .marked)
      // A doubt that is over in an hour is over by now, once a COMMIT has to leave it.
      try await redis.server.command(
        "HSET", Self.state, "doubt_first", Self.at(0), "doubt_last", Self.at(0))
      _ = try await redis.store.run(begin(Epoch(1), 3))
      let commit = commit(fence: Epoch(1), Epoch(1), 3, token: "T3")
      #expect(try await redis.store.run(commit) == .committed(isCertain: false))
      guard case .account(let view) = try await redis.store.run(Self.looking) else {
        Issue.record("no view")
        return
      }
      #expect(view.doubt?.last == StoppedRedis.time(-3600))
    }
  }

  @Test("what is over is taken away: by a clock that was set back, or where a TTL is gone")
  func endingWhatIsOver() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: -3600)
      let over = republish(
        fence: Epoch(1), Self.first, token: "T1", certain: .zero, slack: .seconds(2))
      #expect(
        try await redis.outcome(of: over)
          == .init(
            reply: .republished(wrote: true),
            changes: [
              .record("expires_at"): Self.at(-3600), Self.token: "none", Self.expiry: "none",
            ]))
      #expect(
        try await redis.outcome(of: over)
          == .init(reply: .republished(wrote: false), changes: [:]))
    }
  }

  @Test("a copy that is published where nothing was committed is the commit, with a doubt of now")
  func publishingACopy() async throws {
    try await StoppedRedis.run { redis in
      try redis.move(to: 5)
      let copy = republish(
        fence: Epoch(3), Version(epoch: Epoch(1), sequence: 4), token: "T1",
        certain: .seconds(600), begunAt: StoppedRedis.time(-100))
      let fields: [String: String] = [
        .record("v"): "2", .record("app"): TokenStore.digest("wx1"), .record("epoch"): "3",
        .record("committed_epoch"): "1", .record("committed_seq"): "4",
        .record("lifetime"): "7200000", .record("sha256"): TokenStore.digest("T1"),
        .record("expires_at"): Self.at(605), .record("fetched_at"): Self.at(-100),
      ]
      #expect(
        try await redis.outcome(of: copy)
          == .init(
            reply: .republished(wrote: true),
            changes: all(
              fields, Self.doubt(5, 5), Self.keys("T1", at: 5, end: 295))))
      // What was only damaged is restored, and the doubt stays as it is.
      try redis.move(to: 9)
      try await redis.server.command("DEL", Self.token, Self.expiry)
      let again = republish(
        fence: Epoch(3), Version(epoch: Epoch(1), sequence: 4), token: "T1",
        certain: .seconds(596))
      #expect(
        try await redis.outcome(of: again)
          == .init(
            reply: .republished(wrote: true),
            changes: Self.keys("T1", at: 9, end: 295)))
      // Another version's copy is refused.
      let other = republish(
        fence: Epoch(3), Version(epoch: Epoch(1), sequence: 5), token: "T2",
        certain: .seconds(596))
      #expect(
        try await redis.outcome(of: other)
          == .init(reply: .republished(wrote: false), changes: [:]))
    }
  }

  @Test("a copy that came late is published for what is certain by Redis's clock, if anything")
  func publishingALateCopy() async throws {
    try await StoppedRedis.run { redis in
      let copy = republish(
        fence: Epoch(3), Version(epoch: Epoch(1), sequence: 4), token: "T1",
        certain: .seconds(600), until: StoppedRedis.time(100))
      try redis.move(to: 100)
      #expect(
        try await redis.outcome(of: copy)
          == .init(reply: .republished(wrote: false), changes: [:]))
      try redis.move(to: 60)
      let changes = try await redis.outcome(of: copy).changes
      for (key, value) in Self.keys("T1", at: 60, end: 100) { #expect(changes[key] == value) }
    }
  }

  @Test("a copy whose begin is not known was fetched when its life says")
  func publishingACopyOfUnknownBirth() async throws {
    try await StoppedRedis.run { redis in
      _ = try await redis.store.run(
        republish(fence: Epoch(3), Self.first, token: "T1", certain: .seconds(200)))
      #expect(try await redis.record()["fetched_at"] == Self.at(200 - 7200))
    }
  }
}
