/// One replica's whole mind: who leads, and every account's token (CONTRIBUTING.md#the-house).
///
/// Events go in with the time, actions come out, and `nextWake` says when to come back though
/// nothing happened. It performs no effect and reads no clock, so that the simulation can run it
/// through years of faults. For every action there is exactly one event that answers it, within
/// the deadlines that `Timing` gives.
package struct Keeper: Sendable {
  package internal(set) var election: Election
  var table: AccountTable
  /// Whether the connection to Redis stands, as far as is known.
  package internal(set) var storeIsConnected = false
  /// The other replicas, as of the last heartbeat.
  package internal(set) var replicas: [Replica] = []
  /// Why this replica may not lead although nobody else does: the keys are another AppID's.
  package internal(set) var conflict: Conflict?
  /// How many times the regular look at everything was taken.
  package internal(set) var ticks: Int64 = 0

  /// What Redis's clock showed, and when by ours.
  package internal(set) var redisClock: (time: RedisTime, at: Moment)?

  private(set) var runID: String?
  /// When a step was sent last that this server answered.
  private(set) var answeredAt: Moment?
  /// When the server before this one was heard last: what it was told since may be lost.
  private(set) var lostSince: Moment?
  /// Who holds a lock that never lapses, as it was told last.
  var endlessHolder: String?
  var replicasAsOf: RedisTime?
  /// When others of this replica's name said last that they live, and how often they said it again.
  var namesakes: [UInt64?: (seenAt: RedisTime, repetitions: Int)] = [:]
  var nameIsToldShared = false
  private var heartbeats = StepCounter()
  var heartbeatAt: Moment = .origin
  var heartbeatSentAt: Moment?
  /// How soon after the next heartbeat another one follows, while what others keep may be changing.
  var heartbeatSoon: Duration?
  var tickAt: Moment = .origin
  var wantsAbdication = false
  /// Which account WeChat gave a token to last.
  var lastSuccess: (account: CredentialID, at: Moment)?
  private(set) var shutdownBy: Moment?
  /// Whether the lock was given back; the answer, and those to what is owed, end the shutdown.
  var isReleasing = false
  private(set) var isReleased = false
  var isStopped = false
  var latest: Moment = .origin
  var generator: any RandomNumberGenerator & Sendable

  let instance: InstanceID
  /// Drawn once by each process.
  let life: UInt64
  let timing: Timing
  let margins: Margins
  /// Who is let go once what is under way has ended (TokenCore.md#accounts-that-come-and-go).
  var leaving: [CredentialID] = []
  /// No account that comes in the middle of this lead numbers its fetches from below: whoever was
  /// there before under its name may have used these numbers.
  var sequenceFloor: Int64 = 0

  /// So many accounts ask WeChat at the same time.
  let maximumFetches: Int

  /// More accounts than this are looked at with every tick instead of every renewal.
  package static let accountsLookedAtWithRenewal = 100

  package init(
    instance: InstanceID, accounts: [CredentialID], timing: Timing, margins: Margins,
    credentials: [CredentialID: Credential] = [:], maximumFetches: Int = 32,
    generator: any RandomNumberGenerator & Sendable
  ) {
    precondition(!accounts.isEmpty, "a keeper without accounts has nothing to keep")
    precondition(Set(accounts).count == accounts.count, "every account has its own name")
    self.instance = instance
    self.timing = timing
    self.margins = margins
    self.maximumFetches = max(maximumFetches, 1)
    self.generator = generator
    let life: UInt64 = self.generator.next()
    self.life = life
    election = Election(instance: instance, timing: timing)
    table = AccountTable(
      accounts.map {
        AccountKeeper(
          name: $0, instance: instance, timing: timing, margins: margins,
          credential: credentials[$0] ?? Credential())
      })
  }

  /// Takes what happened, and returns what to do about it, in order.
  ///
  /// `now` never goes backwards; an earlier moment counts as the latest one.
  package mutating func handle(_ event: Event, at now: Moment) -> [Action] {
    guard !isStopped else { return [] }
    latest = max(latest, now)
    let now = latest
    var actions: [Action] = []
    // Whatever happened, it may have happened after a pause of any length.
    apply(election.checkLease(at: now), at: now, to: &actions)
    take(event, at: now, to: &actions)
    advance(at: now, to: &actions)
    letGo(at: now)
    table.settle(common)
    return actions
  }

  /// Every account, ordered by name.
  package var accounts: [AccountKeeper] { table.all }

  /// How often accounts were asked when they are due, ever: what an event costs shows here.
  package var settledCount: Int { table.settledCount }

  /// Brings a view of this keeper up to date, at the cost of the accounts that were changed since
  /// this was last called; returns which these are.
  package mutating func show(in view: inout KeeperView) -> [CredentialID] {
    view.election = election
    view.storeIsConnected = storeIsConnected
    view.replicas = replicas
    view.conflict = conflict
    view.endlessHolder = endlessHolder
    view.isNamesake = isNamesake
    view.ticks = ticks
    view.redisClock = redisClock
    if table.takeRearrangement() {
      let gone = view.accounts.map(\.name).filter { table.place(of: $0) == nil }
      view.replaceAll(with: table.all)
      return table.takeChanges().map { table[$0].name } + gone
    }
    return table.takeChanges().map { place in
      view.replace(at: place, with: table[place])
      return table[place].name
    }
  }

  /// A view of the keeper as it is.
  package var view: KeeperView {
    KeeperView(
      election: election, storeIsConnected: storeIsConnected, replicas: replicas,
      conflict: conflict, endlessHolder: endlessHolder, isNamesake: isNamesake, ticks: ticks,
      redisClock: redisClock, accounts: accounts)
  }

  /// When `woke` is due, unless something happens before; nil when only answers are waited for.
  package var nextWake: Moment? {
    guard !isStopped else { return nil }
    let isEnding = shutdownBy != nil
    var wakes = table.earliestWake.map { [$0] } ?? []
    // While ending, a lock is kept and given back, but not sought, and nothing else is told.
    if !isEnding || election.leadership != nil,
      let wake = election.nextWake(storeIsConnected: storeIsConnected)
    {
      wakes.append(wake)
    }
    if let shutdownBy { wakes.append(shutdownBy) }
    if let heartbeatSentAt {
      wakes.append(heartbeatSentAt + timing.answerBy)
    } else if storeIsConnected, !isEnding {
      wakes.append(heartbeatAt)
    }
    wakes.append(tickAt)
    return wakes.min()
  }

  /// Whether this replica leads right now by its own reckoning.
  package func isLeader(at now: Moment) -> Bool { election.isLeader(at: now) }

  // MARK: Events

  mutating func take(_ event: Event, at now: Moment, to actions: inout [Action]) {
    switch event {
    case .started:
      tickAt = now + timing.tick
      election.started(at: now)
    case .woke:
      break
    case .storeConnected(let runID):
      storeIsConnected = true
      // A server that does not tell who it is may always be another one.
      let isAnother = runID == nil || runID != self.runID
      if isAnother, self.runID != nil { lost(at: now) }
      if let runID { self.runID = runID }
      heartbeatAt = now
      election.storeConnected(at: now)
      table.updateAll { $0.storeConnected(isAnother: isAnother, at: now) }
    case .storeDisconnected:
      storeIsConnected = false
    case .stored(let step, .success(let answer)): take(answer, to: step, at: now, to: &actions)
    case .stored(let step, .failure(let failure)):
      take(failure, of: step, at: now, to: &actions)
    case .fetched(let account, let version, let outcome):
      guard let index = index(of: account) else { break }
      let outcomes = table.update(index) {
        $0.fetched(version, outcome, at: now, using: &generator)
      }
      apply(outcomes, of: account, at: now, to: &actions)
    case .probed(let account, let version, let isDead, let dailyLimit):
      guard let index = index(of: account) else { break }
      let outcomes = table.update(index) {
        $0.probed(version, isDead: isDead, dailyLimit: dailyLimit, at: now)
      }
      apply(outcomes, of: account, at: now, to: &actions)
      // Who leads now would learn of it from a probe of its own only.
      if !isLeader(at: now), let report = table.update(index, { $0.takeUnserved() }) {
        actions.append(.giveBack(report))
      }
    case .reported(let report):
      take(report, at: now, to: &actions)
    case .hinted(let account):
      guard let account else { return table.updateAll { $0.hinted(at: now) } }
      guard let index = index(of: account) else { break }
      table.update(index) { $0.hinted(at: now) }
    case .leadershipHinted:
      election.hinted(at: now)
    case .secretChanged(let account):
      guard let index = index(of: account) else { break }
      table.update(index) { $0.secretChanged(at: now) }
    case .accountsChanged(let added, let removed):
      change(adding: added, removing: removed, at: now)
    case .shutdownRequested:
      guard shutdownBy == nil else { break }
      shutdownBy = now + timing.apiTimeout + timing.opTimeout * 2
    }
  }

  /// Another server is there: one that comes soon after another has lost as much as that one.
  mutating func lost(at now: Moment) {
    if let lostSince, now - lostSince < Timing.certain { return }
    lostSince = answeredAt
  }

  /// A report is the leader's to judge; what reaches another replica is given back.
  mutating func take(_ report: Report, at now: Moment, to actions: inout [Action]) {
    guard isLeader(at: now) else {
      actions.append(.giveBack(report))
      return
    }
    switch report {
    case .rejected(let token):
      let index = table.all.firstIndex { $0.knows(token) }
      guard let index else {
        actions.append(.note(.reported(nil, .notCurrent)))
        return
      }
      apply(
        table.update(index) { $0.reported(token, at: now) }, of: table[index].name, at: now,
        to: &actions)
    case .rejectedDigest:
      actions.append(.note(.reported(nil, .notCurrent)))
    case .force(let account):
      guard let index = index(of: account) else { return }
      apply(
        table.update(index) { $0.reported(nil, at: now) }, of: account, at: now, to: &actions)
    }
  }

  mutating func take(
    _ failure: StoreFailure, of step: StepID, at now: Moment, to actions: inout [Action]
  ) {
    if let account = step.account {
      guard let index = index(of: account) else { return }
      let outcomes = table.update(index) { $0.failed(step, failure, at: now) }
      return apply(outcomes, of: account, at: now, to: &actions)
    }
    actions.append(.note(.storeStepFailed(nil, failure)))
    switch step.kind {
    case .heartbeat:
      heartbeatSentAt = nil
      heartbeatAt = now + timing.retry
    case .release: isReleased = isReleasing
    case .pollLock, .acquire, .renew: election.failed(step, failure, at: now, using: &generator)
    case .look, .takeOver, .begin, .resolve, .commit, .republish, .mark: break
    }
  }

  mutating func take(
    _ answer: StoreAnswer, to step: StepID, at now: Moment, to actions: inout [Action]
  ) {
    answeredAt = max(answeredAt ?? step.issuedAt, step.issuedAt)
    if let time = answer.redisTime { redisClock = (time, step.issuedAt) }
    switch answer {
    case .pollLock(let holder, let remaining):
      let steps = election.polled(
        holder: holder, remaining: remaining, at: now, using: &generator)
      apply(steps, at: now, to: &actions)
    case .acquire(let term, let answer):
      noteConflict(answer, to: &actions)
      let steps = election.acquireAnswered(term, step, answer, at: now, using: &generator)
      apply(steps, at: now, to: &actions)
      apply(election.checkLease(at: now), at: now, to: &actions)
    case .renew(let term, let isOurs):
      apply(election.renewAnswered(term, step, isOurs: isOurs), at: now, to: &actions)
    case .release: isReleased = isReleasing
    case .heartbeat(let replicas, let asOf):
      heartbeatSentAt = nil
      self.replicas = replicas
      replicasAsOf = asOf
      noteNamesakes(to: &actions)
    case .look, .takeOver, .begin, .resolve, .commit, .republish, .mark:
      guard let account = step.account, let index = index(of: account) else { return }
      let scene = scene(at: now)
      let outcomes = table.update(index) { $0.answered(step, answer, in: scene) }
      apply(outcomes, of: account, at: now, to: &actions)
    }
  }

  /// What a decision about an account may look at beside it.
  func scene(at now: Moment) -> Scene {
    Scene(
      now: now, lead: lead, runID: runID, lostSince: lostSince, isConnected: storeIsConnected,
      isEnding: shutdownBy != nil, mayFetch: table.fetching < maximumFetches)
  }

  /// Numbers a heartbeat.
  mutating func number(_ heartbeat: StoreCommand, at now: Moment) -> StepID {
    heartbeats.next(heartbeat, at: now)
  }
}

