/// The fetches of this replica that may have killed what Redis has, and who is told of them.
///
/// Repeating a mark changes nothing, so that whatever may be forgotten may be said again.
package struct Traces: Hashable, Sendable {
  /// The marks that are owed until Redis acknowledges them.
  package internal(set) var debts: [Debt] = []
  /// What a server has acknowledged: said again where the record does not know of it, as that one
  /// may be a demoted primary, or lose its data.
  var acknowledged: [Acknowledged] = []
  /// Calls that were under way when leadership ended: their outcome is still to come.
  private(set) var abandoned: [Attempt] = []
  /// The attempts of this lead whose outcome nobody knows, as one debt.
  var unresolved: Debt?
  /// What was published last.
  var lastCommit: LastCommit?

  /// A token that this replica published, and what a MARK would say of it.
  struct LastCommit: Hashable, Sendable {
    let version: Version
    let beganAt: Moment
    let begunAt: RedisTime?
    let committedAt: Moment
    /// When the token's life ends.
    let endsAt: Moment
  }

  /// A fetch of this replica that may have killed what Redis has.
  package struct Debt: Hashable, Sendable {
    package internal(set) var version: Version
    /// When its BEGIN was sent, or the first of several.
    var beganAt: Moment
    /// Redis's time of that BEGIN, when it was answered.
    var begunAt: RedisTime?
    /// When it was asked last, or its outcome was known; nil while it may still be asked.
    var knownAt: Moment?
    package internal(set) var flight: Flight

    init(
      version: Version, beganAt: Moment, begunAt: RedisTime?, knownAt: Moment?, flight: Flight
    ) {
      self.version = version
      self.beganAt = beganAt
      self.begunAt = begunAt
      self.knownAt = knownAt
      self.flight = flight
    }

    /// What an attempt may have done whose outcome was known then.
    init(_ attempt: Attempt, knownAt: Moment) {
      self.init(
        version: attempt.version, beganAt: attempt.firstBeganAt, begunAt: attempt.receipt?.at,
        knownAt: knownAt, flight: .due(knownAt))
    }

    /// One debt for two: number 0 is no fetch's, so that it is never taken for one in its turn.
    func joined(with other: Debt) -> Debt {
      let isSame = version == other.version
      var last = knownAt.flatMap { mine in other.knownAt.map { max(mine, $0) } }
      if isSame { last = last ?? knownAt ?? other.knownAt }
      return Debt(
        version: isSame
          ? version : Version(epoch: max(version.epoch, other.version.epoch), sequence: 0),
        beganAt: min(beganAt, other.beganAt),
        begunAt: begunAt.flatMap { mine in other.begunAt.map { min(mine, $0) } ?? mine }
          ?? other.begunAt,
        knownAt: last, flight: other.flight)
    }
  }

  /// More debts than these are paid as one.
  static let debtLimit = 3
  /// What was killed so long ago has ended by itself: no token lives longer.
  static let debtMemory: Duration = .seconds(7200)

  mutating func owe(
    _ version: Version, beganAt: Moment, begunAt: RedisTime?, knownAt: Moment?, at due: Moment
  ) {
    let debt = Debt(
      version: version, beganAt: beganAt, begunAt: begunAt, knownAt: knownAt, flight: .due(due))
    if let place = debts.firstIndex(where: { $0.version == version }) {
      // What is on its way says less than this: its answer pays nothing any more.
      debts[place] = debts[place].joined(with: debt)
    } else {
      debts.append(debt)
    }
    if debts.count > Self.debtLimit {
      let first = debts.removeFirst()
      debts[0] = first.joined(with: debts[0])
      debts[0].flight = .due(due)
    }
  }

  mutating func owe(_ attempt: Attempt, knownAt: Moment?, at now: Moment) {
    owe(
      attempt.version, beganAt: attempt.firstBeganAt, begunAt: attempt.receipt?.at,
      knownAt: knownAt, at: now)
  }

  /// What was done while this replica led is told now: nobody else knows of it.
  mutating func endedLeading(at now: Moment) {
    if let unresolved { owe(unresolved, at: now) }
    unresolved = nil
    // A server that does not know of the last token has another one, or an older one, and whoever
    // reads that is to know how long it lives.
    guard let own = lastCommit, now < own.endsAt else { return lastCommit = nil }
    owe(
      own.version, beganAt: own.beganAt, begunAt: own.begunAt, knownAt: own.committedAt, at: now)
  }

  mutating func owe(_ debt: Debt, at due: Moment) {
    owe(
      debt.version, beganAt: debt.beganAt, begunAt: debt.begunAt, knownAt: debt.knownAt, at: due)
  }

  /// Nobody knows whether the attempt minted a token: it may have killed the one that Redis has.
  ///
  /// How long it may still be processed counts from when it was asked, as Redis counts it from its
  /// BEGIN: counted from its end, a fetch that Redis takes for later would be in doubt here.
  mutating func leaveUnresolved(_ attempt: Attempt, at now: Moment) {
    let debt = Debt(attempt, knownAt: attempt.askedAt ?? now)
    unresolved = unresolved?.joined(with: debt) ?? debt
  }

  /// Redis knows of nothing that may have killed the token of this attempt: what this replica knows
  /// of is over, or Redis has lost it.
  mutating func settleUnresolved(by attempt: Attempt, at now: Moment) {
    guard let unresolved else { return }
    self.unresolved = nil
    guard attempt.firstBeganAt <= (unresolved.knownAt ?? now) + Timing.straggling else { return }
    owe(unresolved, at: now)
  }

  /// Leadership ended while WeChat was asked.
  mutating func abandon(_ attempt: Attempt) {
    abandoned.append(attempt)
    if abandoned.count > Self.debtLimit { abandoned.removeFirst() }
  }

  /// The call of that version ended after all; nil when it is not one that was left.
  mutating func takeAbandoned(_ version: Version) -> Attempt? {
    defer { abandoned.removeAll { $0.version == version } }
    return abandoned.first { $0.version == version }
  }

  /// That fetch is known to have minted nothing.
  mutating func forget(_ version: Version) {
    acknowledged.removeAll { $0.debt.version == version }
  }

  mutating func storeConnected(isAnother: Bool, at now: Moment) {
    for place in debts.indices {
      if case .due = debts[place].flight { debts[place].flight = .due(now) }
    }
    guard isAnother else { return }
    for place in acknowledged.indices { acknowledged[place].settlesLater = false }
  }

  /// When the fetch of this replica that Redis dates so began, whatever Redis's clock did since.
  func beganAt(_ begunAt: RedisTime) -> Moment? {
    if let lastCommit, lastCommit.begunAt == begunAt { return lastCommit.beganAt }
    if let unresolved, unresolved.begunAt == begunAt { return unresolved.beganAt }
    return debts.first { $0.begunAt == begunAt }?.beganAt
      ?? acknowledged.first { $0.debt.begunAt == begunAt }?.debt.beganAt
  }

  /// The first mark that is due; one at a time.
  func due(at now: Moment) -> Debt? {
    guard sentAt == nil else { return nil }
    return debts.first { debt in debt.flight.dueAt.map { $0 <= now } ?? false }
  }

  /// The mark of that debt is on its way.
  mutating func sent(_ debt: Debt, as step: StepID) {
    guard let place = debts.firstIndex(of: debt) else { return }
    debts[place].flight = .sent(step)
  }

  /// When the mark under way was sent.
  var sentAt: Moment? { debts.lazy.compactMap(\.flight.sentAt).first }

  /// When the first mark is due; nil while one is under way.
  var dueAt: Moment? { sentAt == nil ? debts.lazy.compactMap(\.flight.dueAt).min() : nil }

  /// Whether the mark of this step pays something.
  func expects(_ step: StepID) -> Bool { debts.contains { $0.flight == .sent(step) } }

  /// The mark under way, once it counts as unanswered.
  func lost(by now: Moment, answerBy: Duration) -> StepID? {
    for case .sent(let step) in debts.lazy.map(\.flight) where step.issuedAt + answerBy <= now {
      return step
    }
    return nil
  }

  /// A mark brought no answer, or none in time: it is sent again.
  mutating func postpone(_ step: StepID, until retryAt: Moment) {
    for place in debts.indices where debts[place].flight == .sent(step) {
      debts[place].flight = .due(retryAt)
    }
  }

  /// The mark of this step is acknowledged; returns what it was about, nil when it paid nothing.
  ///
  /// - Parameter settledBy: a commit that it cannot have killed.
  mutating func pay(_ step: StepID, settledBy: Version?, at now: Moment) -> Version? {
    guard let place = debts.firstIndex(where: { $0.flight == .sent(step) }) else { return nil }
    let debt = debts.remove(at: place)
    remember(acknowledged: debt, settledBy: settledBy, at: now)
    return debt.version
  }
}

