/// From the BEGIN that allows a fetch to the COMMIT that publishes its token.
extension AccountKeeper {
  mutating func begin(at now: Moment, lead: Lead) -> [Outcome] {
    sequence += 1
    let attempt = Attempt(
      version: Version(epoch: lead.epoch, sequence: sequence), trigger: nextTrigger(at: now),
      firstBeganAt: now, beganAt: now)
    reports.began(
      for: attempt.trigger,
      bringsAnother: bringsAnother(attempt.trigger), at: now)
    return begin(attempt, at: now, lead: lead)
  }

  private func nextTrigger(at now: Moment) -> Trigger {
    if let wanted { return wanted.trigger }
    if let asked = reports.asked, asked.notBefore <= now { return asked.trigger }
    return stated?.isDoubtful == true ? .doubt : .schedule
  }

  mutating func begin(_ attempt: Attempt, at now: Moment, lead: Lead) -> [Outcome] {
    var attempt = attempt
    attempt.beganAt = now
    attempt.receipt = nil
    phase = .beginning(attempt, .sent(now))
    return [
      .send(
        .begin(
          .init(
            account: name, version: attempt.version, span: timing.attemptSpan,
            kills: bringsAnother(attempt.trigger), hasHistory: hasHistory, outputs: kept)))
    ]
  }

  mutating func began(
    _ attempt: Attempt, _ command: StoreCommand, _ reply: StoreReply, sentAt: Moment,
    at now: Moment, lead: Lead, _ isShuttingDown: Bool
  ) -> [Outcome] {
    switch reply {
    case .began(let receipt):
      storeFailures = 0
      fetchesToday = receipt.fetchesToday
      var attempt = attempt
      attempt.receipt = receipt
      return fetch(attempt, at: now, lead: lead, isShuttingDown: isShuttingDown)
    case .stale(let committed) where committed.epoch > lead.epoch:
      return [.saw(committed.epoch), .stepDown(.fenced)]
    case .stale(let committed) where committed >= attempt.version:
      storeFailures = 0
      if committed.epoch == lead.epoch { sequence = max(sequence, committed.sequence) }
      phase = .holding
      lookAt = now
      return []
    default:
      return failed(command, sentAt: sentAt, .strangeAnswer, at: now)
    }
  }

  /// Asks WeChat, if its first BEGIN is fresh and the lease outlasts the call.
  mutating func fetch(
    _ attempt: Attempt, at now: Moment, lead: Lead, isShuttingDown: Bool
  ) -> [Outcome] {
    guard !isShuttingDown, isFresh(attempt, at: now) else {
      phase = .resolving(attempt, .due(now))
      // What it was for still is; whoever says so at once again and again gets a pause.
      wanted = Wanted(trigger: attempt.trigger, notBefore: now + Timing.fetchSpacing)
      return []
    }
    guard now + timing.apiTimeout <= lead.validUntil else {
      phase = .ready(attempt)
      return [.renewLease]
    }
    var attempt = attempt
    attempt.askedAt = now
    phase = .fetching(attempt)
    lastFetchAt = now
    let order = FetchOrder(
      account: name, version: attempt.version, trigger: attempt.trigger,
      isForced: credential.repeats && attempt.trigger.needsAnotherToken,
      deadline: now + timing.apiTimeout, notAfter: lead.validUntil)
    return [.note(.refreshStarted(name, attempt.trigger, attempt.version)), .fetch(order)]
  }

  /// Whether what is sent now is processed before Redis counts it as over.
  private func isFresh(_ attempt: Attempt, at now: Moment) -> Bool {
    guard let receipt = attempt.receipt else { return false }
    let age = max(receipt.now - receipt.at, .zero) + max(now - attempt.beganAt, .zero)
    return age <= timing.freshness
  }

