package import Logging

/// The dotted keys of everything that is logged beside the message.
package enum LogKeys: String, Sendable, CaseIterable {
  /// The account's name, `default` for the unnamed one.
  case account
  /// Hexadecimal digits of the token's digest: says which without saying what.
  case tokenDigest = "token.digest"
  /// The epoch and number under which the token was fetched.
  case tokenVersion = "token.version"
  /// Unix second at which clients stop trusting the token.
  case tokenExpiresAt = "token.expires_at"
  /// Seconds that the token has left.
  case tokenRemaining = "token.remaining_seconds"
  case refreshTrigger = "refresh.trigger"
  case refreshResult = "refresh.result"
  case refreshDuration = "refresh.duration_seconds"
  case refreshNextAt = "refresh.next_at"
  case refreshFailures = "refresh.consecutive_failures"
  /// Seconds until the next attempt.
  case refreshRetryIn = "refresh.retry_in_seconds"
  case refreshOutcome = "refresh.outcome"
  /// WeChat's `errcode`.
  case wechatCode = "wechat.errcode"
  /// WeChat's request id, to quote to its support.
  case wechatRequestID = "wechat.rid"
  case wechatEndpoint = "wechat.endpoint"
  case wechatHost = "wechat.host"
  /// The address that WeChat saw us come from.
  case wechatEgress = "wechat.egress_address"
  case leader = "leader.instance"
  case leaderEpoch = "leader.epoch"
  case leaderPhase = "leader.phase"
  case leaseRemaining = "leader.lease_remaining_seconds"
  case redisEndpoint = "redis.endpoint"
  case redisCommand = "redis.command"
  case redisRunID = "redis.run_id"
  case redisVersion = "redis.version"
  case redisKey = "redis.key"
  /// Which of this replica's connections: `commands`, `events` or `reports`.
  case redisConnection = "redis.connection"
  case httpListen = "http.listen"
  case httpRoute = "http.route"
  case httpStatus = "http.status"
  case settingOrigin = "setting.origin"
  /// The path of a file that settings name.
  case file
  case instance
  case version
  case signal
  /// What went wrong, without secrets.
  case error
  /// Why something was done, in words.
  case reason
  /// How many of something.
  case count
  case durationSeconds = "duration_seconds"
  /// The stable name of what happened.
  case event
  /// The kind of a condition.
  case condition
  /// Since when something is so.
  case since
  /// The connection, file or key that something is about.
  case subject
  /// The replica that saw it.
  case observer
  /// What to do about it.
  case help
}

extension Logger.Metadata {
  /// The value under one of our keys.
  package subscript(key: LogKeys) -> Logger.MetadataValue? {
    get { self[key.rawValue] }
    set { self[key.rawValue] = newValue }
  }

  /// Metadata from our keys.
  package static func keyed(_ values: KeyValuePairs<LogKeys, Logger.MetadataValue>) -> Self {
    Dictionary(values.map { ($0.key.rawValue, $0.value) }) { $1 }
  }
}
