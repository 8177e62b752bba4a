/// One step of the protocol at Redis (PROTOCOL section 3): each a script or a command, each safe
/// to repeat.
package enum StoreCommand: Hashable, Sendable {
  /// Who holds the lock, and for how long still.
  case pollLock
  /// ACQUIRE: take the lock if nobody has it, and issue an epoch.
  case acquire(Term, lease: Duration, floor: Epoch)
  /// RENEW: compare, extend.
  case renew(Term, lease: Duration)
  /// RELEASE: compare, delete, announce.
  case release(Term)
  /// Read an account's state, token and expiry; writes nothing.
  case look(AccountName)
  /// TAKEOVER: raise the account's fence to the epoch and read it.
  case takeOver(AccountName, Epoch)
  /// BEGIN: leave the intent without which nobody fetches.
  case begin(Begin)
  /// The attempt is known to have minted nothing: take its intent back.
  case resolve(AccountName, Version)
  /// COMMIT: publish a token under the fence.
  case commit(Commit)
  /// REPUBLISH: restore outputs that were damaged.
  case republish(Republish)
  /// MARK: say that a fetch outside the order happened, so that the leader fetches again.
  case mark(Mark)
  /// Say that this replica is alive, and read who else is.
  case heartbeat(Heartbeat)

  /// The account that the step is about; nil for the lock and the list of replicas.
  package var account: AccountName? {
    switch self {
    case .look(let name), .takeOver(let name, _), .resolve(let name, _): name
    case .begin(let begin): begin.account
    case .commit(let commit): commit.account
    case .republish(let republish): republish.account
    case .mark(let mark): mark.account
    case .pollLock, .acquire, .renew, .release, .heartbeat: nil
    }
  }

  /// What BEGIN takes.
  package struct Begin: Hashable, Sendable {
    package var account: AccountName
    package var version: Version
    /// How long from now the attempt is over at the latest.
    package var span: Duration
    /// Whether this replica has seen an epoch before: then a missing record means a wipe.
    package var hasHistory: Bool
    /// Whether Redis may have lost the trace of a fetch that may still arrive: sweep afterwards.
    package var isSuspicious: Bool

    package init(
      account: AccountName, version: Version, span: Duration, hasHistory: Bool, isSuspicious: Bool
    ) {
      self.account = account
      self.version = version
      self.span = span
      self.hasHistory = hasHistory
      self.isSuspicious = isSuspicious
    }
  }

  /// What COMMIT takes.
  package struct Commit: Hashable, Sendable {
    package var account: AccountName
    /// The epoch in which the commit is made: what is compared with the fence.
    package var fence: Epoch
    /// The epoch and number under which the token was fetched.
    package var version: Version
    package var outputs: [Output]
    /// The life that WeChat stated.
    package var lifetime: Duration
    /// How much of the life had passed when the commit was issued.
    package var age: Duration
    /// The dirty mark that BEGIN returned: cleared only if it is still that one.
    package var dirty: DirtyMark?
    /// The commit that BEGIN saw.
    package var parent: Version?
    /// The sweep that the fetch settles: cleared only if it is still that one.
    package var sweep: RedisTime?
    /// Whether a token that was committed before is written again (rule 4).
    package var isRecommit: Bool
    /// The server that the committing replica sees.
    package var runID: String?
    package var instance: InstanceID

    package init(
      account: AccountName, fence: Epoch, version: Version, outputs: [Output], lifetime: Duration,
      age: Duration, dirty: DirtyMark?, parent: Version?, sweep: RedisTime?, isRecommit: Bool,
      runID: String?, instance: InstanceID
    ) {
      self.account = account
      self.fence = fence
      self.version = version
      self.outputs = outputs
      self.lifetime = lifetime
      self.age = age
      self.dirty = dirty
      self.parent = parent
      self.sweep = sweep
      self.isRecommit = isRecommit
      self.runID = runID
      self.instance = instance
    }
  }

  /// What REPUBLISH takes.
  package struct Republish: Hashable, Sendable {
    package var account: AccountName
    package var fence: Epoch
    package var version: Version
    package var outputs: [Output]
    package var lifetime: Duration
    /// The token's life that is left by the replica's own clock.
    package var remaining: Duration

    package init(
      account: AccountName, fence: Epoch, version: Version, outputs: [Output], lifetime: Duration,
      remaining: Duration
    ) {
      self.account = account
      self.fence = fence
      self.version = version
      self.outputs = outputs
      self.lifetime = lifetime
      self.remaining = remaining
    }
  }

  /// What MARK takes.
  package struct Mark: Hashable, Sendable {
    package var account: AccountName
    /// Which debt this pays: Redis carries out each once, however often it is sent.
    package var debt: DebtID
    package var version: Version
    /// Whether the fetch's outcome is unknown: then a straggler may still come, and a sweep is set.
    package var isUnknown: Bool

    package init(
      account: AccountName, debt: DebtID, version: Version, isUnknown: Bool
    ) {
      self.account = account
      self.debt = debt
      self.version = version
      self.isUnknown = isUnknown
    }
  }

  /// What a replica says of itself.
  package struct Heartbeat: Hashable, Sendable {
    package var instance: InstanceID
    package var isLeader: Bool
    /// Whether leadership is being given up right now.
    package var abdicates: Bool
    /// Tells this process from another one of the same name.
    package var life: UInt64

    package init(
      instance: InstanceID, isLeader: Bool, abdicates: Bool, life: UInt64 = 0
    ) {
      self.instance = instance
      self.isLeader = isLeader
      self.abdicates = abdicates
      self.life = life
    }
  }
}

