/// What Redis answered to a step.
package enum StoreReply: Hashable, Sendable {
  case lock(holder: String?, remaining: Duration?)
  case acquired(Epoch)
  case held(holder: String, remaining: Duration)
  case renewed
  /// The lock is not ours (any more).
  case lost
  case released
  case account(AccountView)
  /// A higher epoch has the account; ours is over.
  case fenced(Epoch)
  /// The keys belong to another AppID, whose lock is held or whose token lives this long still.
  case foreignApp(remaining: Duration?)
  /// A newer version of this program wrote the state.
  case newerLayout(Int)
  case began(BeginReceipt)
  /// BEGIN or COMMIT came after a commit of this or a later version.
  case stale(committed: Version)
  case resolved
  /// The token is published; whether nothing is left that may have killed it.
  case committed(isCertain: Bool)
  /// The fence is above ours, but our token was published in its turn.
  case superseded(Epoch)
  /// The fence is above ours, and the life of what Redis has is cut short.
  case deposed(Epoch)
  case republished(wrote: Bool)
  /// The fetch is part of the doubt now.
  case marked
  /// The fetch that a MARK is about was committed in its turn.
  case inOrder
  /// What Redis has was fetched after all that a MARK is about was over.
  case settled
  case replicas([Replica], now: RedisTime)
}

/// What BEGIN returned.
package struct BeginReceipt: Hashable, Sendable {
  package var committed: Version?
  /// How many fetches were allowed today, this one included.
  package var fetchesToday: Int
  /// Redis's time of the first BEGIN of this version.
  package var at: RedisTime
  /// Redis's time of this answer.
  package var now: RedisTime

  package init(committed: Version?, fetchesToday: Int = 0, at: RedisTime, now: RedisTime) {
    self.committed = committed
    self.fetchesToday = fetchesToday
    self.at = at
    self.now = now
  }
}

/// Another replica, as the list of replicas shows it.
package struct Replica: Hashable, Sendable {
  package var instance: InstanceID
  package var isLeader: Bool
  package var seenAt: RedisTime
  package var abdicatedAt: RedisTime?
  /// Tells processes of one name apart; nil of a version that does not say it.
  package var life: UInt64?
  /// What it tells people about itself; nothing is decided by it.
  package var said: String?

  package init(
    instance: InstanceID, isLeader: Bool, seenAt: RedisTime, abdicatedAt: RedisTime?,
    life: UInt64? = nil, said: String? = nil
  ) {
    self.instance = instance
    self.isLeader = isLeader
    self.seenAt = seenAt
    self.abdicatedAt = abdicatedAt
    self.life = life
    self.said = said
  }
}

/// An account as Redis shows it in one atomic look.
package struct AccountView: Hashable, Sendable {
  /// Redis's time of the look.
  package var now: RedisTime
  /// The highest epoch that took the account over.
  package var fence: Epoch = .none
  package var committed: Version?
  package var intent: Intent?
  package var doubt: Doubt?
  /// The server that the record was last led at.
  package var runID: String?
  /// The server that answered, where it says so: one of several in a cluster.
  package var server: String?
  /// When the committed token's fetch began.
  package var fetchedAt: RedisTime?
  /// When the committed token's life ends, as WeChat stated it, and how long that life is.
  package var expiresAt: RedisTime?
  package var lifetime: Duration?
  /// Who fetched the committed token.
  package var fetchedBy: String?
  /// The published token and what its key has left; no remaining life when it has no TTL.
  package var token: AccessToken?
  package var tokenRemaining: Duration?
  /// Whether the published token is the one that was committed.
  package var tokenMatchesRecord = false
  /// What the outputs after it hold, in their order.
  package var others: [HeldOutput] = []

  package init(now: RedisTime) { self.now = now }

  /// Until when the committed token certainly lives: what both keys should state.
  package var statedEnd: RedisTime? {
    guard committed != nil, var end = expiresAt else { return nil }
    if let doubt { end = min(end, doubt.first + Timing.certain) }
    if let intent, intent.kills { end = min(end, intent.at + Timing.certain) }
    return end
  }
}

/// What a key holds that is not the credential's own.
package struct HeldOutput: Hashable, Sendable {
  /// Nil when there is no such key, or one of another type.
  package var text: String?
  /// Nil when the key has no TTL, or is not there.
  package var remaining: Duration?

  /// Whether the key could be read; what could not is not known to be wrong.
  package var isRead = true

  package init(text: String?, remaining: Duration?) {
    self.text = text
    self.remaining = remaining
  }

  /// A key that could not be read.
  package static let unread = {
    var held = HeldOutput(text: nil, remaining: nil)
    held.isRead = false
    return held
  }()
}

/// What may have killed the committed token, or may yet: between which moments that was begun or
/// processed, by Redis's clock.
package struct Doubt: Hashable, Sendable {
  /// The token cannot have been killed by any of it before this, less the time that WeChat keeps
  /// an old token alive.
  package var first: RedisTime
  /// The last of it was begun at this moment, or was known to be over.
  package var last: RedisTime

  package init(first: RedisTime, last: RedisTime) {
    self.first = first
    self.last = last
  }

  /// This doubt and another one together.
  package func joined(with other: Doubt?) -> Doubt {
    guard let other else { return self }
    return Doubt(first: min(first, other.first), last: max(last, other.last))
  }
}

/// The trace of a fetch that was allowed and is not resolved.
package struct Intent: Hashable, Sendable {
  package var version: Version
  package var at: RedisTime
  /// Whether the fetch kills the token before it.
  package var kills: Bool

  package init(version: Version, at: RedisTime, kills: Bool) {
    self.version = version
    self.at = at
    self.kills = kills
  }
}

/// Why a step at Redis brought no answer to act on.
package struct StoreFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of trouble it is, for people.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// No answer came: a connection, a deadline.
    case transport
    /// No connection to whom it was for: the user or the password is refused.
    case login
    /// The ACL forbids a command or a key, or the login is not accepted any more.
    case permission
    /// `maxmemory` is reached.
    case memory
    /// Writes are not taken: a replica, too few replicas, a disk that is full.
    case writes
    /// A key holds another type.
    case type
    /// Redis runs no scripts, without which nobody can lead.
    case scripts
    /// The step's keys are in several slots of a cluster.
    case slots
    case other
  }

  /// Whether the step may have been carried out all the same.
  package var mayHaveRun: Bool
  /// What happened, fit for a log.
  package var reason: String
  /// Whether people must act: a right is missing, a password is wrong, a key has another type.
  package var needsOperator: Bool
  package var kind: Kind

  package init(
    mayHaveRun: Bool, reason: String, needsOperator: Bool = false, kind: Kind = .transport
  ) {
    self.mayHaveRun = mayHaveRun
    self.reason = reason
    self.needsOperator = needsOperator
    self.kind = kind
  }

  /// Nothing answered in time, not even with a failure.
  package static let unanswered = StoreFailure(
    mayHaveRun: true, reason: "a step at Redis ended without any answer")
  /// Redis answered, and not to this step.
  static let strangeAnswer = StoreFailure(
    mayHaveRun: true, reason: "Redis gave an answer that this step does not have", kind: .other)

  package var description: String { reason }
}
