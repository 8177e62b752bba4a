package import TokenCore

/// Something that is wrong, or will be soon: what every surface shows, and nothing else decides.
///
/// A value in the core's terms, without secrets. Its words are in `Condition+Words.swift`, and what
/// to do about it in the runbook, under its kind's name.
package struct Condition: Hashable, Sendable {
  /// What is wrong; the raw value is its stable name in logs, metrics, `/v1/status` and runbook.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// Redis has no live token of the account.
    case noToken = "no_token"
    /// Clients trust the token no longer, and it is about to end.
    case tokenLapsing = "token_lapsing"
    /// The token was alive, and was not seen in Redis lately.
    case tokenUnseen = "token_unseen"
    /// WeChat gives no token.
    case refreshFailing = "refresh_failing"
    /// A limit holds up a report that the token is dead.
    case reportHeld = "report_held"
    /// Somebody else fetches tokens of the account.
    case foreignRefresh = "foreign_refresh"
    /// The keys are another AppID's.
    case foreignApp = "foreign_app"
    /// A newer version wrote the records.
    case newerLayout = "newer_layout"
    /// Nobody leads.
    case noLeader = "no_leader"
    /// The lock has no time limit, and no replica took it.
    case lockEndless = "lock_endless"
    /// Two live replicas have one name.
    case sharedName = "shared_name"
    /// A replica said lately that it lives, and says so no longer.
    case replicaSilent = "replica_silent"
    /// The leader keeps other accounts than this replica.
    case accountsDiffer = "accounts_differ"
    /// Redis cannot be reached.
    case redisAway = "redis_away"
    /// No sentinel says where the primary is.
    case primaryUnknown = "primary_unknown"
    /// Of a cluster, nobody serves a slot, or it was left half-way between two nodes.
    case slotsUnserved = "slots_unserved"
    /// Redis refuses user or password.
    case redisLogin = "redis_login"
    /// Redis takes no writes: a replica, too few replicas, a disk that is full.
    case redisWrites = "redis_writes"
    /// Redis's memory is used up.
    case redisMemory = "redis_memory"
    /// The ACL forbids what the daemon needs.
    case redisPermission = "redis_permission"
    /// A key holds another type.
    case redisKeyType = "redis_key_type"
    /// Redis runs no scripts.
    case redisScripts = "redis_scripts"
    /// The ACL forbids a key that is written for other software.
    case outputForbidden = "output_forbidden"
    /// A key in another slot than the token cannot be read or written.
    case outputUnreached = "output_unreached"
    /// Steps at Redis fail in another way.
    case redisStep = "redis_step"
    /// One of the connections to Redis is missed, though Redis answers on another one.
    case connectionLame = "connection_lame"
    /// The keeper's loop does nothing.
    case loopStalled = "loop_stalled"
    /// This machine's clock and WeChat's differ.
    case clockOff = "clock_off"
    /// A secret's file cannot be used; its last good value is.
    case secretUnusable = "secret_unusable"
    /// Files of certificates cannot be used: the HTTP interface's, those of Redis's connections, or
    /// of WeChat's authorities.
    case certificateUnusable = "certificate_unusable"
    /// The settings changed and could not be read again.
    case settingsStale = "settings_stale"
    /// A file with a token cannot be written.
    case fileUnwritten = "file_unwritten"
    /// A program that takes tokens fails.
    case hookFailing = "hook_failing"
  }

  /// How bad it is, mildest first.
  package enum Severity: String, Hashable, Sendable, CaseIterable, Comparable {
    /// Worth knowing.
    case notice
    /// Degraded; applications notice nothing yet.
    case warning
    /// Somebody has to act before applications are without a token.
    case error
    /// Applications are without a token, or will be within moments.
    case critical

    package static func < (a: Severity, b: Severity) -> Bool { a.rank < b.rank }

    /// From 0, for comparisons.
    package var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
  }

  /// What is known of it beside its kind.
  ///
  /// All text is fit for logs and pages.
  package struct Facts: Hashable, Sendable {
    /// WeChat's `errcode`.
    package var code: Int?
    /// What happened, in the words of who met it; at most `longestReason` bytes.
    package var reason: String?
    /// WeChat's request id of the last answer.
    package var requestID: String?
    /// The address that WeChat saw us come from.
    package var address: String?
    /// How many times in a row, or lately.
    package var count: Int?
    /// When the last of these was.
    package var lastAt: Timestamp?
    /// When it is tried again.
    package var nextAt: Timestamp?
    /// When the key in Redis ends, or ended.
    package var endsAt: Timestamp?
    /// The replica that it is about.
    package var instance: String?
    /// The connection, file or key that it is about.
    package var subject: String?
    /// Which condition it comes from.
    package var cause: Kind?
    /// What WeChat was asked for: what its errcode means differs by that.
    package var question = Question.token

    package init() {}

    /// Longer reasons are cut: a whole heartbeat of them must stay small.
    static let longestReason = 240
  }

  /// What makes two sights the same condition.
  package struct Identity: Hashable, Sendable, Comparable {
    package let kind: Kind
    package let account: CredentialID?
    package let subject: String?

    package static func < (a: Identity, b: Identity) -> Bool {
      if a.kind != b.kind { return a.kind.rawValue < b.kind.rawValue }
      if a.account != b.account {
        guard let mine = a.account, let other = b.account else { return a.account == nil }
        return mine < other
      }
      return (a.subject ?? "") < (b.subject ?? "")
    }
  }

  package var kind: Kind
  package var severity: Severity
  /// The account that it is about; nil for the whole replica.
  package var account: CredentialID?
  /// Since when, by the wall clock.
  package var since: Timestamp
  package var facts: Facts
  /// The replica that saw it, when this one knows it only from that one's heartbeat.
  package var observer: String?
  /// Whether it is so young that it may be over by itself: not told yet.
  package var isPending = false

  package init(
    _ kind: Kind, _ severity: Severity, account: CredentialID? = nil, since: Timestamp,
    facts: Facts = Facts(), observer: String? = nil
  ) {
    self.kind = kind
    self.severity = severity
    self.account = account
    self.since = since
    self.facts = facts
    self.observer = observer
  }

  package var identity: Identity {
    Identity(kind: kind, account: account, subject: facts.subject ?? facts.instance)
  }

  /// Whether nobody should read tokens of the account here while it is so (`/readyz`).
  package var preventsReading: Bool {
    switch kind {
    // Without scripts nobody can lead here, whatever others publish for now.
    case .noToken, .tokenUnseen, .foreignApp, .newerLayout, .redisScripts: true
    // Of an account: the leader lets its token end.
    case .accountsDiffer: account != nil
    case .tokenLapsing, .refreshFailing, .reportHeld, .foreignRefresh, .noLeader, .lockEndless,
      .sharedName, .replicaSilent, .redisAway, .primaryUnknown, .slotsUnserved, .redisLogin,
      .redisWrites, .redisMemory, .redisPermission, .redisKeyType, .outputForbidden,
      .outputUnreached, .redisStep, .connectionLame, .loopStalled, .clockOff, .secretUnusable,
      .certificateUnusable, .settingsStale, .fileUnwritten, .hookFailing:
      false
    }
  }

  /// Whether no account gets tokens while it is so: then it may be why one has none.
  var stopsFetches: Bool {
    switch kind {
    case .foreignApp, .newerLayout, .noLeader, .lockEndless, .redisAway, .slotsUnserved,
      .redisLogin, .redisWrites, .redisMemory, .redisPermission, .redisKeyType, .redisScripts,
      .redisStep, .loopStalled:
      true
    // Connections that stand go on.
    case .primaryUnknown: severity >= .error
    case .noToken, .tokenLapsing, .tokenUnseen, .refreshFailing, .reportHeld, .foreignRefresh,
      .sharedName, .replicaSilent, .accountsDiffer, .outputForbidden, .outputUnreached,
      .connectionLame, .clockOff,
      .secretUnusable, .certificateUnusable, .settingsStale, .fileUnwritten, .hookFailing:
      false
    }
  }

  /// Worst first, then the oldest, then by name: the order in which people are told.
  package static func isTold(_ a: Condition, before b: Condition) -> Bool {
    if a.severity != b.severity { return a.severity > b.severity }
    // What applications miss comes before what explains it.
    if (a.kind == .noToken) != (b.kind == .noToken) { return a.kind == .noToken }
    if a.since.second != b.since.second { return a.since < b.since }
    return a.identity < b.identity
  }
}

extension Condition.Kind {
  /// Whether it is about what the leader itself does, and is over with its lead.
  var isOfLead: Bool { self == .refreshFailing || self == .reportHeld }

  /// Whether only the leader can know it, so that others take its word.
  var isLeadersToTell: Bool {
    switch self {
    // Who does not lead reads only the key that applications read.
    case .refreshFailing, .reportHeld, .foreignRefresh, .clockOff, .hookFailing, .outputForbidden,
      .outputUnreached:
      true
    case .noToken, .tokenLapsing, .tokenUnseen, .foreignApp, .newerLayout, .noLeader, .lockEndless,
      .sharedName, .replicaSilent, .accountsDiffer, .redisAway, .primaryUnknown, .slotsUnserved,
      .redisLogin, .redisWrites, .redisMemory, .redisPermission, .redisKeyType, .redisScripts,
      .redisStep, .connectionLame, .loopStalled, .secretUnusable, .certificateUnusable,
      .settingsStale, .fileUnwritten:
      false
    }
  }
}
