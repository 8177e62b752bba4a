/// What a keeper remembers, piece by piece and always in the same order.
///
/// What stands for a moment, an epoch, a term or a token is kept apart from mere numbers, so that
/// keepers can be compared that differ in nothing but names and the time of day.
package struct Memory: Sendable {
  package enum Piece: Sendable {
    case number(Int64)
    case moment(Moment)
    case time(RedisTime)
    case epoch(Epoch)
    case term(Term)
    case token(AccessToken)
    /// A server's run id.
    case server(String)
    case step(StepID)
    case nothing
  }

  package private(set) var pieces: [Piece] = []

  package init() {}

  package mutating func removeAll() { pieces.removeAll(keepingCapacity: true) }

  fileprivate mutating func add(_ number: Int64) { pieces.append(.number(number)) }
  fileprivate mutating func add(_ flag: Bool) { pieces.append(.number(flag ? 1 : 0)) }
  fileprivate mutating func add(_ span: Duration) { add(span.wholeNanoseconds) }
  fileprivate mutating func add(_ epoch: Epoch) { pieces.append(.epoch(epoch)) }
  fileprivate mutating func add(_ term: Term) { pieces.append(.term(term)) }
  fileprivate mutating func add(_ token: AccessToken) { pieces.append(.token(token)) }
  fileprivate mutating func add(_ step: StepID?) {
    pieces.append(step.map { .step($0) } ?? .nothing)
  }
  fileprivate mutating func add(server: String?) {
    pieces.append(server.map { .server($0) } ?? .nothing)
  }
  fileprivate mutating func add(_ moment: Moment?) {
    pieces.append(moment.map { .moment($0) } ?? .nothing)
  }
  fileprivate mutating func add(_ time: RedisTime?) {
    pieces.append(time.map { .time($0) } ?? .nothing)
  }
  fileprivate mutating func add(_ version: Version?) {
    guard let version else { return pieces.append(.nothing) }
    add(version.epoch)
    add(version.sequence)
  }
}

extension Keeper {
  /// Tells everything that decides what this keeper does from now on.
  ///
  /// Two keepers of the same settings that tell the same do the same, but for what other replicas'
  /// heartbeats decide (who abdicates, whose name is shared), for what is only shown or counted,
  /// and for the day's budget of fetches.
  ///
  /// - Parameter least: no look at any account will show less than this committed, so that marks
  ///   which it settles are never said again; nil where data may be lost yet.
  package func tellMemory(to memory: inout Memory, least: Version? = nil) {
    memory.add(storeIsConnected)
    memory.add(server: runID)
    memory.add(answeredAt)
    memory.add(lostSince)
    memory.add(tickAt)
    memory.add(shutdownBy)
    memory.add(isReleasing)
    memory.add(isReleased)
    memory.add(isStopped)
    memory.add(sequenceFloor)
    election.tellMemory(to: &memory)
    for account in accounts { account.tellMemory(to: &memory, least: least) }
  }
}

extension Election {
  fileprivate func tellMemory(to memory: inout Memory) {
    switch state {
    case .idle: memory.add(0)
    case .following(let pollAt):
      memory.add(1)
      memory.add(pollAt)
    case .polling(let step):
      memory.add(2)
      memory.add(step)
    case .acquiring(let term, let step):
      memory.add(3)
      memory.add(term)
      memory.add(step)
    case .uncertain(let term, let retryAt):
      memory.add(4)
      memory.add(term)
      memory.add(retryAt)
    case .leading(let leadership):
      memory.add(5)
      memory.add(leadership.term)
      memory.add(leadership.epoch)
      memory.add(leadership.validUntil)
      memory.add(leadership.renewAt)
      memory.add(leadership.renewal)
    }
    memory.add(floor)
    memory.add(mayHold)
    memory.add(claim)
    for term in doubtful { memory.add(term) }
    memory.add(heldBackUntil)
  }
}

extension AccountKeeper {
  fileprivate func tellMemory(to memory: inout Memory, least: Version?) {
    work.tellMemory(to: &memory)
    flight.tellMemory(to: &memory)
    published.tellMemory(to: &memory)
    memory.add(wanted != nil)
    if let wanted {
      memory.add(wanted.trigger.number)
      memory.add(wanted.notBefore)
      memory.add(wanted.isBackoff)
    }
    let underWay = work.attempt?.version
    traces.tellMemory(to: &memory, underWay: underWay, least: least)
    memory.add(isRefused)
    memory.add(isLeaving)
    memory.add(isQueued)
    memory.add(isHinted)
    memory.add(Int64(failures.inARow))
    memory.add(Int64(failures.transportInARow))
    memory.add(Int64(storeFailures))
    memory.add(reports.asked?.trigger.number ?? -1)
    memory.add(reports.asked?.notBefore)
    memory.add(reports.asked?.isRefused ?? false)
    memory.add(failures.last?.isForPeople ?? false ? failures.lastAt : nil)
    memory.add(reports.begun.last)
    memory.add(lookAt)
    memory.add(lastFetchAt)
    memory.add(sequence)
    guard !credential.isMortal || credential.source != nil else { return }
    memory.add(source != nil)
    if let source {
      memory.add(source.token)
      memory.add(source.until)
    }
    memory.add(refreshAt)
  }
}