extension Keeper {
  /// What happened.
  package enum Event: Hashable, Sendable {
    /// The replica begins its work.
    case started
    /// `nextWake` has come.
    case woke
    /// The connection to Redis stands; the server's run id, when it tells it.
    case storeConnected(runID: String?)
    case storeDisconnected
    /// A step at Redis was answered, or was not.
    case stored(StepID, Result<StoreAnswer, StoreFailure>)
    /// A fetch ended.
    case fetched(CredentialID, Version, FetchOutcome)
    /// An account's keys or state may have changed; nil for all accounts.
    case hinted(CredentialID?)
    /// The lock may have changed hands.
    case leadershipHinted
    /// A probe was answered: whether WeChat refused the token, and its daily limit if it told.
    case probed(CredentialID, Version, isDead: Bool, dailyLimit: Int?)
    /// An application says that a token does not work, or wants another one.
    case reported(Report)
    /// An account's secret was replaced by its owner.
    case secretChanged(CredentialID)
    /// Accounts are to be kept from now on, and others no longer.
    case accountsChanged(added: [NewAccount], removed: [CredentialID])
    /// The process is to end in order.
    case shutdownRequested
  }

  /// What to do.
  package enum Action: Hashable, Sendable {
    /// Carry out a step at Redis; the answer comes back under the same number.
    case store(StoreCommand, StepID)
    /// Ask WeChat for a token, once.
    case fetch(FetchOrder)
    /// Write nothing of that fetch any more, as far as nothing is written yet.
    case cancelFetch(CredentialID, Version)
    /// Ask WeChat whether a token lives, once; mints nothing.
    case probe(ProbeOrder)
    /// Put a report back on the list: the leader is somebody else.
    case giveBack(Report)
    /// Wait for applications' reports, or no longer.
    case listen(Bool)
    /// Say it to all replicas; a hint, which may be lost.
    case announce(Announcement)
    /// Log it, count it.
    case note(Note)
    /// The keeper is done; the process may end.
    case stop
  }
}
