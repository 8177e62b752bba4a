/// Why a token is fetched; the label `trigger` of the metrics (Metrics.md#the-metrics).
package enum Trigger: String, Hashable, Sendable, CaseIterable {
  case schedule, start, takeover, report, force, probe, doubt
}

/// Why a replica stopped leading.
package enum StepDownReason: String, Hashable, Sendable {
  /// Its lease ran out by its own clock.
  case leaseOver
  /// RENEW found the lock gone or another's.
  case lockLost
  /// A higher epoch has an account.
  case fenced
  /// The keys belong to another AppID.
  case foreignApp
  /// A newer version of the program wrote the state.
  case newerLayout
  /// WeChat cannot be reached from here, and another replica may do better.
  case abdicated
  /// The process is ending.
  case shutdown
}

/// Something worth a log line or a metric; nothing is decided by it.
package enum Note: Hashable, Sendable {
  case becameLeader(Epoch)
  case steppedDown(StepDownReason)
  /// Our own live token was found in Redis and is kept, without a fetch.
  case adopted(AccountName, Version, remaining: Duration)
  case refreshStarted(AccountName, Trigger, Version)
  case refreshed(AccountName, Trigger, Version, lifetime: Duration, isUnchanged: Bool)
  case refreshFailed(
    AccountName, Trigger, FetchFailure, isUnknown: Bool, inARow: Int, retryIn: Duration)
  /// A token was fetched and its commit was refused: another replica leads.
  case deposed(AccountName, Trigger)
  /// Damaged outputs were restored from memory.
  case repaired(AccountName)
  /// Redis had lost a commit, and it was made again.
  case recommitted(AccountName, Version)
  /// The life of what Redis has was cut short, since a fetch of this replica may have killed it.
  case marked(AccountName, Version)
  /// What became of a request to refresh; nil when no account knows the token.
  case reported(AccountName?, ReportOutcome)
  /// A token of ours was found dead before its time, so many times lately.
  case diedEarly(AccountName, lately: Int)
  case storeStepFailed(AccountName?, StoreFailure)
  /// What is in Redis is not this replica's to work with.
  case conflict(Conflict)
  /// The lock has no TTL, and no replica took it: nobody leads until somebody deletes it.
  case lockNeverLapses(holder: String)
  /// Another live replica has this one's name.
  case nameIsShared
}
