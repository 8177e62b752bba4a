/// What is due for one account, and when.
extension AccountKeeper {
  /// When something is due, unless anything happens before.
  ///
  /// Before that, `advance` does nothing, unless the account waits for a longer lease.
  func nextWake(leads: Bool, storeIsConnected: Bool, isShuttingDown: Bool) -> Moment? {
    var wake: Moment?
    func consider(_ moment: Moment) { wake = wake.map { min($0, moment) } ?? moment }
    if let lostAt { consider(lostAt) }
    if let sentAt = traces.sentAt { consider(sentAt + timing.answerBy) }
    guard storeIsConnected else { return wake }
    if let dueAt = traces.dueAt { consider(dueAt) }
    if let dueAt = flight.dueAt { consider(dueAt) }
    if work == .hold, leads {
      consider(lookAt)
      guard !isShuttingDown, !isLeaving else { return wake }
      if !isQueued, let start = fetchStart { consider(start) }
      if let probe = prober.nextWake, copy != nil { consider(probe) }
    }
    return wake
  }

  /// When what is under way counts as unanswered.
  var lostAt: Moment? {
    if case .fetch(let attempt) = work {
      return (attempt.askedAt ?? attempt.beganAt) + timing.apiTimeout + Timing.slack
    }
    return flight.sentAt.map { $0 + timing.answerBy }
  }

  /// Whether it waits until the lease outlasts a call, which no moment tells.
  var waitsForLease: Bool { if case .waitForLease = work { true } else { false } }

  /// Whether it is between a BEGIN and the end of the call that this allows.
  var isFetching: Bool {
    switch work {
    case .begin, .waitForLease, .fetch: true
    case .follow, .takeOver, .hold, .look, .republish, .recommit, .commit, .resolve: false
    }
  }

  /// When the fetch that is wanted, or the scheduled one, may begin; nil while what it is fetched
  /// with is not there.
  var fetchStart: Moment? {
    let spaced = lastFetchAt.map { $0 + Timing.fetchSpacing } ?? .origin
    guard hasSource, let start = wanted?.notBefore ?? scheduledStart else { return nil }
    return max(start, spaced)
  }

  /// The schedule's refresh, or the one that was asked for, whichever comes first.
  var scheduledStart: Moment? {
    guard let asked = reports.asked?.notBefore else { return refreshAt }
    return refreshAt.map { min($0, asked) } ?? asked
  }

  /// Does what is due.
  mutating func advance(
    in scene: Scene, using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    let now = scene.now
    var outcomes = giveUp(at: now, using: &generator)
    guard scene.isConnected else { return outcomes }
    if let debt = traces.due(at: now) { outcomes.append(pay(debt, at: now)) }
    if work == .follow, isDue(at: now) {
      // Who does not write them does not compare them.
      outcomes += send(.look(.init(account: name, outputs: Array(outputs.prefix(1)))), at: now)
    } else if case .resolve(let attempt) = work, isDue(at: now) {
      outcomes += send(.resolve(resolution(of: attempt)), at: now)
    } else if let lead = scene.lead {
      outcomes += advance(lead, in: scene)
    }
    return outcomes
  }

  private func isDue(at now: Moment) -> Bool { flight.dueAt.map { $0 <= now } ?? false }

  private mutating func advance(_ lead: Scene.Lead, in scene: Scene) -> [Outcome] {
    let now = scene.now
    switch work {
    case .hold: return hold(lead, in: scene)
    case .waitForLease(let attempt): return fetch(attempt, lead, in: scene)
    case .takeOver where isDue(at: now): return takeOver(lead, in: scene)
    case .republish where isDue(at: now): return republish(lead, at: now)
    case .recommit where isDue(at: now): return recommit(lead, in: scene)
    case .begin(let attempt) where isDue(at: now): return begin(attempt, at: now)
    case .commit(let attempt, let fetched) where isDue(at: now):
      return commit(attempt, fetched, lead, in: scene)
    case .follow, .takeOver, .look, .republish, .recommit, .begin, .fetch, .commit, .resolve:
      return []
    }
  }

  private mutating func takeOver(_ lead: Scene.Lead, in scene: Scene) -> [Outcome] {
    // Of a record with a server of its own what matters is when that was heard, not the lock's.
    let heardAt = serverHeardAt ?? scene.lostSince
    let away =
      heardAt.map { min(max(scene.now - $0, .zero), Timing.longestAway) }
      ?? timing.successionSpan
    return send(
      .takeOver(
        .init(
          account: name, epoch: lead.epoch, runID: scene.runID, away: away,
          isMortal: credential.isMortal, outputs: outputs)),
      at: scene.now)
  }

  /// Nothing is under way: whatever is due is begun.
  private mutating func hold(_ lead: Scene.Lead, in scene: Scene) -> [Outcome] {
    let now = scene.now
    var outcomes: [Outcome] = []
    if let source, source.until <= now { self.source = nil }
    let isEnding = scene.isEnding || isLeaving
    if !isEnding, !isQueued, let start = fetchStart, start <= now {
      if scene.mayFetch { outcomes += begin(lead, at: now) } else { isQueued = true }
    }
    if work == .hold, lookAt <= now {
      lookAt = now + lead.lookEvery
      go(to: .look)
      outcomes += send(.look(.init(account: name, outputs: outputs)), at: now)
    }
    if !isEnding, let copy, prober.ask(about: copy.version, at: now) {
      outcomes.append(
        .probe(
          ProbeOrder(
            account: name, version: copy.version, token: copy.token,
            deadline: now + timing.apiTimeout)))
    }
    return outcomes
  }

  /// What takes an attempt's intent back.
  func resolution(of attempt: Attempt) -> StoreCommand.Resolve {
    .init(account: name, version: attempt.version, outputs: outputs)
  }

  /// What was not answered in time counts as failed: it may have been carried out.
  mutating func giveUp(
    at now: Moment, using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    var outcomes: [Outcome] = []
    if let step = traces.lost(by: now, answerBy: timing.answerBy) {
      outcomes += failed(step, .unanswered, at: now)
    }
    guard let lostAt, lostAt <= now else { return outcomes }
    if case .fetch(let attempt) = work {
      outcomes.append(.cancelFetch(attempt.version))
      outcomes += fetched(attempt.version, .unknown(.unanswered), at: now, using: &generator)
    } else {
      retry(at: now)
      outcomes.append(.note(.storeStepFailed(name, .unanswered)))
    }
    return outcomes
  }
}

/// The marks that are owed.
extension AccountKeeper {
  /// Sends the mark of a debt.
  private mutating func pay(_ debt: Traces.Debt, at now: Moment) -> Outcome {
    let (outcome, step) = tell(
      .mark(
        .init(
          account: name, version: debt.version, age: max(now - debt.beganAt, .zero),
          begunAt: debt.begunAt, knownFor: debt.knownAt.map { max(now - $0, .zero) },
          outputs: outputs)), at: now)
    traces.sent(debt, as: step)
    return outcome
  }

  mutating func marked(
    _ step: StepID, _ answer: StoreAnswer.Mark, at now: Moment
  ) -> [Outcome] {
    // In its turn, or over before what is there: as that server has it, nothing is in doubt.
    let settledBy = answer == .marked ? nil : stated?.version
    guard let version = traces.pay(step, settledBy: settledBy, at: now), answer == .marked else {
      return []
    }
    hinted(at: now)
    return [.note(.marked(name, version))]
  }
}
