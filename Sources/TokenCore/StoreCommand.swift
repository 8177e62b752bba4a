/// One step of the protocol at Redis (TokenCore.md#the-algorithm): each a script or a command, each
/// safe to repeat.
package enum StoreCommand: Hashable, Sendable {
  /// Who holds the lock, and for how long still.
  case pollLock
  /// ACQUIRE: take the lock if nobody has it, and issue an epoch.
  case acquire(Term, lease: Duration, floor: Epoch)
  /// RENEW: compare, extend.
  case renew(Term, lease: Duration)
  /// RELEASE: compare, delete, announce.
  case release(Term)
  /// Read a credential's record and outputs; writes nothing.
  case look(Look)
  /// TAKEOVER: raise the account's fence to the epoch and read it.
  case takeOver(TakeOver)
  /// BEGIN: leave the intent without which nobody fetches.
  case begin(Begin)
  /// RESOLVE: the attempt is known to have minted nothing: take its intent back.
  case resolve(Resolve)
  /// COMMIT: publish a token under the fence.
  case commit(Commit)
  /// REPUBLISH: restore outputs that were damaged.
  case republish(Republish)
  /// MARK: say that a fetch may have killed the token that Redis has, so that its life is short.
  case mark(Mark)
  /// Say that this replica is alive, and read who else is.
  case heartbeat(Heartbeat)

  /// The account that the step is about; nil for the lock and the list of replicas.
  package var account: CredentialID? {
    switch self {
    case .look(let look): look.account
    case .takeOver(let takeOver): takeOver.account
    case .begin(let begin): begin.account
    case .resolve(let resolve): resolve.account
    case .commit(let commit): commit.account
    case .republish(let republish): republish.account
    case .mark(let mark): mark.account
    case .pollLock, .acquire, .renew, .release, .heartbeat: nil
    }
  }

  /// The keys that it reads or writes beside the record, in their order.
  package var outputs: [Output] {
    switch self {
    case .look(let look): look.outputs
    case .takeOver(let takeOver): takeOver.outputs
    case .begin(let begin): begin.outputs
    case .resolve(let resolve): resolve.outputs
    case .commit(let commit): commit.outputs
    case .republish(let republish): republish.outputs
    case .mark(let mark): mark.outputs
    case .pollLock, .acquire, .renew, .release, .heartbeat: []
    }
  }

  /// The same step about other keys.
  func with(_ outputs: [Output]) -> StoreCommand {
    func changed<Step>(_ step: Step, _ path: WritableKeyPath<Step, [Output]>) -> Step {
      var step = step
      step[keyPath: path] = outputs
      return step
    }
    return switch self {
    case .look(let look): .look(changed(look, \.outputs))
    case .takeOver(let takeOver): .takeOver(changed(takeOver, \.outputs))
    case .begin(let begin): .begin(changed(begin, \.outputs))
    case .resolve(let resolve): .resolve(changed(resolve, \.outputs))
    case .commit(let commit): .commit(changed(commit, \.outputs))
    case .republish(let republish): .republish(changed(republish, \.outputs))
    case .mark(let mark): .mark(changed(mark, \.outputs))
    case .pollLock, .acquire, .renew, .release, .heartbeat: self
    }
  }

  /// Which of the steps it is; the raw value is the name under which it is counted.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    case pollLock = "poll"
    case acquire, renew, release, look
    case takeOver = "takeover"
    case begin, resolve, commit, republish, mark, heartbeat
  }

  package var kind: Kind {
    switch self {
    case .pollLock: .pollLock
    case .acquire: .acquire
    case .renew: .renew
    case .release: .release
    case .look: .look
    case .takeOver: .takeOver
    case .begin: .begin
    case .resolve: .resolve
    case .commit: .commit
    case .republish: .republish
    case .mark: .mark
    case .heartbeat: .heartbeat
    }
  }

  /// What LOOK takes.
  package struct Look: Hashable, Sendable {
    package var account: CredentialID
    /// The keys that are read beside the record.
    package var outputs: [Output]

    package init(account: CredentialID, outputs: [Output]) {
      self.account = account
      self.outputs = outputs
    }
  }

  /// What TAKEOVER takes.
  package struct TakeOver: Hashable, Sendable {
    package var account: CredentialID
    package var epoch: Epoch
    /// The server that this replica sees; another one than the record's may have lost writes.
    package var runID: String?
    /// How long ago the server before this one was heard last; zero when none was.
    package var away: Duration
    /// Whether a fetch can kill the token: else nothing that happens is a doubt about it.
    package var isMortal: Bool
    /// The keys whose end follows when the stated life changes.
    package var outputs: [Output]

    package init(
      account: CredentialID, epoch: Epoch, runID: String?, away: Duration = .zero,
      isMortal: Bool = true,
      outputs: [Output]
    ) {
      self.account = account
      self.epoch = epoch
      self.runID = runID
      self.away = away
      self.outputs = outputs
      self.isMortal = isMortal
    }
  }

  /// What BEGIN takes.
  package struct Begin: Hashable, Sendable {
    package var account: CredentialID
    package var version: Version
    /// How long from now the attempt is over at the latest.
    package var span: Duration
    /// Whether the fetch kills the token before it: then the intent bounds that one's life.
    package var kills: Bool
    /// Whether this replica has seen a record of the account: then a missing one was lost.
    package var hasHistory: Bool
    /// Whether a fetch can kill the token: else nothing that happens is a doubt about it.
    package var isMortal: Bool
    /// The keys whose end follows when the stated life changes.
    package var outputs: [Output]

    package init(
      account: CredentialID, version: Version, span: Duration, kills: Bool, hasHistory: Bool,
      isMortal: Bool = true,
      outputs: [Output]
    ) {
      self.account = account
      self.version = version
      self.span = span
      self.kills = kills
      self.hasHistory = hasHistory
      self.outputs = outputs
      self.isMortal = isMortal
    }
  }

  /// What RESOLVE takes.
  package struct Resolve: Hashable, Sendable {
    package var account: CredentialID
    package var version: Version
    /// The keys whose end follows when the stated life changes.
    package var outputs: [Output]

    package init(account: CredentialID, version: Version, outputs: [Output]) {
      self.account = account
      self.version = version
      self.outputs = outputs
    }
  }

  /// What COMMIT takes.
  package struct Commit: Hashable, Sendable {
    package var account: CredentialID
    /// The epoch in which the commit is made: what is compared with the fence.
    package var fence: Epoch
    /// The epoch and number under which the token was fetched.
    package var version: Version
    package var token: AccessToken
    package var outputs: [Output]
    /// The life that WeChat stated.
    package var lifetime: Duration
    /// How much of the life had passed when the commit was issued.
    package var age: Duration
    /// Redis's time of the BEGIN that allowed the fetch; nil when it is not known.
    package var begunAt: RedisTime?
    /// The commit that BEGIN saw.
    package var parent: Version?
    /// Whether the fetch killed the token before it.
    package var kills: Bool
    /// Whether a token that was committed before is written again, since Redis lost it.
    package var isRecommit: Bool
    /// So long the token lives at least, counted from the answer, though the life that counts
    /// from when it was first seen may be over; nil where each answer states a life of its own.
    package var least: Duration?
    /// The server that the committing replica sees.
    package var runID: String?
    package var instance: InstanceID

    package init(
      account: CredentialID, fence: Epoch, version: Version, token: AccessToken, outputs: [Output],
      lifetime: Duration,
      age: Duration, begunAt: RedisTime?, parent: Version?, kills: Bool, isRecommit: Bool,
      least: Duration? = nil,
      runID: String?, instance: InstanceID
    ) {
      self.account = account
      self.fence = fence
      self.version = version
      self.token = token
      self.outputs = outputs
      self.lifetime = lifetime
      self.age = age
      self.begunAt = begunAt
      self.parent = parent
      self.kills = kills
      self.isRecommit = isRecommit
      self.runID = runID
      self.instance = instance
      self.least = least
    }
  }

  /// What REPUBLISH takes.
  package struct Republish: Hashable, Sendable {
    package var account: CredentialID
    package var fence: Epoch
    package var version: Version
    package var token: AccessToken
    package var outputs: [Output]
    package var lifetime: Duration
    /// How long from now the token's life is certain, by the replica's own clock.
    package var certain: Duration
    /// Until when it is certain by Redis's clock, which goes on while the command is on its way and
    /// while this replica's machine stands still; nil when it is not known.
    package var until: RedisTime?
    /// By how much the record may say more, since clocks differ.
    package var slack: Duration
    /// Redis's time of the BEGIN of its fetch; nil when it is not known.
    package var begunAt: RedisTime?
    /// Whether a fetch can kill the token: else nothing that happens is a doubt about it.
    package var isMortal: Bool

    package init(
      account: CredentialID, fence: Epoch, version: Version, token: AccessToken, outputs: [Output],
      lifetime: Duration,
      certain: Duration, until: RedisTime?, slack: Duration, begunAt: RedisTime?,
      isMortal: Bool = true
    ) {
      self.account = account
      self.fence = fence
      self.version = version
      self.token = token
      self.outputs = outputs
      self.lifetime = lifetime
      self.certain = certain
      self.until = until
      self.slack = slack
      self.begunAt = begunAt
      self.isMortal = isMortal
    }
  }

  /// What MARK takes.
  package struct Mark: Hashable, Sendable {
    package var account: CredentialID
    package var version: Version
    /// How long ago its BEGIN was sent, by the marker's own clock.
    package var age: Duration
    /// Redis's time of that BEGIN; nil when it is not known.
    package var begunAt: RedisTime?
    /// How long its outcome has been known; nil while it is not.
    package var knownFor: Duration?
    /// The keys whose end follows when the stated life changes.
    package var outputs: [Output]

    package init(
      account: CredentialID, version: Version, age: Duration, begunAt: RedisTime?,
      knownFor: Duration?, outputs: [Output]
    ) {
      self.account = account
      self.version = version
      self.age = age
      self.begunAt = begunAt
      self.knownFor = knownFor
      self.outputs = outputs
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
