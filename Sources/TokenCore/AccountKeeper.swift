/// One account's token, as one replica keeps it: when to look, to fetch, to repair, to warn.
///
/// A value that decides; it sends nothing. At most one step at Redis is under way for an account,
/// apart from a mark that is owed, so that an answer can always be told from a late one.
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
    /// Leading, reading what Redis has. Can become: holding, republishing, recommitting, following.
    case looking(sentAt: Moment)
    /// Restoring damaged keys. Can become: holding, following.
    case republishing(Step)
    /// Committing again what Redis lost. Can become: holding, following.
    case recommitting(Step)
    /// BEGIN leaves the intent. Can become: ready, fetching, resolving, following.
    case beginning(Attempt, Step)
    /// BEGIN is confirmed and the lease too short for a fetch. Can become: fetching, beginning,
    /// resolving, following.
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
    /// When the BEGIN that allows it was issued.
    package internal(set) var beganAt: Moment
    /// What BEGIN returned.
    package internal(set) var receipt: BeginReceipt?
    /// The sweep that a token of this attempt settles.
    package internal(set) var settles: RedisTime?
  }

  /// A sweep as this replica has watched it.
  ///
  /// Redis's clock can be stepped, and a new leader cannot know whether it was: only the time since
  /// the first sight, by this replica's own clock, proves that what may still arrive is over.
  package struct WatchedSweep: Hashable, Sendable {
    package let value: RedisTime
    package let firstSeenAt: Moment
    /// Whether a token was fetched after Redis's clock said so, without that proof.
    package internal(set) var isServedEarly = false

    /// So much before it is due, by Redis's clock, a fetch settles it all the same.
    ///
    /// A straggler is over after 67 of the 90 s; and a leader counts by its own clock, beside which
    /// one that is being slewed is slow.
    package static let tolerance: Duration = .seconds(10)

    /// Whether whatever the sweep waits for was over at a moment.
    func isOver(at now: Moment) -> Bool { firstSeenAt + Timing.sweep <= now }
  }

  /// A fetch that is wanted, and not before when.
  package struct Wanted: Hashable, Sendable {
    package internal(set) var trigger: Trigger
    package internal(set) var notBefore: Moment
  }

  /// A mark that is owed until Redis acknowledges it.
  package struct Debt: Hashable, Sendable {
    package internal(set) var id: DebtID
    package internal(set) var version: Version
    package internal(set) var isUnknown: Bool
    package internal(set) var step: Step
  }

  /// The failures since the last good answer.
  package struct Failures: Hashable, Sendable {
    package internal(set) var inARow = 0
    package internal(set) var transportInARow = 0
    package internal(set) var last: FetchFailure?
  }

  /// What the keeper does about a change.
  enum Outcome: Hashable, Sendable {
    case send(StoreCommand)
    case fetch(FetchOrder)
    case probe(ProbeOrder)
    case renewLease
    case saw(Epoch)
    case stepDown(StepDownReason)
    case note(Note)
    /// The account's record is one that this replica may work with.
    case recordIsOurs
    /// WeChat cannot be reached from here, or refuses this address.
    case unreachable
  }

  /// What leading means to an account.
  struct Lead: Hashable, Sendable {
    let epoch: Epoch
    let validUntil: Moment
    /// How often Redis is looked at: with every renewal, or, of very many accounts, every tick.
    let lookEvery: Duration
    /// Whether this replica had seen an epoch before this one: then a missing record is a wipe.
    let hasHistory: Bool
  }

  package let name: AccountName
  package private(set) var phase: Phase
  package private(set) var copy: Copy?
  package private(set) var wanted: Wanted?
  package private(set) var debt: Debt?
  /// How many debts there were, for their ids.
  private var debts: Int64 = 0
  package private(set) var failures = Failures()
  /// What was asked for by those who say that the token is dead.
  package private(set) var reports: ReportLedger
  private var prober: Prober
  /// What WeChat told of its daily limit, and how many fetches Redis counted today.
  private var dailyLimit: Int?
  private var fetchesToday = 0
  /// When tokens of this account were found dead before their time.
  private var earlyDeaths: [Moment] = []
  /// Who fetched the token that Redis has, as its record says.
  package private(set) var fetchedBy: String?
  /// When the next look is due while leading.
  private var lookAt: Moment = .origin
  private var lastFetchAt: Moment?
  private var sequence: Int64 = 0
  /// The newest attempt of this epoch whose outcome nobody knows.
  private var unresolved: Version?
  /// Whether Redis may have lost what it knew, so that the next BEGIN sets a sweep.
  private var isSuspicious = false
  /// The last sweep that Redis showed, until it is settled or known to be lost.
  package private(set) var sweep: WatchedSweep?
  /// The last mark that Redis showed, until it is settled or known to be lost.
  package private(set) var mark: DirtyMark?
  /// The commit whose loss by Redis was marked.
  private var lossOwned: Version?
  /// Whether Redis is to be read although the reason for it is not yet old.
  private var isHinted = false
  private var storeFailures = 0

  let instance: InstanceID
  /// What tells this process's debts from all others'.
  let life: UInt64
  let timing: Timing
  let margins: Margins
  let credential: Credential

  init(
    name: AccountName, instance: InstanceID, life: UInt64, timing: Timing, margins: Margins,
    credential: Credential
  ) {
    self.name = name
    self.instance = instance
    self.life = life
    self.timing = timing
    self.margins = margins
    self.credential = credential
    reports = ReportLedger(limits: credential.repeats ? .stableToken : .token)
    prober = Prober(interval: credential.probe)
    phase = .following(.due(.origin))
  }

  // MARK: What others read

  /// When the leader refreshes the token it has: at this much remaining life.
  package var refreshAt: Moment? {
    copy.map { $0.expiresAt - margins.refresh(lifetime: $0.lifetime) }
  }

  /// The newest token that this replica can vouch for: also one that is not yet published.
  package func freshest(at now: Moment) -> (
    token: AccessToken, expiresAt: Moment, lifetime: Duration
  )? {
    if case .committing(_, let fetched, _) = phase {
      return (fetched.token, fetched.sentAt + fetched.lifetime, fetched.lifetime)
    }
    guard let copy, copy.remaining(at: now) > .zero else { return nil }
    return (copy.token, copy.expiresAt, copy.lifetime)
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

  /// Whether a fetch with this trigger brings a token that WeChat has not given out already.
  private func bringsAnother(_ trigger: Trigger) -> Bool {
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
    isSuspicious = false
    storeFailures = 0
    prober.restart(at: now)
  }

  /// Leadership is over: stop at once, and own up to what cannot be taken back.
  mutating func steppedDown(at now: Moment) {
    switch phase {
    case .fetching(let attempt): owe(attempt.version, isUnknown: true, at: now)
    case .committing(let attempt, _, _): owe(attempt.version, isUnknown: false, at: now)
    case .following, .takingOver, .holding, .looking, .republishing, .recommitting, .beginning,
      .ready, .resolving:
      break
    }
    if let unresolved { owe(unresolved, isUnknown: true, at: now) }
    unresolved = nil
    wanted = nil
    copy?.isOwn = false
    phase = .following(.due(now))
  }

  // MARK: Hints

  mutating func storeConnected(at now: Moment) {
    storeFailures = 0
    if case .due = debt?.step { debt?.step = .due(now) }
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
    if failures.inARow > 0, wanted != nil { wanted?.notBefore = now }
  }

  /// A fetch is wanted, unless one is wanted already: a reason does not shorten a backoff.
  mutating func want(_ trigger: Trigger, notBefore moment: Moment) {
    if wanted == nil { wanted = Wanted(trigger: trigger, notBefore: moment) }
  }

  // MARK: Time

  func nextWake(lead: Lead?, storeIsConnected: Bool, isShuttingDown: Bool) -> Moment? {
    var wakes: [Moment] = []
    if storeIsConnected, case .due(let moment) = debt?.step { wakes.append(moment) }
    switch phase {
    case .following(.due(let moment)), .takingOver(.due(let moment)),
      .republishing(.due(let moment)), .recommitting(.due(let moment)),
      .beginning(_, .due(let moment)), .committing(_, _, .due(let moment)),
      .resolving(_, .due(let moment)):
      if storeIsConnected { wakes.append(moment) }
    case .holding:
      if storeIsConnected, lead != nil {
        wakes.append(lookAt)
        if !isShuttingDown {
          if let start = fetchStart { wakes.append(start) }
          if let probe = prober.nextWake, copy != nil { wakes.append(probe) }
        }
      }
    case .following, .takingOver, .looking, .republishing, .recommitting, .beginning, .ready,
      .fetching, .committing, .resolving:
      break
    }
    return wakes.min()
  }

  /// When the fetch that is wanted, or the scheduled one, may begin.
  private var fetchStart: Moment? {
    let spaced = lastFetchAt.map { $0 + Timing.fetchSpacing } ?? .origin
    guard let start = wanted?.notBefore ?? scheduledStart else { return nil }
    return max(start, spaced)
  }

  /// The schedule's refresh, or the one that was asked for, whichever comes first.
  private var scheduledStart: Moment? {
    guard let asked = reports.asked?.notBefore else { return refreshAt }
    return refreshAt.map { min($0, asked) } ?? asked
  }

  /// Does what is due.
  mutating func advance(
    at now: Moment, lead: Lead?, runID: String?, storeIsConnected: Bool, isShuttingDown: Bool
  ) -> [Outcome] {
    var outcomes: [Outcome] = []
    if storeIsConnected, var debt, case .due(let moment) = debt.step, moment <= now {
      debt.step = .sent(now)
      self.debt = debt
      outcomes.append(
        .send(
          .mark(
            .init(
              account: name, debt: debt.id, version: debt.version, isUnknown: debt.isUnknown))))
    }
    guard storeIsConnected else { return outcomes }
    switch phase {
    case .following(.due(let moment)) where moment <= now:
      phase = .following(.sent(now))
      outcomes.append(.send(.look(name)))
    case .takingOver(.due(let moment)) where moment <= now:
      guard let lead else { break }
      phase = .takingOver(.sent(now))
      outcomes.append(.send(.takeOver(name, lead.epoch)))
    case .holding:
      guard let lead else { break }
      if !isShuttingDown, let start = fetchStart, start <= now {
        outcomes += begin(at: now, lead: lead)
      } else if lookAt <= now {
        lookAt = now + lead.lookEvery
        phase = .looking(sentAt: now)
        outcomes.append(.send(.look(name)))
      }
      if !isShuttingDown, let copy, prober.ask(about: copy.version, at: now) {
        outcomes.append(
          .probe(
            ProbeOrder(
              account: name, version: copy.version, token: copy.token,
              deadline: now + timing.apiTimeout)))
      }
    case .republishing(.due(let moment)) where moment <= now:
      guard let lead else { break }
      outcomes += republish(at: now, lead: lead)
    case .recommitting(.due(let moment)) where moment <= now:
      guard let lead else { break }
      outcomes += recommit(at: now, lead: lead, runID: runID)
    case .beginning(let attempt, .due(let moment)) where moment <= now:
      guard let lead else { break }
      outcomes += begin(attempt, at: now, lead: lead)
    case .ready(let attempt):
      guard let lead else { break }
      outcomes += fetch(attempt, at: now, lead: lead, isShuttingDown: isShuttingDown)
    case .committing(let attempt, let fetched, .due(let moment)) where moment <= now:
      guard let lead else { break }
      outcomes += commit(attempt, fetched, at: now, lead: lead, runID: runID)
    case .resolving(let attempt, .due(let moment)) where moment <= now:
      phase = .resolving(attempt, .sent(now))
      outcomes.append(.send(.resolve(name, attempt.version)))
    case .following, .takingOver, .looking, .republishing, .recommitting, .beginning, .fetching,
      .committing, .resolving:
      break
    }
    return outcomes
  }

  // MARK: Answers of Redis

  /// Takes Redis's answer to one of this account's steps; a late one changes nothing but debts.
  mutating func answered(
    _ command: StoreCommand, sentAt: Moment, _ reply: StoreReply, at now: Moment, lead: Lead?,
    runID: String?, isShuttingDown: Bool
  ) -> [Outcome] {
    if case .mark(let mark) = command { return marked(mark, reply, sentAt: sentAt, at: now) }
    if case .following(.sent(sentAt)) = phase, case .look = command {
      return followed(reply, sentAt: sentAt, at: now)
    }
    guard let lead else { return [] }
    switch reply {
    case .fenced(let epoch) where isAwaited(command, sentAt: sentAt):
      return [.saw(epoch), .stepDown(.fenced)]
    case .foreignApp(let remaining) where isAwaited(command, sentAt: sentAt):
      return [.note(.foreignApp(remaining: remaining)), .stepDown(.foreignApp)]
    case .newerLayout(let layout) where isAwaited(command, sentAt: sentAt):
      return [.note(.newerLayout(layout)), .stepDown(.newerLayout)]
    default: break
    }
    switch (phase, command, reply) {
    case (.takingOver(.sent(sentAt)), .takeOver, .account(let view)):
      return tookOver(view, sentAt: sentAt, at: now, lead: lead, runID: runID)
    case (.looking(sentAt), .look, .account(let view)):
      return looked(view, sentAt: sentAt, at: now, lead: lead)
    case (.republishing(.sent(sentAt)), .republish, .republished(let wrote)):
      phase = .holding
      storeFailures = 0
      copy?.seenAt = sentAt
      return wrote ? [.note(.repaired(name))] : []
    case (.recommitting(.sent(sentAt)), .commit(let commit), _):
      return recommitted(commit, reply, sentAt: sentAt)
    case (.beginning(let attempt, .sent(sentAt)), .begin, _):
      return began(attempt, reply, sentAt: sentAt, at: now, lead: lead, isShuttingDown)
    case (.committing(let attempt, let fetched, .sent(sentAt)), .commit, _):
      return committed(attempt, fetched, reply, sentAt: sentAt, at: now)
    case (.resolving(_, .sent(sentAt)), .resolve, _):
      phase = .holding
      storeFailures = 0
      return []
    default:
      return []
    }
  }

  /// A step brought no answer: it is tried again, soon and then less soon.
  mutating func failed(
    _ command: StoreCommand, sentAt: Moment, _ failure: StoreFailure, at now: Moment
  ) -> [Outcome] {
    if case .mark = command {
      guard debt?.step == .sent(sentAt) else { return [] }
      let retryAt = now + storeRetry()
      debt?.step = .due(retryAt)
      return [.note(.storeStepFailed(name, failure))]
    }
    guard isAwaited(command, sentAt: sentAt) else { return [] }
    let retryAt = now + storeRetry()
    switch phase {
    case .following: phase = .following(.due(max(retryAt, now + timing.retry)))
    case .takingOver: phase = .takingOver(.due(retryAt))
    case .looking:
      phase = .holding
      lookAt = max(retryAt, now + timing.retry)
    case .republishing: phase = .republishing(.due(retryAt))
    case .recommitting: phase = .recommitting(.due(retryAt))
    case .beginning(let attempt, _): phase = .beginning(attempt, .due(retryAt))
    case .committing(let attempt, let fetched, _):
      phase = .committing(attempt, fetched, .due(retryAt))
    case .resolving(let attempt, _): phase = .resolving(attempt, .due(retryAt))
    case .holding, .ready, .fetching: break
    }
    return [.note(.storeStepFailed(name, failure))]
  }

  /// Whether this is the step that the phase waits for.
  private func isAwaited(_ command: StoreCommand, sentAt: Moment) -> Bool {
    switch (phase, command) {
    case (.following(.sent(sentAt)), .look), (.takingOver(.sent(sentAt)), .takeOver),
      (.looking(sentAt), .look), (.republishing(.sent(sentAt)), .republish),
      (.recommitting(.sent(sentAt)), .commit), (.beginning(_, .sent(sentAt)), .begin),
      (.committing(_, _, .sent(sentAt)), .commit), (.resolving(_, .sent(sentAt)), .resolve):
      true
    default: false
    }
  }

  private mutating func storeRetry() -> Duration {
    storeFailures = min(storeFailures + 1, 16)
    return min(timing.retry, .milliseconds(50) * (1 << min(storeFailures, 6)))
  }
}

