/// What Redis shows, and what is to be done about it.
extension AccountKeeper {
  mutating func followed(
    _ step: StepID, _ answer: StoreAnswer.Look, at now: Moment
  ) -> [Outcome] {
    storeFailures = 0
    flight = .due(isHinted ? now : now + Timing.followerLook)
    isHinted = false
    switch answer {
    case .account(let view):
      isRefused = false
      observe(view, of: step, at: now)
      return [.saw(view.fence), .recordIsOurs]
    case .refused(let conflict): return refused(conflict, at: now)
    }
  }

  private mutating func observe(_ view: AccountView, of step: StepID, at now: Moment) {
    if let server = view.server, server == view.runID { serverHeardAt = step.issuedAt }
    traces.oweForgotten(view, pause: timing.retry, at: now)
    published.observe(view, sentAt: step.issuedAt, at: now, own: traces.beganAt)
  }

  mutating func tookOver(
    _ step: StepID, _ answer: StoreAnswer.TakeOver, _ lead: Scene.Lead, in scene: Scene
  ) -> [Outcome] {
    let now = scene.now
    let view: AccountView
    switch answer {
    case .account(let shown): view = shown
    case .fenced(let epoch): return fenced(by: epoch)
    case .refused(let conflict): return refused(conflict, at: now)
    }
    go(to: .hold)
    storeFailures = 0
    lookAt = now + lead.lookEvery
    isRefused = false
    if view.fence > lead.epoch { return fenced(by: view.fence) }
    observe(view, of: step, at: now)
    let outcomes = [.recordIsOurs] + assess(view, lead, at: now)
    if wanted == nil, let copy, copy.version == view.committed {
      return outcomes + [.note(.adopted(name, copy.version, remaining: statedRemaining(at: now)))]
    }
    return outcomes
  }

  mutating func looked(
    _ step: StepID, _ answer: StoreAnswer.Look, _ lead: Scene.Lead, in scene: Scene
  ) -> [Outcome] {
    let now = scene.now
    let view: AccountView
    switch answer {
    case .account(let shown): view = shown
    case .refused(let conflict): return refused(conflict, at: now)
    }
    go(to: .hold)
    storeFailures = 0
    if isHinted { lookAt = now }
    isHinted = false
    if view.fence > lead.epoch { return fenced(by: view.fence) }
    // Another server may have lost writes, or its record is one of an earlier version: taking the
    // account over again says so in the record.
    if let server = view.server ?? scene.runID, view.committed != nil, view.runID != server {
      go(to: .takeOver, .due(now))
      return []
    }
    observe(view, of: step, at: now)
    return assess(view, lead, at: now)
  }

  /// Compares what Redis has with what it should have, and says what to do about it.
  ///
  /// Whatever may have killed the token, its stated life is short by then: the fetch that follows
  /// is the schedule's.
  private mutating func assess(
    _ view: AccountView, _ lead: Scene.Lead, at now: Moment
  ) -> [Outcome] {
    guard let copy, copy.remaining(at: now) > .zero else {
      want(.start, notBefore: now)
      guard let copy, copy.version == view.committed, published.isOverdue(view, outputs) else {
        return []
      }
      return republish(lead, at: now)
    }
    guard let committed = view.committed else {
      guard copy.certainEnd > now, !published.isProvedDead else {
        want(.takeover, notBefore: now)
        return []
      }
      return republish(lead, at: now)
    }
    if copy.version > committed {
      guard published.canCommitAgain(redisTime: view.now, within: timing.answerBy) else {
        want(.takeover, notBefore: now)
        return []
      }
      go(to: .recommit, .due(now))
      return []
    }
    guard copy.version == committed else {
      // The token that belongs to the record is not there, and nobody here has it.
      want(.takeover, notBefore: now)
      return []
    }
    if published.isProvedDead {
      if !isAnotherTokenDue { _ = reports.ask(.probe, at: now, hasBudget: hasBudget) }
      return []
    }
    guard published.isDamaged(view, outputs, at: now) else { return [] }
    let overwritten = published.overwritten(view, outputs)
    return republish(lead, at: now)
      + (overwritten.isEmpty ? [] : [.note(.overwritten(name, overwritten))])
  }

  mutating func republish(_ lead: Scene.Lead, at now: Moment) -> [Outcome] {
    guard let copy else {
      go(to: .hold)
      return []
    }
    // Of a record that knows it, the record says how long, or that it is over; else what is certain
    // here.
    let isRecorded = stated?.version == copy.version
    let end = max(isRecorded ? statedEnd ?? now : copy.certainEnd, now)
    guard isRecorded || end > now else {
      go(to: .hold)
      return []
    }
    go(to: .republish(restores: end > now))
    return send(
      .republish(
        .init(
          account: name, fence: lead.epoch, version: copy.version,
          token: copy.token, outputs: outputs, lifetime: copy.lifetime, certain: end - now,
          // Also where the record knows it: it may be gone when this comes to be carried out.
          until: copy.certainEndTime,
          slack: stated?.slack(lifetime: copy.lifetime)
            ?? RemainingTolerance.ofClock(lifetime: copy.lifetime),
          begunAt: copy.begunAt, isMortal: credential.isMortal)), at: now)
  }

  mutating func republished(
    _ answer: StoreAnswer.Republish, restores: Bool, at now: Moment
  ) -> [Outcome] {
    switch answer {
    case .republished(let wrote):
      go(to: .hold)
      storeFailures = 0
      // Nothing certain was left, by Redis's clock.
      if !wrote, stated?.version != copy?.version { want(.takeover, notBefore: now) }
      return wrote && restores ? [.note(.repaired(name))] : []
    case .fenced(let epoch): return fenced(by: epoch)
    case .refused(let conflict): return refused(conflict, at: now)
    }
  }

  mutating func recommit(_ lead: Scene.Lead, in scene: Scene) -> [Outcome] {
    let now = scene.now
    guard let copy, copy.remaining(at: now) > .zero else {
      go(to: .hold)
      return []
    }
    let command = StoreCommand.Commit(
      account: name, fence: lead.epoch, version: copy.version,
      token: copy.token, outputs: outputs, lifetime: copy.lifetime,
      age: copy.lifetime - copy.remaining(at: now), begunAt: copy.begunAt, parent: nil,
      kills: credential.isMortal, isRecommit: true, least: credential.polling?.least,
      runID: scene.runID, instance: instance)
    return send(.commit(command), at: now)
  }

  mutating func recommitted(_ answer: StoreAnswer.Commit, at now: Moment) -> [Outcome] {
    if case .refused(let conflict) = answer { return refused(conflict, at: now) }
    go(to: .hold)
    storeFailures = 0
    // A Redis that loses it every time is not written to without a pause.
    lookAt = now + timing.retry
    switch answer {
    case .committed:
      published.copy?.isOwn = false
      return copy.map { [.note(.recommitted(name, $0.version))] } ?? []
    case .superseded(let epoch), .deposed(let epoch): return fenced(by: epoch)
    case .stale, .refused:
      // It has no life left there, or another commit is there: the next look says which.
      want(.takeover, notBefore: now)
      return []
    }
  }
}
