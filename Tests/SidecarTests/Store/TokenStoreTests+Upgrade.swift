import RedisClient
import Sidecar
import TestSupport
import Testing
import TokenCore

/// Records as version 1 left them, and what becomes of them; and how version 2 treats those of a
/// version that is newer still.
extension TokenStoreTests {
  private static let state = layout.state(account)
  private static let token = layout.accessToken(account.account)
  private static let expiry = layout.expiresIn(account.account)
  private static let own = Version(epoch: Epoch(5), sequence: 1)

  private static func at(_ seconds: Double) -> String { "\(StoppedRedis.time(seconds))" }

  /// What version 1 left beside a commit.
  enum Trace: String, CaseIterable, Sendable {
    case none, dirty, sweep, intent, all

    /// The fields as version 1 wrote them.
    var fields: [String] {
      switch self {
      case .none: []
      case .dirty: ["dirty", "4.9@\(StoppedRedis.time(-20))", "marked", " 7-1"]
      case .sweep: ["sweep", "\(StoppedRedis.time(70))"]
      case .intent:
        [
          "intent_epoch", "5", "intent_seq", "2", "intent_at", "\(StoppedRedis.time(-20))",
          "intent_deadline", "\(StoppedRedis.time(-13.5))",
        ]
      case .all: Self.dirty.fields + Self.sweep.fields + Self.intent.fields
      }
    }
  }

  /// Leaves what version 1 wrote with a commit of 5.1, 100 s before the start, and a trace.
  private func writeVersion1(_ redis: StoppedRedis, _ trace: Trace) async throws {
    _ = try await redis.server.command(
      "HSET",
      [
        Self.state, "v", "1", "app", TokenStore.digest("wx1"), "epoch", "5",
        "committed_epoch", "5", "committed_seq", "1", "parent_epoch", "3", "parent_seq", "7",
        "expires_at", Self.at(7100), "lifetime", "7200000", "run_id", "r",
        "sha256", TokenStore.digest("T1"), "fetched_by", "a", "fetched_at", Self.at(-100),
        "day", "20833", "fetches", "3",
      ] + trace.fields)
    try await redis.server.command("SET", Self.token, "T1", "PX", "7100000")
    let expiry = (StoppedRedis.time(7100).milliseconds - 120_000) / 1000
    try await redis.server.command("SET", Self.expiry, "\(expiry)", "PX", "7100000")
  }

  private static let oldFields: Set<String> = ["dirty", "sweep", "marked"]

  @Test(
    "a take-over makes of any trace of version 1 a doubt of now, and takes the record over",
    arguments: Trace.allCases)
  func upgrading(_ trace: Trace) async throws {
    try await StoppedRedis.run { redis in
      try await writeVersion1(redis, trace)
      let reply = try await redis.store.run(takeOver(Epoch(6)))
      guard case .account(let view) = reply else { return #expect(Bool(false), "\(reply)") }
      let doubt = Doubt(first: StoppedRedis.time(0), last: StoppedRedis.time(0))
      #expect(view.doubt == (trace == .none ? nil : doubt))
      #expect(view.intent == nil && view.committed == Self.own && view.runID == "r")
      let record = try await redis.record()
      #expect(record["v"] == "2" && record["epoch"] == "6")
      #expect(Self.oldFields.isDisjoint(with: record.keys))
      #expect(!record.keys.contains { $0.hasPrefix("intent") })
      #expect(record["parent_epoch"] == "3" && record["fetches"] == "3")
      let left: Int64 = trace == .none ? 7_100_000 : 290_000
      for key in [Self.token, Self.expiry] {
        #expect(try await redis.server.command("PTTL", key).number == left)
      }
      #expect(try await redis.outcome(of: takeOver(Epoch(6))).changes == [:])
    }
  }

  @Test("a look shows a trace of version 1 as a doubt", arguments: Trace.allCases)
  func lookingAtVersion1(_ trace: Trace) async throws {
    try await StoppedRedis.run { redis in
      try await writeVersion1(redis, trace)
      let outcome = try await redis.outcome(of: Self.looking)
      guard case .account(let view) = outcome.reply else {
        return #expect(Bool(false), "\(outcome.reply)")
      }
      #expect(outcome.changes == [:])
      let end: RedisTime =
        switch trace {
        case .none: StoppedRedis.time(7100)
        case .sweep: StoppedRedis.time(290)
        case .dirty, .intent, .all: StoppedRedis.time(270)
        }
      #expect(view.statedEnd == end)
    }
  }

  @Test("a fetch settles what version 1 left", arguments: Trace.allCases)
  func fetchingOverVersion1(_ trace: Trace) async throws {
    try await StoppedRedis.run { redis in
      try await writeVersion1(redis, trace)
      _ = try await redis.store.run(takeOver(Epoch(6)))
      try redis.move(to: 110)
      _ = try await redis.store.run(begin(Epoch(6), 1, hasHistory: true))
      #expect(
        try await redis.store.run(
          commit(fence: Epoch(6), Epoch(6), 1, token: "T2", parent: Self.own))
          == .committed(isCertain: true))
      #expect(try await redis.server.command("PTTL", Self.token).number == 7_199_900)
    }
  }