// MARK: Reading

extension AccountKeeper {
  private mutating func followed(_ reply: StoreReply, sentAt: Moment, at now: Moment) -> [Outcome] {
    storeFailures = 0
    phase = .following(.due(isHinted ? now : now + Timing.followerLook))
    isHinted = false
    switch reply {
    case .account(let view):
      ownUpToLoss(view, at: now)
      if hasLostTrace(view) {
        // It belongs to no attempt that this replica could name.
        owe(Version(epoch: view.fence, sequence: 0), isUnknown: true, at: now)
        sweep = nil
        mark = nil
      }
      observe(view, sentAt: sentAt, at: now)
      watch(view, at: now)
      return [.saw(view.fence), .recordIsOurs]
    case .foreignApp(let remaining): return [.note(.foreignApp(remaining: remaining))]
    case .newerLayout(let layout): return [.note(.newerLayout(layout))]
    default: return []
    }
  }

  /// Redis lost a commit that this replica knows of: whoever leads must fetch again, as the token
  /// that Redis shows now is older and dying.
  ///
  /// Said once a commit, not for ever.
  private mutating func ownUpToLoss(_ view: AccountView, at now: Moment) {
    guard let copy, let committed = view.committed, committed < copy.version,
      view.parent != copy.version, lossOwned != copy.version
    else { return }
    lossOwned = copy.version
    owe(copy.version, isUnknown: false, at: now)
  }

