import RedisClient
import Sidecar
import TestSupport
import Testing
import TokenCore

/// When a step asks for a fetch once stragglers are over, and what a commit settles, to the
/// millisecond (PROTOCOL section 3, rules 2 to 4).
extension TokenStoreTests {
  private static let state = layout.state(account)
  private static let first = Version(epoch: Epoch(1), sequence: 1)

  /// The end of a sweep that was asked for so many seconds after the start, as it is written.
  private static func sweep(from seconds: Double) -> String {
    "\(StoppedRedis.time(seconds) + .seconds(90))"
  }

  /// Has 1.1 committed at the start, and nothing left to settle.
  private func settle(_ redis: StoppedRedis) async throws {
    _ = try await redis.store.run(.takeOver(Self.account, Epoch(1)))
    _ = try await redis.store.run(begin(Epoch(1), 1))
    _ = try await redis.store.run(commit(fence: Epoch(1), Epoch(1), 1, token: "T1"))
  }

  @Test("a begin over an older intent sweeps 90 s after that one's time, and only then")
  func sweepOfAnIntent() async throws {
    try await StoppedRedis.run { redis in
      _ = try await redis.store.run(begin(Epoch(1), 1))
      #expect(try await redis.record()["sweep"] == nil)
      // Repeated, it is the same intent at a later time.
      try redis.move(to: 7)
      #expect(
        try await redis.outcome(of: begin(Epoch(1), 1)).changes == [
          .record("intent_at"): "\(StoppedRedis.time(7))",
          .record("intent_deadline"): "\(StoppedRedis.time(13))",
        ])
      try redis.move(to: 10)
      let outcome = try await redis.outcome(of: begin(Epoch(1), 2))
      #expect(
        outcome.changes == [
          .record("intent_seq"): "2", .record("intent_at"): "\(StoppedRedis.time(10))",
          .record("intent_deadline"): "\(StoppedRedis.time(16))", .record("fetches"): "2",
          .record("sweep"): Self.sweep(from: 7),
        ])
      #expect(
        outcome.reply
          == .began(
            BeginReceipt(
              dirty: nil, committed: nil, sweep: StoppedRedis.time(97), fetchesToday: 2,
              now: StoppedRedis.time(10))))
      // The later of two, and never the same value twice.
      _ = try await redis.store.run(begin(Epoch(2), 1))
      #expect(try await redis.record()["sweep"] == Self.sweep(from: 10))
      _ = try await redis.store.run(begin(Epoch(2), 2))
      #expect(try await redis.record()["sweep"] == Self.sweep(from: 10.001))
      // One that was taken back leaves nothing that could still arrive.
      try await redis.server.command("HDEL", Self.state, "sweep")
      _ = try await redis.store.run(
        .resolve(Self.account, Version(epoch: Epoch(2), sequence: 2)))
      _ = try await redis.store.run(begin(Epoch(2), 3))
      #expect(try await redis.record()["sweep"] == nil)
    }
  }

  /// What a BEGIN says and finds, and whether it asks for a sweep.
  struct History: Sendable {
    let hasHistory: Bool
    let isSuspicious: Bool
    let isCommitted: Bool
    let sweeps: Bool
  }

  @Test(
    "a begin sweeps after 90 s when what it knows of is gone, or its caller suspects so",
    arguments: [
      History(hasHistory: false, isSuspicious: false, isCommitted: false, sweeps: false),
      History(hasHistory: true, isSuspicious: false, isCommitted: false, sweeps: true),
      History(hasHistory: true, isSuspicious: false, isCommitted: true, sweeps: false),
      History(hasHistory: false, isSuspicious: true, isCommitted: true, sweeps: true),
      History(hasHistory: true, isSuspicious: true, isCommitted: false, sweeps: true),
    ])
  func sweepOfAWipe(_ history: History) async throws {
    try await StoppedRedis.run { redis in
      if history.isCommitted { try await settle(redis) }
      try redis.move(to: 5)
      let reply = try await redis.store.run(
        begin(
          Epoch(1), 2, hasHistory: history.hasHistory, isSuspicious: history.isSuspicious))
      guard case .began(let receipt) = reply else {
        return #expect(Bool(false), "a begin in order is allowed")
      }
      #expect(receipt.sweep == (history.sweeps ? StoppedRedis.time(95) : nil))
      #expect(try await redis.record()["sweep"] == receipt.sweep?.description)
    }
  }

  @Test(
    "a commit without its intent clears nothing, and sweeps 90 s later",
    arguments: [nil, Version(epoch: Epoch(1), sequence: 3)])
  func sweepOfALostIntent(other: Version?) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      if let other { _ = try await redis.store.run(begin(other.epoch, other.sequence)) }
      // Both are what the commit would settle.
      try await redis.server.command("HSET", Self.state, "dirty", "1.9@5", "sweep", "1000")
      try redis.move(to: 5)
      let late = commit(
        fence: Epoch(1), Epoch(1), 2, token: "T2", parent: Self.first, dirty: DirtyMark("1.9@5"),
        sweep: RedisTime(milliseconds: 1000), instance: "b")
      let expected: [String: String] = [
        .record("committed_seq"): "2", .record("parent_epoch"): "1",
        .record("parent_seq"): "1", .record("sha256"): TokenStore.digest("T2"),
        .record("expires_at"): "\(StoppedRedis.time(7204.9))", .record("fetched_by"): "b",
        .record("fetched_at"): "\(StoppedRedis.time(4.9))",
        .record("sweep"): Self.sweep(from: 5),
        Self.layout.accessToken(Self.account): "T2 for 7199900",
        Self.layout.expiresIn(Self.account): "1800007084 for 7199900",
      ]
      let outcome = try await redis.outcome(of: late)
      #expect(outcome == .init(reply: .committed, changes: expected))
      // An equal retry is no second loss, and no second fetch.
      #expect(
        try await redis.outcome(of: late) == .init(reply: .committed, changes: [:]))
    }
  }

  @Test("a commit settles its intent, and the mark and the sweep that it names")
  func settling() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      try await redis.server.command("HSET", Self.state, "dirty", "1.9@5", "sweep", "1000")
      _ = try await redis.store.run(
        commit(
          fence: Epoch(1), Epoch(1), 2, token: "T2", parent: Self.first,
          dirty: DirtyMark("1.9@5"), sweep: RedisTime(milliseconds: 1000)))
      let record = try await redis.record()
      #expect(
        Set(record.keys) == [
          "v", "app", "epoch", "committed_epoch", "committed_seq", "parent_epoch", "parent_seq",
          "expires_at", "lifetime", "run_id", "sha256", "fetched_by", "fetched_at", "day",
          "fetches",
        ])
    }
  }

  @Test("a re-commit restores both keys and sweeps 90 s later; it settles nothing")
  func recommitting() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      try await redis.server.command("HSET", Self.state, "dirty", "1.9@5", "sweep", "1000")
      try await redis.server.command(
        "DEL", Self.layout.accessToken(Self.account), Self.layout.expiresIn(Self.account))
      try redis.move(to: 10)
      let again = commit(
        fence: Epoch(2), Epoch(1), 1, token: "T1", dirty: DirtyMark("1.9@5"),
        sweep: RedisTime(milliseconds: 1000), isRecommit: true, age: .milliseconds(10_100),
        instance: "b")
      #expect(
        try await redis.outcome(of: again)
          == .init(
            reply: .committed,
            changes: [
              .record("epoch"): "2", .record("sweep"): Self.sweep(from: 10),
              Self.layout.accessToken(Self.account): "T1 for 7189900",
              Self.layout.expiresIn(Self.account): "1800007079 for 7189900",
            ]))
    }
  }

  @Test("a re-commit of what Redis lost follows the commit that its fetch followed")
  func recommittingOverAnOlderOne() async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      try redis.move(to: 10)
      let again = commit(
        fence: Epoch(1), Epoch(1), 2, token: "T2", parent: Self.first, isRecommit: true,
        age: .seconds(3), instance: "b")
      #expect(
        try await redis.outcome(of: again)
          == .init(
            reply: .committed,
            changes: [
              .record("committed_seq"): "2", .record("parent_epoch"): "1",
              .record("parent_seq"): "1", .record("sha256"): TokenStore.digest("T2"),
              .record("expires_at"): "\(StoppedRedis.time(7207))",
              .record("sweep"): Self.sweep(from: 10),
              Self.layout.accessToken(Self.account): "T2 for 7197000",
              Self.layout.expiresIn(Self.account): "1800007087 for 7197000",
            ]))
    }
  }

  /// A commit that comes after a later one, and whether the account is marked.
  struct Ghost: Sendable {
    let version: Version
    let marks: Bool
  }

  @Test(
    "a commit older than the last writes no token, and marks if that is another epoch's",
    arguments: [
      Ghost(version: Version(epoch: Epoch(2), sequence: 1), marks: false),
      Ghost(version: Version(epoch: Epoch(1), sequence: 3), marks: true),
    ], [false, true])
  func ghosts(_ ghost: Ghost, isRecommit: Bool) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      let committed = Version(epoch: Epoch(2), sequence: 2)
      _ = try await redis.store.run(begin(Epoch(2), 2))
      _ = try await redis.store.run(
        commit(fence: Epoch(2), Epoch(2), 2, token: "T2", parent: Self.first))
      // Also the ghost's own intent is not its to settle.
      _ = try await redis.store.run(begin(Epoch(2), 3))
      try redis.move(to: 5)
      let late = commit(
        fence: Epoch(2), ghost.version.epoch, ghost.version.sequence, token: "T0",
        isRecommit: isRecommit)
      let dirty = DirtyMark(ghost.version, at: StoppedRedis.time(5))
      let mark: [String: String] = [
        .record("dirty"): dirty.description, .record("marked"): " \(ghost.version)",
      ]
      #expect(
        try await redis.outcome(of: late)
          == .init(reply: .stale(committed: committed), changes: ghost.marks ? mark : [:]))
      // A retry of it is the same debt.
      try await redis.server.command("HDEL", Self.state, "dirty")
      #expect(
        try await redis.outcome(of: late)
          == .init(reply: .stale(committed: committed), changes: [:]))
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
      let token = Self.layout.accessToken(Self.account)
      _ = try await redis.store.run(begin(Epoch(1), 1))
      let late = commit(fence: Epoch(1), Epoch(1), 1, token: "T1")
      try redis.move(to: 100)
      #expect(try await redis.store.run(late) == .committed)
      // By the time of its BEGIN, or by the deadline of that attempt.
      let left = try #require(try await redis.server.command("PTTL", token).number)
      #expect((7_100_000...7_106_000).contains(left))
      try redis.move(to: 200)
      #expect(
        try await redis.outcome(of: late) == .init(reply: .committed, changes: [:]))
      _ = try await redis.store.run(begin(Epoch(1), 2))
      try redis.move(to: 200 + 7206)
      #expect(
        try await redis.outcome(of: commit(fence: Epoch(1), Epoch(1), 2, token: "T2"))
          == .init(reply: .stale(committed: Self.first), changes: [:]))
    }
  }

  @Test("a mark sweeps 90 s later when the outcome is unknown", arguments: [false, true])
  func sweepOfAMark(isUnknown: Bool) async throws {
    try await StoppedRedis.run { redis in
      try await settle(redis)
      _ = try await redis.store.run(begin(Epoch(1), 2))
      try redis.move(to: 5)
      let version = Version(epoch: Epoch(1), sequence: 2)
      let dirty = DirtyMark(version, at: StoppedRedis.time(5))
      var changes: [String: String] = [
        .record("dirty"): dirty.description, .record("marked"): " 7-1",
      ]
      if isUnknown { changes[.record("sweep")] = Self.sweep(from: 5) }
      #expect(
        try await redis.outcome(of: .mark(mark(version, isUnknown: isUnknown)))
          == .init(reply: .marked(dirty), changes: changes))
    }
  }

  @Test("a copy that is published where nothing was committed is the commit, and sweeps 90 s later")
  func sweepOfACopy() async throws {
    try await StoppedRedis.run { redis in
      try redis.move(to: 5)
      let copy = republish(
        fence: Epoch(3), Version(epoch: Epoch(1), sequence: 4), token: "T1",
        remaining: .seconds(600))
      #expect(
        try await redis.outcome(of: copy)
          == .init(
            reply: .republished(wrote: true),
            changes: [
              .record("v"): "1", .record("app"): TokenStore.digest("wx1"),
              .record("epoch"): "3", .record("committed_epoch"): "1",
              .record("committed_seq"): "4", .record("lifetime"): "7200000",
              .record("sha256"): TokenStore.digest("T1"),
              .record("expires_at"): "\(StoppedRedis.time(605))",
              .record("sweep"): Self.sweep(from: 5),
              Self.layout.accessToken(Self.account): "T1 for 600000",
              Self.layout.expiresIn(Self.account): "1800000485 for 600000",
            ]))
      // What was only damaged is restored, and nothing asked for.
      try await redis.server.command("DEL", Self.layout.expiresIn(Self.account))
      #expect(
        try await redis.outcome(of: copy)
          == .init(
            reply: .republished(wrote: true),
            changes: [Self.layout.expiresIn(Self.account): "1800000485 for 600000"]))
    }
  }
}
