/// What is due for one account, and when.
extension AccountKeeper {
  /// When something is due, unless anything happens before.
  ///
  /// Before that, `advance` does nothing, unless the account waits for a longer lease.
  func nextWake(leads: Bool, storeIsConnected: Bool, isShuttingDown: Bool) -> Moment? {
    var wake: Moment?
    func consider(_ moment: Moment) { wake = wake.map { min($0, moment) } ?? moment }
    if let lostAt { consider(lostAt) }
    if let sentAt = debtSentAt { consider(sentAt + timing.answerBy) }
    guard storeIsConnected else { return wake }
    if debtSentAt == nil {
      for case .due(let moment) in debts.lazy.map(\.step) { consider(moment) }
    }
    switch phase {
    case .following(.due(let moment)), .takingOver(.due(let moment)),
      .republishing(.due(let moment)), .recommitting(.due(let moment)),
      .beginning(_, .due(let moment)), .committing(_, _, .due(let moment)),
      .resolving(_, .due(let moment)):
      consider(moment)
    case .holding:
      guard leads else { break }
      consider(lookAt)
      guard !isShuttingDown else { break }
      if !isQueued, let start = fetchStart { consider(start) }
      if let probe = prober.nextWake, copy != nil { consider(probe) }
    case .following, .takingOver, .looking, .republishing, .recommitting, .beginning, .ready,
      .fetching, .committing, .resolving:
      break
    }
    return wake
  }

  /// When what is under way counts as unanswered.
  var lostAt: Moment? {
    switch phase {
    case .following(.sent(let moment)), .takingOver(.sent(let moment)), .looking(let moment),
      .republishing(.sent(let moment)), .recommitting(.sent(let moment)),
      .beginning(_, .sent(let moment)), .committing(_, _, .sent(let moment)),
      .resolving(_, .sent(let moment)):
      moment + timing.answerBy
    case .fetching(let attempt):
      (attempt.askedAt ?? attempt.beganAt) + timing.apiTimeout + Timing.slack
    case .following, .takingOver, .holding, .republishing, .recommitting, .beginning, .ready,
      .committing, .resolving:
      nil
    }
  }

  /// Whether it waits until the lease outlasts a call, which no moment tells.
  var waitsForLease: Bool { if case .ready = phase { true } else { false } }

  /// Whether it is between a BEGIN and the end of the call that this allows.
  var isFetching: Bool {
    switch phase {
    case .beginning, .ready, .fetching: true
    case .following, .takingOver, .holding, .looking, .republishing, .recommitting, .committing,
      .resolving:
      false
    }
  }

  /// When the fetch that is wanted, or the scheduled one, may begin.
  var fetchStart: Moment? {
    let spaced = lastFetchAt.map { $0 + Timing.fetchSpacing } ?? .origin
    guard let start = wanted?.notBefore ?? scheduledStart else { return nil }
    return max(start, spaced)
  }

  /// The schedule's refresh, or the one that was asked for, whichever comes first.
  var scheduledStart: Moment? {
    guard let asked = reports.asked?.notBefore else { return refreshAt }
    return refreshAt.map { min($0, asked) } ?? asked
  }

  /// Does what is due.
  ///
  /// - Parameters:
  ///   - lostSince: when the server before this one was heard last.
  ///   - mayFetch: whether one more account may ask WeChat; else this one waits its turn.
  mutating func advance(
    at now: Moment, lead: Lead?, runID: String?, lostSince: Moment?, storeIsConnected: Bool,
    isShuttingDown: Bool, mayFetch: Bool,
    using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    var outcomes = giveUp(at: now, using: &generator)
    guard storeIsConnected else { return outcomes }
    if let mark = payDebt(at: now) { outcomes.append(mark) }
    switch phase {
    case .following(.due(let moment)) where moment <= now:
      phase = .following(.sent(now))
      outcomes.append(.send(.look(name)))
    case .takingOver(.due(let moment)) where moment <= now:
      guard let lead else { break }
      phase = .takingOver(.sent(now))
      outcomes.append(
        .send(
          .takeOver(
            .init(
              account: name, epoch: lead.epoch, runID: runID,
              away: lostSince.map { min(max(now - $0, .zero), Timing.longestAway) }
                ?? timing.successionSpan,
              outputs: kept))))
    case .holding:
      guard let lead else { break }
      let start = fetchStart
      if !isShuttingDown, !isQueued, let start, start <= now {
        if mayFetch { outcomes += begin(at: now, lead: lead) } else { isQueued = true }
      }
      if case .holding = phase, lookAt <= now {
        lookAt = now + lead.lookEvery
        phase = .looking(sentAt: now)
        outcomes.append(.send(.look(name)))
      }
      if !isShuttingDown, let copy, prober.ask(about: copy.version, at: now) {
        outcomes.append(
          .probe(
            ProbeOrder(
              account: name, version: copy.version, token: copy.token,
              deadline: now + timing.apiTimeout)))
      }
    case .republishing(.due(let moment)) where moment <= now:
      guard let lead else { break }
      outcomes += republish(at: now, lead: lead)
    case .recommitting(.due(let moment)) where moment <= now:
      guard let lead else { break }
      outcomes += recommit(at: now, lead: lead, runID: runID)
    case .beginning(let attempt, .due(let moment)) where moment <= now:
      guard let lead else { break }
      outcomes += begin(attempt, at: now, lead: lead)
    case .ready(let attempt):
      guard let lead else { break }
      outcomes += fetch(attempt, at: now, lead: lead, isShuttingDown: isShuttingDown)
    case .committing(let attempt, let fetched, .due(let moment)) where moment <= now:
      guard let lead else { break }
      outcomes += commit(attempt, fetched, at: now, lead: lead, runID: runID)
    case .resolving(let attempt, .due(let moment)) where moment <= now:
      phase = .resolving(attempt, .sent(now))
      outcomes.append(
        .send(.resolve(.init(account: name, version: attempt.version, outputs: kept))))
    case .following, .takingOver, .looking, .republishing, .recommitting, .beginning, .fetching,
      .committing, .resolving:
      break
    }
    return outcomes
  }

  /// What was not answered in time counts as failed: it may have been carried out.
  mutating func giveUp(
    at now: Moment, using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    var outcomes: [Outcome] = []
    if let sentAt = debtSentAt, sentAt + timing.answerBy <= now, markFailed(sentAt: sentAt, at: now)
    {
      outcomes.append(.note(.storeStepFailed(name, .unanswered)))
    }
    guard let lostAt, lostAt <= now else { return outcomes }
    if case .fetching(let attempt) = phase {
      outcomes.append(.cancelFetch(attempt.version))
      outcomes += fetched(attempt.version, .unknown(.unanswered), at: now, using: &generator)
    } else {
      retry(at: now)
      outcomes.append(.note(.storeStepFailed(name, .unanswered)))
    }
    return outcomes
  }
}