  /// Takes what Redis shows into memory; never backwards (invariant 9).
  private mutating func observe(_ view: AccountView, sentAt: Moment, at now: Moment) {
    fetchedBy = view.fetchedBy
    guard view.tokenMatchesRecord, let token = view.token, let version = view.committed,
      let remaining = view.remaining, remaining > .zero
    else { return }
    if let copy, copy.version > version { return }
    // While a trace of a later fetch stands, the token's death may already be under way.
    let hasTrace = view.intent != nil || view.dirty != nil || view.sweep != nil
    if let copy, copy.version == version, copy.token == token {
      self.copy?.recordedExpiry = view.expiresAt
      self.copy?.seenAt = max(copy.seenAt, sentAt)
      if !hasTrace { self.copy?.confirmedAt = max(copy.confirmedAt ?? sentAt, sentAt) }
      return
    }
    copy = Copy(
      token: token, version: version, lifetime: view.lifetime ?? remaining,
      expiresAt: sentAt + remaining, recordedExpiry: view.expiresAt,
      confirmedAt: hasTrace ? nil : sentAt, seenAt: sentAt, isOwn: false)
  }

  /// Remembers the mark, and since when Redis has shown this sweep; forgets what was settled.
  private mutating func watch(_ view: AccountView, at now: Moment) {
    if let fetchedAt = view.fetchedAt {
      if let sweep, view.sweep.map({ $0 < sweep.value }) ?? true,
        fetchedAt + WatchedSweep.tolerance >= sweep.value
      {
        self.sweep = nil
      }
      if let markedAt = mark?.markedAt, fetchedAt + Self.markTolerance >= markedAt { mark = nil }
    }
    watch(view.sweep, at: now)
    mark = view.dirty ?? mark
  }

