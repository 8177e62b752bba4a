/// A token in this replica's memory.
package struct Copy: Hashable, Sendable {
  package let token: AccessToken
  package let version: Version
  /// The life that WeChat stated.
  package let lifetime: Duration
  /// When the token's life ends, by this replica's clock, as WeChat or Redis told it.
  package let expiresAt: Moment
  /// The real expiry by Redis's clock, as its record has it; nil until the record was read.
  package internal(set) var recordedExpiry: RedisTime?
  /// When this was last known to be the current token in Redis, with no trace of a later fetch;
  /// nil when it never was.
  package internal(set) var confirmedAt: Moment?
  /// When this was last seen in Redis, whatever stood beside it.
  package internal(set) var seenAt: Moment
  /// Whether this replica fetched it and has led without a break since.
  package internal(set) var isOwn: Bool

  /// Whether no later fetch can have killed it: then it may be written to Redis again.
  package func isPublishable(at now: Moment) -> Bool {
    isOwn || confirmedAt.map { now - $0 < Timing.publishable } ?? false
  }

  /// What is left of its life; negative when it is over.
  package func remaining(at now: Moment) -> Duration { expiresAt - now }
}
