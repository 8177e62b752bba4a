import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Fail-overs of a real Redis with real sentinels, under three replicas and a reader: the two that
/// every run can afford.
@Suite(.serialized) struct SentinelTests {
  @Test("the primary is killed: the next one is followed, with one leader and no fetch")
  func killed() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      _ = try await FailOver.run(deployment, group) { $0.kill() }
    }
  }

  @Test("an operator's fail-over is followed at once, with no fetch, and told")
  func ordered() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let leader = try #require(try await deployment.leader())
      let position = leader.logPosition
      let failOver = try await FailOver.follow(deployment, group, from: group.servers[0]) { _ in
        try await group.failOver()
      }
      let address = "127.0.0.1:\(failOver.next.port)"
      let line = try await leader.waitForLog(
        "The sentinels name another primary; connections to the former one are closed",
        after: position)
      #expect(line.level == "notice" && line.fields["redis.primary"] == address)
      #expect(line.fields["redis.former_primary"] == "127.0.0.1:\(failOver.former.port)")
      #expect(try await leader.primary() == address)
      #expect(try await leader.get("/?lang=en").body.contains(address))
      #expect(try await group.clients(of: failOver.former, named: "wch-sidecar") == 0)
    }
  }
}
