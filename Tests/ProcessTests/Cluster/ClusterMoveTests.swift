import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Slots that move from one node to another, under three replicas and an application that reads
/// and judges the token every 20 ms.
@Suite(.serialized, .enabled(if: Topologies.areWanted))
struct ClusterMoveTests {
  @Test(
    "slots move under load, and nobody notices",
    arguments: [ClusterGroup.Keys.named, .tagged, .plain])
  func moved(keys: ClusterGroup.Keys) async throws {
    var options = ClusterGroup.Options()
    options.keys = keys
    try await Deployment.run(withCluster: options) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let leader = try #require(try await deployment.leader())
      try await deployment.withReader { reader in
        try await withThrowingTaskGroup(of: Void.self) { tasks in
          tasks.addTask {
            while !Task.isCancelled {
              _ = try? await deployment.client.execute(
                RedisCommand("RPUSH", group.keys.reports, "{\"wake\":true}"),
                key: group.keys.reports, deadline: .now + .seconds(1))
            }
          }
          for key in group.keys.relevant {
            let move = try await group.beginMove(of: key)
            try await group.endMove(move)
            try await ClusterFailOver.report(deployment, group)
          }
          tasks.cancelAll()
        }
        try await FailOver.settle(deployment, reader)
        #expect(reader.deadReadings == 0 && reader.missingReadings == 0, "\(reader.changes)")
        #expect(try await deployment.leader() === leader)
        #expect(deployment.mints == 1 + group.keys.relevant.count)
      }
    }
  }

  @Test("the lock's slot is half-way and the lock is gone: it is told, and over with the move")
  func lockAbsent() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let move = try await group.beginMove(of: group.keys.lock)
      try await deployment.withReader { reader in
        try await move.source.command("DEL", group.keys.lock)
        try await Self.waitForAlarm(deployment, move)
        try await group.endMove(move)
        try await FailOver.settle(deployment, reader)
        try await Self.waitForEnd(deployment)
        #expect(reader.deadReadings == 0 && reader.missingReadings == 0)
        #expect(deployment.mints == 1)
      }
    }
  }

  @Test("a token is gone from a slot that was left half-way: --cluster fix brings it back")
  func openSlot() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let move = try await group.beginMove(of: group.keys.token)
      try await move.source.command("DEL", group.keys.token)
      try await Self.waitForAlarm(deployment, move)
      try group.command(["fix", "127.0.0.1:\(move.source.port)"])
      try await deployment.waitForLiveToken()
      try await Self.waitForEnd(deployment)
      #expect(deployment.mints == 1)
    }
  }

  @Test("a slot that nobody serves is told, and over when it has a node again")
  func unserved() async throws {
    var options = ClusterGroup.Options()
    options.serverArguments = ["--cluster-require-full-coverage", "no"]
    try await Deployment.run(withCluster: options) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let slot = "\(HashSlot(of: group.keys.token).number)"
      for server in group.servers { try await server.command("CLUSTER", "DELSLOTS", slot) }
      try await waitUntil("it is told", within: patience) {
        try await deployment.processes[0].troubles()["slots_unserved"]?.contains(slot) == true
      }
      try group.command(["fix", "127.0.0.1:\(group.servers[0].port)"])
      try await deployment.waitForLiveToken(within: patience)
      try await Self.waitForEnd(deployment)
      #expect(deployment.mints == 1)
    }
  }

  /// Somebody tells that slot, and what to do.
  private static func waitForAlarm(_ deployment: Deployment, _ move: ClusterGroup.Move) async throws
  {
    try await waitUntil("it is told", within: patience) {
      for process in deployment.processes {
        let reason = try await process.troubles()["slots_unserved"] ?? ""
        if reason.contains("slot \(move.slot) "), reason.contains("--cluster fix") { return true }
      }
      return false
    }
  }

  private static func waitForEnd(_ deployment: Deployment) async throws {
    for process in deployment.processes {
      try await waitUntil("\(process.instance) has no trouble", within: patience) {
        try await process.troubles()["slots_unserved"] == nil
      }
    }
  }
}