  private mutating func watch(_ value: RedisTime?, at now: Moment) {
    guard let value, sweep?.value != value else { return }
    sweep = WatchedSweep(value: value, firstSeenAt: now)
  }

  /// The moments of a mark and of the fetch that settles it are Redis's; an age is rounded.
  private static let markTolerance: Duration = .milliseconds(200)

  /// Whether Redis lost a sweep or a mark that this replica remembers.
  ///
  /// It is taken for lost when it is gone, or an earlier one stands there, and the token is from
  /// before what it asks for. A clock that was set back looks like it, too: that costs a fetch.
  ///
  /// A Redis that was emptied knows of no straggler, nor does a replica that starts then and
  /// fetches as if for the first time; whoever saw the trace does.
  package func hasLostTrace(_ view: AccountView) -> Bool {
    // As long as nobody has fetched, whoever does finds the history unknown.
    guard let fetchedAt = view.fetchedAt else { return false }
    if let sweep, view.sweep.map({ $0 < sweep.value }) ?? true,
      fetchedAt + WatchedSweep.tolerance < sweep.value
    {
      return true
    }
    guard let markedAt = mark?.markedAt, view.dirty == nil else { return false }
    return fetchedAt + Self.markTolerance < markedAt
  }

  /// Whether the sweep asks for a fetch: because it is over; or because Redis says so for as long
  /// as a tick, and leaders may have come and gone too fast for one of them to prove it.
  private func sweepNeedsFetch(redisTime: RedisTime, at now: Moment) -> Bool {
    guard let sweep else { return false }
    return sweep.isOver(at: now)
      || (!sweep.isServedEarly && sweep.value + timing.tick <= redisTime)
  }