/// What a server has acknowledged: it may lose that, and another one may not have it.
extension Traces {
  /// A fetch of this replica that a server knew of.
  struct Acknowledged: Hashable, Sendable {
    let debt: Debt
    /// A commit that it cannot have killed.
    var settledBy: Version?
    /// Whether what follows that commit is as safe: not on another server, which may have got there
    /// by a way of its own.
    var settlesLater = true
  }

  mutating func remember(acknowledged debt: Debt, settledBy: Version?, at now: Moment) {
    var debt = debt
    // It was marked as of then, and its gate was closed.
    debt.knownAt = debt.knownAt ?? now
    acknowledged.removeAll { $0.debt.version == debt.version }
    acknowledged.append(Acknowledged(debt: debt, settledBy: settledBy))
    if acknowledged.count > Self.debtLimit { acknowledged.removeFirst() }
  }

  /// Owes again what the record has no trace of, though it may have killed what is there: its
  /// server is another one than that which acknowledged it, or has lost its data.
  ///
  /// - Parameter pause: until it is said: a Redis that loses it every time is not written to
  ///   without one.
  mutating func oweForgotten(_ view: AccountView, pause: Duration, at now: Moment) {
    guard !acknowledged.isEmpty else { return }
    acknowledged.removeAll { now - $0.debt.beganAt >= Self.debtMemory }
    for place in acknowledged.indices {
      var known = acknowledged[place]
      known.look(at: view, now)
      acknowledged[place] = known
      guard !known.isSettled(in: view), !known.isDoubted(in: view, now),
        !debts.contains(where: { $0.version == known.debt.version })
      else { continue }
      owe(known.debt, at: now + pause)
    }
  }

