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
    _ version: Version, beganAt: Moment, begunAt: RedisTime?, knownAt: Moment?, at now: Moment
  ) {
    let debt = Debt(
      version: version, beganAt: beganAt, begunAt: begunAt, knownAt: knownAt, step: .due(now))
    if let place = debts.firstIndex(where: { $0.version == version }) {
      // What is on its way says less than this: its answer pays nothing any more.
      debts[place] = debts[place].joined(with: debt)
    } else {
      debts.append(debt)
    }
    if debts.count > Self.debtLimit {
      let first = debts.removeFirst()
      debts[0] = first.joined(with: debts[0])
      debts[0].step = .due(now)
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

  /// What it fetched and did not publish, to a server that may not know of it.
  mutating func oweAcknowledged(at now: Moment) {
    acknowledged.removeAll { now - $0.beganAt >= Self.debtMemory }
    for debt in acknowledged where debt.version != lastCommit?.version {
      owe(
        debt.version, beganAt: debt.beganAt, begunAt: debt.begunAt, knownAt: debt.knownAt, at: now)
    }
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
    for debt in debts.filter(isPaid) where debt.version != lastCommit?.version {
      remember(acknowledged: debt)
    }
    debts.removeAll(where: isPaid)
    guard case .marked = reply else { return [] }
    hinted(at: now)
    return [.note(.marked(name, mark.version))]
  }

  /// A server knows of it; another one may not.
  mutating func remember(acknowledged debt: Debt) {
    acknowledged.removeAll { $0.version == debt.version }
    acknowledged.append(debt)
    if acknowledged.count >= Self.debtLimit { acknowledged.removeFirst() }
  }

  /// A mark brought no answer, or none in time: it is sent again.
  mutating func markFailed(sentAt: Moment, at now: Moment) -> Bool {
    guard let place = debts.firstIndex(where: { $0.step == .sent(sentAt) }) else { return false }
    debts[place].step = .due(now + storeRetry())
    return true
  }
}