  private mutating func tookOver(
    _ view: AccountView, sentAt: Moment, at now: Moment, lead: Lead, runID: String?
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    lookAt = now + lead.lookEvery
    observe(view, sentAt: sentAt, at: now)
    // First what may make the fetch wait, then what only asks for one.
    let outcomes = assess(view, at: now, lead: lead)
    if let seen = view.runID, let runID, seen != runID {
      isSuspicious = true
      want(.takeover, notBefore: now)
    }
    if wanted == nil, let copy, copy.version == view.committed {
      return outcomes + [.note(.adopted(name, copy.version, remaining: copy.remaining(at: now)))]
    }
    return outcomes
  }

  private mutating func looked(
    _ view: AccountView, sentAt: Moment, at now: Moment, lead: Lead
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    if isHinted { lookAt = now }
    isHinted = false
    if view.fence > lead.epoch { return [.saw(view.fence), .stepDown(.fenced)] }
    observe(view, sentAt: sentAt, at: now)
    return assess(view, at: now, lead: lead)
  }

  /// Compares what Redis has with what it should have, and says what to do about it.
  private mutating func assess(_ view: AccountView, at now: Moment, lead: Lead) -> [Outcome] {
    if let epoch = view.dirty?.epoch, epoch > lead.epoch {
      // Of an epoch that Redis has lost: whoever has its token takes none of an earlier epoch.
      return [.saw(epoch), .stepDown(.fenced)]
    }
    let hasGoodCopy = copy.map { $0.remaining(at: now) > .zero } ?? false
    if let intent = view.intent {
      // The straggler of a good token is waited for; without one, waiting helps nobody.
      // One from the future says that Redis's clock was set back, not that it has more time.
      let redisTime = max(view.now, intent.at)
      let wait =
        hasGoodCopy
        ? intent.deadline - redisTime + Timing.stragglerMargin
        : intent.at - redisTime + Timing.fetchSpacing
      want(.takeover, notBefore: now + max(wait, .zero))
    }
    if view.dirty != nil { want(.dirty, notBefore: now) }
    if hasLostTrace(view) {
      // Remembered until BEGIN has set another: should the lead be over before, a follower marks.
      isSuspicious = true
      want(.sweep, notBefore: now)
    } else {
      watch(view, at: now)
    }
    if sweepNeedsFetch(redisTime: view.now, at: now) { want(.sweep, notBefore: now) }
    // What may have killed the token is no longer just under way.
    if view.dirty != nil || sweep?.isOver(at: now) == true { copy?.isOwn = false }
    guard let copy, hasGoodCopy else {
      want(.start, notBefore: now)
      return []
    }
    guard let committed = view.committed else {
      want(.takeover, notBefore: now)
      return copy.isPublishable(at: now) ? republish(at: now, lead: lead) : []
    }
    if copy.version > committed {
      guard copy.isPublishable(at: now) else {
        want(.takeover, notBefore: now)
        return []
      }
      phase = .recommitting(.due(now))
      return []
    }
    if copy.version < committed {
      want(.takeover, notBefore: now)
      return []
    }
    if isDamaged(view, copy, at: now) {
      // By Redis's clock its life is over, so that no key of it would be written.
      let isOver = view.expiresAt.map { $0 <= view.now } ?? false
      guard !isOver else {
        want(.takeover, notBefore: now)
        return []
      }
      guard copy.isPublishable(at: now) else {
        want(.takeover, notBefore: now)
        return []
      }
      return republish(at: now, lead: lead)
    }
    return []
  }

  /// Whether the published keys differ from what the copy's commit wrote.
  private func isDamaged(_ view: AccountView, _ copy: Copy, at now: Moment) -> Bool {
    guard view.token == copy.token, let expiresAt = view.expiresAt else { return true }
    let left = expectedRemaining(record: expiresAt - view.now, copy, at: now)
    let tolerance = RemainingTolerance.ofTTL(lifetime: copy.lifetime)
    guard let token = view.tokenRemaining, let expiry = view.clientExpiryRemaining,
      abs((token - left).wholeMilliseconds) <= tolerance.wholeMilliseconds,
      abs((expiry - left).wholeMilliseconds) <= tolerance.wholeMilliseconds
    else { return true }
    let margin = margins.client(lifetime: copy.lifetime)
    return view.clientExpiry
      != (expiresAt.milliseconds - margin.wholeMilliseconds) / 1000
  }

  /// What the keys should have left: what the record says, but never far above what our own
  /// clock says, since Redis counts by a wall clock that can be set back.
  private func expectedRemaining(record: Duration, _ copy: Copy, at now: Moment) -> Duration {
    let own = copy.remaining(at: now)
    return record > own + RemainingTolerance.ofClock(lifetime: copy.lifetime) ? own : record
  }