  /// The same where the record is not ours to read, once at each other server.
  mutating func oweUnseen(at now: Moment) {
    for place in acknowledged.indices where !acknowledged[place].settlesLater {
      acknowledged[place].settledBy = nil
      acknowledged[place].settlesLater = true
      let debt = acknowledged[place].debt
      guard now - debt.beganAt < Self.debtMemory else { continue }
      owe(debt, at: now)
    }
  }
}

extension Traces.Acknowledged {
  /// Takes in whether what is committed came in its turn, or began when all of this was over.
  fileprivate mutating func look(at view: AccountView, _ now: Moment) {
    guard let committed = view.committed else { return }
    let isLater =
      view.fetchedAt.map {
        max(view.now - $0, .zero) < knownFor(now) - Timing.straggling
      } ?? false
    guard isLater || committed == debt.version || isSettled(in: view) else { return }
    settledBy = committed
    settlesLater = true
  }

  fileprivate func isSettled(in view: AccountView) -> Bool {
    guard let settledBy, let committed = view.committed else { return false }
    return settlesLater ? committed >= settledBy : committed == settledBy
  }

  /// Whether the record states no longer life than this allows, and will until it is over.
  fileprivate func isDoubted(in view: AccountView, _ now: Moment) -> Bool {
    if view.intent?.version == debt.version { return true }
    guard let doubt = view.doubt else { return false }
    // By two clocks.
    let knownFor = knownFor(now)
    guard view.now - doubt.last <= knownFor + RemainingTolerance.ofClock(lifetime: knownFor)
    else { return false }
    // Where nothing is committed the keys end by the doubt; what a COMMIT could not end began with
    // that one's fetch.
    guard let end = view.statedEnd, doubt.first != view.fetchedAt else { return true }
    if let begunAt = debt.begunAt, end <= begunAt + Timing.certain { return true }
    let age = now - debt.beganAt
    return end - view.now <= Timing.certain - age + RemainingTolerance.ofClock(lifetime: age)
  }

  private func knownFor(_ now: Moment) -> Duration { max(now - (debt.knownAt ?? now), .zero) }
}
