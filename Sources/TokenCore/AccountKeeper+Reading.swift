/// What Redis shows, and what is to be done about it.
extension AccountKeeper {
  mutating func followed(_ reply: StoreReply, sentAt: Moment, at now: Moment) -> [Outcome] {
    storeFailures = 0
    phase = .following(.due(isHinted ? now : now + Timing.followerLook))
    isHinted = false
    switch reply {
    case .account(let view):
      isRefused = false
      observe(view, sentAt: sentAt, at: now)
      return [.saw(view.fence), .recordIsOurs]
    case .foreignApp(let remaining):
      isRefused = true
      oweUnseen(at: now)
      return [.note(.foreignApp(remaining: remaining))]
    case .newerLayout(let layout):
      isRefused = true
      oweUnseen(at: now)
      return [.note(.newerLayout(layout))]
    default: return []
    }
  }

  /// Takes what Redis shows into memory; a copy never goes backwards (invariant F).
  private mutating func observe(_ view: AccountView, sentAt: Moment, at now: Moment) {
    fetchedBy = view.fetchedBy
    if view.committed != nil { hasHistory = true }
    oweForgotten(view, at: now)
    stated = Stated(view, after: stated, sentAt: sentAt, at: now, own: beganAt)
    guard view.tokenMatchesRecord, let token = view.token, let version = view.committed,
      let expiresAt = view.expiresAt, let stated
    else { return }
    if let copy, copy.version > version { return }
    // Whatever begins after this look lets it live for the grace.
    let certain = min(stated.end, sentAt + Timing.certain)
    let certainTime = min(stated.recordedEnd, view.now + Timing.certain)
    if let copy, copy.version == version, copy.token == token {
      self.copy?.seenAt = max(copy.seenAt, sentAt)
      // What a doubt is about may have begun before it was seen to be certain.
      self.copy?.certainUntil = stated.isDoubtful ? certain : max(copy.certainUntil, certain)
      self.copy?.certainTime =
        stated.isDoubtful ? certainTime : max(copy.certainTime, certainTime)
      if stated.isDoubtful { self.copy?.isOwn = false }
      return
    }
    handedOut.add(token)
    copy = Copy(
      token: token, version: version, lifetime: view.lifetime ?? expiresAt - view.now,
      expiresAt: sentAt + (expiresAt - view.now), begunAt: view.fetchedAt, certainUntil: certain,
      certainTime: certainTime, seenAt: sentAt, isOwn: false)
  }

  /// When the fetch of this replica that Redis dates so began, whatever Redis's clock did since.
  private func beganAt(_ begunAt: RedisTime) -> Moment? {
    if let lastCommit, lastCommit.begunAt == begunAt { return lastCommit.beganAt }
    if let unresolved, unresolved.begunAt == begunAt { return unresolved.beganAt }
    return debts.first { $0.begunAt == begunAt }?.beganAt
      ?? acknowledged.first { $0.debt.begunAt == begunAt }?.debt.beganAt
  }

  mutating func tookOver(
    _ view: AccountView, sentAt: Moment, at now: Moment, lead: Lead
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    lookAt = now + lead.lookEvery
    isRefused = false
    if view.fence > lead.epoch { return [.saw(view.fence), .stepDown(.fenced)] }
    observe(view, sentAt: sentAt, at: now)
    let outcomes = [.recordIsOurs] + assess(view, at: now, lead: lead)
    if wanted == nil, let copy, copy.version == view.committed {
      return outcomes + [.note(.adopted(name, copy.version, remaining: statedRemaining(at: now)))]
    }
    return outcomes
  }

  mutating func looked(
    _ view: AccountView, sentAt: Moment, at now: Moment, lead: Lead, runID: String?
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    if isHinted { lookAt = now }
    isHinted = false
    if view.fence > lead.epoch { return [.saw(view.fence), .stepDown(.fenced)] }
    // Another server may have lost writes, or its record is one of an earlier version: taking the
    // account over again says so in the record.
    if let runID, view.committed != nil, view.runID != runID {
      phase = .takingOver(.due(now))
      return []
    }
    observe(view, sentAt: sentAt, at: now)
    return assess(view, at: now, lead: lead)
  }

  /// Compares what Redis has with what it should have, and says what to do about it.
  ///
  /// Whatever may have killed the token, its stated life is short by then: the fetch that follows
  /// is the schedule's.
  private mutating func assess(_ view: AccountView, at now: Moment, lead: Lead) -> [Outcome] {
    guard let copy, copy.remaining(at: now) > .zero else {
      want(.start, notBefore: now)
      guard let copy, copy.version == view.committed, isOverdue(view, copy) else { return [] }
      return republish(at: now, lead: lead)
    }
    // What is proved dead is published no more, whoever led in between, and whatever was lost.
    let isDead = copy.version == provedDead
    guard let committed = view.committed else {
      guard copy.certainEnd > now, !isDead else {
        want(.takeover, notBefore: now)
        return []
      }
      return republish(at: now, lead: lead)
    }
    if copy.version > committed {
      guard !isDead, canCommitAgain(copy, redisTime: view.now) else {
        want(.takeover, notBefore: now)
        return []
      }
      phase = .recommitting(.due(now))
      return []
    }
    guard copy.version == committed else {
      // The token that belongs to the record is not there, and nobody here has it.
      want(.takeover, notBefore: now)
      return []
    }
    if isDead {
      if !isAnotherTokenDue { _ = reports.ask(.probe, at: now, hasBudget: hasBudget) }
      return []
    }
    return isDamaged(view, copy, at: now) ? republish(at: now, lead: lead) : []
  }

