package import Logging
import TokenCore

/// The dotted keys of everything that is logged beside the message.
package enum LogKeys: String, Sendable, CaseIterable {
  /// The account's name, `default` for the unnamed one.
  case account
  /// The epoch and number under which the token was fetched.
  case tokenVersion = "token.version"
  /// Seconds that the token has left.
  case tokenRemaining = "token.remaining_seconds"
  case refreshTrigger = "refresh.trigger"
  case refreshDuration = "refresh.duration_seconds"
  case refreshFailures = "refresh.consecutive_failures"
  /// Seconds until the next attempt.
  case refreshRetryIn = "refresh.retry_in_seconds"
  case refreshOutcome = "refresh.outcome"
  /// WeChat's `errcode`.
  case wechatCode = "wechat.errcode"
  /// WeChat's request id, to quote to its support.
  case wechatRequestID = "wechat.rid"
  /// The address that WeChat saw us come from.
  case wechatEgress = "wechat.egress_address"
  case leader = "leader.instance"
  case leaderEpoch = "leader.epoch"
  case redisEndpoint = "redis.endpoint"
  /// Where the server is that takes the writes, as the sentinels say.
  case redisPrimary = "redis.primary"
  /// Where it was before.
  case redisFormerPrimary = "redis.former_primary"
  /// What each sentinel said.
  case redisSentinels = "redis.sentinels"
  /// The nodes of a cluster that serve our slots.
  case redisNodes = "redis.nodes"
  case redisRunID = "redis.run_id"
  case redisVersion = "redis.version"
  case redisKey = "redis.key"
  /// The command of Redis that a line is about.
  case redisCommand = "redis.command"
  /// Which of this replica's connections: `commands`, `events` or `reports`.
  case redisConnection = "redis.connection"
  case httpListen = "http.listen"
  case settingOrigin = "setting.origin"
  /// The path of a file that settings name.
  case file
  /// A program that takes tokens, by its path.
  case hookProgram = "hook.program"
  /// What it printed, without the token; at most 4 KiB.
  case hookOutput = "hook.output"
  case instance
  case version
  /// What went wrong, without secrets.
  case error
  /// Why something was done, in words.
  case reason
  /// How many of something: failures in a row, accounts, things of one kind.
  case count
  /// The accounts that a line is about, at most five of them, when there are several.
  case accounts
  /// The accounts that are kept from now on.
  case accountsAdded = "accounts.added"
  /// The accounts that are kept no longer.
  case accountsRemoved = "accounts.removed"
  /// How many accounts a line is about.
  case accountCount = "accounts.count"
  /// How many lines of this event were not written since the last one.
  case withheld
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
  /// The condition that another one comes from.
  case cause
  /// When it is tried again.
  case nextAttemptAt = "next_attempt_at"
  /// When the key in Redis ends, or ended.
  case tokenEndsAt = "token.ends_at"
  /// What to do about it.
  case remedy
  /// Where the runbook tells more: a path of the HTTP interface.
  case help
  /// The settings that changed since they were read last, by name.
  case settingsChanged = "settings.changed"
  /// Those of them that wait for a restart.
  case settingsWaiting = "settings.restart"
  /// Everything that is wrong with the settings.
  case settingsProblems = "settings.problems"
}

extension LogKeys {
  /// What a value under the key is in JSON.
  package enum Form: Hashable, Sendable {
    case text
    case number
    case list
  }

  /// What a value under the key is in JSON, always.
  package var form: Form {
    switch self {
    case .tokenRemaining, .refreshDuration, .refreshFailures, .refreshRetryIn, .wechatCode,
      .leaderEpoch, .count, .accountCount, .withheld,
      .durationSeconds:
      .number
    case .redisSentinels, .redisNodes, .accounts, .accountsAdded, .accountsRemoved,
      .settingsChanged,
      .settingsWaiting, .settingsProblems:
      .list
    case .account, .tokenVersion, .refreshTrigger, .refreshOutcome,
      .wechatRequestID, .wechatEgress, .leader, .redisEndpoint, .redisPrimary, .redisFormerPrimary,
      .redisRunID, .redisVersion,
      .redisKey, .redisCommand, .redisConnection,
      .httpListen, .settingOrigin, .file, .hookProgram, .hookOutput, .instance, .version, .error,
      .reason, .event, .condition, .since, .subject, .observer, .cause, .nextAttemptAt,
      .tokenEndsAt, .remedy, .help:
      .text
    }
  }
}

extension Logger.Metadata {
  /// The value under one of our keys.
  package subscript(key: LogKeys) -> Logger.MetadataValue? {
    get { self[key.rawValue] }
    set {
      assert(newValue.map { $0.form == key.form } ?? true, "\(key) is a \(key.form)")
      self[key.rawValue] = newValue
    }
  }

  /// Metadata from our keys.
  package static func keyed(_ values: KeyValuePairs<LogKeys, Logger.MetadataValue>) -> Self {
    var metadata: Self = [:]
    for (key, value) in values { metadata[key] = value }
    return metadata
  }
}

extension Logger.MetadataValue {
  /// A number.
  package static func number(_ number: some BinaryInteger) -> Self {
    .stringConvertible(Int64(clamping: number))
  }

  /// Seconds to the millisecond.
  package static func seconds(_ duration: Duration) -> Self {
    .stringConvertible((duration.inSeconds * 1000).rounded() / 1000)
  }

  /// Texts, at most so many as a line has room for.
  package static func list(_ texts: some Sequence<String>) -> Self {
    .array(texts.prefix(LineLogHandler.longestList).map { .string($0) })
  }

  fileprivate var form: LogKeys.Form {
    switch self {
    case .string: .text
    case .stringConvertible(let value):
      value is any FixedWidthInteger || value is Double ? .number : .text
    case .array: .list
    case .dictionary: .text
    }
  }
}
