package import Logging
import NIOPosix
package import RedisClient
import ServiceLifecycle
package import TokenCore

/// `once`: makes sure that a live token is in Redis, and ends.
///
/// It is the daemon for a moment: with a live leader it waits for that one's token; without one it
/// takes the lock, fetches and gives the lock back. It never fetches without the lock.
package struct Once {
  /// What it came to.
  package enum Outcome: Hashable, Sendable {
    /// A live token is in Redis for every account; the Unix second of each `WCH_expires_in`.
    case live([AccountName: Int64])
    /// Redis or WeChat could not be reached in the time given.
    case unreachable(String)
    /// WeChat refuses the credentials or the address.
    case refused(String)
    /// The time is over for another reason.
    case timedOut(String)
  }

  private let settings: Settings
  private let redis: RedisConfiguration
  private let logger: Logger
  private let version: String

  /// How often the keeper's state is looked at: it is read from memory.
  private static let look: Duration = .milliseconds(20)

  /// Takes settings that were judged; nothing runs yet.
  package init(
    settings: Settings, redis: RedisConfiguration, version: String, logger: Logger
  ) {
    self.settings = settings
    self.redis = redis
    self.version = version
    self.logger = logger
  }

  /// Waits for a live token of every account for at most so long.
  package func run(atMost limit: Duration) async throws -> Outcome {
    var redis = redis
    // An attempt that hangs is to fail, and to say why, before the time is up.
    redis.connectTimeout = min(redis.connectTimeout, limit / 2)
    let parts = Parts(settings: settings, redis: redis, version: version, logger: logger)
    let status = KeeperStatus(
      parts, settings: settings, version: version, startedAt: .now,
      timers: MultiThreadedEventLoopGroup.singleton.next())
    let outcome = try await withThrowingTaskGroup { group in
      group.addTask { try await parts.links.run() }
      group.addTask { try await parts.service.run() }
      let outcome = await watch(parts, status: status, until: .now + limit)
      parts.service.post(.shutdownRequested)
      // The keeper ends by itself once the lock is given back; then the connections may go.
      try await parts.service.waitUntilStopped()
      group.cancelAll()
      try await group.waitForAll()
      return outcome
    }
    await parts.weChat.shutdown()
    return outcome
  }

  private func watch(
    _ parts: Parts, status: KeeperStatus, until deadline: ContinuousClock.Instant
  ) async -> Outcome {
    while ContinuousClock.now < deadline, !Task.isCancelled {
      let snapshot = status.snapshot()
      if case .good = status.health(.ready) {
        return .live(
          Dictionary(
            uniqueKeysWithValues: snapshot.accounts.map { ($0.name, $0.expiresAt ?? 0) }))
      }
      for account in parts.service.view.keeper.accounts {
        guard let failure = account.failures.last else { continue }
        switch failure.category {
        case .operator, .configuration: return .refused("account \(account.name): \(failure)")
        case .transient, .rate, .quota: break
        }
      }
      // Cancellation ends the wait early, and the loop notices it.
      try? await Task.sleep(for: Once.look)
    }
    guard parts.links.state.isConnected else {
      return .unreachable("Redis: \(parts.links.state.lastError ?? "no connection")")
    }
    for account in parts.service.view.keeper.accounts {
      guard let failure = account.failures.last, failure.isTransport else { continue }
      return .unreachable("account \(account.name): WeChat: \(failure)")
    }
    if case .bad(let reason) = status.health(.ready) { return .timedOut(reason) }
    return .timedOut("no live token was seen in Redis")
  }
}
