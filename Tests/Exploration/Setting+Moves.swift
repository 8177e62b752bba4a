import Simulation
import TokenCore

/// What may happen in a state.
extension Setting {
  /// All of it, always in the same order; those that are no faults first.
  ///
  /// What only concerns one replica and Redis, WeChat and the others know nothing of may as well
  /// come before what they do: of such orders, which lead to the same, one is gone through. So a
  /// timer that is due fires at once, and an answer comes as soon as it is given, unless time
  /// passes or its replica does, or suffers, something else first.
  func moves(in state: State, to moves: inout [Move]) {
    moves.removeAll(keepingCapacity: true)
    let first = state.replicas.indices.first { isDue($0, in: state) }
    if let index = first ?? state.replicas.indices.first(where: { isAnswered($0, in: state) }) {
      addMoves(of: index, in: state, to: &moves)
      if state.hasJustMinted { addMints(in: state, to: &moves) }
      if first == nil, nextMoment(in: state) != nil { moves.append(.pass) }
      if state.faults < faults {
        addFaults(of: index, in: state, to: &moves)
        addFailOvers(in: state, to: &moves)
      }
      return
    }
    for index in state.replicas.indices {
      addDeliveries(of: index, in: state, to: &moves)
      addMoves(of: index, in: state, to: &moves)
    }
    for index in state.strayCommands.indices { moves.append(.carryOutStray(index)) }
    addMints(in: state, to: &moves)
    if nextMoment(in: state) != nil { moves.append(.pass) }
    guard state.faults < faults else { return }
    for index in state.replicas.indices { addFaults(of: index, in: state, to: &moves) }
    addFailOvers(in: state, to: &moves)
    moves.append(.flush)
  }

  /// Whether a replica's timer is due, of whatever kind.
  private func isDue(_ index: Int, in state: State) -> Bool {
    let replica = state.replicas[index]
    guard let keeper = replica.mind?.keeper, !replica.isPaused else { return false }
    if let due = keeper.nextWake, due <= state.moment { return true }
    if let at = replica.reconnectAt, at <= state.now { return true }
    return replica.steps.contains { deadline(of: $0) <= state.now }
      || replica.calls.contains { Self.deadline(of: $0) <= state.now }
  }

  private func isAnswered(_ index: Int, in state: State) -> Bool {
    !state.replicas[index].isPaused && state.replicas[index].hasPromptAnswer
  }

  /// What a replica does by itself, and takes.
  private func addMoves(of index: Int, in state: State, to moves: inout [Move]) {
    let replica = state.replicas[index]
    guard let keeper = replica.mind?.keeper else { return moves.append(.start(index)) }
    guard !replica.isPaused else { return moves.append(.resume(index)) }
    if let due = keeper.nextWake, due <= state.moment { moves.append(.wake(index)) }
    for (place, step) in replica.steps.enumerated() {
      if case .answered = step.stage {
        moves.append(.answer(index, place))
        if !overtakes { break }
      }
      if case .sent = step.stage, !overtakes { break }
    }
    for (place, step) in replica.steps.enumerated() where deadline(of: step) <= state.now {
      moves.append(.giveUpStep(index, place))
    }
    for (place, call) in replica.calls.enumerated() {
      if case .answered = call.stage { moves.append(.respond(index, place)) }
      if Self.deadline(of: call) <= state.now { moves.append(.giveUpCall(index, place)) }
    }
    if !replica.isConnected { moves.append(.reconnect(index)) }
    if state.requests > 0, keeper.isLeader(at: state.moment) { moves.append(.request(index)) }
  }

  /// What Redis does for a replica.
  private func addDeliveries(of index: Int, in state: State, to moves: inout [Move]) {
    for (place, step) in state.replicas[index].steps.enumerated() {
      guard case .sent = step.stage else { continue }
      moves.append(.carryOut(index, place))
      if !overtakes { break }
    }
  }

  /// What WeChat processes.
  ///
  /// The sooner a request is processed the sooner it kills: of all moments between two tokens the
  /// first one is the worst, and nobody but WeChat knows when it was.
  private func addMints(in state: State, to moves: inout [Move]) {
    for (index, replica) in state.replicas.enumerated() {
      for (place, call) in replica.calls.enumerated()
      where isCalm || state.hasJustMinted || call.openAt == state.now {
        if case .sent = call.stage { moves.append(.process(index, place)) }
      }
    }
    for (index, stray) in state.strayFetches.enumerated()
    where state.hasJustMinted || stray.openAt == state.now {
      moves.append(.processStray(index))
    }
  }

