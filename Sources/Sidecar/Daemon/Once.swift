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
  package struct Outcome: Hashable, Sendable {
    /// Where a live token is in Redis; the Unix second of each `WCH_expires_in`.
    package var live: [CredentialID: Int64] = [:]
    /// Why not everywhere; nil when everywhere.
    package var lack: Lack?
  }

  /// Why a token is missing.
  package enum Lack: Hashable, Sendable {
    /// Redis or WeChat could not be reached in the time given.
    case unreachable(String)
    /// WeChat refuses the credentials, the address or more calls today.
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
  /// The end in order takes some steps at Redis; this much of the time is kept for it, and a fifth
  /// of a shorter time.
  private static let ending: Duration = .milliseconds(500)

  /// Takes settings that were judged; nothing runs yet.
  package init(
    settings: Settings, redis: RedisConfiguration, version: String, logger: Logger
  ) {
    self.settings = settings
    self.redis = redis
    self.version = version
    self.logger = logger
  }

  /// Waits for a live token of every account, or of one, and has returned within the limit.
  ///
  /// An account that WeChat refuses is not waited for; the others are.
  package func run(atMost limit: Duration, only account: AccountName? = nil) async throws -> Outcome
  {
    let deadline = ContinuousClock.now + limit
    var redis = redis
    // An attempt that hangs is to fail, and to say why, before the time is up.
    redis.connectTimeout = min(redis.connectTimeout, limit / 2)
    // Others' calls are not begun: they would be given up at the end.
    let parts = Parts(
      settings: settings, redis: redis, version: version, logger: logger, only: account)
    let status = KeeperStatus(
      parts, settings: settings, version: version, startedAt: .now,
      timers: MultiThreadedEventLoopGroup.singleton.next())
    let names = settings.credentials.keys.filter { $0.account == account ?? $0.account }.sorted()
    let outcome = await withThrowingTaskGroup { group in
      group.addTask { try await parts.links.run() }
      group.addTask { try await parts.service.run() }
      let outcome = await watch(
        names, parts, status: status, until: deadline - min(Self.ending, limit / 5))
      await end(parts, by: deadline)
      group.cancelAll()
      // What is cancelled ends by throwing.
      while let result = await group.nextResult() { _ = result }
      return outcome
    }
    await parts.weChat.shutdown()
    return outcome
  }

  private func watch(
    _ names: [CredentialID], _ parts: Parts, status: KeeperStatus,
    until deadline: ContinuousClock.Instant
  ) async -> Outcome {
    let start = Timestamp.now
    while true {
      let conditions = parts.health.conditions(withPending: true)
      let preventing = conditions.filter(\.preventsReading)
      let accounts = status.snapshot().accounts
      var outcome = Outcome()
      for account in accounts where names.contains(account.name) && account.hasToken {
        guard !preventing.contains(where: { $0.account ?? account.name == account.name }) else {
          continue
        }
        outcome.live[account.name] = account.expiresAt ?? 0
      }
      let missing = names.filter { outcome.live[$0] == nil }
      if missing.isEmpty { return outcome }
      // What another replica was told before now may be mended by now.
      let refused = missing.compactMap { name in
        conditions.first { condition in
          isRefusal(condition, of: name)
            && (condition.observer == nil
              || condition.facts.lastAt.map { $0.second > start.second } ?? false)
        }
      }
      if refused.count == missing.count, let first = refused.first {
        outcome.lack = .refused(words(for: first))
        return outcome
      }
      guard ContinuousClock.now < deadline, !Task.isCancelled else {
        outcome.lack = lack(missing, parts, conditions)
        return outcome
      }
      // Cancellation ends the wait early, and the loop notices it.
      try? await Task.sleep(for: Once.look)
    }
  }

  /// Whether WeChat refuses the account until people act.
  private func isRefusal(_ condition: Condition, of account: CredentialID) -> Bool {
    condition.kind == .refreshFailing && condition.account == account
      && condition.severity >= .error && condition.facts.code != nil
  }

  private func words(for condition: Condition) -> String {
    let account = condition.account.map { "account \($0): " } ?? ""
    let address =
      condition.facts.address.flatMap { address in
        condition.facts.reason?.contains(address) ?? false ? nil : " (WeChat sees \(address))"
      } ?? ""
    let observer = condition.observer.map { "; so the leader \($0) was told" } ?? ""
    return account + (condition.facts.reason ?? condition.kind.title(.english)) + address + observer
  }

  /// Why these accounts have no token, now that the time is over.
  private func lack(
    _ missing: [CredentialID], _ parts: Parts, _ conditions: [Condition]
  ) -> Lack {
    guard parts.links.state.isConnected else {
      return .unreachable("Redis: \(parts.links.state.lastError ?? "no connection")")
    }
    for name in missing {
      if let refused = conditions.first(where: { isRefusal($0, of: name) }) {
        return .refused(words(for: refused))
      }
      guard let account = parts.inbox.account(name) else { continue }
      if let failure = account.failures.last, failure.isTransport {
        return .unreachable("account \(name): WeChat: \(failure)")
      }
    }
    let cause = conditions.first { condition in
      condition.preventsReading && (condition.account.map(missing.contains) ?? true)
    }
    var reason = cause?.sentence(.english) ?? "no live token was seen in Redis"
    for name in missing where parts.inbox.account(name)?.failures.last == nil {
      if case .fetch = parts.inbox.account(name)?.work {
        reason += "; WeChat has not answered yet"
        break
      }
    }
    return .timedOut(reason)
  }

  /// Gives the lock back.
  ///
  /// A call that is still under way may have minted a token: that it was given
  /// up is said in Redis, so that nobody takes the token there for certain.
  private func end(_ parts: Parts, by deadline: ContinuousClock.Instant) async {
    parts.inbox.post(.shutdownRequested)
    for account in parts.inbox.look({ $0.keeper.accounts }) {
      guard case .fetch(let attempt) = account.work else { continue }
      parts.inbox.post(
        .fetched(
          account.name, attempt.version,
          .unknown(
            FetchFailure(
              .transient, reason: "given up: the time is over", isTransport: true))))
    }
    // The keeper ends by itself once the lock is given back; then the connections may go.
    await withTaskGroup { group in
      group.addTask { try? await parts.service.waitUntilStopped() }
      group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
      await group.next()
      group.cancelAll()
    }
  }
}
