/// Who leads: one replica's part in the contest for the lock (TokenCore.md#the-algorithm).
///
/// A value that decides; it sends nothing. Steps that it returns are carried out by the keeper's
/// shell, and what Redis answered comes back as a call. A lock is counted as ours only until
/// `validUntil`, which is reckoned from before the sending of the last confirmed step.
package struct Election: Sendable {
  /// Where this replica stands.
  package enum State: Hashable, Sendable {
    /// Not started, or stopped. Can become: following.
    case idle
    /// Waiting to look at the lock. Can become: polling, idle.
    case following(pollAt: Moment)
    /// A look at the lock is under way. Can become: following, acquiring, idle.
    case polling(StepID)
    /// ACQUIRE is under way. Can become: leading, following, uncertain, idle.
    case acquiring(Term, StepID)
    /// ACQUIRE may have worked and nobody knows; it is repeated with the same term.
    /// Can become: acquiring, idle.
    case uncertain(Term, retryAt: Moment)
    /// We hold the lock. Can become: following, idle.
    case leading(Leadership)
  }

  /// A term that this replica leads.
  package struct Leadership: Hashable, Sendable {
    package let term: Term
    package let epoch: Epoch
    /// Until then the lock is certainly ours, unless Redis lost it.
    package fileprivate(set) var validUntil: Moment
    /// When the lock is to be renewed next.
    package fileprivate(set) var renewAt: Moment
    /// The RENEW under way.
    package fileprivate(set) var renewal: StepID?
  }

  /// What the keeper does about a change.
  enum Step: Hashable, Sendable {
    case send(StoreCommand, StepID)
    case won(Leadership)
    case lost(StepDownReason)
  }

  package private(set) var state: State = .idle
  /// The highest epoch that this replica ever saw: what the next one of its own must exceed.
  package private(set) var floor: Epoch = .none
  /// Who held the lock when it was last looked at.
  package private(set) var holder: String?
  /// Whether an earlier try of the term under way may have worked, so that it is not given up.
  private(set) var mayHold = false
  /// The last terms that were asked for without an answer: what was sent may be carried out long
  /// after the term was given up, and nobody would lead with that lock.
  private(set) var doubtful: [Term] = []
  /// More terms than this are not remembered: a lock of an older one lapses by itself.
  private static let doubtfulTerms = 8
  /// By how much the term under way asks for more than the floor.
  private(set) var claim: Int64 = 0
  /// Claims are drawn below this; in milliseconds of the clock that epochs follow, half a minute.
  private static let claims: Int64 = 1 << 15
  /// Until then the lock is left to others.
  package private(set) var heldBackUntil: Moment?

  private var steps = StepCounter()

  let instance: InstanceID
  let timing: Timing

  init(instance: InstanceID, timing: Timing) {
    self.instance = instance
    self.timing = timing
  }

  /// The term that this replica leads, if it does.
  package var leadership: Leadership? {
    if case .leading(let leadership) = state { leadership } else { nil }
  }

  /// Whether this replica leads right now by its own reckoning.
  package func isLeader(at now: Moment) -> Bool {
    leadership.map { $0.validUntil > now } ?? false
  }

  /// The term that Redis may have given the lock to, or may yet.
  var termUnderWay: Term? {
    switch state {
    case .acquiring(let term, _), .uncertain(let term, _): term
    case .idle, .following, .polling, .leading: nil
    }
  }

  // MARK: Events

  mutating func started(at now: Moment) {
    guard case .idle = state else { return }
    state = .following(pollAt: now)
  }

  /// Redis can be reached (again): whatever waits for it need not wait longer.
  mutating func storeConnected(at now: Moment) {
    switch state {
    case .following: state = .following(pollAt: now)
    case .uncertain(let term, _): state = .uncertain(term, retryAt: now)
    case .leading(var leadership) where leadership.renewal == nil:
      leadership.renewAt = now
      state = .leading(leadership)
    case .leading, .idle, .polling, .acquiring: break
    }
  }

  /// The lock may have become free.
  mutating func hinted(at now: Moment) {
    if case .following = state { state = .following(pollAt: now) }
  }

  /// An epoch was seen; ours must exceed it.
  mutating func saw(_ epoch: Epoch) { floor = max(floor, epoch) }

  mutating func polled(
    holder: String?, remaining: Duration?, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Step] {
    guard case .polling = state else { return [] }
    self.holder = holder
    let isHeldBack = heldBackUntil.map { $0 > now } ?? false
    guard holder == nil else {
      let release = releaseIfOurs(holder, at: now)
      if release.isEmpty, !isHeldBack, remaining.map({ $0 > timing.lease }) ?? true {
        // Longer than anybody asks for: a clock was set back, or a foreign hand took the TTL away.
        // ACQUIRE shortens it to what its holder asked for.
        return tryAcquire(at: now, using: &generator)
      }
      wait(remaining: remaining, at: now, using: &generator)
      return release
    }
    if let heldBackUntil, isHeldBack {
      // It is looked at all the same: an ACQUIRE of old may only now be carried out.
      state = .following(pollAt: min(heldBackUntil, now + timing.retry))
      return []
    }
    heldBackUntil = nil
    return tryAcquire(at: now, using: &generator)
  }

  mutating func acquireAnswered(
    _ term: Term, _ step: StepID, _ answer: StoreAnswer.Acquire, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Step] {
    guard case .acquiring(term, step) = state else {
      // A late answer: a lock that we no longer want must not stand in the others' way.
      if case .acquired(let epoch) = answer {
        saw(epoch)
        if leadership?.term != term, termUnderWay != term { return [release(term, at: now)] }
      }
      return []
    }
    switch answer {
    case .acquired(let epoch) where step.issuedAt + timing.validity <= now:
      // The answer took longer than the lease: nobody shall wait for a lock that nobody uses.
      saw(epoch)
      doubt(term)
      state = .following(pollAt: now + jittered(timing.retry, using: &generator))
      return [release(term, at: now)]
    case .acquired(let epoch) where epoch < floor:
      // Redis lost a later one, which this replica saw only after it had asked: whoever has a token
      // of that one would take none of ours.
      doubt(term)
      state = .following(pollAt: now)
      return [release(term, at: now)]
    case .acquired(let epoch):
      let leadership = Leadership(
        term: term, epoch: epoch, validUntil: step.issuedAt + timing.validity,
        renewAt: step.issuedAt + timing.renew)
      saw(epoch)
      holder = term.description
      state = .leading(leadership)
      return [.won(leadership)]
    case .held(let holder, let remaining):
      self.holder = holder
      wait(remaining: remaining, at: now, using: &generator)
      return releaseIfOurs(holder, at: now)
    case .foreignApp(let remaining):
      holdBack(
        until: now + min(max(remaining ?? timing.retry, timing.retry), timing.tick), at: now)
      return []
    }
  }

  mutating func renewAnswered(_ term: Term, _ step: StepID, isOurs: Bool) -> [Step] {
    guard case .leading(var leadership) = state, leadership.term == term else { return [] }
    guard isOurs else { return [.lost(.lockLost)] }
    leadership.validUntil = max(leadership.validUntil, step.issuedAt + timing.validity)
    if leadership.renewal == step {
      leadership.renewal = nil
      leadership.renewAt = step.issuedAt + timing.renew
    }
    state = .leading(leadership)
    return []
  }

  /// A step at the lock brought no answer.
  mutating func failed(
    _ step: StepID, _ failure: StoreFailure, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) {
    let retryAt = now + jittered(timing.retry, using: &generator)
    switch state {
    case .polling(step): state = .following(pollAt: retryAt)
    case .acquiring(let term, step):
      mayHold = mayHold || failure.mayHaveRun
      if failure.mayHaveRun { doubt(term) }
      state = mayHold ? .uncertain(term, retryAt: retryAt) : .following(pollAt: retryAt)
    case .leading(var leadership) where leadership.renewal == step:
      leadership.renewal = nil
      leadership.renewAt = retryAt
      state = .leading(leadership)
    case .idle, .following, .polling, .acquiring, .uncertain, .leading: break
    }
  }

  /// The lease may have run out: every event asks this first.
  mutating func checkLease(at now: Moment) -> [Step] {
    guard let leadership, leadership.validUntil <= now else { return [] }
    return [.lost(.leaseOver)]
  }

  /// Leadership is over; the lock is looked at again soon, or once it may be ours again.
  mutating func steppedDown(
    _ reason: StepDownReason, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) {
    guard case .leading = state else { return }
    switch reason {
    case .lockLost: state = .following(pollAt: now)
    case .leaseOver, .fenced, .foreignApp, .newerLayout, .abdicated, .shutdown:
      state = .following(pollAt: now + jittered(timing.retry, using: &generator))
    }
  }

  /// Leave the lock to others for a while.
  mutating func holdBack(until moment: Moment, at now: Moment) {
    heldBackUntil = max(heldBackUntil ?? moment, moment)
    if case .leading = state { return }
    state = .following(pollAt: min(moment, now + timing.retry))
  }

  mutating func stopped() { state = .idle }

  /// Renew at the next opportunity: a fetch needs more of the lease than is left.
  mutating func renewSoon(at now: Moment) {
    guard case .leading(var leadership) = state, leadership.renewal == nil else { return }
    leadership.renewAt = min(leadership.renewAt, now)
    state = .leading(leadership)
  }

  // MARK: Time

  /// When this has something to do next.
  func nextWake(storeIsConnected: Bool) -> Moment? {
    switch state {
    case .idle: return nil
    case .polling(let step), .acquiring(_, let step): return step.issuedAt + timing.answerBy
    case .following(let moment), .uncertain(_, let moment): return storeIsConnected ? moment : nil
    case .leading(let leadership):
      let lost = leadership.renewal.map { $0.issuedAt + timing.answerBy }
      let renewal = lost ?? (storeIsConnected ? leadership.renewAt : leadership.validUntil)
      return min(renewal, leadership.validUntil)
    }
  }

  /// What was not answered in time counts as failed: it may have been carried out.
  mutating func giveUp(
    at now: Moment, using generator: inout any RandomNumberGenerator & Sendable
  ) -> StoreFailure? {
    let lost: StepID? =
      switch state {
      case .polling(let step), .acquiring(_, let step): step
      case .leading(let leadership): leadership.renewal
      case .idle, .following, .uncertain: nil
      }
    guard let lost, lost.issuedAt + timing.answerBy <= now else { return nil }
    failed(lost, .unanswered, at: now, using: &generator)
    return .unanswered
  }

  /// Does what is due.
  mutating func advance(at now: Moment) -> [Step] {
    switch state {
    case .following(let moment) where moment <= now:
      let step = steps.next(.pollLock, at: now)
      state = .polling(step)
      return [.send(.pollLock, step)]
    case .uncertain(let term, let moment) where moment <= now:
      return acquire(term, at: now)
    case .leading(var leadership)
    where leadership.renewAt <= now && leadership.renewal == nil:
      let command = StoreCommand.renew(leadership.term, lease: timing.lease)
      let step = steps.next(command, at: now)
      leadership.renewal = step
      state = .leading(leadership)
      return [.send(command, step)]
    case .idle, .following, .polling, .acquiring, .uncertain, .leading:
      return []
    }
  }

  // MARK: Parts

  /// Asks for the lock with a new term.
  private mutating func tryAcquire(
    at now: Moment, using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Step] {
    mayHold = false
    claim = floor > .none ? Int64.random(in: 0..<Election.claims, using: &generator) : 0
    return acquire(Term(instance: instance, using: &generator), at: now)
  }

  private mutating func acquire(_ term: Term, at now: Moment) -> [Step] {
    // Two terms never share an epoch: also not when Redis's clock is behind the floor, and the
    // epoch that another replica was just given from the same floor is lost.
    let floor = Epoch(min(floor.rawValue, Epoch.limit) + claim)
    let command = StoreCommand.acquire(term, lease: timing.lease, floor: floor)
    let step = steps.next(command, at: now)
    state = .acquiring(term, step)
    return [.send(command, step)]
  }

  /// Remembers that Redis may have given the lock to this term, which may be given up.
  private mutating func doubt(_ term: Term) {
    guard doubtful.last != term else { return }
    doubtful = doubtful.suffix(Election.doubtfulTerms - 1) + [term]
  }

  /// Gives back a lock that Redis gave us when we no longer waited for it.
  private mutating func releaseIfOurs(_ holder: String?, at now: Moment) -> [Step] {
    guard let term = doubtful.last(where: { $0.description == holder }) else { return [] }
    return [release(term, at: now)]
  }

  /// Gives a lock back, whether it is ours or not.
  mutating func release(_ term: Term, at now: Moment) -> Step {
    let command = StoreCommand.release(term)
    return .send(command, steps.next(command, at: now))
  }

  /// The next look: soon after the lock would lapse, so that a crash is noticed at once.
  private mutating func wait(
    remaining: Duration?, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) {
    var pollAt = now + jittered(timing.retry, using: &generator)
    if let remaining, remaining >= .zero {
      let spread = Duration.milliseconds(Int64.random(in: 10...100, using: &generator))
      pollAt = min(pollAt, now + remaining + spread)
    }
    state = .following(pollAt: pollAt)
  }
}

/// A duration with 20 % of jitter to either side, so that replicas do not move in step.
func jittered(
  _ duration: Duration, using generator: inout any RandomNumberGenerator & Sendable
) -> Duration {
  duration * Int64.random(in: 800...1200, using: &generator) / 1000
}
