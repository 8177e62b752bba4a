import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Records of the layout before this one, as replicas of version 1 leave them.
@Suite struct UpgradeTests {
  /// What such a record may have beside its token.
  enum Trace: CaseIterable {
    case none, dirty, sweep, intent

    var fields: [String] {
      switch self {
      case .none: []
      case .dirty: ["dirty", "1.1@1", "marked", " 1f-1"]
      case .sweep: ["sweep", "1"]
      case .intent:
        ["intent_epoch", "1", "intent_seq", "2", "intent_at", "3", "intent_deadline", "4"]
      }
    }
  }

  @Test(
    "a record of version 1 is taken over with its token, and any trace in it is a doubt",
    arguments: Trace.allCases)
  func fromVersion1(trace: Trace) async throws {
    try await Deployment.run { deployment in
      let first = try await deployment.start(count: 1, Deployment.brisk)
      let before = try await deployment.keys()
      first.terminate()
      #expect(try await first.waitForExit() == .code(0))
      try await deployment.ask(RedisCommand("HSET", [Deployment.record, "v", "1"] + trace.fields))

      let second = try deployment.start("b", Deployment.brisk)
      try await second.waitForLog("The token in Redis is ours and alive; it is kept")
      let after = try await deployment.keys()
      #expect(after.token == before.token)
      switch trace {
      case .none: #expect(after.expiresIn == before.expiresIn)
      case .dirty, .sweep, .intent: try await deployment.waitForShortLife()
      }
      #expect(deployment.mints == 1)
      let left = try await deployment.ask(
        "HMGET", Deployment.record, "v", "dirty", "sweep", "marked", "intent_at")
      #expect(left.elements?.map(\.text) == ["2", nil, nil, nil, nil])
    }
  }
}
