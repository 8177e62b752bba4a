import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Fail-overs of a real Redis with real sentinels, under three replicas and a reader: the two that
/// every run can afford.
@Suite(.serialized) struct SentinelTests {
  @Test("the primary is killed: the next one is followed, and there is one leader and one fetch")
  func killed() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      _ = try await FailOver.run(deployment, group) { $0.kill() }
    }
  }
}
