/// From the BEGIN that allows a fetch to the COMMIT that publishes its token.
extension AccountKeeper {
  mutating func begin(_ lead: Scene.Lead, at now: Moment) -> [Outcome] {
    sequence += 1
    let attempt = Attempt(
      version: Version(epoch: lead.epoch, sequence: sequence), trigger: nextTrigger(at: now),
      firstBeganAt: now, beganAt: now)
    reports.began(
      for: attempt.trigger,
      bringsAnother: credential.answersReports(attempt.trigger), at: now)
    return begin(attempt, at: now)
  }

  private func nextTrigger(at now: Moment) -> Trigger {
    if let wanted { return wanted.trigger }
    if let asked = reports.asked, asked.notBefore <= now { return asked.trigger }
    return stated?.isDoubtful == true ? .doubt : .schedule
  }

  mutating func begin(_ attempt: Attempt, at now: Moment) -> [Outcome] {
    var attempt = attempt
    attempt.beganAt = now
    attempt.receipt = nil
    go(to: .begin(attempt))
    return send(
      .begin(
        .init(
          account: name, version: attempt.version, span: timing.attemptSpan,
          kills: credential.renews(attempt.trigger), hasHistory: published.hasHistory,
          isMortal: credential.isMortal,
          outputs: outputs)),
      at: now)
  }

  mutating func began(
    _ attempt: Attempt, _ step: StepID, _ answer: StoreAnswer.Begin, _ lead: Scene.Lead,
    in scene: Scene
  ) -> [Outcome] {
    switch answer {
    case .began(let receipt):
      storeFailures = 0
      fetchesToday = receipt.fetchesToday
      var attempt = attempt
      attempt.receipt = receipt
      return fetch(attempt, lead, in: scene)
    case .stale(let committed) where committed.epoch > lead.epoch:
      return fenced(by: committed.epoch)
    case .stale(let committed):
      guard committed >= attempt.version else {
        return failed(step, .strangeAnswer, at: scene.now)
      }
      storeFailures = 0
      if committed.epoch == lead.epoch { sequence = max(sequence, committed.sequence) }
      go(to: .hold)
      lookAt = scene.now
      return []
    case .fenced(let epoch): return fenced(by: epoch)
    case .refused(let conflict): return refused(conflict, at: scene.now)
    }
  }

