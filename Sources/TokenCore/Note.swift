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
  case adopted(CredentialID, Version, remaining: Duration)
  case refreshStarted(CredentialID, Trigger, Version)
  case refreshed(CredentialID, Trigger, Version, lifetime: Duration, isUnchanged: Bool)
  case refreshFailed(
    CredentialID, Trigger, FetchFailure, isUnknown: Bool, inARow: Int, retryIn: Duration)
  /// A token was fetched and its commit was refused: another replica leads.
  case deposed(CredentialID, Trigger)
  /// Damaged outputs were restored from memory.
  case repaired(CredentialID)
  /// Somebody else has written to outputs of other software's.
  case overwritten(CredentialID, [Output.Key])
  /// Redis had lost a commit, and it was made again.
  case recommitted(CredentialID, Version)
  /// The life of what Redis has was cut short, since a fetch of this replica may have killed it.
  case marked(CredentialID, Version)
  /// What became of a request to refresh; nil when no account knows the token.
  case reported(CredentialID?, ReportOutcome)
  /// A token of ours was found dead before its time, so many times lately.
  case diedEarly(CredentialID, lately: Int)
  case storeStepFailed(CredentialID?, StoreFailure)
  /// What is in Redis is not this replica's to work with.
  case conflict(Conflict)
  /// The lock has no TTL, and no replica took it: nobody leads until somebody deletes it.
  case lockNeverLapses(holder: String)
  /// Another live replica has this one's name.
  case nameIsShared
}
