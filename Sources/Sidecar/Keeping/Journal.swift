package import Logging
import Synchronization
package import TokenCore

/// Turns what the keeper notes into log lines and metrics.
///
/// What is wrong is told as conditions are (`Journal+Conditions`), whatever surface shows them:
/// single failures are for `debug`. What happens in good order is told, and bounded.
package final class Journal: Sendable {
  /// What the status page tells of an account beyond what the keeper knows.
  package struct Tally: Hashable, Sendable {
    package var refreshesSucceeded: Int64 = 0
    package var refreshesFailed: Int64 = 0
    package var lastFailure: StatusSnapshot.Failure?
  }

  private struct State {
    var tallies: [CredentialID: Tally] = [:]
    /// How much was logged of what repeats.
    var budget = LineBudget()
    var startedAt: [CredentialID: Moment] = [:]
    /// Whose other writers were told of.
    var overwritten: Set<String> = []
  }

  let logger: Logger
  private let metrics: MetricsRegistry
  /// Protects the figures: written by the keeper's loop, read by the HTTP interface.
  private let state = Mutex(State())

  private let layout: @Sendable (CredentialID, Output.Key) -> ForeignLayout?

  /// - Parameter layout: which software's a key is.
  package init(
    logger: Logger, metrics: MetricsRegistry,
    layout: @escaping @Sendable (CredentialID, Output.Key) -> ForeignLayout? = { _, _ in nil }
  ) {
    self.logger = logger
    self.metrics = metrics
    self.layout = layout
  }

  /// The figures of an account.
  package func tally(_ account: CredentialID) -> Tally {
    state.withLock { $0.tallies[account] ?? Tally() }
  }

  /// Nothing more is told of an account that is no longer kept.
  package func forget(_ account: CredentialID) {
    state.withLock { state in
      state.tallies[account] = nil
      state.startedAt[account] = nil
    }
  }

  /// Records a note of the keeper.
  package func record(_ note: Note, at now: Moment) {
    switch note {
    case .becameLeader(let epoch): became(epoch)
    case .steppedDown(let reason): steppedDown(reason)
    case .adopted(let account, let version, let remaining):
      tell(
        .tokenKept, "The token in Redis is ours and alive; it is kept",
        .keyed([
          .account: "\(account)", .tokenVersion: "\(version)", .tokenRemaining: .seconds(remaining),
        ]), at: now)
    case .refreshStarted(let account, let trigger, let version):
      started(account, trigger, version, at: now)
    case .refreshed(let account, let trigger, let version, let lifetime, let isUnchanged):
      refreshed(account, trigger, version, lifetime, isUnchanged, at: now)
    case .refreshFailed(let account, let trigger, let failure, let isUnknown, let row, let wait):
      failed(account, trigger, failure, isUnknown, row, wait)
    case .deposed(let account, let trigger):
      count(account, trigger, "deposed")
      logger.tell(
        .tokenDeposed,
        """
        A token was fetched, but another replica leads by now: the life of the one in Redis is cut \
        short, and the leader fetches another before it ends
        """, .keyed([.account: "\(account)"]))
    case .repaired(let account):
      tell(
        .tokenRestored,
        "Keys in Redis were missing or changed by someone else; restored from memory",
        .keyed([.account: "\(account)"]), at: now)
    case .overwritten(let account, let keys): overwritten(account, keys)
    case .recommitted(let account, let version):
      tell(
        .tokenRewritten, "Redis had lost the last token; written again from memory",
        .keyed([.account: "\(account)", .tokenVersion: "\(version)"]), at: now)
    case .marked(let account, let version):
      tell(
        .tokenShortened,
        "An earlier fetch of this replica may have replaced the token; its life was cut short",
        .keyed([.account: "\(account)", .tokenVersion: "\(version)"]), at: now)
    case .reported(let account, let outcome):
      metrics.increment(.refreshRequests, ["outcome": outcome.label])
      var metadata = Logger.Metadata.keyed([.refreshOutcome: "\(outcome.label)"])
      if let account { metadata[.account] = "\(account)" }
      logger.tell(.reportJudged, "A report was judged", metadata)
    case .diedEarly(let account, let lately):
      metrics.increment(.foreignRefreshes, ["account": account.description])
      logger.tell(
        .tokenDied, "The token died before its time; fetching another",
        .keyed([.account: "\(account)", .count: .number(lately)]))
    case .storeStepFailed(let account, let failure):
      var metadata = Logger.Metadata.keyed([.error: "\(failure.reason)"])
      if let account { metadata[.account] = "\(account)" }
      logger.tell(.redisStepFailed, "A step at Redis failed; it is tried again", metadata)
    case .conflict(.foreignApp(let remaining)):
      var metadata = Logger.Metadata()
      if let remaining { metadata[.tokenRemaining] = .seconds(remaining) }
      logger.tell(.conflictMet, "The keys belong to another AppID", metadata)
    case .conflict(.newerLayout(let layout)):
      logger.tell(
        .conflictMet, "A newer version wrote the records", .keyed([.count: .number(layout)]))
    case .lockNeverLapses(let holder):
      logger.tell(
        .conflictMet, "The lock has no time limit",
        .keyed([.leader: "\(holder.prefix { $0 != ":" }.prefix(64))"]))
    case .nameIsShared:
      logger.tell(.conflictMet, "Another live replica has this one's name")
    }
  }

  private func became(_ epoch: Epoch) {
    metrics.increment(.leaderTransitions)
    metrics.set(.leaderStatus, to: 1)
    metrics.set(.fencingEpoch, to: Double(epoch.rawValue))
    logger.tell(
      .leadTaken, "This replica leads", .keyed([.leaderEpoch: .number(epoch.rawValue)]))
  }

  private func steppedDown(_ reason: StepDownReason) {
    metrics.increment(.leaderTransitions)
    metrics.set(.leaderStatus, to: 0)
    logger.tell(
      .leadLost, level: reason == .shutdown ? .notice : .warning,
      "This replica no longer leads", .keyed([.reason: "\(reason.sentence)"]))
  }

  private func started(
    _ account: CredentialID, _ trigger: Trigger, _ version: Version, at now: Moment
  ) {
    state.withLock { $0.startedAt[account] = now }
    logger.tell(
      .refreshStarted, "Asking WeChat for a token",
      .keyed([
        .account: "\(account)", .refreshTrigger: "\(trigger.rawValue)",
        .tokenVersion: "\(version)",
      ]))
  }

  /// What was not met for so long is news when it comes back.
  package static let silence: Duration = .seconds(60)
  /// A line about routine is written this often: of 250 accounts one is refreshed every half a
  /// minute.
  ///
  /// A token lives longer, so that of a single account each new one is told.
  private static let routine = LineBudget.Allowance(lines: 1, in: .seconds(5400))

  /// Writes a line, unless enough were written about such events lately: then at `debug`.
  private func tell(
    _ event: LoggedEvent, _ message: String, _ metadata: Logger.Metadata, at now: Moment,
    isRoutine: Bool = false
  ) {
    guard let allowance = isRoutine ? Self.routine : event.allowance else {
      return logger.tell(event, "\(message)", metadata)
    }
    let name = event.rawValue + (isRoutine ? " routine" : "")
    let withheld = state.withLock { $0.budget.take(name, allowance, at: now) }
    guard let withheld else { return logger.tell(event, level: .debug, "\(message)", metadata) }
    var metadata = metadata
    if withheld > 0 { metadata[.withheld] = .number(withheld) }
    logger.tell(event, "\(message)", metadata)
  }

  private func refreshed(
    _ account: CredentialID, _ trigger: Trigger, _ version: Version, _ lifetime: Duration,
    _ isUnchanged: Bool, at now: Moment
  ) {
    let started = state.withLock { state in
      state.tallies[account, default: Tally()].refreshesSucceeded += 1
      return state.startedAt[account]
    }
    let duration = started.map { now - $0 } ?? .zero
    count(account, trigger, isUnchanged ? "unchanged" : "ok")
    metrics.observe(.refreshDuration, ["account": account.description], duration)
    metrics.set(.consecutiveFailures, ["account": account.description], to: 0)
    tell(
      isUnchanged ? .tokenConfirmed : .tokenNew,
      isUnchanged
        ? "The \(account.noun) was confirmed by WeChat" : "A new \(account.noun) is in Redis",
      .keyed([
        .account: "\(account)", .refreshTrigger: "\(trigger.rawValue)",
        .tokenVersion: "\(version)", .tokenRemaining: .seconds(lifetime),
        .refreshDuration: .seconds(duration),
      ]), at: now, isRoutine: trigger == .schedule)
  }

  private func failed(
    _ account: CredentialID, _ trigger: Trigger, _ failure: FetchFailure, _ isUnknown: Bool,
    _ row: Int, _ wait: Duration
  ) {
    state.withLock { state in
      state.tallies[account, default: Tally()].refreshesFailed += 1
      state.tallies[account]?.lastFailure = StatusSnapshot.Failure(
        code: failure.code, reason: failure.reason, requestID: failure.requestID, at: .now)
    }
    count(account, trigger, isUnknown ? "unknown" : "error")
    metrics.set(.consecutiveFailures, ["account": account.description], to: Double(row))
    var metadata = Logger.Metadata.keyed([
      .account: "\(account)", .refreshTrigger: "\(trigger.rawValue)", .error: "\(failure.reason)",
      .refreshFailures: .number(row), .refreshRetryIn: .seconds(wait),
    ])
    if let code = failure.code { metadata[.wechatCode] = .number(code) }
    if let id = failure.requestID { metadata[.wechatRequestID] = "\(id)" }
    if let address = failure.egressAddress { metadata[.wechatEgress] = "\(address)" }
    logger.tell(.refreshFailed, "WeChat gave no token; what Redis has stays", metadata)
  }

  /// Other software fetches for itself: told once a key, since it may go on for ever.
  private func overwritten(_ account: CredentialID, _ keys: [Output.Key]) {
    for key in keys {
      guard case .other(let name) = key, let layout = layout(account, key) else { continue }
      metrics.increment(
        .foreignWrites, ["account": account.description, "layout": layout.name])
      guard state.withLock({ $0.overwritten.insert(name).inserted }) else { continue }
      logger.tell(
        .outputOverwritten,
        """
        Other software fetches tokens for itself and has written one to a key that is kept for it; \
        restored
        """,
        .keyed([
          .account: "\(account)", .redisKey: "\(name)",
          .remedy: "of \(layout.name): \(layout.switchOff), and give it no AppSecret",
        ]))
    }
  }

  private func count(_ account: CredentialID, _ trigger: Trigger, _ result: String) {
    metrics.increment(
      .refreshes,
      ["account": account.description, "trigger": trigger.rawValue, "result": result])
  }
}

extension StepDownReason {
  /// What the log says.
  fileprivate var sentence: String {
    switch self {
    case .leaseOver: "the lease ran out before Redis confirmed its renewal"
    case .lockLost: "the lock in Redis is gone or another replica's"
    case .fenced: "another replica has taken an account over"
    case .foreignApp: "the keys belong to another AppID"
    case .newerLayout: "a newer version wrote the records"
    case .abdicated: "WeChat cannot be reached or refuses this address; another replica may try"
    case .shutdown: "the process ends; the lock was given back"
    }
  }
}

extension ReportOutcome {
  /// The label `outcome` of the metrics.
  package var label: String {
    switch self {
    case .accepted: "refreshed"
    case .notCurrent: "current"
    case .coalesced: "coalesced"
    case .limited: "limited"
    }
  }
}
