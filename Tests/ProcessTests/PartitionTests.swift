import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct PartitionTests {
  @Test(
    "a leader that loses Redis in one direction or both is replaced, and stays out afterwards",
    arguments: Partition.Cut.allCases)
  func cutOff(cut: Partition.Cut) async throws {
    try await Deployment.run { deployment in
      try await Partition.run(to: deployment.redis.port) { network in
        let leader = try await deployment.startLeader(behind: network)
        network.cut(cut)
        let start = ContinuousClock.now
        let successor = try await deployment.waitForLeader(otherThan: leader)
        // Renewals whose answers get lost still count in Redis, until the leader gives up.
        let leases = cut == .answers ? 2 : 1
        #expect(
          ContinuousClock.now - start <= Deployment.briskLease * leases + .seconds(1))
        try await leader.waitForLog("This replica no longer leads")
        try await successor.waitForLog("The token in Redis is ours and alive; it is kept")
        let position = leader.logPosition
        network.heal()
        try await leader.waitForLog("Redis is connected", after: position)
        let other = try await firstExcept(for: Deployment.briskLease) { () -> String? in
          let holder = try await deployment.waitForLeader()
          return holder === successor ? nil : holder.instance
        }
        #expect(other == nil)
        #expect(deployment.mints == 1)
        try await leader.waitForStatus(200, of: "/readyz")
      }
    }
  }

  @Test("a leader that loses Redis with a new token in hand leaves no dead one to readers")
  func cutOffInFetch() async throws {
    try await Deployment.run { deployment in
      try await Partition.run(to: deployment.redis.port) { network in
        let leader = try await deployment.startLeader(behind: network)
        try await deployment.withReader { reader in
          try await deployment.provokeHeldFetch(.mintThenHold)
          network.cut(.bothWays)
          deployment.simulator.releaseHeld()
          let successor = try await deployment.waitForLeader(otherThan: leader)
          try await deployment.waitForShortLife()
          try await deployment.expectHonestKeys()
          network.heal()
          // Which of the two tokens WeChat minted last, nobody but WeChat knows.
          try await leader.waitForLog(Deployment.confession)
          try await successor.waitForLog("A new token is in Redis", within: .seconds(150)) {
            $0.fields["refresh.trigger"] == "doubt"
          }
          let settled = try await deployment.waitForWholeLife()
          #expect(settled.token == deployment.simulator.newestToken(of: Deployment.appID))
          #expect(reader.deadReadings == 0)
          #expect(reader.missingReadings == 0)
        }
      }
    }
  }
}

extension Deployment {
  /// Starts a leader that reaches Redis through the network, and two followers that do directly.
  fileprivate func startLeader(behind network: Partition) async throws -> SidecarProcess {
    let url = ["WCH_REDIS_URL": "redis://127.0.0.1:\(network.port)/0"]
    let leader = try start("a", Self.brisk.merging(url) { $1 })
    try await waitForLiveToken()
    for instance in ["b", "c"] {
      try await start(instance, Self.brisk).waitForStatus(200, of: "/readyz")
    }
    return leader
  }
}