  /// WeChat's answer, or what came instead of one.
  mutating func fetched(
    _ version: Version, _ outcome: FetchOutcome, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    guard case .fetching(let attempt) = phase, attempt.version == version else {
      return cameLate(version, outcome, at: now)
    }
    switch outcome.checked(against: handedOut, repeats: credential.repeats) {
    case .token(let fetched):
      handedOut.add(fetched.token)
      failures = Failures()
      phase = .committing(attempt, fetched, .due(now))
      return []
    case .knownFailure(let failure):
      // Nothing was sent at all: the next attempt need not keep its distance from this one.
      if failure.category == .transient { lastFetchAt = nil }
      phase = .resolving(attempt, .due(now))
      return backOff(attempt, failure, isUnknown: false, at: now, using: &generator)
    case .unknown(let failure):
      phase = .holding
      if bringsAnother(attempt.trigger) { remember(attempt, at: now) }
      return backOff(attempt, failure, isUnknown: true, at: now, using: &generator)
    }
  }

  /// No longer ours to publish; but if it minted, the token in Redis may be dying of it.
  private mutating func cameLate(
    _ version: Version, _ outcome: FetchOutcome, at now: Moment
  ) -> [Outcome] {
    let known = abandoned.first { $0.version == version }
    abandoned.removeAll { $0.version == version }
    if case .token(let fetched) = outcome { handedOut.add(fetched.token) }
    if case .knownFailure = outcome {
      acknowledged.removeAll { $0.debt.version == version }
      return []
    }
    guard let known, bringsAnother(known.trigger) else { return [] }
    owe(known, knownAt: now, at: now)
    return []
  }

  /// Nobody knows whether the attempt minted a token: it may have killed the one that Redis has.
  private mutating func remember(_ attempt: Attempt, at now: Moment) {
    copy?.isOwn = false
    let debt = Debt(
      version: attempt.version, beganAt: attempt.firstBeganAt, begunAt: attempt.receipt?.at,
      knownAt: now, step: .due(now))
    unresolved = unresolved?.joined(with: debt) ?? debt
  }

  private mutating func backOff(
    _ attempt: Attempt, _ failure: FetchFailure, isUnknown: Bool, at now: Moment,
    using generator: inout any RandomNumberGenerator & Sendable
  ) -> [Outcome] {
    failures.inARow += 1
    failures.transportInARow = failure.isTransport ? failures.transportInARow + 1 : 0
    failures.last = failure
    failures.since = failures.since ?? now
    failures.lastAt = now
    failures.published = copy?.version
    let wait = Backoff.wait(
      after: failure, isUnknown: isUnknown, inARow: failures.inARow,
      remaining: copy == nil ? nil : statedRemaining(at: now), hasBudget: hasBudget,
      using: &generator)
    if failure.category == .quota, credential.repeats, attempt.trigger.needsAnotherToken {
      // The day's forced fetches are used up, and plain ones are not: if another party's fetch has
      // killed the token, a plain one brings what WeChat gave to that one.
      reports.hold(attempt.trigger, until: now + wait)
      wanted = Wanted(trigger: .doubt, notBefore: now)
    } else {
      wanted = Wanted(trigger: attempt.trigger, notBefore: now + wait, isBackoff: true)
    }
    var outcomes: [Outcome] = [
      .note(
        .refreshFailed(
          name, attempt.trigger, failure, isUnknown: isUnknown, inARow: failures.inARow,
          retryIn: wait))
    ]
    if failures.transportInARow >= Backoff.transportFailuresBeforeAbdication
      || (failure.code == Backoff.addressRefused && failure.category == .operator
        && !failure.retriesSoon)
    {
      outcomes.append(.unreachable)
    }
    return outcomes
  }

