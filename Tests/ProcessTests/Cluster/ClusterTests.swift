import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Fail-overs of a real cluster, under three replicas and a reader: the two that every run can
/// afford.
@Suite(.serialized) struct ClusterTests {
  @Test("the primaries of lock and expiry are killed: one leader, no fetch, and both keys")
  func killed() async throws {
    var options = ClusterGroup.Options()
    options.keys = .plain
    try await Deployment.run(withCluster: options) { deployment, group in
      try await FailOver.startReplicas(deployment)
      try await ClusterFailOver.follow(deployment, group, primaryOf: group.keys.lock) { $0.kill() }
      try await ClusterFailOver.follow(deployment, group, primaryOf: group.keys.expiry) {
        try await $0.command("DEL", group.keys.expiry)
        $0.kill()
      }
      try await waitUntil("the expiry is there again", within: patience) {
        // Redis may have lost writes by then, which bounds the life of what it has.
        let (token, expiry) = (
          try await deployment.ask("PTTL", group.keys.token).number ?? -2,
          try await deployment.ask("PTTL", group.keys.expiry).number ?? -2
        )
        return expiry > 0 && abs(token - expiry) < 2000
      }
    }
  }

  @Test("with all keys behind a tag an operator's fail-over is followed at once, with no fetch")
  func ordered() async throws {
    var options = ClusterGroup.Options()
    options.keys = .tagged
    try await Deployment.run(withCluster: options) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let failOver = try await ClusterFailOver.follow(
        deployment, group, primaryOf: group.keys.lock
      ) { _ in try await group.failOver(group.keys.lock) }
      try await waitUntil("all have left the former one", within: patience) {
        try await group.clients(of: failOver.former, named: "wch-sidecar") <= 3
      }
    }
  }
}