  private mutating func republish(at now: Moment, lead: Lead) -> [Outcome] {
    guard let copy, copy.remaining(at: now) > .zero else {
      phase = .holding
      return []
    }
    phase = .republishing(.sent(now))
    return [
      .send(
        .republish(
          .init(
            account: name, fence: lead.epoch, version: copy.version,
            outputs: outputs(of: copy.token, lifetime: copy.lifetime), lifetime: copy.lifetime,
            remaining: copy.remaining(at: now))))
    ]
  }

  private mutating func recommit(at now: Moment, lead: Lead, runID: String?) -> [Outcome] {
    guard let copy, copy.remaining(at: now) > .zero else {
      phase = .holding
      return []
    }
    phase = .recommitting(.sent(now))
    let command = StoreCommand.Commit(
      account: name, fence: lead.epoch, version: copy.version,
      outputs: outputs(of: copy.token, lifetime: copy.lifetime), lifetime: copy.lifetime,
      age: copy.lifetime - copy.remaining(at: now), dirty: nil, parent: nil, sweep: nil,
      isRecommit: true, runID: runID, instance: instance)
    return [.send(.commit(command))]
  }

  private mutating func recommitted(
    _ commit: StoreCommand.Commit, _ reply: StoreReply, sentAt: Moment
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    switch reply {
    case .committed:
      copy?.seenAt = sentAt
      return [.note(.recommitted(name, commit.version))]
    case .superseded(let epoch):
      return [.saw(epoch), .stepDown(.fenced)]
    case .deposed(let epoch, let mark):
      self.mark = mark ?? self.mark
      return [.saw(epoch), .stepDown(.fenced)]
    default:
      return []
    }
  }

  /// Everything that a commit of this token publishes.
  private func outputs(of token: AccessToken, lifetime: Duration) -> [Output] {
    [
      Output(key: .accessToken, format: .token(token)),
      Output(
        key: .expiresIn, format: .clientExpiry(margin: margins.client(lifetime: lifetime))),
    ]
  }
}

/// How far a remaining life may be off before it counts as wrong.
package enum RemainingTolerance {
  /// Between a key's TTL and the record: both are Redis's, so only delay is forgiven.
  package static func ofTTL(lifetime: Duration) -> Duration { min(.seconds(2), lifetime / 8) }

  /// Between Redis's clock and ours: two clocks that may differ by 1 %, and then some.
  package static func ofClock(lifetime: Duration) -> Duration { .seconds(2) + lifetime / 50 }
}

// MARK: Fetching

extension AccountKeeper {
  private mutating func begin(at now: Moment, lead: Lead) -> [Outcome] {
    sequence += 1
    let attempt = Attempt(
      version: Version(epoch: lead.epoch, sequence: sequence), trigger: nextTrigger(at: now),
      beganAt: now)
    reports.began(
      for: attempt.trigger,
      bringsAnother: bringsAnother(attempt.trigger), at: now)
    return begin(attempt, at: now, lead: lead)
  }

  private func nextTrigger(at now: Moment) -> Trigger {
    if let wanted { return wanted.trigger }
    if let asked = reports.asked, asked.notBefore <= now { return asked.trigger }
    return .schedule
  }

  private mutating func begin(_ attempt: Attempt, at now: Moment, lead: Lead) -> [Outcome] {
    var attempt = attempt
    attempt.beganAt = now
    attempt.receipt = nil
    attempt.settles = nil
    phase = .beginning(attempt, .sent(now))
    return [
      .send(
        .begin(
          .init(
            account: name, version: attempt.version, span: timing.attemptSpan,
            hasHistory: lead.hasHistory,
            // Redis may have lost the intent of a fetch that may still arrive.
            isSuspicious: isSuspicious || unresolved != nil)))
    ]
  }

  private mutating func began(
    _ attempt: Attempt, _ reply: StoreReply, sentAt: Moment, at now: Moment, lead: Lead,
    _ isShuttingDown: Bool
  ) -> [Outcome] {
    storeFailures = 0
    switch reply {
    case .began(let receipt):
      // The sweep that this has set asks for all that the mark did.
      if isSuspicious { mark = nil }
      isSuspicious = false
      mark = receipt.dirty ?? mark
      fetchesToday = receipt.fetchesToday
      watch(receipt.sweep, at: now)
      var attempt = attempt
      attempt.receipt = receipt
      if let sweep, sweep.isOver(at: attempt.beganAt) { attempt.settles = sweep.value }
      return fetch(attempt, at: now, lead: lead, isShuttingDown: isShuttingDown)
    case .stale(let committed):
      if committed.epoch == lead.epoch { sequence = max(sequence, committed.sequence) }
      phase = .holding
      lookAt = now
      return []
    default:
      phase = .holding
      return []
    }
  }

  /// Asks WeChat, if BEGIN is fresh and the lease outlasts the call; else puts that right first.
  private mutating func fetch(
    _ attempt: Attempt, at now: Moment, lead: Lead, isShuttingDown: Bool
  ) -> [Outcome] {
    guard !isShuttingDown else {
      phase = .resolving(attempt, .due(now))
      return []
    }
    guard now - attempt.beganAt <= timing.opTimeout else {
      return begin(attempt, at: now, lead: lead)
    }
    guard now + timing.apiTimeout <= lead.validUntil else {
      phase = .ready(attempt)
      return [.renewLease]
    }
    phase = .fetching(attempt)
    lastFetchAt = now
    let order = FetchOrder(
      account: name, version: attempt.version, trigger: attempt.trigger,
      isForced: credential.repeats && attempt.trigger.needsAnotherToken,
      deadline: now + timing.apiTimeout, notAfter: lead.validUntil)
    return [.note(.refreshStarted(name, attempt.trigger, attempt.version)), .fetch(order)]
  }

