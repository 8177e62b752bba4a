/// Takes what a keeper remembers, piece by piece and always in the same order.
///
/// What is told as a moment, an epoch, a term or a token is so that the reader can tell keepers
/// apart that differ in more than names and the time of day.
package protocol MemoryReader {
  mutating func read(_ number: Int64)
  mutating func read(_ moment: Moment)
  mutating func read(_ time: RedisTime)
  mutating func read(_ epoch: Epoch)
  mutating func read(_ term: Term)
  mutating func read(_ token: AccessToken)
  /// A server's run id.
  mutating func read(server: String)
}

extension MemoryReader {
  package mutating func read(_ flag: Bool) { read(flag ? 1 : 0 as Int64) }

  package mutating func read(_ span: Duration) { read(span.wholeNanoseconds) }

  package mutating func read(_ version: Version) {
    read(version.epoch)
    read(version.sequence)
  }

  /// Reads what may be missing.
  package mutating func read<Piece>(_ piece: Piece?, _ body: (inout Self, Piece) -> Void) {
    read(piece != nil)
    if let piece { body(&self, piece) }
  }
}

extension Keeper {
  /// Tells everything that decides what this keeper does from now on.
  ///
  /// Two keepers of the same settings that tell the same do the same, but for what other replicas'
  /// heartbeats decide (who abdicates, whose name is shared), for what is only shown or counted, and
  /// for the day's budget of fetches.
  package func tellMemory(to reader: inout some MemoryReader) {
    reader.read(storeIsConnected)
    reader.read(runID) { $0.read(server: $1) }
    reader.read(tickAt)
    reader.read(shutdownBy) { $0.read($1) }
    reader.read(isReleasing)
    reader.read(isReleased)
    reader.read(isStopped)
    election.tellMemory(to: &reader)
    for account in accounts { account.tellMemory(to: &reader) }
  }
}

extension Election {
  fileprivate func tellMemory(to reader: inout some MemoryReader) {
    switch state {
    case .idle: reader.read(0)
    case .following(let pollAt):
      reader.read(1)
      reader.read(pollAt)
    case .polling(let sentAt):
      reader.read(2)
      reader.read(sentAt)
    case .acquiring(let term, let sentAt):
      reader.read(3)
      reader.read(term)
      reader.read(sentAt)
    case .uncertain(let term, let retryAt):
      reader.read(4)
      reader.read(term)
      reader.read(retryAt)
    case .leading(let leadership):
      reader.read(5)
      reader.read(leadership.term)
      reader.read(leadership.epoch)
      reader.read(leadership.validUntil)
      reader.read(leadership.renewAt)
      reader.read(leadership.renewSentAt) { $0.read($1) }
    }
    reader.read(floor)
    reader.read(mayHold)
    reader.read(claim)
    for term in doubtful { reader.read(term) }
    reader.read(heldBackUntil) { $0.read($1) }
  }
}

extension AccountKeeper {
  fileprivate func tellMemory(to reader: inout some MemoryReader) {
    tellPhase(to: &reader)
    reader.read(copy) { $1.tellMemory(to: &$0) }
    reader.read(wanted) {
      $0.read($1.trigger.number)
      $0.read($1.notBefore)
      $0.read($1.isBackoff)
    }
    reader.read(Int64(debts.count))
    for debt in debts { debt.tellMemory(to: &reader) }
    reader.read(unresolved) { $1.tellMemory(to: &$0) }
    reader.read(lastCommit) {
      $0.read($1.version)
      $0.read($1.beganAt)
      $0.read($1.begunAt) { $0.read($1) }
      $0.read($1.committedAt)
      $0.read($1.endsAt)
    }
    for attempt in abandoned { attempt.tellMemory(to: &reader) }
    reader.read(stated) {
      $0.read($1.basis.version)
      $0.read($1.basis.doubt) { $0.read($1) }
      $0.read($1.basis.intent) { $0.read($1) }
      $0.read($1.end)
      $0.read($1.recordedEnd)
      $0.read($1.doubtOver) { $0.read($1) }
    }
    reader.read(hasHistory)
    reader.read(isRefused)
    reader.read(isQueued)
    reader.read(isHinted)
    reader.read(Int64(failures.inARow))
    reader.read(Int64(failures.transportInARow))
    reader.read(Int64(storeFailures))
    reader.read(reports.asked) {
      $0.read($1.trigger.number)
      $0.read($1.notBefore)
    }
    reader.read(reports.begun.last) { $0.read($1) }
    reader.read(lookAt)
    reader.read(lastFetchAt) { $0.read($1) }
    reader.read(sequence)
  }

  private func tellPhase(to reader: inout some MemoryReader) {
    switch phase {
    case .following(let step):
      reader.read(0)
      step.tellMemory(to: &reader)
    case .takingOver(let step):
      reader.read(1)
      step.tellMemory(to: &reader)
    case .holding: reader.read(2)
    case .looking(let sentAt):
      reader.read(3)
      reader.read(sentAt)
    case .republishing(let step):
      reader.read(4)
      step.tellMemory(to: &reader)
    case .recommitting(let step):
      reader.read(5)
      step.tellMemory(to: &reader)
    case .beginning(let attempt, let step):
      reader.read(6)
      attempt.tellMemory(to: &reader)
      step.tellMemory(to: &reader)
    case .ready(let attempt):
      reader.read(7)
      attempt.tellMemory(to: &reader)
    case .fetching(let attempt):
      reader.read(8)
      attempt.tellMemory(to: &reader)
    case .committing(let attempt, let fetched, let step):
      reader.read(9)
      attempt.tellMemory(to: &reader)
      reader.read(fetched.token)
      reader.read(fetched.lifetime)
      reader.read(fetched.sentAt)
      step.tellMemory(to: &reader)
    case .resolving(let attempt, let step):
      reader.read(10)
      attempt.tellMemory(to: &reader)
      step.tellMemory(to: &reader)
    }
  }
}

extension AccountKeeper.Step {
  fileprivate func tellMemory(to reader: inout some MemoryReader) {
    switch self {
    case .due(let moment):
      reader.read(0)
      reader.read(moment)
    case .sent(let moment):
      reader.read(1)
      reader.read(moment)
    }
  }
}

extension AccountKeeper.Attempt {
  fileprivate func tellMemory(to reader: inout some MemoryReader) {
    reader.read(version)
    reader.read(trigger.number)
    reader.read(firstBeganAt)
    reader.read(beganAt)
    reader.read(receipt) {
      $0.read($1.committed) { $0.read($1) }
      $0.read($1.at)
      $0.read($1.now)
    }
    reader.read(askedAt) { $0.read($1) }
  }
}

extension AccountKeeper.Debt {
  fileprivate func tellMemory(to reader: inout some MemoryReader) {
    reader.read(version)
    reader.read(beganAt)
    reader.read(begunAt) { $0.read($1) }
    reader.read(knownAt) { $0.read($1) }
    step.tellMemory(to: &reader)
  }
}

extension Copy {
  fileprivate func tellMemory(to reader: inout some MemoryReader) {
    reader.read(token)
    reader.read(version)
    reader.read(lifetime)
    reader.read(expiresAt)
    reader.read(begunAt) { $0.read($1) }
    reader.read(certainUntil)
    reader.read(isOwn)
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
