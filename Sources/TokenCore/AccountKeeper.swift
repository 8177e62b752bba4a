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
    /// When it is due by our clock, as far as Redis's was right at the first sight.
    package let dueAt: Moment
    /// Whether a token was fetched after Redis's clock said so, without that proof.
    package internal(set) var isServedEarly = false

    /// So much before it is due, by Redis's clock, a fetch settles it all the same.
    ///
    /// A straggler is over after 67 of the 90 s; and a leader counts by its own clock, beside which
    /// one that is being slewed is slow.
    package static let tolerance: Duration = .seconds(10)

    /// Whether the token was asked for after what the sweep waits for.
    ///
    /// Also by our own clock: Redis's may have been stepped beyond the sweep.
    func isSettled(by view: AccountView, at now: Moment) -> Bool {
      guard let fetchedAt = view.fetchedAt else { return false }
      let age = max(view.now - fetchedAt, .zero)
      return fetchedAt + Self.tolerance >= value && now - age + Self.tolerance >= dueAt
    }

    /// Whether whatever the sweep waits for was over at a moment.
    func isOver(at now: Moment) -> Bool { firstSeenAt + Timing.sweep <= now }
  }

  /// A fetch that is wanted, and not before when.
  package struct Wanted: Hashable, Sendable {
    package internal(set) var trigger: Trigger
    package internal(set) var notBefore: Moment
    /// Whether it waits because WeChat refused, and not for somebody's fetch to be over.
    package internal(set) var isBackoff = false
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
    /// Whether this replica had seen an epoch before this one: then a missing record is a wipe.
    let hasHistory: Bool
  }

  package let name: AccountName
  package internal(set) var phase: Phase
  package internal(set) var copy: Copy?
  /// The tokens that this replica has, or had lately.
  var handedOut = HandedOut()
  package internal(set) var wanted: Wanted?
  package internal(set) var debt: Debt?
  /// How many debts there were, for their ids.
  var debts: Int64 = 0
  package internal(set) var failures = Failures()
  /// What was asked for by those who say that the token is dead.
  package internal(set) var reports: ReportLedger
  var prober: Prober
  /// What WeChat told of its daily limit, and how many fetches Redis counted today.
  var dailyLimit: Int?
  var fetchesToday = 0
  /// When tokens of this account were found dead before their time.
  var earlyDeaths: [Moment] = []
  /// Who fetched the token that Redis has, as its record says.
  package internal(set) var fetchedBy: String?
  /// When the next look is due while leading.
  var lookAt: Moment = .origin
  var lastFetchAt: Moment?
  var sequence: Int64 = 0
  /// Whether Redis's record was not ours to write when it was last read.
  package internal(set) var isRefused = false
  /// The newest attempt of this epoch whose outcome nobody knows.
  var unresolved: Version?
  /// Whether Redis may have lost what it knew, so that the next BEGIN sets a sweep.
  var isSuspicious = false
  /// The last sweep that Redis showed, until it is settled or known to be lost.
  package internal(set) var sweep: WatchedSweep?
  /// The last mark that Redis showed, until it is settled or known to be lost.
  package internal(set) var mark: DirtyMark?
  /// A commit of our own that the answer to a mark told of: its own answer came too late, or never.
  var toldCommit: Version?
  /// The commit whose loss by Redis was marked, and what Redis has instead.
  var lossOwned: (lost: Version, instead: Version)?
  /// Whether Redis is to be read although the reason for it is not yet old.
  var isHinted = false
  var storeFailures = 0

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
    if wanted?.isBackoff == true { wanted?.notBefore = now }
  }

  /// A fetch is wanted, unless one is wanted already: a reason does not shorten a backoff.
  mutating func want(_ trigger: Trigger, notBefore moment: Moment) {
    if wanted == nil { wanted = Wanted(trigger: trigger, notBefore: moment) }
  }

  // MARK: Time

  /// When something is due, unless anything happens before.
  ///
  /// Before that, `advance` does nothing, unless the account waits for a longer lease.
  func nextWake(leads: Bool, storeIsConnected: Bool, isShuttingDown: Bool) -> Moment? {
    guard storeIsConnected else { return nil }
    var wake: Moment?
    func consider(_ moment: Moment) { wake = wake.map { min($0, moment) } ?? moment }
    if case .due(let moment) = debt?.step { consider(moment) }
    switch phase {
    case .following(.due(let moment)), .takingOver(.due(let moment)),
      .republishing(.due(let moment)), .recommitting(.due(let moment)),
      .beginning(_, .due(let moment)), .committing(_, _, .due(let moment)),
      .resolving(_, .due(let moment)):
      consider(moment)
    case .holding:
      guard leads else { break }
      consider(lookAt)
      guard !isShuttingDown else { break }
      if let start = fetchStart { consider(start) }
      if let probe = prober.nextWake, copy != nil { consider(probe) }
    case .following, .takingOver, .looking, .republishing, .recommitting, .beginning, .ready,
      .fetching, .committing, .resolving:
      break
    }
    return wake
  }

  /// Whether it waits until the lease outlasts a call, which no moment tells.
  var waitsForLease: Bool { if case .ready = phase { true } else { false } }

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
      return [.note(.foreignApp(remaining: remaining)), refused(.foreignApp, at: now)]
    case .newerLayout(let layout) where isAwaited(command, sentAt: sentAt):
      return [.note(.newerLayout(layout)), refused(.newerLayout, at: now)]
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
      return began(attempt, command, reply, sentAt: sentAt, at: now, lead: lead, isShuttingDown)
    case (.committing(let attempt, let fetched, .sent(sentAt)), .commit, _):
      return committed(attempt, fetched, reply, sentAt: sentAt, at: now)
    case (.resolving(_, .sent(sentAt)), .resolve, _):
      phase = .holding
      storeFailures = 0
      return []
    default:
      return failed(command, sentAt: sentAt, .strangeAnswer, at: now)
    }
  }

  /// The record is another AppID's, or of a newer layout.
  ///
  /// Found when nothing of ours is under way, it is asked for again with every tick, and what else
  /// this replica leads is led meanwhile.
  private mutating func refused(_ reason: StepDownReason, at now: Moment) -> Outcome {
    isRefused = true
    switch phase {
    case .takingOver, .looking:
      phase = .takingOver(.due(now + timing.tick))
      wanted = nil
      return .refused(reason)
    case .following, .holding, .republishing, .recommitting, .beginning, .ready, .fetching,
      .committing, .resolving:
      return .stepDown(reason)
    }
  }

  /// A step brought no answer: it is tried again, soon and then less soon.
  mutating func failed(
    _ command: StoreCommand, sentAt: Moment, _ failure: StoreFailure, at now: Moment
  ) -> [Outcome] {
    if case .mark(let mark) = command {
      guard debt?.id == mark.debt else { return [] }
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