extension Work {
  fileprivate func tellMemory(to memory: inout Memory) {
    memory.add(Int64(kind.rawValue))
    attempt?.tellMemory(to: &memory)
    guard case .commit(_, let fetched) = self else { return }
    memory.add(fetched.token)
    memory.add(fetched.lifetime)
    memory.add(fetched.sentAt)
  }
}

extension Flight {
  fileprivate func tellMemory(to memory: inout Memory) {
    switch self {
    case .idle: memory.add(0)
    case .due(let moment):
      memory.add(1)
      memory.add(moment)
    case .sent(let step):
      memory.add(2)
      memory.add(step)
    }
  }
}

extension Published {
  fileprivate func tellMemory(to memory: inout Memory) {
    memory.add(copy != nil)
    if let copy { copy.tellMemory(to: &memory) }
    memory.add(stated != nil)
    if let stated {
      memory.add(stated.version)
      memory.add(stated.lifeEnd)
      for bound in [stated.doubt, stated.intent] {
        memory.add(bound?.begunAt)
        memory.add(bound?.end)
      }
      memory.add(stated.recordedEnd)
      memory.add(stated.doubtOver)
    }
    memory.add(hasHistory)
    memory.add(isProvedDead)
  }
}

extension Traces {
  fileprivate func tellMemory(to memory: inout Memory, underWay: Version?, least: Version?) {
    memory.add(Int64(debts.count))
    for debt in debts { debt.tellMemory(to: &memory) }
    memory.add(unresolved != nil)
    if let unresolved { unresolved.tellMemory(to: &memory) }
    memory.add(lastCommit != nil)
    if let lastCommit {
      memory.add(lastCommit.version)
      memory.add(lastCommit.beganAt)
      memory.add(lastCommit.begunAt)
      memory.add(lastCommit.committedAt)
      memory.add(lastCommit.endsAt)
    }
    memory.add(Int64(acknowledged.count))
    for known in acknowledged {
      let isOver = known.debt.version != underWay && isOver(known, least: least)
      memory.add(isOver)
      guard !isOver else { continue }
      known.debt.tellMemory(to: &memory)
      memory.add(known.settledBy)
      memory.add(known.settlesLater)
    }
    memory.add(Int64(abandoned.count))
    for attempt in abandoned { attempt.tellMemory(to: &memory) }
  }

  /// Whether no look and no answer will ever make anything of what was acknowledged.
  private func isOver(_ known: Acknowledged, least: Version?) -> Bool {
    guard let least, known.settlesLater, let settledBy = known.settledBy, settledBy <= least else {
      return false
    }
    let version = known.debt.version
    return unresolved?.version != version && !debts.contains { $0.version == version }
      && !abandoned.contains { $0.version == version }
  }
}

extension Attempt {
  fileprivate func tellMemory(to memory: inout Memory) {
    memory.add(version)
    memory.add(trigger.number)
    memory.add(firstBeganAt)
    memory.add(beganAt)
    memory.add(receipt != nil)
    if let receipt {
      memory.add(receipt.committed)
      memory.add(receipt.at)
      memory.add(receipt.now)
    }
    memory.add(askedAt)
  }
}

extension Traces.Debt {
  fileprivate func tellMemory(to memory: inout Memory) {
    memory.add(version)
    memory.add(beganAt)
    memory.add(begunAt)
    memory.add(knownAt)
    flight.tellMemory(to: &memory)
  }
}

extension Copy {
  fileprivate func tellMemory(to memory: inout Memory) {
    memory.add(token)
    memory.add(version)
    memory.add(lifetime)
    memory.add(expiresAt)
    memory.add(begunAt)
    memory.add(certainUntil)
    memory.add(certainTime)
    memory.add(isOwn)
  }
}

extension Trigger {
  fileprivate var number: Int64 {
    switch self {
    case .schedule: 0
    case .start: 1
    case .takeover: 2
    case .report: 3
    case .force: 4
    case .probe: 5
    case .doubt: 6
    }
  }
}