  mutating func commit(
    _ attempt: Attempt, _ fetched: FetchedToken, at now: Moment, lead: Lead, runID: String?
  ) -> [Outcome] {
    let age = now - fetched.sentAt
    guard age < fetched.lifetime else {
      // Redis took no writes for the whole of a life: nothing is left to publish.
      phase = .holding
      if bringsAnother(attempt.trigger) { remember(attempt, at: now) }
      want(attempt.trigger, notBefore: now)
      return []
    }
    phase = .committing(attempt, fetched, .sent(now))
    let command = StoreCommand.Commit(
      account: name, fence: lead.epoch, version: attempt.version,
      outputs: outputs(of: fetched.token),
      lifetime: fetched.lifetime, age: max(age, .zero), begunAt: attempt.receipt?.at,
      parent: attempt.receipt?.committed, kills: bringsAnother(attempt.trigger),
      isRecommit: false, runID: runID, instance: instance)
    return [.send(.commit(command))]
  }

  /// Redis knows of nothing that may have killed the new token: what this replica knows of is over,
  /// or Redis has lost it.
  private mutating func settleUnresolved(by attempt: Attempt, at now: Moment) {
    guard let unresolved else { return }
    self.unresolved = nil
    guard attempt.firstBeganAt <= (unresolved.knownAt ?? now) + Timing.straggling else { return }
    owe(
      unresolved.version, beganAt: unresolved.beganAt, begunAt: unresolved.begunAt,
      knownAt: unresolved.knownAt, at: now)
  }

  /// The token is, or was in its turn, the one that Redis has.
  private mutating func published(_ attempt: Attempt, _ fetched: FetchedToken, at now: Moment) {
    guard bringsAnother(attempt.trigger) else { return }
    lastCommit = LastCommit(
      version: attempt.version, beganAt: attempt.firstBeganAt, begunAt: attempt.receipt?.at,
      committedAt: now, endsAt: fetched.sentAt + fetched.lifetime)
  }

  mutating func committed(
    _ attempt: Attempt, _ fetched: FetchedToken, _ reply: StoreReply, sentAt: Moment,
    at now: Moment
  ) -> [Outcome] {
    storeFailures = 0
    switch reply {
    case .committed(let isCertain):
      let isUnchanged = copy?.token == fetched.token
      let end = fetched.sentAt + fetched.lifetime
      copy = Copy(
        token: fetched.token, version: attempt.version, lifetime: fetched.lifetime,
        expiresAt: end, begunAt: attempt.receipt?.at,
        certainUntil: attempt.firstBeganAt + Timing.certain,
        certainTime: attempt.receipt.map { $0.at + Timing.certain } ?? RedisTime(milliseconds: 0),
        seenAt: sentAt, isOwn: isCertain)
      published(attempt, fetched, at: now)
      hasHistory = true
      phase = .holding
      wanted = nil
      stated = nil
      // What stands in the record beside it decides how long the keys state that it lives.
      lookAt = now
      if isCertain { settleUnresolved(by: attempt, at: now) }
      if !isUnchanged {
        reports.settled()
      } else if attempt.trigger.needsAnotherToken {
        // WeChat forces no sooner than 30 s after the last one, whoever asked for that: again then.
        _ = reports.ask(attempt.trigger, at: now, hasBudget: hasBudget)
      }
      prober.restart(at: now)
      return [
        .note(
          .refreshed(
            name, attempt.trigger, attempt.version, lifetime: fetched.lifetime,
            isUnchanged: isUnchanged))
      ]
    case .superseded(let epoch):
      phase = .holding
      published(attempt, fetched, at: now)
      return [.saw(epoch), .stepDown(.fenced)]
    case .deposed(let epoch):
      // The script has told: nothing is owed here, and it is said to each other server.
      phase = .holding
      if bringsAnother(attempt.trigger) {
        remember(
          acknowledged: Debt(
            version: attempt.version, beganAt: attempt.firstBeganAt,
            begunAt: attempt.receipt?.at, knownAt: now, step: .due(now)),
          settledBy: nil, at: now)
      }
      return [.saw(epoch), .note(.deposed(name, attempt.trigger)), .stepDown(.fenced)]
    default:
      phase = .holding
      if bringsAnother(attempt.trigger) { remember(attempt, at: now) }
      want(.takeover, notBefore: now)
      lookAt = now
      return []
    }
  }
}