/// The idempotency key of a mark that is owed.
///
/// A mark whose answer is lost is sent again, perhaps for long; were each carried out, each would
/// cost a fetch (39 in 80 s, simulated).
package struct DebtID: Hashable, Sendable, CustomStringConvertible {
  /// Drawn once by each process, so that a restarted one does not repeat its predecessor's ids.
  package let life: UInt64
  /// Counts the debts of this life, for each account.
  package let number: Int64

  package init(life: UInt64, number: Int64) {
    self.life = life
    self.number = number
  }

  package var description: String { String(life, radix: 16) + "-\(number)" }
}

/// A mark that the account's token is not to be trusted, as Redis holds it: `epoch.seq@ms`.
///
/// Compared whole: who settles an earlier mark does not settle this one.
package struct DirtyMark: Hashable, Sendable, CustomStringConvertible {
  package let description: String

  package init(_ text: String) { description = text }

  package init(_ version: Version, at time: RedisTime) { self.init("\(version)@\(time)") }

  /// When it was left, by Redis's clock; nil when somebody else wrote it.
  package var markedAt: RedisTime? {
    guard let sign = description.lastIndex(of: "@"),
      let milliseconds = Int64(description[description.index(after: sign)...])
    else { return nil }
    return RedisTime(milliseconds: milliseconds)
  }

  /// The epoch of the fetch that it is about; nil when somebody else wrote it, or what no epoch is.
  package var epoch: Epoch? {
    guard let dot = description.firstIndex(of: "."), let epoch = Int64(description[..<dot]),
      (1..<Epoch.limit).contains(epoch)
    else { return nil }
    return Epoch(epoch)
  }
}

/// One key that a commit writes.
package struct Output: Hashable, Sendable {
  /// Which key, by its role; the layout of names is the store's.
  package enum Key: String, Hashable, Sendable {
    case accessToken
    case expiresIn
  }

  /// How the value comes about.
  package enum Format: Hashable, Sendable {
    /// The token itself.
    case token(AccessToken)
    /// The Unix second at which clients stop trusting it: real expiry less the margin.
    case clientExpiry(margin: Duration)
  }

  package var key: Key
  package var format: Format

  package init(key: Key, format: Format) {
    self.key = key
    self.format = format
  }
}

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
  case committed
  /// The fence is above ours, but our token was published in its turn.
  case superseded(Epoch)
  /// The fence is above ours, and the account was marked dirty; with the mark that stands now.
  case deposed(Epoch, DirtyMark?)
  case republished(wrote: Bool)
  /// The debt is paid, now or earlier; with the mark that stands now. To a MARK of what was
  /// committed the answer is `committed`.
  case marked(DirtyMark?)
  case replicas([Replica], now: RedisTime)
}

