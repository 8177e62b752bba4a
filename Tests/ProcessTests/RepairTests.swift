import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct RepairTests {
  /// What somebody does to a key that applications read.
  enum Damage: CaseIterable {
    case deleted, overwritten, madeAList, persisted, ttlTooLong, ttlTooShort

    /// Does it to one key.
    func inflict(on key: String, of deployment: Deployment) async throws {
      switch self {
      case .deleted: try await deployment.ask("DEL", key)
      case .overwritten: try await deployment.ask("SET", key, "nonsense", "KEEPTTL")
      case .madeAList:
        try await deployment.ask("DEL", key)
        try await deployment.ask("RPUSH", key, "nonsense")
      case .persisted: try await deployment.ask("PERSIST", key)
      case .ttlTooLong: try await deployment.ask("PEXPIRE", key, "10800000")
      case .ttlTooShort: try await deployment.ask("PEXPIRE", key, "60000")
      }
    }
  }

  @Test(
    "keys that somebody damaged are restored within a tick, without a fetch",
    arguments: Damage.allCases)
  func restores(damage: Damage) async throws {
    let tick: Duration = .seconds(2)
    try await Deployment.run { deployment in
      try await deployment.start(count: 2, Deployment.brisk)
      for damaged in [
        ["WCH_access_token"], ["WCH_expires_in"], ["WCH_access_token", "WCH_expires_in"],
      ] {
        let before = try await deployment.keys()
        let start = ContinuousClock.now
        for key in damaged { try await damage.inflict(on: key, of: deployment) }
        #expect(try await deployment.keys() != before)
        try await waitUntil("\(damaged) restored", within: tick + .seconds(1)) {
          let now = try await deployment.keys()
          return now.token == before.token && now.expiresIn == before.expiresIn
            && abs(now.tokenTTL - before.tokenTTL) <= 4000
            && now.endTogether
        }
        #expect(ContinuousClock.now - start <= tick)
      }
      #expect(deployment.mints == 1)
    }
  }

  @Test("a Redis that comes back empty has the token again within 2.5 s, from memory")
  func emptyRedis() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 3)
      let before = try await deployment.keys()
      for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
      deployment.redis.kill()
      // Until the waits between two attempts have grown to their longest.
      for process in deployment.processes {
        try await waitUntil("\(process.instance) tries slowly", within: .seconds(20)) {
          process.log.count { $0.message == "Redis cannot be reached; trying again" } >= 7
        }
      }
      try await deployment.redis.restart()
      let start = ContinuousClock.now
      let token = try await waited(for: "a token", within: .seconds(10), every: .milliseconds(1)) {
        try? await deployment.token()
      }
      #expect(ContinuousClock.now - start <= .milliseconds(2500))
      #expect(token == before.token)
      // What was under way when it went is not known any more: the life is short.
      let after = try await deployment.waitForShortLife()
      #expect(after.token == before.token)
      #expect(deployment.mints == 1)
    }
  }

  @Test("after FLUSHALL the token is back within a renewal, and one fetch settles the lost history")
  func flushed() async throws {
    let renewal: Duration = .seconds(1)
    try await Deployment.run { deployment in
      try await deployment.start(count: 3, Deployment.brisk)
      let before = try await deployment.token()
      let start = ContinuousClock.now
      try await deployment.ask("FLUSHALL")
      try await deployment.withReader { reader in
        let token = try await waited(for: "a token", within: .seconds(10)) {
          try await deployment.token()
        }
        let restored = ContinuousClock.now
        #expect(restored - start <= renewal + .milliseconds(500))
        #expect(token == before)
        try await waitUntil("a reading", within: patience) { reader.liveReadings > 0 }
        let missing = reader.missingReadings
        // Who knows what else was under way: until that is over, nobody fetches.
        try await deployment.waitForShortLife()
        #expect(deployment.mints == 1)
        let leader = try await deployment.waitForLeader()
        try await leader.waitForLog("A new token is in Redis", within: .seconds(150)) {
          $0.fields["refresh.trigger"] == "doubt"
        }
        #expect(ContinuousClock.now - restored > Deployment.straggling)
        try await deployment.waitForWholeLife()
        #expect(deployment.mints == 2)
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == missing)
      }
    }
  }

  @Test(
    "a lock, epoch or state of a wrong type is an alarm that names the key, until it is deleted",
    arguments: ["WCH_leader", "WCH_epoch:{WCH_leader}", Deployment.record], [true, false])
  func wrongType(key: String, fromTheStart: Bool) async throws {
    try await Deployment.run { deployment in
      if !fromTheStart { try await deployment.start(count: 2, Deployment.brisk) }
      // Nobody asks for the epoch while the lock is held.
      let freed = key == Deployment.record ? [key] : ["WCH_leader", key]
      let replies = try await deployment.client.execute(
        [
          RedisCommand("MULTI"), RedisCommand("DEL", freed), RedisCommand("RPUSH", key, "nonsense"),
          RedisCommand("EXEC"),
        ], deadline: .now + patience, waitForConnection: true)
      #expect(replies.last?.elements?.last?.number == 1)
      if fromTheStart {
        for instance in ["a", "b"] { try deployment.start(instance, Deployment.brisk) }
      }
      try await waitUntil("an alarm that names the key", within: patience) {
        deployment.processes.contains { process in
          process.log.contains { line in
            line.level == "error"
              && ["WRONGTYPE", key].allSatisfy { line.fields["error"]?.contains($0) == true }
          }
        }
      }
      for process in deployment.processes { try await process.waitForStatus(200, of: "/livez") }
      try await deployment.ask("DEL", key)
      try await deployment.waitForLeader()
      for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
      try await waitUntil("the newest token is in Redis", within: patience) {
        try await deployment.token()
          == deployment.simulator.newestToken(of: Deployment.appID)
      }
    }
  }
}
