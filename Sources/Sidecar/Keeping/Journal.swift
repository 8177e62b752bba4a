package import Logging
import Synchronization
package import TokenCore

/// Turns what the keeper notes into log lines and metrics.
///
/// Changes of state are logged; what repeats is logged when it begins, and counted.
package final class Journal: Sendable {
  /// What the status page tells of an account beyond what the keeper knows.
  package struct Tally: Hashable, Sendable {
    package var refreshesSucceeded: Int64 = 0
    package var refreshesFailed: Int64 = 0
    package var lastFailure: StatusSnapshot.Failure?
  }

  private struct State {
    var tallies: [AccountName: Tally] = [:]
    /// What was logged last of a kind that repeats.
    var lastFailure: [AccountName: String] = [:]
    /// When each failure of a step at Redis was last met.
    var storeFailures: [String: Moment] = [:]
    var startedAt: [AccountName: Moment] = [:]
  }

  private let logger: Logger
  private let metrics: MetricsRegistry
  /// Protects the figures: written by the keeper's loop, read by the HTTP interface.
  private let state = Mutex(State())

  package init(logger: Logger, metrics: MetricsRegistry) {
    self.logger = logger
    self.metrics = metrics
  }

  /// The figures of an account.
  package func tally(_ account: AccountName) -> Tally {
    state.withLock { $0.tallies[account] ?? Tally() }
  }

  /// Tells what is new of what is wrong.
  package func tell(_ change: HealthBook.Change) {
    func line(
      _ condition: Condition, _ event: String, _ level: Logger.Level, lasted: Duration? = nil
    ) {
      var metadata = Logger.Metadata.keyed([
        .condition: "\(condition.kind.rawValue)", .event: "condition.\(event)",
        .since: "\(condition.since)", .help: "\(condition.remedy(.english))",
      ])
      if let account = condition.account { metadata[.account] = "\(account)" }
      if let reason = condition.facts.reason { metadata[.error] = "\(reason)" }
      if let code = condition.facts.code { metadata[.wechatCode] = "\(code)" }
      if let id = condition.facts.requestID { metadata[.wechatRequestID] = "\(id)" }
      if let address = condition.facts.address { metadata[.wechatEgress] = "\(address)" }
      if let count = condition.facts.count { metadata[.count] = "\(count)" }
      if let subject = condition.facts.subject { metadata[.subject] = "\(subject)" }
      if let observer = condition.observer { metadata[.observer] = "\(observer)" }
      if let lasted { metadata[.durationSeconds] = "\(Int64(lasted.inSeconds))" }
      logger.log(level: level, "\(condition.kind.title.english)", metadata: metadata)
    }
    switch change {
    case .began(let condition): line(condition, "began", condition.severity.level)
    case .worsened(let condition): line(condition, "worsened", condition.severity.level)
    case .lasts(let condition): line(condition, "lasts", condition.severity.level)
    case .ended(let condition, let lasted): line(condition, "ended", .notice, lasted: lasted)
    }
  }

  /// Records a note of the keeper.
  package func record(_ note: Note, at now: Moment) {
    switch note {
    case .becameLeader(let epoch):
      metrics.increment(.leaderTransitions)
      metrics.set(.leaderStatus, to: 1)
      metrics.set(.fencingEpoch, to: Double(epoch.rawValue))
      logger.notice("This replica leads", metadata: .keyed([.leaderEpoch: "\(epoch)"]))
    case .steppedDown(let reason):
      metrics.increment(.leaderTransitions)
      metrics.set(.leaderStatus, to: 0)
      logger.log(
        level: reason == .shutdown ? .notice : .warning, "This replica no longer leads",
        metadata: .keyed([.reason: "\(reason.sentence)"]))
    case .adopted(let account, let version, let remaining):
      logger.info(
        "The token in Redis is ours and alive; it is kept",
        metadata: .keyed([
          .account: "\(account)", .tokenVersion: "\(version)",
          .tokenRemaining: "\(Int64(remaining.inSeconds))",
        ]))
    case .refreshStarted(let account, let trigger, let version):
      state.withLock { $0.startedAt[account] = now }
      logger.debug(
        "Asking WeChat for a token",
        metadata: .keyed([
          .account: "\(account)", .refreshTrigger: "\(trigger.rawValue)",
          .tokenVersion: "\(version)",
        ]))
    case .refreshed(let account, let trigger, let version, let lifetime, let isUnchanged):
      refreshed(account, trigger, version, lifetime, isUnchanged, at: now)
    case .refreshFailed(let account, let trigger, let failure, let isUnknown, let row, let wait):
      failed(account, trigger, failure, isUnknown, row, wait)
    case .deposed(let account, let trigger):
      count(account, trigger, "deposed")
      logger.warning(
        """
        A token was fetched, but another replica leads by now: the life of the one in Redis is cut \
        short, and the leader fetches another before it ends
        """,
        metadata: .keyed([.account: "\(account)"]))
    case .repaired(let account):
      logger.warning(
        "Keys in Redis were missing or changed by someone else; restored from memory",
        metadata: .keyed([.account: "\(account)"]))
    case .recommitted(let account, let version):
      logger.warning(
        "Redis had lost the last token; written again from memory",
        metadata: .keyed([.account: "\(account)", .tokenVersion: "\(version)"]))
    case .marked(let account, let version):
      logger.warning(
        "An earlier fetch of this replica may have replaced the token; its life was cut short",
        metadata: .keyed([.account: "\(account)", .tokenVersion: "\(version)"]))
    case .reported(let account, let outcome):
      metrics.increment(.refreshRequests, ["outcome": outcome.label])
      var metadata = Logger.Metadata.keyed([.refreshOutcome: "\(outcome.label)"])
      if let account { metadata[.account] = "\(account)" }
      logger.debug("A report was judged", metadata: metadata)
    case .diedEarly(let account, let lately):
      diedEarly(account, lately)
    case .storeStepFailed(let account, let failure):
      storeFailed(account, failure, at: now)
    case .foreignApp(let remaining):
      logger.error(
        """
        Keys in this Redis belong to another AppID; they are left alone, and `status` shows which \
        account has no token. Give each AppID its own keyPrefix or its own Redis, or stop the \
        other deployment and wait until its token has expired
        """,
        metadata: .keyed([
          .tokenRemaining: "\(remaining.map { "\(Int64($0.inSeconds))" } ?? "unknown")"
        ]))
    case .newerLayout(let layout):
      logger.error(
        "A newer version of wch-sidecar wrote the records; this replica follows and does not lead",
        metadata: .keyed([.version: "\(layout)"]))
    case .lockNeverLapses(let holder):
      logger.error(
        """
        The lock is held without a time limit, and not by a replica: nobody can lead, and the \
        token will expire. Find out what writes the key WCH_leader (with your keyPrefix), and \
        delete it
        """,
        metadata: .keyed([.leader: "\(holder.prefix { $0 != ":" }.prefix(64))"]))
    case .nameIsShared:
      logger.warning(
        """
        Another live replica has the same name: logs, lock and status do not tell the two apart. \
        Give each its own WCH_INSTANCE, or none
        """)
    }
  }

  /// So many different failures are remembered; one more than that starts anew.
  private static let failuresRemembered = 64
  /// What was not met for so long is news when it comes back.
  ///
  /// Steps are repeated within seconds: a trouble that stays is told once, also when it ends each
  /// connection to Redis.
  package static let silence: Duration = .seconds(60)

  private func refreshed(
    _ account: AccountName, _ trigger: Trigger, _ version: Version, _ lifetime: Duration,
    _ isUnchanged: Bool, at now: Moment
  ) {
    let started = state.withLock { state in
      state.tallies[account, default: Tally()].refreshesSucceeded += 1
      state.lastFailure[account] = nil
      return state.startedAt[account]
    }
    let duration = started.map { now - $0 } ?? .zero
    count(account, trigger, isUnchanged ? "unchanged" : "ok")
    metrics.observe(.refreshDuration, ["account": account.description], duration)
    metrics.set(.consecutiveFailures, ["account": account.description], to: 0)
    logger.info(
      isUnchanged ? "The token was confirmed by WeChat" : "A new token is in Redis",
      metadata: .keyed([
        .account: "\(account)", .refreshTrigger: "\(trigger.rawValue)",
        .tokenVersion: "\(version)", .tokenRemaining: "\(Int64(lifetime.inSeconds))",
        .refreshDuration: "\(duration.inSeconds)",
      ]))
  }

  private func failed(
    _ account: AccountName, _ trigger: Trigger, _ failure: FetchFailure, _ isUnknown: Bool,
    _ row: Int, _ wait: Duration
  ) {
    let isNews = state.withLock { state in
      state.tallies[account, default: Tally()].refreshesFailed += 1
      state.tallies[account]?.lastFailure = StatusSnapshot.Failure(
        code: failure.code, reason: failure.reason, requestID: failure.requestID, at: .now)
      // A change of the code is news; the request id and the address differ every time.
      let kind =
        "\(failure.category) \(failure.code.map(String.init) ?? failure.reason)"
        + (failure.retriesSoon ? ", to be tried at once" : "")
      let isNews = state.lastFailure[account] != kind
      state.lastFailure[account] = kind
      return isNews
    }
    count(account, trigger, isUnknown ? "unknown" : "error")
    metrics.set(.consecutiveFailures, ["account": account.description], to: Double(row))
    var metadata = Logger.Metadata.keyed([
      .account: "\(account)", .refreshTrigger: "\(trigger.rawValue)", .error: "\(failure.reason)",
      .refreshFailures: "\(row)", .refreshRetryIn: "\(wait.inSeconds)",
    ])
    if let code = failure.code { metadata[.wechatCode] = "\(code)" }
    if let id = failure.requestID { metadata[.wechatRequestID] = "\(id)" }
    if let address = failure.egressAddress { metadata[.wechatEgress] = "\(address)" }
    logger.log(
      level: isNews
        ? (failure.category == .transient || failure.retriesSoon ? .warning : .error) : .debug,
      "WeChat gave no token; what Redis has stays", metadata: metadata)
  }

  private func diedEarly(_ account: AccountName, _ lately: Int) {
    metrics.increment(.foreignRefreshes, ["account": account.description])
    let metadata = Logger.Metadata.keyed([.account: "\(account)", .count: "\(lately)"])
    switch lately {
    case 1:
      logger.warning("The token died before its time; fetching another", metadata: metadata)
    case 2:
      logger.error(
        """
        Another party refreshes this account: its tokens die before their time. Find what else \
        uses this AppID's secret (an SDK with a cache of its own, a test system, the old \
        controller) and let it read the keys in Redis instead, or set api to stable_token here
        """, metadata: metadata)
    default:
      logger.debug("The token died before its time again", metadata: metadata)
    }
  }

  private func storeFailed(_ account: AccountName?, _ failure: StoreFailure, at now: Moment) {
    let isNews = state.withLock { state in
      if state.storeFailures.count >= Journal.failuresRemembered { state.storeFailures.removeAll() }
      let last = state.storeFailures.updateValue(now, forKey: failure.reason)
      return last.map { now - $0 > Journal.silence } ?? true
    }
    var metadata = Logger.Metadata.keyed([.error: "\(failure.reason)"])
    if let account { metadata[.account] = "\(account)" }
    logger.log(
      level: isNews ? (failure.needsOperator ? .error : .warning) : .debug,
      "A step at Redis failed; it is tried again",
      metadata: metadata)
  }

  private func count(_ account: AccountName, _ trigger: Trigger, _ result: String) {
    metrics.increment(
      .refreshes,
      ["account": account.description, "trigger": trigger.rawValue, "result": result])
  }
}

extension Condition.Severity {
  /// How loud the log is about it.
  package var level: Logger.Level {
    switch self {
    case .notice: .info
    case .warning: .warning
    case .error: .error
    case .critical: .critical
    }
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
