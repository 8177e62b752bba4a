/// Marks that are owed, until Redis acknowledges them.
///
/// Repeating one changes nothing, so that whatever may be forgotten may be said again.
extension AccountKeeper {
  /// A fetch of this replica that may have killed what Redis has.
  package struct Debt: Hashable, Sendable {
    package internal(set) var version: Version
    /// When its BEGIN was sent, or the first of several.
    var beganAt: Moment
    /// Redis's time of that BEGIN, when it was answered.
    var begunAt: RedisTime?
    /// When its outcome was known; nil while it is not.
    var knownAt: Moment?
    package internal(set) var step: Step

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
        knownAt: last, step: other.step)
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
      version: version, beganAt: beganAt, begunAt: begunAt, knownAt: knownAt, step: .due(due))
    if let place = debts.firstIndex(where: { $0.version == version }) {
      // What is on its way says less than this: its answer pays nothing any more.
      debts[place] = debts[place].joined(with: debt)
    } else {
      debts.append(debt)
    }
    if debts.count > Self.debtLimit {
      let first = debts.removeFirst()
      debts[0] = first.joined(with: debts[0])
      debts[0].step = .due(due)
    }
  }

  mutating func owe(_ attempt: Attempt, knownAt: Moment?, at now: Moment) {
    owe(
      attempt.version, beganAt: attempt.firstBeganAt, begunAt: attempt.receipt?.at,
      knownAt: knownAt, at: now)
  }

  /// The last token that this replica published: a server that does not know of it has another
  /// one, or an older one, and whoever reads that is to know how long it lives.
  mutating func oweLastCommit(at now: Moment) {
    guard let own = lastCommit, now < own.endsAt else { return lastCommit = nil }
    owe(
      own.version, beganAt: own.beganAt, begunAt: own.begunAt, knownAt: own.committedAt, at: now)
  }

  /// The first mark that is due, as it is to be sent; one at a time.
  mutating func payDebt(at now: Moment) -> Outcome? {
    guard debtSentAt == nil else { return nil }
    let place = debts.firstIndex { debt in
      if case .due(let moment) = debt.step { moment <= now } else { false }
    }
    guard let place else { return nil }
    debts[place].step = .sent(now)
    let debt = debts[place]
    return .send(
      .mark(
        .init(
          account: name, version: debt.version, age: max(now - debt.beganAt, .zero),
          begunAt: debt.begunAt, knownFor: debt.knownAt.map { max(now - $0, .zero) },
          outputs: kept)))
  }

  /// When the mark under way was sent.
  var debtSentAt: Moment? {
    for case .sent(let moment) in debts.lazy.map(\.step) { return moment }
    return nil
  }

  mutating func marked(
    _ mark: StoreCommand.Mark, _ reply: StoreReply, sentAt: Moment, at now: Moment
  ) -> [Outcome] {
    switch reply {
    case .marked, .inOrder, .settled: break
    default: return failed(.mark(mark), sentAt: sentAt, .strangeAnswer, at: now)
    }
    let isPaid = { (debt: Debt) in debt.version == mark.version && debt.step == .sent(sentAt) }
    guard debts.contains(where: isPaid) else { return [] }
    for debt in debts.filter(isPaid) {
      // In its turn, or over before what is there: as that server has it, nothing is in doubt.
      remember(acknowledged: debt, settledBy: reply == .marked ? nil : stated?.version, at: now)
    }
    debts.removeAll(where: isPaid)
    guard case .marked = reply else { return [] }
    hinted(at: now)
    return [.note(.marked(name, mark.version))]
  }

  /// A mark brought no answer, or none in time: it is sent again.
  mutating func markFailed(sentAt: Moment, at now: Moment) -> Bool {
    guard let place = debts.firstIndex(where: { $0.step == .sent(sentAt) }) else { return false }
    debts[place].step = .due(now + storeRetry())
    return true
  }
}

/// What a server has acknowledged: it may lose that, and another one may not have it.
extension AccountKeeper {
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
  mutating func oweForgotten(_ view: AccountView, at now: Moment) {
    guard !acknowledged.isEmpty else { return }
    acknowledged.removeAll { now - $0.debt.beganAt >= Self.debtMemory }
    for place in acknowledged.indices {
      var known = acknowledged[place]
      known.look(at: view, now)
      acknowledged[place] = known
      guard !known.isSettled(in: view), !known.isDoubted(in: view, now),
        !debts.contains(where: { $0.version == known.debt.version })
      else { continue }
      // A Redis that loses it every time is not written to without a pause.
      owe(
        known.debt.version, beganAt: known.debt.beganAt, begunAt: known.debt.begunAt,
        knownAt: known.debt.knownAt, at: now + timing.retry)
    }
  }

  /// The same where the record is not ours to read, once at each other server.
  mutating func oweUnseen(at now: Moment) {
    for place in acknowledged.indices where !acknowledged[place].settlesLater {
      acknowledged[place].settledBy = nil
      acknowledged[place].settlesLater = true
      let debt = acknowledged[place].debt
      guard now - debt.beganAt < Self.debtMemory else { continue }
      owe(
        debt.version, beganAt: debt.beganAt, begunAt: debt.begunAt, knownAt: debt.knownAt, at: now)
    }
  }
}

extension AccountKeeper.Acknowledged {
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