/// What BEGIN returned.
package struct BeginReceipt: Hashable, Sendable {
  package var dirty: DirtyMark?
  package var committed: Version?
  /// The sweep that is recorded, after what this BEGIN added to it.
  package var sweep: RedisTime?
  /// How many fetches were allowed today, this one included.
  package var fetchesToday: Int
  /// Redis's time of the BEGIN.
  package var now: RedisTime

  package init(
    dirty: DirtyMark?, committed: Version?, sweep: RedisTime?, fetchesToday: Int = 0,
    now: RedisTime
  ) {
    self.dirty = dirty
    self.committed = committed
    self.sweep = sweep
    self.fetchesToday = fetchesToday
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

  package init(
    instance: InstanceID, isLeader: Bool, seenAt: RedisTime, abdicatedAt: RedisTime?,
    life: UInt64? = nil
  ) {
    self.instance = instance
    self.isLeader = isLeader
    self.seenAt = seenAt
    self.abdicatedAt = abdicatedAt
    self.life = life
  }
}

/// An account as Redis shows it in one atomic look.
package struct AccountView: Hashable, Sendable {
  /// Redis's time of the look.
  package var now: RedisTime
  /// The highest epoch that took the account over.
  package var fence: Epoch = .none
  package var committed: Version?
  package var parent: Version?
  package var intent: Intent?
  package var dirty: DirtyMark?
  /// When what may still arrive at WeChat is over, by Redis's clock; another value with every
  /// request for one, so that a later request is never taken for an earlier one.
  package var sweep: RedisTime?
  /// The server that the last commit saw.
  package var runID: String?
  /// The committed token's real expiry and life.
  package var expiresAt: RedisTime?
  package var lifetime: Duration?
  /// Who fetched the committed token.
  package var fetchedBy: String?
  /// The published token and what its key has left; no remaining life when it has no TTL.
  package var token: AccessToken?
  package var tokenRemaining: Duration?
  /// Whether the published token is the one that was committed.
  package var tokenMatchesRecord = false
  package var clientExpiry: Int64?
  package var clientExpiryRemaining: Duration?

  package init(now: RedisTime) { self.now = now }

  /// When the committed token was asked for; earlier when its life was cut short since.
  package var fetchedAt: RedisTime? {
    guard committed != nil, let expiresAt, let lifetime else { return nil }
    return expiresAt - lifetime
  }

  /// What the published token has left: by its key, and not more than the record allows.
  package var remaining: Duration? {
    guard token != nil else { return nil }
    return switch (tokenRemaining, expiresAt.map { $0 - now }) {
    case (let key?, let record?): min(key, record)
    case (let key?, nil): key
    case (nil, let record?): record
    case (nil, nil): nil
    }
  }
}

/// The trace of a fetch that was allowed and is not resolved.
package struct Intent: Hashable, Sendable {
  package var version: Version
  package var at: RedisTime
  /// When the attempt is over at the latest.
  package var deadline: RedisTime

  package init(version: Version, at: RedisTime, deadline: RedisTime) {
    self.version = version
    self.at = at
    self.deadline = deadline
  }
}

/// Why a step at Redis brought no answer to act on.
package struct StoreFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// Whether the step may have been carried out all the same.
  package var mayHaveRun: Bool
  /// What happened, fit for a log.
  package var reason: String
  /// Whether people must act: a right is missing, a password is wrong, a key has another type.
  package var needsOperator: Bool

  package init(mayHaveRun: Bool, reason: String, needsOperator: Bool = false) {
    self.mayHaveRun = mayHaveRun
    self.reason = reason
    self.needsOperator = needsOperator
  }

  /// Redis answered, and not to this step.
  static let strangeAnswer = StoreFailure(
    mayHaveRun: true, reason: "Redis gave an answer that this step does not have")

  package var description: String { reason }
}
