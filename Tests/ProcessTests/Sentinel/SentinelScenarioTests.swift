import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Whether the scenarios of Redis's topologies are wanted: `deploy/test redis`.
enum Topologies {
  static let areWanted = ProcessInfo.processInfo.environment["WCH_REDIS"] != nil
}

/// What happens to Redis with sentinels, under three replicas and an application that reads and
/// judges the token every 20 ms.
@Suite(.serialized, .enabled(if: Topologies.areWanted))
struct SentinelScenarioTests {
  @Test("the primary is paused: connections leave it at the switch, and nothing is written to it")
  func paused() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      let failOver = try await FailOver.run(deployment, group) { $0.pause() }
      // All before it goes on: commands and events of three, reports of one.
      try await waitUntil("all connections are at the next one", within: patience) {
        try await group.clients(of: failOver.next, named: "wch-sidecar") == 7
      }
      failOver.former.resume()
      let record = "WCH_state:{WCH_access_token}"
      let known = try await failOver.former.command("HGETALL", record)
      // A former primary takes writes until its sentinels notice it.
      let written = try await firstExcept(for: .seconds(3)) { () -> String? in
        if let own = try? await group.clients(of: failOver.former, named: "wch-sidecar"), own > 0 {
          return "a connection"
        }
        // Sentinels end its connections when they make it a replica.
        guard let role = try? await failOver.former.command("ROLE"),
          role.elements?.first?.text == "master",
          let record = try? await failOver.former.command("HGETALL", record)
        else { return nil }
        return record == known ? nil : "a write"
      }
      #expect(written == nil)
      try await waitUntil("it is a replica", within: patience) {
        try await failOver.former.command("ROLE").elements?.first?.text == "slave"
      }
      #expect(deployment.mints == 1)
    }
  }

  @Test("writes that the fail-over loses are made again, without a fetch while the holder lives")
  func lostWrites() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let first = try #require(try await deployment.token())
      try await Self.report(deployment, first, whileCutOff: group)
      try await FailOver.follow(deployment, group, from: group.servers[0], mints: 2...2) {
        $0.kill()
        try await group.lead(replicasOf: $0)
      }
      let newest = deployment.simulator.newestToken(of: Deployment.appID)
      #expect(try await deployment.token() == newest)
      #expect(newest != first)
    }
  }

  @Test("when the holder dies with them, the next leader fetches")
  func lostWritesAndHolder() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let first = try #require(try await deployment.token())
      let leader = try #require(try await deployment.leader())
      try await Self.report(deployment, first, whileCutOff: group)
      // Others have seen the token, and put it back; so only the holder may have.
      try await FailOver.follow(
        deployment, group, from: group.servers[0], slack: .seconds(10), mints: 2...3
      ) {
        leader.kill()
        $0.kill()
        try await group.lead(replicasOf: $0)
      }
      #expect(
        try await deployment.token() == deployment.simulator.newestToken(of: Deployment.appID))
    }
  }

  /// Has the token replaced while the replicas of the primary get no writes.
  private static func report(
    _ deployment: Deployment, _ token: String, whileCutOff group: SentinelGroup
  ) async throws {
    try await group.cutOffReplicas()
    try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
    try await waitUntil("the next token", within: patience) {
      guard let next = try await deployment.token(), next != token else { return false }
      return next == deployment.simulator.newestToken(of: Deployment.appID)
    }
  }

  @Test("a sentinel that knows a former primary only, first in the list, is not believed")
  func staleSentinel() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      let former = group.servers[0]
      former.kill()
      let next = try await group.waitForPrimary(otherThan: former)
      let stranger = try await group.stranger(watching: former)
      defer { stranger.stop() }
      let url = group.url.replacing(
        "sentinel://", with: "sentinel://127.0.0.1:\(stranger.port),")
      try await FailOver.startReplicas(deployment, ["WCH_REDIS_URL": url])
      try await FailOver.follow(deployment, group, from: next) { _ in try await group.failOver() }
    }
  }

  @Test("a sentinel that hangs holds nobody up")
  func hungSentinel() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      group.sentinels[2].pause()
      defer { group.sentinels[2].resume() }
      try await FailOver.startReplicas(deployment)
      try await deployment.withReader { reader in
        try await group.failOver()
        let working = Array(group.sentinels.prefix(2))
        _ = try await group.waitForPrimary(otherThan: group.servers[0], by: working)
        let end = ContinuousClock.now
        try await FailOver.settle(deployment, reader)
        #expect(FailOver.Gap(reader.changes, before: end).beyond <= FailOver.slack)
        #expect(reader.deadReadings == 0 && deployment.mints == 1)
      }
    }
  }

  @Test("without sentinels connections live on; once lost, none is made until one answers")
  func noSentinels() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let replica = deployment.processes[0]
      for sentinel in group.sentinels { sentinel.kill() }
      try await deployment.withReader { reader in
        try await waitUntil("it is told", within: patience) {
          try await replica.troubles()["primary_unknown"] != nil
        }
        #expect(reader.missingReadings == 0 && reader.deadReadings == 0)
        #expect(try await replica.connections()["commands"] == true)
      }
      let primary = group.servers[0]
      for process in deployment.processes {
        try await primary.command("CLIENT", "KILL", "TYPE", "normal")
        try await primary.command("CLIENT", "KILL", "TYPE", "pubsub")
        try await waitUntil("\(process.instance) says why", within: patience) {
          let isConnected = try await process.connections()["commands"] == true
          let reason = try await process.troubles()["primary_unknown"] ?? ""
          return !isConnected && reason.contains("no sentinel can be asked")
            && reason.contains("connection refused")
        }
      }
      #expect(try await group.clients(of: primary, named: "wch-sidecar") == 0)
      let before = try await replica.usage().processorSeconds
      #expect(
        try await firstExcept(for: .seconds(4)) {
          try await group.clients(of: primary, named: "wch-sidecar") > 0 ? "a connection" : nil
        } == nil)
      let used = try await replica.usage().processorSeconds - before
      print("without sentinels for 4 s: \(used) s of a processor")
      #expect(used < 0.4)
      for sentinel in group.sentinels { try await sentinel.restart() }
      let start = ContinuousClock.now
      for process in deployment.processes {
        try await waitUntil("\(process.instance) is back", within: patience) {
          try await process.connections()["commands"] == true
        }
      }
      print("back after \(ContinuousClock.now - start)")
      #expect(ContinuousClock.now - start < .seconds(3))
      #expect(deployment.mints == 1)
    }
  }

  @Test("subscriptions that are cut during the switch cost no more than one interval of asking")
  func deafDuringSwitch() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask {
          while !Task.isCancelled {
            for sentinel in group.sentinels {
              _ = try? await group.ask(sentinel, "CLIENT", "KILL", "TYPE", "pubsub")
            }
          }
        }
        defer { tasks.cancelAll() }
        try await FailOver.follow(deployment, group, from: group.servers[0], slack: .seconds(6)) {
          _ in try await group.failOver()
        }
      }
    }
  }
}
