/// One account's token, as one replica keeps it: when to look, to fetch, to repair, to warn.
///
/// A value that decides; it sends nothing. At most one step at Redis is under way for an account,
/// apart from a mark that is owed, so that an answer can always be told from a late one; a step
/// without an answer by its deadline counts as failed.
package struct AccountKeeper: Sendable {
  /// A step at Redis: to be sent, or sent and not answered.
  package enum Step: Hashable, Sendable {
    case due(Moment)
    case sent(Moment)
  }

  /// What this replica is doing for the account.
  package enum Phase: Hashable, Sendable {
    /// Another replica leads; the token is read. Can become: takingOver.
    case following(Step)
    /// Newly elected; TAKEOVER raises the fence. Can become: holding, following.
    case takingOver(Step)
    /// Leading, with nothing under way. Can become: looking, beginning, following.
    case holding
    /// Leading, reading what Redis has. Can become: holding, takingOver, republishing,
    /// recommitting, following.
    case looking(sentAt: Moment)
    /// Restoring damaged keys. Can become: holding, following.
    case republishing(Step)
    /// Committing again what Redis lost. Can become: holding, following.
    case recommitting(Step)
    /// BEGIN leaves the intent. Can become: ready, fetching, resolving, following.
    case beginning(Attempt, Step)
    /// BEGIN is confirmed and the lease too short for a fetch. Can become: fetching, resolving,
    /// following.
    case ready(Attempt)
    /// WeChat is asked. Can become: committing, resolving, holding, following.
    case fetching(Attempt)
    /// The new token is being published. Can become: holding, following.
    case committing(Attempt, FetchedToken, Step)
    /// Nothing was minted, and the intent is taken back. Can become: holding, following.
    case resolving(Attempt, Step)
  }

  /// One permitted fetch.
  package struct Attempt: Hashable, Sendable {
    package let version: Version
    package let trigger: Trigger
    /// When its first BEGIN was sent.
    package let firstBeganAt: Moment
    /// When the BEGIN that was sent last was.
    package internal(set) var beganAt: Moment
    /// What BEGIN returned.
    package internal(set) var receipt: BeginReceipt?
    /// When WeChat was asked.
    package internal(set) var askedAt: Moment?
  }

  /// A token that this replica published, and what a MARK would say of it.
  struct LastCommit: Hashable, Sendable {
    let version: Version
    let beganAt: Moment
    let begunAt: RedisTime?
    let committedAt: Moment
    /// When the token's life ends.
    let endsAt: Moment
  }

  /// A fetch that is wanted, and not before when.
  package struct Wanted: Hashable, Sendable {
    package internal(set) var trigger: Trigger
    package internal(set) var notBefore: Moment
    /// Whether it waits because WeChat refused, and not for somebody's fetch to be over.
    package internal(set) var isBackoff = false
  }

  /// The failures since the last good answer.
  package struct Failures: Hashable, Sendable {
    package internal(set) var inARow = 0
    package internal(set) var transportInARow = 0
    package internal(set) var last: FetchFailure?
    /// When the first and the last of them came, for people.
    package internal(set) var since: Moment?
    package internal(set) var lastAt: Moment?
    /// The token that was published then: another one since means that somebody has succeeded.
    package internal(set) var published: Version?
  }

  /// What the keeper does about a change.
  enum Outcome: Hashable, Sendable {
    case send(StoreCommand)
    case fetch(FetchOrder)
    /// What is not yet written to WeChat is not to be written any more.
    case cancelFetch(Version)
    case probe(ProbeOrder)
    case renewLease
    case saw(Epoch)
    case stepDown(StepDownReason)
    case note(Note)
    /// The account's record is one that this replica may work with.
    case recordIsOurs
    /// Redis's record of this account is not ours to write.
    case refused(StepDownReason)
    /// WeChat cannot be reached from here, or refuses this address.
    case unreachable
  }

  /// What leading means to an account.
  struct Lead: Hashable, Sendable {
    let epoch: Epoch
    let validUntil: Moment
    /// How often Redis is looked at: with every renewal, or, of very many accounts, every tick.
    let lookEvery: Duration
  }

  package let name: AccountName
  package internal(set) var phase: Phase
  package internal(set) var copy: Copy?
  /// The tokens that this replica has, or had lately.
  var handedOut = HandedOut()
  package internal(set) var wanted: Wanted?
  /// The marks that are owed until Redis acknowledges them.
  package internal(set) var debts: [Debt] = []
  /// What was published last.
  var lastCommit: LastCommit?
  /// What a server has acknowledged: said again where the record does not know of it, as that one
  /// may be a demoted primary, or lose its data.
  var acknowledged: [Acknowledged] = []
  /// Calls that were under way when leadership ended: their outcome is still to come.
  var abandoned: [Attempt] = []
  /// Whether a fetch is due and waits until other accounts' fetches are over.
  var isQueued = false
  /// What Redis states of the token that it has.
  package internal(set) var stated: Stated?
  /// Whether a record of the account was ever seen.
  var hasHistory = false
  package internal(set) var failures = Failures()
  /// What was asked for by those who say that the token is dead.
  package internal(set) var reports: ReportLedger
  var prober: Prober
  /// What WeChat told of its daily limit, and how many fetches Redis counted today.
  var dailyLimit: Int?
  var fetchesToday = 0
  /// When tokens of this account were found dead before their time.
  package internal(set) var earlyDeaths: [Moment] = []
  /// The token that WeChat was last found to refuse before its time.
  var provedDead: Version?
  /// Who fetched the token that Redis has, as its record says.
  package internal(set) var fetchedBy: String?
  /// When the next look is due while leading.
  var lookAt: Moment = .origin
  var lastFetchAt: Moment?
  var sequence: Int64 = 0
  /// Whether Redis's record was not ours to write when it was last read.
  package internal(set) var isRefused = false
  /// The attempts of this lead whose outcome nobody knows, as one debt.
  var unresolved: Debt?
  /// Whether Redis is to be read although the reason for it is not yet old.
  var isHinted = false
  var storeFailures = 0

  let instance: InstanceID
  let timing: Timing
  let margins: Margins
  let credential: Credential

  init(
    name: AccountName, instance: InstanceID, timing: Timing, margins: Margins,
    credential: Credential
  ) {
    self.name = name
    self.instance = instance
    self.timing = timing
    self.margins = margins
    self.credential = credential
    reports = ReportLedger(limits: credential.repeats ? .stableToken : .token)
    prober = Prober(interval: credential.probe, patience: timing.apiTimeout + Timing.slack)
    phase = .following(.due(.origin))
  }

  // MARK: What others read

  /// When the leader refreshes the token it has.
  package var refreshAt: Moment? {
    guard let copy else { return nil }
    let margin = margins.refresh(lifetime: copy.lifetime)
    guard let stated, stated.version == copy.version else { return copy.expiresAt - margin }
    return min(stated.refreshAt(margin: margin), copy.expiresAt - margin)
  }

  /// When the life ends that Redis states of the copy, as far as it is known.
  package var statedEnd: Moment? {
    copy.map { copy in
      guard let stated, stated.version == copy.version else { return copy.expiresAt }
      return min(stated.end, copy.expiresAt)
    }
  }

  /// What is left of that life; zero when nothing is.
  package func statedRemaining(at now: Moment) -> Duration {
    max((statedEnd ?? now) - now, .zero)
  }

  /// The newest token that this replica can vouch for: also one that is not yet published.
  ///
  /// - Parameter nobodyFetches: whether nobody can have fetched since Redis was last read.
  package func freshest(at now: Moment, nobodyFetches: Bool = false) -> (
    token: AccessToken, expiresAt: Moment, lifetime: Duration
  )? {
    if case .committing(_, let fetched, _) = phase {
      let end = fetched.sentAt + fetched.lifetime
      return end > now ? (fetched.token, end, fetched.lifetime) : nil
    }
    guard let copy, let statedEnd, statedEnd > now, nobodyFetches || copy.certainEnd > now else {
      return nil
    }
    return (copy.token, statedEnd, copy.lifetime)
  }

  /// Whether the token is the account's: the published one, or one about to be.
  func knows(_ token: AccessToken) -> Bool {
    if case .committing(_, let fetched, _) = phase, fetched.token == token { return true }
    return copy?.token == token
  }

  /// Whether another token is on its way or asked for: it serves whoever asks for one now, too.
  package var isAnotherTokenDue: Bool {
    if reports.asked != nil { return true }
    return switch phase {
    case .beginning(let attempt, _), .ready(let attempt), .fetching(let attempt),
      .committing(let attempt, _, _):
      bringsAnother(attempt.trigger)
    case .following, .takingOver, .holding, .looking, .republishing, .recommitting, .resolving:
      wanted.map { bringsAnother($0.trigger) } ?? false
    }
  }

  /// The fetch that is under way, from its BEGIN to its COMMIT or RESOLVE.
  var attempt: Attempt? {
    switch phase {
    case .beginning(let attempt, _), .ready(let attempt), .fetching(let attempt),
      .committing(let attempt, _, _), .resolving(let attempt, _):
      attempt
    case .following, .takingOver, .holding, .looking, .republishing, .recommitting: nil
    }
  }

  /// Whether a fetch with this trigger brings a token that WeChat has not given out already.
  func bringsAnother(_ trigger: Trigger) -> Bool {
    !credential.repeats || trigger.needsAnotherToken
  }

  /// Whether something is under way that an orderly end should wait for.
  var mustFinish: Bool {
    switch phase {
    case .beginning, .ready, .fetching, .committing, .recommitting, .resolving: true
    case .following, .takingOver, .holding, .looking, .republishing: false
    }
  }

  // MARK: Roles

  mutating func startedLeading(at now: Moment) {
    phase = .takingOver(.due(now))
    wanted = nil
    sequence = 0
    unresolved = nil
    storeFailures = 0
    prober.restart(at: now)
  }

  /// Leadership is over: stop at once, and own up to what cannot be taken back.
  mutating func steppedDown(at now: Moment) -> [Outcome] {
    var outcomes: [Outcome] = []
    switch phase {
    case .fetching(let attempt):
      outcomes.append(.cancelFetch(attempt.version))
      abandoned.append(attempt)
      if abandoned.count > Self.debtLimit { abandoned.removeFirst() }
      if bringsAnother(attempt.trigger) { owe(attempt, knownAt: nil, at: now) }
    case .committing(let attempt, _, _):
      if bringsAnother(attempt.trigger) { owe(attempt, knownAt: now, at: now) }
    case .beginning(let attempt, _), .ready(let attempt), .resolving(let attempt, _):
      // Nothing was minted, and the life that its BEGIN cut short is whole again.
      outcomes.append(
        .send(.resolve(.init(account: name, version: attempt.version, outputs: kept))))
    case .following, .takingOver, .holding, .looking, .republishing, .recommitting: break
    }
    if let unresolved {
      owe(
        unresolved.version, beganAt: unresolved.beganAt, begunAt: unresolved.begunAt,
        knownAt: unresolved.knownAt, at: now)
    }
    oweLastCommit(at: now)
    unresolved = nil
    wanted = nil
    isQueued = false
    copy?.isOwn = false
    phase = .following(.due(now))
    return outcomes
  }

  // MARK: Hints

  /// - Parameter isAnother: whether the server may be another one than before.
  mutating func storeConnected(isAnother: Bool, at now: Moment) {
    storeFailures = 0
    for place in debts.indices {
      if case .due = debts[place].step { debts[place].step = .due(now) }
    }
    if isAnother {
      for place in acknowledged.indices { acknowledged[place].settlesLater = false }
    }
    switch phase {
    case .following(.due): phase = .following(.due(now))
    case .takingOver(.due): phase = .takingOver(.due(now))
    case .republishing(.due): phase = .republishing(.due(now))
    case .recommitting(.due): phase = .recommitting(.due(now))
    case .beginning(let attempt, .due): phase = .beginning(attempt, .due(now))
    case .committing(let attempt, let fetched, .due):
      phase = .committing(attempt, fetched, .due(now))
    case .resolving(let attempt, .due): phase = .resolving(attempt, .due(now))
    case .holding, .looking, .ready, .fetching, .following, .takingOver, .republishing,
      .recommitting, .beginning, .committing, .resolving:
      break
    }
    lookAt = min(lookAt, now)
  }

  /// The keys or the state may have changed.
  mutating func hinted(at now: Moment) {
    lookAt = min(lookAt, now)
    switch phase {
    case .following(.due): phase = .following(.due(now))
    case .following(.sent), .looking: isHinted = true
    case .takingOver, .holding, .republishing, .recommitting, .beginning, .ready, .fetching,
      .committing, .resolving:
      break
    }
  }

  /// The secret changed: what WeChat refused before it may accept now.
  mutating func secretChanged(at now: Moment) {
    if wanted?.isBackoff == true { wanted?.notBefore = now }
  }

  /// A fetch is wanted, unless one is wanted already: a reason does not shorten a backoff.
  mutating func want(_ trigger: Trigger, notBefore moment: Moment) {
    if wanted == nil { wanted = Wanted(trigger: trigger, notBefore: moment) }
  }
}
