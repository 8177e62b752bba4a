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

  // MARK: Time

  /// When something is due, unless anything happens before.
  ///
  /// Before that, `advance` does nothing, unless the account waits for a longer lease.
  func nextWake(leads: Bool, storeIsConnected: Bool, isShuttingDown: Bool) -> Moment? {
    var wake: Moment?
    func consider(_ moment: Moment) { wake = wake.map { min($0, moment) } ?? moment }
    if let lostAt { consider(lostAt) }
    if let sentAt = debtSentAt { consider(sentAt + timing.answerBy) }
    guard storeIsConnected else { return wake }
    if debtSentAt == nil {
      for case .due(let moment) in debts.lazy.map(\.step) { consider(moment) }
    }
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
      if !isQueued, let start = fetchStart { consider(start) }
      if let probe = prober.nextWake, copy != nil { consider(probe) }
    case .following, .takingOver, .looking, .republishing, .recommitting, .beginning, .ready,
      .fetching, .committing, .resolving:
      break
    }
    return wake
  }

  /// When what is under way counts as unanswered.
  private var lostAt: Moment? {
    switch phase {
    case .following(.sent(let moment)), .takingOver(.sent(let moment)), .looking(let moment),
      .republishing(.sent(let moment)), .recommitting(.sent(let moment)),
      .beginning(_, .sent(let moment)), .committing(_, _, .sent(let moment)),
      .resolving(_, .sent(let moment)):
      moment + timing.answerBy
    case .fetching(let attempt):
      (attempt.askedAt ?? attempt.beganAt) + timing.apiTimeout + Timing.slack
    case .following, .takingOver, .holding, .republishing, .recommitting, .beginning, .ready,
      .committing, .resolving:
      nil
    }
  }

  /// Whether it waits until the lease outlasts a call, which no moment tells.
  var waitsForLease: Bool { if case .ready = phase { true } else { false } }

  /// Whether it is between a BEGIN and the end of the call that this allows.
  var isFetching: Bool {
    switch phase {
    case .beginning, .ready, .fetching: true
    case .following, .takingOver, .holding, .looking, .republishing, .recommitting, .committing,
      .resolving:
      false
    }
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
  ///
  /// - Parameters:
  ///   - lostSince: when the server before this one was heard last.
  ///   - mayFetch: whether one more account may ask WeChat; else this one waits its turn.
  mutating func advance(
    at now: Moment, lead: Lead?, runID: String?, lostSince: Moment?, storeIsConnected: Bool,
    isShuttingDown: Bool, mayFetch: Bool,
    using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    var outcomes = giveUp(at: now, using: &generator)
    guard storeIsConnected else { return outcomes }
    if let mark = payDebt(at: now) { outcomes.append(mark) }
    switch phase {
    case .following(.due(let moment)) where moment <= now:
      phase = .following(.sent(now))
      outcomes.append(.send(.look(name)))
    case .takingOver(.due(let moment)) where moment <= now:
      guard let lead else { break }
      phase = .takingOver(.sent(now))
      outcomes.append(
        .send(
          .takeOver(
            .init(
              account: name, epoch: lead.epoch, runID: runID,
              away: lostSince.map { min(max(now - $0, .zero), Timing.longestAway) }
                ?? timing.successionSpan,
              outputs: kept))))
    case .holding:
      guard let lead else { break }
      let start = fetchStart
      if !isShuttingDown, !isQueued, let start, start <= now {
        if mayFetch { outcomes += begin(at: now, lead: lead) } else { isQueued = true }
      }
      if case .holding = phase, lookAt <= now {
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
      outcomes.append(
        .send(.resolve(.init(account: name, version: attempt.version, outputs: kept))))
    case .following, .takingOver, .looking, .republishing, .recommitting, .beginning, .fetching,
      .committing, .resolving:
      break
    }
    return outcomes
  }

  /// What was not answered in time counts as failed: it may have been carried out.
  private mutating func giveUp(
    at now: Moment, using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    var outcomes: [Outcome] = []
    if let sentAt = debtSentAt, sentAt + timing.answerBy <= now, markFailed(sentAt: sentAt, at: now)
    {
      outcomes.append(.note(.storeStepFailed(name, .unanswered)))
    }
    guard let lostAt, lostAt <= now else { return outcomes }
    if case .fetching(let attempt) = phase {
      outcomes.append(.cancelFetch(attempt.version))
      outcomes += fetched(attempt.version, .unknown(.unanswered), at: now, using: &generator)
    } else {
      retry(at: now)
      outcomes.append(.note(.storeStepFailed(name, .unanswered)))
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
      return tookOver(view, sentAt: sentAt, at: now, lead: lead)
    case (.looking(sentAt), .look, .account(let view)):
      return looked(view, sentAt: sentAt, at: now, lead: lead, runID: runID)
    case (.republishing(.sent(sentAt)), .republish(let republish), .republished(let wrote)):
      phase = .holding
      storeFailures = 0
      // Nothing certain was left, by Redis's clock.
      if !wrote, republish.until != nil { want(.takeover, notBefore: now) }
      return wrote && republish.certain > .zero ? [.note(.repaired(name))] : []
    case (.recommitting(.sent(sentAt)), .commit(let commit), _):
      return recommitted(commit, reply, sentAt: sentAt, at: now)
    case (.beginning(let attempt, .sent(sentAt)), .begin, _):
      return began(attempt, command, reply, sentAt: sentAt, at: now, lead: lead, isShuttingDown)
    case (.committing(let attempt, let fetched, .sent(sentAt)), .commit, _):
      return committed(attempt, fetched, reply, sentAt: sentAt, at: now)
    case (.resolving(_, .sent(sentAt)), .resolve, .resolved):
      phase = .holding
      storeFailures = 0
      lookAt = now
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
    if case .mark = command {
      return markFailed(sentAt: sentAt, at: now) ? [.note(.storeStepFailed(name, failure))] : []
    }
    guard isAwaited(command, sentAt: sentAt) else { return [] }
    retry(at: now)
    return [.note(.storeStepFailed(name, failure))]
  }

  private mutating func retry(at now: Moment) {
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

  mutating func storeRetry() -> Duration {
    storeFailures = min(storeFailures + 1, 16)
    return min(timing.retry, .milliseconds(50) * (1 << min(storeFailures, 6)))
  }
}
