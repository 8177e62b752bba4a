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

  /// Starts three replicas, lets the fault happen, waits for the next primary and judges.
  @discardableResult
  static func run(
    _ deployment: Deployment, _ group: SentinelGroup, settings: [String: String] = [:],
    mints: Int = 1, _ fault: @escaping @Sendable (RedisServer) async throws -> Void
  ) async throws -> FailOver {
    try await deployment.start(
      count: 3, Deployment.brisk.merging(settings) { $1 })
    for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
    let former = group.servers[0]
    return try await deployment.withReader { reader in
      try await waitUntil("the reader reads", within: patience) { reader.liveReadings > 0 }
      try await fault(former)
      let next = try await group.waitForPrimary(otherThan: former)
      let failOver = FailOver(former: former, next: next, endedAt: .now)
      try await failOver.judge(deployment, reader, mints: mints)
      return failOver
    }
  }

  func judge(_ deployment: Deployment, _ reader: TokenReader, mints: Int) async throws {
    try await waitUntil("one leads, and all are connected", within: patience) {
      var leaders = 0
      for process in deployment.processes where process.isRunning {
        leaders += Int(try await process.metric("wechat_token_leader_status"))
        guard try await process.connections()["commands"] == true else { return false }
      }
      return leaders == 1
    }
    try await waitUntil("the token is read again", within: patience) {
      if case .live? = reader.changes.last?.finding { true } else { false }
    }
    #expect(reader.deadReadings == 0)
    #expect(deployment.mints == mints)
    let gap = Gap(reader.changes, before: endedAt)
    print("outage \(gap.lasted), beyond the end of Redis's own: \(gap.beyond)")
    #expect(gap.beyond <= Self.slack, "\(reader.changes)")
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
          if let since { lasted += since.duration(to: change.at) }
          if since != nil { beyond = end.duration(to: change.at) }
          since = nil
        } else {
          since = since ?? change.at
        }
      }
    }
  }
}
