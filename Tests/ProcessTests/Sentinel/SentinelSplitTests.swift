import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Networks that lose what is sent, with sentinels on both sides.
@Suite(.serialized, .enabled(if: Topologies.areWanted))
struct SentinelSplitTests {
  @Test("a primary that can no longer be reached, and whose connections stay, is left")
  func halfOpen() async throws {
    try await SplitNetwork.run { network in
      var options = SentinelGroup.Options()
      options.places = .init(
        primary: network.far, replicas: network.near, firstSentinel: network.near,
        sentinels: network.near)
      try await Deployment.run(withSentinels: options) { deployment, group in
        try await Partition.run(
          to: deployment.weChat.ports[0], from: SplitNetwork.hereFromNear
        ) { weChat in
          try await FailOver.startReplicas(
            deployment,
            ["WCH_API_URL": "http://\(SplitNetwork.hereFromNear):\(weChat.port)"],
            launcher: network.near.launcher)
          try await FailOver.follow(deployment, group, from: group.servers[0]) { _ in
            try network.cut()
          }
          try network.heal()
          try await waitUntil("the former one is a replica", within: patience) {
            try await group.servers[0].command("ROLE").elements?.first?.text == "slave"
          }
          #expect(try await group.clients(of: group.servers[0], named: "wch-sidecar") == 0)
          #expect(deployment.mints == 1)
        }
      }
    }
  }

  @Test(
    "replicas that are cut off with a former primary and one sentinel come together with the rest",
    arguments: [true, false])
  func minority(needsReplicas: Bool) async throws {
    try await SplitNetwork.run { network in
      var options = SentinelGroup.Options()
      options.places = .init(
        primary: network.far, replicas: network.near, firstSentinel: network.far,
        sentinels: network.near)
      if needsReplicas {
        options.serverArguments = [
          "--min-replicas-to-write", "1", "--min-replicas-max-lag", "3",
        ]
      }
      try await Deployment.run(withSentinels: options) { deployment, group in
        try await Partition.run(
          to: deployment.weChat.ports[0], from: SplitNetwork.hereFromFar
        ) { weChat in
          try await FailOver.startReplicas(
            deployment,
            ["WCH_API_URL": "http://\(SplitNetwork.hereFromFar):\(weChat.port)"],
            launcher: network.far.launcher)
          let former = group.servers[0]
          try await deployment.withReader { reader in
            try network.cut()
            let next = try await group.waitForPrimary(
              otherThan: former, by: Array(group.sentinels.dropFirst()))
            if needsReplicas {
              try await waitUntil("nothing is written any more", within: patience) {
                let reply = try? await former.command("SET", "probe", "1")
                return reply == nil
              }
              try await waitUntil("it is told", within: patience) {
                try await deployment.processes[0].troubles()["redis_writes"] != nil
              }
            }
            #expect(deployment.mints == 1)
            try network.heal()
            try await waitUntil("all are at the next primary", within: patience) {
              try await group.clients(of: next, named: "wch-sidecar") == 7
            }
            try await FailOver.settle(deployment, reader)
            #expect(reader.deadReadings == 0)
            #expect(try await group.clients(of: former, named: "wch-sidecar") == 0)
          }
          #expect(
            try await deployment.token()
              == deployment.simulator.newestToken(of: Deployment.appID))
        }
      }
    }
  }
}