  /// WeChat's answer, or what came instead of one.
  mutating func fetched(
    _ version: Version, _ outcome: FetchOutcome, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    guard case .fetching(let attempt) = phase, attempt.version == version else {
      // No longer ours to publish; but if it minted, the token in Redis may be dying of it.
      switch outcome {
      case .token, .unknown: owe(version, isUnknown: true, at: now)
      case .knownFailure: break
      }
      return []
    }
    switch outcome {
    case .token(let fetched):
      failures = Failures()
      phase = .committing(attempt, fetched, .due(now))
      return []
    case .knownFailure(let failure):
      // Nothing was sent at all: the next attempt need not keep its distance from this one.
      if failure.category == .transient { lastFetchAt = nil }
      phase = .resolving(attempt, .due(now))
      return backOff(attempt, failure, isUnknown: false, at: now, using: &generator)
    case .unknown(let failure):
      phase = .holding
      unresolved = version
      copy?.isOwn = false
      return backOff(attempt, failure, isUnknown: true, at: now, using: &generator)
    }
  }

  private mutating func backOff(
    _ attempt: Attempt, _ failure: FetchFailure, isUnknown: Bool, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    failures.inARow += 1
    failures.transportInARow = failure.isTransport ? failures.transportInARow + 1 : 0
    failures.last = failure
    let wait = Backoff.wait(
      after: failure, isUnknown: isUnknown, inARow: failures.inARow,
      remaining: copy?.remaining(at: now), using: &generator)
    if failure.category == .quota, credential.repeats, attempt.trigger.needsAnotherToken {
      // The day's forced fetches are used up, and plain ones are not: the schedule goes on.
      reports.hold(attempt.trigger, until: now + wait)
      wanted = nil
    } else {
      wanted = Wanted(trigger: attempt.trigger, notBefore: now + wait)
    }
    var outcomes: [Outcome] = [
      .note(
        .refreshFailed(
          name, attempt.trigger, failure, isUnknown: isUnknown, inARow: failures.inARow,
          retryIn: wait))
    ]
    if failures.transportInARow >= Backoff.transportFailuresBeforeAbdication
      || failure.code == Backoff.addressRefused
    {
      outcomes.append(.unreachable)
    }
    return outcomes
  }

  private mutating func commit(
    _ attempt: Attempt, _ fetched: FetchedToken, at now: Moment, lead: Lead, runID: String?
  ) -> [Outcome] {
    let age = now - fetched.sentAt
    guard age < fetched.lifetime else {
      // Redis took no writes for the whole of a life: nothing is left to publish.
      phase = .holding
      unresolved = attempt.version
      want(attempt.trigger, notBefore: now)
      return []
    }
    phase = .committing(attempt, fetched, .sent(now))
    let command = StoreCommand.Commit(
      account: name, fence: lead.epoch, version: attempt.version,
      outputs: outputs(of: fetched.token, lifetime: fetched.lifetime),
      lifetime: fetched.lifetime, age: max(age, .zero), dirty: attempt.receipt?.dirty,
      parent: attempt.receipt?.committed, sweep: attempt.settles,
      isRecommit: false, runID: runID, instance: instance)
    return [.send(.commit(command))]
  }

  private mutating func committed(
    _ attempt: Attempt, _ fetched: FetchedToken, _ reply: StoreReply, sentAt: Moment,
    at now: Moment
  ) -> [Outcome] {
    storeFailures = 0
    switch reply {
    case .committed:
      let isUnchanged = copy?.token == fetched.token
      copy = Copy(
        token: fetched.token, version: attempt.version, lifetime: fetched.lifetime,
        expiresAt: fetched.sentAt + fetched.lifetime, confirmedAt: sentAt, seenAt: sentAt,
        isOwn: true)
      phase = .holding
      wanted = nil
      unresolved = nil
      if attempt.settles != nil, sweep?.value == attempt.settles { sweep = nil }
      if let receipt = attempt.receipt, let value = receipt.sweep, value <= receipt.now,
        sweep?.value == value
      {
        sweep?.isServedEarly = true
      }
      if !isUnchanged {
        reports.settled()
      } else if attempt.trigger.needsAnotherToken {
        // WeChat forces no sooner than 30 s after the last one, whoever asked for that: again then.
        _ = reports.ask(attempt.trigger, at: now, hasBudget: hasBudget)
      }
      prober.restart(at: now)
      return [
        .note(
          .refreshed(
            name, attempt.trigger, attempt.version, lifetime: fetched.lifetime,
            isUnchanged: isUnchanged))
      ]
    case .superseded(let epoch):
      phase = .holding
      unresolved = nil
      return [.saw(epoch), .stepDown(.fenced)]
    case .deposed(let epoch, let mark):
      // The script left the mark: nothing is owed.
      self.mark = mark ?? self.mark
      phase = .holding
      return [.saw(epoch), .note(.deposed(name, attempt.trigger)), .stepDown(.fenced)]
    default:
      phase = .holding
      unresolved = attempt.version
      want(.takeover, notBefore: now)
      lookAt = now
      return []
    }
  }
}

