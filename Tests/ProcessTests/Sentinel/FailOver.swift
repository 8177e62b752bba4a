import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// A fault of a primary under three replicas and an application, and what must hold whatever it is.
struct FailOver {
  let former: RedisServer
  let next: RedisServer
  /// From when on the next one was known to its sentinels, and led.
  let endedAt: ContinuousClock.Instant

  /// What a client needs beyond Redis's own outage.
  static let slack: Duration = .seconds(1)

  /// Three replicas that are ready, of which one leads.
  static func startReplicas(
    _ deployment: Deployment, _ settings: [String: String] = [:], launcher: [String] = []
  ) async throws {
    try await deployment.start(
      count: 3, Deployment.brisk.merging(settings) { $1 }, launcher: launcher)
    for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
  }

  /// Two more beside the one that there is.
  static func startMore(
    _ deployment: Deployment, _ settings: [String: String] = [:]
  ) async throws {
    for instance in ["b", "c"] {
      let process = try deployment.start(
        instance, Deployment.brisk.merging(settings) { $1 })
      try await process.waitForStatus(200, of: "/readyz")
    }
  }

  /// Starts three replicas, lets the fault happen under a reader, waits for the next primary and
  /// judges.
  ///
  /// - Parameters:
  ///   - slack: beyond Redis's own outage.
  ///   - mints: how many tokens WeChat may have made in the end.
  @discardableResult
  static func run(
    _ deployment: Deployment, _ group: SentinelGroup, settings: [String: String] = [:],
    slack: Duration = slack, mints: ClosedRange<Int> = 1...1,
    _ fault: @escaping @Sendable (RedisServer) async throws -> Void
  ) async throws -> FailOver {
    try await startReplicas(deployment, settings)
    return try await follow(
      deployment, group, from: group.servers[0], slack: slack, mints: mints, fault)
  }

  /// The same with replicas that run.
  @discardableResult
  static func follow(
    _ deployment: Deployment, _ group: SentinelGroup, from former: RedisServer,
    slack: Duration = slack, mints: ClosedRange<Int> = 1...1,
    _ fault: @escaping @Sendable (RedisServer) async throws -> Void
  ) async throws -> FailOver {
    try await deployment.withReader { reader in
      try await waitUntil("the reader reads", within: patience) { reader.liveReadings > 0 }
      try await fault(former)
      let next = try await group.waitForPrimary(otherThan: former)
      let failOver = FailOver(former: former, next: next, endedAt: .now)
      try await Self.settle(deployment, reader)
      #expect(reader.deadReadings == 0)
      #expect(mints.contains(deployment.mints), "\(deployment.mints) tokens")
      let gap = Gap(reader.changes, before: failOver.endedAt)
      print("outage \(gap.lasted), of it after the end of Redis's own: \(gap.beyond)")
      #expect(gap.beyond <= slack, "\(reader.changes)")
      return failOver
    }
  }

  /// Waits until one leads, all are connected, and the reader finds a live token.
  static func settle(_ deployment: Deployment, _ reader: TokenReader) async throws {
    try await waitUntil("one leads, and all are connected", within: patience) {
      var leaders = 0
      for process in deployment.processes where process.isRunning {
        leaders += Int(try await process.metric("wechat_token_leader_status"))
        let links = try await process.connections()
        guard links["commands"] == true, links["events"] == true else { return false }
      }
      return leaders == 1
    }
    try await waitUntil("the token is read again", within: patience) {
      if case .live? = reader.changes.last?.finding { true } else { false }
    }
  }

  /// How long no reading found a token.
  struct Gap {
    var lasted: Duration = .zero
    /// What of it came after Redis was there again; negative when it was over before.
    var beyond: Duration = .zero

    init(_ changes: [TokenReader.Change], before end: ContinuousClock.Instant) {
      var since: ContinuousClock.Instant?
      for change in changes {
        if case .live = change.finding {
          if let since {
            lasted += since.duration(to: change.at)
            beyond = end.duration(to: change.at)
          }
          since = nil
        } else {
          since = since ?? change.at
        }
      }
    }
  }
}

extension SidecarProcess {
  /// What is wrong, by its stable name, with the reason.
  func troubles() async throws -> [String: String] {
    let all = try await get("/v1/status").json()["conditions"] as? [[String: Any]] ?? []
    return Dictionary(
      all.compactMap { condition in
        (condition["id"] as? String).map { id in
          (id, (condition["facts"] as? [String: Any])?["reason"] as? String ?? "")
        }
      }, uniquingKeysWith: { first, _ in first })
  }

  /// What the sentinels said last.
  func primary() async throws -> String? {
    (try await get("/v1/status").json()["redis"] as? [String: Any])?["primary"] as? String
  }
}
