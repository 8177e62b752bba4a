import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// A fault of a cluster under three replicas and an application, and what must hold whatever it is.
struct ClusterFailOver {
  let former: RedisServer
  let next: RedisServer

  /// Lets the fault happen to the primary of the key under a reader, waits for the next one and
  /// judges.
  ///
  /// - Parameters:
  ///   - slack: beyond Redis's own outage.
  ///   - mints: how many tokens WeChat may have made in the end.
  @discardableResult
  static func follow(
    _ deployment: Deployment, _ group: ClusterGroup, primaryOf key: String,
    slack: Duration = FailOver.slack, mints: ClosedRange<Int> = 1...1,
    _ fault: @escaping @Sendable (RedisServer) async throws -> Void
  ) async throws -> ClusterFailOver {
    let former = try await group.waitForPrimary(of: key)
    return try await deployment.withReader { reader in
      try await waitUntil("the reader reads", within: patience) { reader.liveReadings > 0 }
      try await fault(former)
      let next = try await group.waitForPrimary(of: key, otherThan: former)
      let end = ContinuousClock.now
      try await FailOver.settle(deployment, reader)
      #expect(reader.deadReadings == 0)
      #expect(mints.contains(deployment.mints), "\(deployment.mints) tokens")
      let gap = FailOver.Gap(reader.changes, before: end)
      print(
        "\(key): outage \(gap.lasted), of it after the end of Redis's own: \(gap.beyond)")
      #expect(gap.beyond <= slack, "\(reader.changes)")
      #expect(reader.missingReadings == 0 || mints.upperBound > 1, "\(reader.changes)")
      return ClusterFailOver(former: former, next: next)
    }
  }

  /// Three replicas with plain names, whose expiry is where nothing else of ours is.
  static func startApart(_ deployment: Deployment, _ group: ClusterGroup) async throws {
    try await FailOver.startReplicas(deployment)
    // Both keys begin on one primary: the expiry goes to the one that has none of ours.
    let move = try await group.beginMove(
      of: group.keys.expiry, toPrimaryOf: ClusterGroup.Keys.named.token)
    try await group.endMove(move)
  }

  /// Has the token replaced by a report, which is heard where the list is.
  static func report(_ deployment: Deployment, _ group: ClusterGroup) async throws {
    let token = try #require(try await deployment.token())
    try await deployment.ask("RPUSH", group.keys.reports, token)
    try await waitUntil("the next token", within: patience) {
      guard let next = try await deployment.token(), next != token else { return false }
      return next == deployment.simulator.newestToken(of: Deployment.appID)
    }
  }
}

extension SidecarProcess {
  /// The nodes that serve slots of ours, as it says.
  func nodes() async throws -> [String] {
    let redis = try await get("/v1/status").json()["redis"] as? [String: Any]
    let nodes = redis?["nodes"] as? [[String: Any]] ?? []
    return nodes.compactMap { $0["address"] as? String }
  }
}

extension ClusterGroup {
  /// Our subscriptions at a node.
  func subscribers(of server: RedisServer) async throws -> [Substring] {
    let list = try await server.command("CLIENT", "LIST", "TYPE", "pubsub").text ?? ""
    return list.split(separator: "\n").filter { $0.contains(" name=wch-sidecar") }
  }
}