  @Test(
    "what version 1 leaves in a record of version 2 is a doubt, too, until a take-over heeds it")
  func markingByVersion1() async throws {
    try await StoppedRedis.run { redis in
      try await writeVersion1(redis, .none)
      _ = try await redis.store.run(takeOver(Epoch(6)))
      try redis.move(to: 10)
      // The MARK of a leader of version 1 that was deposed in the middle of a fetch.
      try await redis.server.command(
        "HSET", Self.state, "dirty", "5.2@\(Self.at(10))", "marked", " 7-1", "sweep",
        Self.at(100))
      try redis.move(to: 20)
      guard case .account(let view) = try await redis.store.run(Self.looking) else {
        return #expect(Bool(false), "it can be read")
      }
      #expect(view.doubt == Doubt(first: StoppedRedis.time(10), last: StoppedRedis.time(20)))
      #expect(view.runID == nil, "the leader takes the account over again")
      _ = try await redis.store.run(takeOver(Epoch(6)))
      let record = try await redis.record()
      #expect(record["doubt_first"] == Self.at(20) && record["doubt_last"] == Self.at(20))
      #expect(Self.oldFields.isDisjoint(with: record.keys))
      #expect(try await redis.server.command("PTTL", Self.token).number == 290_000)
    }
  }

  @Test("a mark of version 2 in a record of version 1 bounds its token, and outlasts the upgrade")
  func markingVersion1() async throws {
    try await StoppedRedis.run { redis in
      try await writeVersion1(redis, .dirty)
      #expect(
        try await redis.store.run(
          mark(Version(epoch: Epoch(4), sequence: 2), age: .seconds(30), known: .seconds(5)))
          == .marked)
      #expect(try await redis.server.command("PTTL", Self.token).number == 260_000)
      _ = try await redis.store.run(takeOver(Epoch(6)))
      let record = try await redis.record()
      #expect(record["doubt_first"] == Self.at(-30) && record["doubt_last"] == Self.at(0))
    }
  }

  @Test("a mark and a resolution in a newer layout only shorten what it states")
  func markingANewerLayout() async throws {
    try await StoppedRedis.run { redis in
      try await writeVersion1(redis, .none)
      _ = try await redis.store.run(begin(Epoch(5), 2))
      // Something that this version does not know of has made it short.
      try await redis.server.command("HSET", Self.state, "v", "3")
      for key in [Self.token, Self.expiry] {
        try await redis.server.command("PEXPIRE", key, "50000")
      }
      let resolved = try await redis.outcome(of: resolve(Version(epoch: Epoch(5), sequence: 2)))
      #expect(resolved.changes.keys.allSatisfy { $0.hasPrefix(Self.state) })
      let marked = try await redis.outcome(of: mark(Version(epoch: Epoch(4), sequence: 2)))
      #expect(marked.reply == .marked)
      #expect(marked.changes.keys.allSatisfy { $0.hasPrefix(Self.state) })
      _ = try await redis.store.run(
        mark(Version(epoch: Epoch(4), sequence: 3), age: .seconds(260), known: .zero))
      #expect(try await redis.server.command("PTTL", Self.token).number == 30_000)
    }
  }

  @Test("another AppID's record is touched by no mark, and by a resolution of its own intent only")
  func foreignMark() async throws {
    try await StoppedRedis.run { redis in
      try await writeVersion1(redis, .none)
      #expect(
        try await redis.outcome(
          of: mark(Version(epoch: Epoch(9), sequence: 2), known: nil), by: redis.other)
          == .init(reply: .inOrder, changes: [:]))
      #expect(
        try await redis.outcome(
          of: resolve(Version(epoch: Epoch(9), sequence: 2)), by: redis.other)
          == .init(reply: .resolved, changes: [:]))
    }
  }
}