// MARK: Debts

extension AccountKeeper {
  private mutating func owe(_ version: Version, isUnknown: Bool, at now: Moment) {
    // Whatever is owed in addition has an id of its own: the mark that was sent does not cover it.
    debts += 1
    let id = DebtID(life: life, number: debts)
    guard let owed = debt, owed.version != version else {
      debt = Debt(
        id: id, version: version, isUnknown: isUnknown || (debt?.isUnknown ?? false),
        step: .due(now))
      return
    }
    // Of two, the one may be committed and needs no mark, the other not: number 0 is neither.
    debt = Debt(
      id: id, version: Version(epoch: max(owed.version.epoch, version.epoch), sequence: 0),
      isUnknown: isUnknown || owed.isUnknown, step: .due(now))
  }

  private mutating func marked(
    _ mark: StoreCommand.Mark, _ reply: StoreReply, sentAt: Moment, at now: Moment
  ) -> [Outcome] {
    if case .marked(let mark) = reply { self.mark = mark ?? self.mark }
    guard debt?.step == .sent(sentAt) else { return [] }
    debt = nil
    // To see the sweep that this has set, and to remember it.
    if mark.isUnknown { hinted(at: now) }
    return [.note(.marked(name, mark.version))]
  }
}

// MARK: Reports and proofs

extension AccountKeeper {
  /// Somebody says that this token is dead, or wants another one whatever it is (`rejected` nil).
  mutating func reported(_ rejected: AccessToken?, at now: Moment) -> [Outcome] {
    let outcome = judge(rejected, at: now)
    var outcomes: [Outcome] = [.note(.reported(name, outcome))]
    if rejected != nil {
      switch outcome {
      case .accepted, .limited: outcomes += diedEarly(at: now)
      case .notCurrent, .coalesced: break
      }
    }
    return outcomes
  }

  private mutating func judge(_ rejected: AccessToken?, at now: Moment) -> ReportOutcome {
    if let rejected {
      if case .committing(_, let fetched, _) = phase, fetched.token == rejected {
        return .coalesced
      }
      guard rejected == copy?.token else { return .notCurrent }
    }
    guard !isAnotherTokenDue else { return .coalesced }
    let notBefore = reports.ask(
      rejected == nil ? .force : .report, at: now, hasBudget: hasBudget)
    return notBefore > now ? .limited(notBefore - now) : .accepted
  }

  /// Takes out what was asked for and not served, for the next leader: it would know nothing of it.
  mutating func takeUnserved() -> Report? {
    let underWay: Trigger? =
      switch phase {
      case .beginning(let attempt, _), .ready(let attempt), .resolving(let attempt, _):
        attempt.trigger
      // A force that was sent may have been served; a dead token is judged by who has the newest.
      case .fetching(let attempt) where attempt.trigger != .force: attempt.trigger
      case .following, .takingOver, .holding, .looking, .republishing, .recommitting, .fetching,
        .committing:
        nil
      }
    let trigger = reports.asked?.trigger ?? wanted?.trigger ?? underWay
    reports.settled()
    switch trigger {
    case .report, .probe: return copy.map { .rejected($0.token) }
    case .force: return .force(name)
    case .schedule, .start, .takeover, .dirty, .sweep, nil: return nil
    }
  }

  /// Whether the day's fetches leave something for those who ask.
  private var hasBudget: Bool {
    let budget =
      credential.dailyBudget ?? (dailyLimit ?? Credential.assumedDailyLimit) / 2
    return fetchesToday < budget
  }

  /// WeChat's answer to a probe.
  ///
  /// `dailyLimit` is what it allows, when it says so.
  mutating func probed(
    _ version: Version, isDead: Bool, dailyLimit: Int?, at now: Moment
  ) -> [Outcome] {
    if let dailyLimit, dailyLimit > 0 { self.dailyLimit = dailyLimit }
    guard copy?.version == version, prober.answered(version, isDead: isDead, at: now) else {
      return []
    }
    if reports.asked == nil { _ = reports.ask(.probe, at: now, hasBudget: hasBudget) }
    return diedEarly(at: now)
  }

  /// A token of ours died before its time: once may be chance, twice is somebody else's fetch.
  private mutating func diedEarly(at now: Moment) -> [Outcome] {
    earlyDeaths.removeAll { now - $0 > Self.deathMemory }
    earlyDeaths.append(now)
    if earlyDeaths.count > Self.deathsRemembered { earlyDeaths.removeFirst() }
    return [.note(.diedEarly(name, lately: earlyDeaths.count))]
  }

  /// Deaths further apart than this have nothing to do with each other.
  static let deathMemory: Duration = .seconds(6 * 3600)
  /// More deaths than this say nothing more.
  static let deathsRemembered = 20
}

extension Trigger {
  /// Whether the token that WeChat would hand out again will not do.
  var needsAnotherToken: Bool {
    switch self {
    case .report, .force, .probe: true
    case .schedule, .start, .takeover, .dirty, .sweep: false
    }
  }
}