  private func addFaults(of index: Int, in state: State, to moves: inout [Move]) {
    let replica = state.replicas[index]
    guard replica.mind != nil else { return }
    moves.append(.crash(index))
    if !replica.isPaused {
      moves.append(.pause(index))
      if replica.calls.contains(where: { $0.isAtGate(at: state.now) }) {
        moves.append(.pauseAtGate(index))
      }
      if replica.isConnected { moves.append(.cut(index)) }
    }
    for (place, step) in replica.steps.enumerated() {
      switch step.stage {
      case .sent:
        moves.append(.loseStep(index, place))
        if !step.isSlow { moves.append(.slowStep(index, place)) }
        if step.command.writes { moves.append(.delayStep(index, place)) }
      case .answered:
        if !step.isSlow { moves.append(.slowStep(index, place)) }
        // Of what only reads, a lost answer is no other than a lost question.
        if step.command.writes { moves.append(.loseAnswer(index, place)) }
      case .lost: break
      }
    }
    for (place, call) in replica.calls.enumerated() {
      switch call.stage {
      case .sent: moves += [.loseCall(index, place), .delayCall(index, place)]
      case .answered: moves.append(.loseResponse(index, place))
      case .held, .lost: break
      }
    }
  }

  private func addFailOvers(in state: State, to moves: inout [Move]) {
    // Its latest state is what a fail-over without a loss has.
    moves.append(.failOver(0))
    // Older writes are on every server that may become the primary (TokenCore.md#the-algorithm).
    let oldest = state.now - Instant(Timing.lostWrites.wholeNanoseconds)
    for count in 0..<state.history.count
    where state.history[state.history.count - count - 1].writtenAt >= oldest {
      moves.append(.failOver(count + 1))
    }
    moves.append(.failOver(nil))
  }

  func deadline(of step: Step) -> Instant {
    (step.id.issuedAt + timing.opTimeout).nanoseconds
  }

  static func deadline(of call: Call) -> Instant { call.order.deadline.nanoseconds }

  /// The next moment that matters, unless something has to happen before.
  ///
  /// Timers fire in time, and what is neither lost nor slow is at Redis and back before time
  /// passes: that it is not is a fault. A call of WeChat may take until its deadline. When keys end
  /// and when tokens die are no moments of their own, as nobody acts upon them.
  func nextMoment(in state: State) -> (at: Instant, isTimersOnly: Bool)? {
    var timers: Instant = .max
    var next: Instant = .max
    var limit: Instant = .max
    for replica in state.replicas {
      guard let keeper = replica.mind?.keeper else { continue }
      for step in replica.steps {
        let deadline = deadline(of: step)
        switch step.stage {
        case .sent:
          guard step.isSlow else { return nil }
          limit = min(limit, deadline)
        case .answered:
          guard !replica.isPaused else { break }
          guard step.isSlow else { return nil }
          limit = min(limit, deadline)
        case .lost: if !replica.isPaused { next = min(next, deadline) }
        }
      }
      for call in replica.calls {
        let deadline = Self.deadline(of: call)
        switch call.stage {
        case .sent: limit = min(limit, deadline)
        case .answered: if !replica.isPaused { limit = min(limit, deadline) }
        case .held: break
        case .lost: if !replica.isPaused { next = min(next, deadline) }
        }
      }
      guard !replica.isPaused else { continue }
      if let wake = keeper.nextWake { timers = min(timers, wake.nanoseconds) }
      if let at = replica.reconnectAt { next = min(next, at) }
    }
    guard min(next, timers) > state.now, limit > state.now else { return nil }
    for stray in state.strayCommands where stray.until > state.now { next = min(next, stray.until) }
    let earliest = min(next, timers)
    guard earliest < limit, earliest <= horizon else { return nil }
    return (earliest, earliest < next)
  }
}

extension Call {
  /// Whether the request may not be written yet.
  func isAtGate(at now: Instant) -> Bool {
    if case .sent = stage { sentAt == now } else { false }
  }
}