  /// Whether a token that Redis has lost would still be certain to live when it is written again:
  /// another may have been fetched since, whose traces are lost as well.
  private func canCommitAgain(_ copy: Copy, redisTime: RedisTime) -> Bool {
    guard let begunAt = copy.begunAt else { return false }
    return begunAt + Timing.certain > redisTime + timing.answerBy
  }

  /// Whether keys are there that are to be gone: their life is over by what is known here, and not
  /// by the record, whose clock was set back, or nobody's, where one has lost its TTL.
  private func isOverdue(_ view: AccountView, _ copy: Copy) -> Bool {
    guard view.token != nil, let stated else { return false }
    return view.tokenRemaining.map { $0 > stated.slack(lifetime: copy.lifetime) } ?? true
  }

  /// Whether the published keys differ from what the record states.
  private func isDamaged(_ view: AccountView, _ copy: Copy, at now: Moment) -> Bool {
    guard let stated else { return false }
    let left = stated.end - now
    // What has no life left is not there; the next token follows.
    guard left > .zero else { return isOverdue(view, copy) }
    guard view.token == copy.token, let end = view.statedEnd else { return true }
    let recorded = end - view.now
    let slack = stated.slack(lifetime: copy.lifetime)
    let expected = min(recorded, left + slack)
    let tolerance = RemainingTolerance.ofTTL(lifetime: copy.lifetime)
    guard recorded <= expected, let token = view.tokenRemaining,
      let expiry = view.clientExpiryRemaining,
      abs((token - expected).wholeMilliseconds) <= tolerance.wholeMilliseconds,
      abs((expiry - expected).wholeMilliseconds) <= tolerance.wholeMilliseconds
    else { return true }
    return view.clientExpiry != margins.clientExpiry(end: end, lifetime: copy.lifetime)
  }

  mutating func republish(at now: Moment, lead: Lead) -> [Outcome] {
    guard let copy else {
      phase = .holding
      return []
    }
    // Of a record that knows it, the record says how long, or that it is over; else what is certain
    // here.
    let isRecorded = stated?.version == copy.version
    let end = max(isRecorded ? statedEnd ?? now : copy.certainEnd, now)
    guard isRecorded || end > now else {
      phase = .holding
      return []
    }
    phase = .republishing(.sent(now))
    return [
      .send(
        .republish(
          .init(
            account: name, fence: lead.epoch, version: copy.version,
            outputs: outputs(of: copy.token), lifetime: copy.lifetime, certain: end - now,
            // Also where the record knows it: it may be gone when this comes to be carried out.
            until: copy.certainEndTime,
            slack: stated?.slack(lifetime: copy.lifetime)
              ?? RemainingTolerance.ofClock(lifetime: copy.lifetime),
            begunAt: copy.begunAt)))
    ]
  }

  mutating func recommit(at now: Moment, lead: Lead, runID: String?) -> [Outcome] {
    guard let copy, copy.remaining(at: now) > .zero else {
      phase = .holding
      return []
    }
    phase = .recommitting(.sent(now))
    let command = StoreCommand.Commit(
      account: name, fence: lead.epoch, version: copy.version,
      outputs: outputs(of: copy.token), lifetime: copy.lifetime,
      age: copy.lifetime - copy.remaining(at: now), begunAt: copy.begunAt, parent: nil,
      kills: true, isRecommit: true, runID: runID, instance: instance)
    return [.send(.commit(command))]
  }

  mutating func recommitted(
    _ commit: StoreCommand.Commit, _ reply: StoreReply, sentAt: Moment, at now: Moment
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    // A Redis that loses it every time is not written to without a pause.
    lookAt = now + timing.retry
    switch reply {
    case .committed:
      copy?.isOwn = false
      return [.note(.recommitted(name, commit.version))]
    case .superseded(let epoch), .deposed(let epoch):
      return [.saw(epoch), .stepDown(.fenced)]
    default:
      // It has no life left there, or another commit is there: the next look says which.
      want(.takeover, notBefore: now)
      return []
    }
  }

  /// Everything that a commit of this token publishes.
  func outputs(of token: AccessToken) -> [Output] {
    [
      Output(key: .accessToken, format: .token(token)),
      Output(key: .expiresIn, format: .clientExpiry(margin: margins.clientExpiresBefore)),
    ]
  }

  /// The same keys, whatever token they hold.
  var kept: [Output] {
    [
      Output(key: .accessToken, format: .kept),
      Output(key: .expiresIn, format: .clientExpiry(margin: margins.clientExpiresBefore)),
    ]
  }
}

/// How far a remaining life may be off before it counts as wrong.
package enum RemainingTolerance {
  /// Between a key's TTL and the record: both are Redis's, so only delay is forgiven.
  package static func ofTTL(lifetime: Duration) -> Duration { min(.seconds(2), lifetime / 8) }

  /// Between Redis's clock and ours: two clocks that may differ by 1 %, and then some.
  package static func ofClock(lifetime: Duration) -> Duration { .seconds(2) + lifetime / 50 }
}
