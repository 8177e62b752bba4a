/// One account's token, as one replica keeps it: when to look, to fetch, to repair, to warn.
///
/// A value that decides; it sends nothing. At most one step at Redis is under way for an account,
/// apart from a mark that is owed, so that an answer can always be told from a late one; a step
/// without an answer by its deadline counts as failed.
package struct AccountKeeper: Sendable {
  /// A fetch that is wanted, and not before when.
  package struct Wanted: Hashable, Sendable {
    package internal(set) var trigger: Trigger
    package internal(set) var notBefore: Moment
    /// Whether it waits because WeChat refused, and not for somebody's fetch to be over.
    package internal(set) var isBackoff = false
  }

  /// A token that another credential is fetched with.
  struct Source: Hashable, Sendable {
    let token: AccessToken
    /// Until then it lives, as far as is known.
    let until: Moment
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
    case send(StoreCommand, StepID)
    case fetch(FetchOrder)
    /// What is not yet written to WeChat is not to be written any more.
    case cancelFetch(Version)
    case probe(ProbeOrder)
    case renewLease
    case saw(Epoch)
    case stepDown(StepDownReason)
    case note(Note)
    /// Another program's record, or lock, stands in the way.
    case met(Conflict)
    /// WeChat gave a token, and it is published.
    case succeeded
    /// What all replicas are to be told.
    case announce(Announcement)
    /// The account's record is one that this replica may work with.
    case recordIsOurs
    /// Redis's record of this account is not ours to write.
    case refused(StepDownReason)
    /// WeChat refuses the token that this was asked for with.
    case sourceIsRefused(AccessToken)
    /// WeChat cannot be reached from here, or refuses this address.
    case unreachable
  }

  package let name: CredentialID
  /// What is being done, and how far the step at Redis is that it needs.
  package private(set) var work = Work.follow
  package internal(set) var flight = Flight.due(.origin)
  /// From which work to which it went, ever: what tests compare.
  package private(set) var workSteps = WorkSteps()
  /// What is known of the token that Redis has, and of its life.
  package internal(set) var published = Published()
  /// Fetches of this replica that may have killed it.
  package internal(set) var traces = Traces()
  package internal(set) var wanted: Wanted?
  /// What it is fetched with, where that is another credential.
  var source: Source?
  /// Whether a fetch is due and waits until other accounts' fetches are over.
  var isQueued = false
  package internal(set) var failures = Failures()
  /// What was asked for by those who say that the token is dead.
  package internal(set) var reports: ReportLedger
  var prober: Prober
  /// What WeChat told of its daily limit, and how many fetches Redis counted today.
  var dailyLimit: Int?
  var fetchesToday = 0
  /// When tokens of this account were found dead before their time.
  package internal(set) var earlyDeaths: [Moment] = []
  /// When the next look is due while leading.
  var lookAt: Moment = .origin
  var lastFetchAt: Moment?
  /// When the server that the record was led at, of several, was last heard.
  var serverHeardAt: Moment?
  var sequence: Int64 = 0
  /// Whether Redis's record was not ours to write when it was last read.
  package internal(set) var isRefused = false
  /// Whether it is no longer kept: nothing is begun, and what is under way is let end.
  package internal(set) var isLeaving = false
  /// Whether Redis is to be read although the reason for it is not yet old.
  var isHinted = false
  var storeFailures = 0
  private var steps = StepCounter()

  let instance: InstanceID
  let timing: Timing
  /// How early its token counts as used up.
  package let margins: Margins
  let credential: Credential
  /// What its commits publish.
  let outputs: [Output]

  init(
    name: CredentialID, instance: InstanceID, timing: Timing, margins: Margins,
    credential: Credential
  ) {
    self.name = name
    self.instance = instance
    self.timing = timing
    self.margins = credential.margins(margins)
    self.credential = credential
    outputs = Output.own(self.margins) + credential.otherOutputs
    reports = ReportLedger(
      limits: credential.fetch == .renewsWhenForced ? .stableToken : .token)
    prober = Prober(interval: credential.probe, patience: timing.apiTimeout + Timing.slack)
  }

  // MARK: Work

  /// Goes on to other work, or to the same once more.
  mutating func go(to next: Work, _ flight: Flight = .idle) {
    if work.kind != next.kind { workSteps.add(work.kind, next.kind) }
    work = next
    self.flight = flight
  }

  /// Sends the step that the work needs.
  mutating func send(_ command: StoreCommand, at now: Moment) -> [Outcome] {
    let step = steps.next(command, at: now)
    flight = .sent(step)
    return [.send(command, step)]
  }

  /// Sends a step that no work waits for.
  mutating func tell(_ command: StoreCommand, at now: Moment) -> (Outcome, StepID) {
    let step = steps.next(command, at: now)
    return (.send(command, step), step)
  }

  // MARK: What others read

  package var copy: Copy? { published.copy }
  package var stated: Stated? { published.stated }

  /// When the leader refreshes the token it has, or asks for it again.
  package var refreshAt: Moment? {
    credential.polling.map { published.pollAt($0) } ?? published.refreshAt(margins)
  }

  /// When the life ends that Redis states of the copy, as far as it is known.
  package var statedEnd: Moment? { published.statedEnd }

  /// What is left of that life; zero when nothing is.
  package func statedRemaining(at now: Moment) -> Duration { published.remaining(at: now) }

  /// The newest token that this replica can vouch for: also one that is not yet published.
  ///
  /// - Parameter nobodyFetches: whether nobody can have fetched since Redis was last read.
  package func freshest(at now: Moment, nobodyFetches: Bool = false) -> (
    token: AccessToken, expiresAt: Moment, lifetime: Duration
  )? {
    if case .commit(_, let fetched) = work {
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
    if case .commit(_, let fetched) = work, fetched.token == token { return true }
    return copy?.token == token
  }

  /// Whether another token is on its way or asked for: it serves whoever asks for one now, too.
  package var isAnotherTokenDue: Bool {
    if reports.asked != nil { return true }
    return switch work {
    case .begin(let attempt), .waitForLease(let attempt), .fetch(let attempt),
      .commit(let attempt, _):
      credential.answersReports(attempt.trigger)
    case .follow, .takeOver, .hold, .look, .republish, .recommit, .resolve:
      wanted.map { credential.answersReports($0.trigger) } ?? false
    }
  }

  /// Whether something is under way that an orderly end should wait for.
  var mustFinish: Bool { work.attempt != nil || work == .recommit }

  /// Whether what it did could be lost, or be done and not told, if it were forgotten now.
  func hasUnfinishedBusiness(at now: Moment) -> Bool {
    mustFinish || !traces.debts.isEmpty
      // Of these an answer may still come, and says what is owed.
      || traces.abandoned.contains {
        ($0.askedAt ?? $0.beganAt) + timing.apiTimeout + Timing.slack > now
      }
  }

  // MARK: What it is fetched with

  /// Whether it may be asked for at all.
  var hasSource: Bool { credential.source == nil || source != nil }

  /// The token that others may be fetched with: one that nobody says is dead.
  ///
  /// That its life may be cut short by what is not known yet does not matter: until then it
  /// certainly lives.
  var asSource: Source? {
    let trigger = work.attempt?.trigger ?? wanted?.trigger
    guard let copy, let statedEnd, reports.asked == nil, !published.isProvedDead,
      !(trigger?.needsAnotherToken ?? false)
    else { return nil }
    return Source(token: copy.token, until: statedEnd - timing.apiTimeout)
  }

  // MARK: Roles

  mutating func startedLeading(at now: Moment) {
    go(to: .takeOver, .due(now))
    wanted = nil
    sequence = 0
    traces.unresolved = nil
    storeFailures = 0
    prober.restart(at: now)
  }

  /// Leadership is over: stop at once, and own up to what cannot be taken back.
  mutating func steppedDown(at now: Moment) -> [Outcome] {
    var outcomes: [Outcome] = []
    switch work {
    case .fetch(let attempt):
      outcomes.append(.cancelFetch(attempt.version))
      traces.abandon(attempt)
      if credential.renews(attempt.trigger) { traces.owe(attempt, knownAt: nil, at: now) }
    case .commit(let attempt, _):
      if credential.renews(attempt.trigger) { traces.owe(attempt, knownAt: now, at: now) }
    case .begin(let attempt), .waitForLease(let attempt), .resolve(let attempt):
      // Nothing was minted, and the life that its BEGIN cut short is whole again.
      outcomes.append(tell(.resolve(resolution(of: attempt)), at: now).0)
    case .follow, .takeOver, .hold, .look, .republish, .recommit: break
    }
    traces.endedLeading(at: now)
    wanted = nil
    isQueued = false
    published.copy?.isOwn = false
    go(to: .follow, .due(now))
    return outcomes
  }

  // MARK: Hints

  /// - Parameter isAnother: whether the server may be another one than before.
  mutating func storeConnected(isAnother: Bool, at now: Moment) {
    storeFailures = 0
    traces.storeConnected(isAnother: isAnother, at: now)
    if case .due = flight { flight = .due(now) }
    lookAt = min(lookAt, now)
  }

  /// The keys or the state may have changed.
  mutating func hinted(at now: Moment) {
    lookAt = min(lookAt, now)
    switch (work, flight) {
    case (.follow, .due): flight = .due(now)
    case (.follow, .sent), (.look, _): isHinted = true
    default: break
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