  /// Asks WeChat, if its first BEGIN is fresh, the lease outlasts the call, and what to ask with is
  /// still there.
  mutating func fetch(
    _ attempt: Attempt, _ lead: Scene.Lead, in scene: Scene
  ) -> [Outcome] {
    let now = scene.now
    guard !scene.isEnding, !isLeaving, hasSource, isFresh(attempt, at: now) else {
      go(to: .resolve(attempt), .due(now))
      // What it was for still is; whoever says so at once again and again gets a pause.
      wanted = Wanted(trigger: attempt.trigger, notBefore: now + Timing.fetchSpacing)
      return []
    }
    guard now + timing.apiTimeout <= lead.validUntil else {
      go(to: .waitForLease(attempt))
      return [.renewLease]
    }
    var attempt = attempt
    attempt.askedAt = now
    attempt.source = source?.token
    go(to: .fetch(attempt))
    lastFetchAt = now
    let order = FetchOrder(
      account: name, version: attempt.version, trigger: attempt.trigger,
      isForced: credential.isForced(attempt.trigger), source: attempt.source,
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
    guard case .fetch(let attempt) = work, attempt.version == version else {
      return cameLate(version, outcome, at: now)
    }
    switch outcome.checked(against: published.handedOut, repeats: credential.repeats) {
    case .token(let fetched):
      published.handedOut.add(fetched.token)
      failures = Failures()
      go(to: .commit(attempt, fetched), .due(now))
      return []
    case .knownFailure(let failure):
      // Nothing was sent at all: the next attempt need not keep its distance from this one.
      if failure.category == .transient { lastFetchAt = nil }
      go(to: .resolve(attempt), .due(now))
      let told = backOff(attempt, failure, isUnknown: false, at: now, using: &generator)
      guard failure.rejectsSource, let token = attempt.source else { return told }
      return told + [.sourceIsRefused(token)]
    case .unknown(let failure):
      go(to: .hold)
      if credential.renews(attempt.trigger) { leaveUnresolved(attempt, at: now) }
      return backOff(attempt, failure, isUnknown: true, at: now, using: &generator)
    }
  }

  /// No longer ours to publish; but if it minted, the token in Redis may be dying of it.
  private mutating func cameLate(
    _ version: Version, _ outcome: FetchOutcome, at now: Moment
  ) -> [Outcome] {
    let known = traces.takeAbandoned(version)
    if case .token(let fetched) = outcome { published.handedOut.add(fetched.token) }
    if case .knownFailure = outcome {
      traces.forget(version)
      return []
    }
    guard let known, credential.renews(known.trigger) else { return [] }
    traces.owe(known, knownAt: now, at: now)
    return []
  }

  /// Nobody knows whether the attempt minted a token: it may have killed the one that Redis has.
  private mutating func leaveUnresolved(_ attempt: Attempt, at now: Moment) {
    published.copy?.isOwn = false
    traces.leaveUnresolved(attempt, at: now)
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
    if failure.category == .quota, credential.isForced(attempt.trigger) {
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
      || (failure.refusesAddress && !failure.retriesSoon)
    {
      outcomes.append(.unreachable)
    }
    return outcomes
  }

  mutating func commit(
    _ attempt: Attempt, _ fetched: FetchedToken, _ lead: Scene.Lead, in scene: Scene
  ) -> [Outcome] {
    let now = scene.now
    let age = now - fetched.sentAt
    let overtime = credential.polling?.overtime ?? .zero
    guard age < fetched.lifetime else {
      // Redis took no writes for the whole of a life: nothing is left to publish.
      go(to: .hold)
      if credential.renews(attempt.trigger) { leaveUnresolved(attempt, at: now) }
      want(attempt.trigger, notBefore: now)
      return []
    }
    let command = StoreCommand.Commit(
      account: name, fence: lead.epoch, version: attempt.version,
      token: fetched.token, outputs: outputs,
      lifetime: fetched.lifetime + overtime, age: max(age, .zero), begunAt: attempt.receipt?.at,
      parent: attempt.receipt?.committed, kills: credential.renews(attempt.trigger),
      isRecommit: false, least: credential.polling?.least, runID: scene.runID, instance: instance)
    return send(.commit(command), at: now)
  }

  /// The token is, or was in its turn, the one that Redis has.
  private mutating func remember(
    commitOf attempt: Attempt, _ fetched: FetchedToken, at now: Moment
  ) {
    guard credential.renews(attempt.trigger) else { return }
    traces.lastCommit = .init(
      version: attempt.version, beganAt: attempt.firstBeganAt, begunAt: attempt.receipt?.at,
      committedAt: now, endsAt: fetched.sentAt + fetched.lifetime)
  }

  mutating func committed(
    _ attempt: Attempt, _ fetched: FetchedToken, _ step: StepID, _ answer: StoreAnswer.Commit,
    at now: Moment
  ) -> [Outcome] {
    if case .refused(let conflict) = answer { return refused(conflict, at: now) }
    storeFailures = 0
    go(to: .hold)
    switch answer {
    case .committed(let isCertain):
      let isUnchanged = copy?.token == fetched.token
      published.commit(
        fetched, of: attempt, overtime: credential.polling?.overtime ?? .zero,
        isCertain: isCertain, sentAt: step.issuedAt)
      remember(commitOf: attempt, fetched, at: now)
      wanted = nil
      // What stands in the record beside it decides how long the keys state that it lives.
      lookAt = now
      if isCertain { traces.settleUnresolved(by: attempt, at: now) }
      if !isUnchanged {
        reports.settled()
      } else if credential.isForced(attempt.trigger) {
        // WeChat forces no sooner than 30 s after the last one, whoever asked for that: again then.
        _ = reports.ask(attempt.trigger, at: now, hasBudget: hasBudget)
      }
      prober.restart(at: now)
      return [
        .succeeded,
        .note(
          .refreshed(
            name, attempt.trigger, attempt.version, lifetime: fetched.lifetime,
            isUnchanged: isUnchanged)),
      ]
    case .superseded(let epoch):
      remember(commitOf: attempt, fetched, at: now)
      return fenced(by: epoch)
    case .deposed(let epoch):
      // The script has told: nothing is owed here, and it is said to each other server.
      if credential.renews(attempt.trigger) {
        traces.remember(
          acknowledged: Traces.Debt(attempt, knownAt: now), settledBy: nil, at: now)
      }
      return [.saw(epoch), .note(.deposed(name, attempt.trigger)), .stepDown(.fenced)]
    case .stale, .refused:
      if credential.renews(attempt.trigger) { leaveUnresolved(attempt, at: now) }
      want(.takeover, notBefore: now)
      lookAt = now
      return []
    }
  }
}
