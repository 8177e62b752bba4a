/// What Redis shows, and what is to be done about it.
extension AccountKeeper {
  mutating func followed(_ reply: StoreReply, sentAt: Moment, at now: Moment) -> [Outcome] {
    storeFailures = 0
    phase = .following(.due(isHinted ? now : now + Timing.followerLook))
    isHinted = false
    switch reply {
    case .account(let view):
      isRefused = false
      ownUpToLoss(view, at: now)
      if hasLostTrace(view, at: now) {
        // It belongs to no attempt that this replica could name.
        let epoch = max(view.fence, mark?.epoch ?? .none)
        owe(Version(epoch: epoch, sequence: 0), isUnknown: true, at: now)
        sweep = nil
        mark = nil
      }
      observe(view, sentAt: sentAt, at: now)
      watch(view, at: now)
      return [.saw(max(view.fence, view.dirty?.epoch ?? .none)), .recordIsOurs]
    case .foreignApp(let remaining):
      isRefused = true
      return [.note(.foreignApp(remaining: remaining))]
    case .newerLayout(let layout):
      isRefused = true
      return [.note(.newerLayout(layout))]
    default: return []
    }
  }

  /// Redis lost a commit that this replica knows of: whoever leads must fetch again, as the token
  /// that Redis shows now is older and dying.
  ///
  /// Said once of each commit that Redis has instead, not for ever.
  private mutating func ownUpToLoss(_ view: AccountView, at now: Moment) {
    guard let committed = view.committed, let lost = lostCommit(in: view),
      lossOwned.map({ $0 != (lost, committed) }) ?? true
    else { return }
    lossOwned = (lost, committed)
    owe(lost, isUnknown: false, at: now)
  }

  /// The commit that this replica knows of and Redis does not, nor had before its last one.
  package func lostCommit(in view: AccountView) -> Version? {
    guard let committed = view.committed,
      let known = [copy?.version, toldCommit].compactMap(\.self).max(),
      committed < known, view.parent != known
    else { return nil }
    return known
  }

  /// Takes what Redis shows into memory; never backwards (invariant 9).
  private mutating func observe(_ view: AccountView, sentAt: Moment, at now: Moment) {
    fetchedBy = view.fetchedBy
    guard view.tokenMatchesRecord, let token = view.token, let version = view.committed,
      let remaining = view.remaining, remaining > .zero
    else { return }
    if let copy, copy.version > version { return }
    // While a trace of a later fetch stands, the token's death may already be under way.
    let hasTrace = view.intent != nil || view.dirty != nil || view.sweep != nil
    if let copy, copy.version == version, copy.token == token {
      self.copy?.recordedExpiry = view.expiresAt
      self.copy?.seenAt = max(copy.seenAt, sentAt)
      if !hasTrace { self.copy?.confirmedAt = max(copy.confirmedAt ?? sentAt, sentAt) }
      return
    }
    handedOut.add(token)
    copy = Copy(
      token: token, version: version, lifetime: view.lifetime ?? remaining,
      expiresAt: sentAt + remaining, recordedExpiry: view.expiresAt,
      confirmedAt: hasTrace ? nil : sentAt, seenAt: sentAt, isOwn: false)
  }

  /// Remembers the mark, and since when Redis has shown this sweep; forgets what was settled.
  mutating func watch(_ view: AccountView, at now: Moment) {
    if let fetchedAt = view.fetchedAt {
      if let sweep, view.sweep.map({ $0 < sweep.value }) ?? true,
        sweep.isSettled(by: view, at: now)
      {
        self.sweep = nil
      }
      if let markedAt = mark?.markedAt, fetchedAt + Self.markTolerance >= markedAt { mark = nil }
    }
    watch(view.sweep, redisTime: view.now, at: now)
    remember(view.dirty)
  }

  /// Remembers a mark: an earlier one that Redis shows again is no reason to forget the later.
  mutating func remember(_ shown: DirtyMark?) {
    guard let shown else { return }
    if let mark, let known = mark.markedAt, let markedAt = shown.markedAt, markedAt < known {
      return
    }
    mark = shown
  }

  mutating func watch(_ value: RedisTime?, redisTime: RedisTime, at now: Moment) {
    guard let value, sweep?.value != value else { return }
    sweep = WatchedSweep(
      value: value, firstSeenAt: now, dueAt: now + max(value - redisTime, .zero))
  }

  /// The moments of a mark and of the fetch that settles it are Redis's; but the fetch's is
  /// reckoned from a life, and may be reckoned from an age by another clock.
  private static let markTolerance: Duration = .milliseconds(200)

  /// Whether Redis lost a sweep or a mark that this replica remembers.
  ///
  /// It is taken for lost when it is gone, or an earlier one stands there, and the token is from
  /// before what it asks for. A clock that was set back looks like it, too: that costs a fetch.
  ///
  /// A Redis that was emptied knows of no straggler, nor does a replica that starts then and
  /// fetches as if for the first time; whoever saw the trace does.
  package func hasLostTrace(_ view: AccountView, at now: Moment) -> Bool {
    // As long as nobody has fetched, whoever does finds the history unknown.
    guard let fetchedAt = view.fetchedAt else { return false }
    if let sweep, view.sweep.map({ $0 < sweep.value }) ?? true,
      !sweep.isSettled(by: view, at: now)
    {
      return true
    }
    guard let markedAt = mark?.markedAt, view.dirty.map({ isEarlier($0, than: markedAt) }) ?? true
    else { return false }
    return fetchedAt + Self.markTolerance < markedAt
  }

  private func isEarlier(_ shown: DirtyMark, than markedAt: RedisTime) -> Bool {
    shown.markedAt.map { $0 < markedAt } ?? false
  }

  /// Whether the sweep asks for a fetch: because it is over; or because Redis says so for as long
  /// as a tick, and leaders may have come and gone too fast for one of them to prove it.
  private func sweepNeedsFetch(redisTime: RedisTime, at now: Moment) -> Bool {
    guard let sweep else { return false }
    return sweep.isOver(at: now)
      || (!sweep.isServedEarly && sweep.value + timing.tick <= redisTime)
  }

  mutating func tookOver(
    _ view: AccountView, sentAt: Moment, at now: Moment, lead: Lead, runID: String?
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    lookAt = now + lead.lookEvery
    isRefused = false
    if let epoch = epoch(in: view, beyond: lead) { return [.saw(epoch), .stepDown(.fenced)] }
    observe(view, sentAt: sentAt, at: now)
    // First what may make the fetch wait, then what only asks for one.
    let outcomes = [.recordIsOurs] + assess(view, at: now, lead: lead)
    if let seen = view.runID, let runID, seen != runID {
      isSuspicious = true
      want(.takeover, notBefore: now)
    }
    if wanted == nil, let copy, copy.version == view.committed {
      return outcomes + [.note(.adopted(name, copy.version, remaining: copy.remaining(at: now)))]
    }
    return outcomes
  }

  mutating func looked(
    _ view: AccountView, sentAt: Moment, at now: Moment, lead: Lead
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    if isHinted { lookAt = now }
    isHinted = false
    if let epoch = epoch(in: view, beyond: lead) { return [.saw(epoch), .stepDown(.fenced)] }
    observe(view, sentAt: sentAt, at: now)
    return assess(view, at: now, lead: lead)
  }

  /// An epoch above this lead's.
  ///
  /// A mark may be of an epoch that Redis has lost since: whoever has a token of that one takes
  /// none of ours.
  private func epoch(in view: AccountView, beyond lead: Lead) -> Epoch? {
    let epoch = max(view.fence, view.dirty?.epoch ?? .none)
    return epoch > lead.epoch ? epoch : nil
  }

  /// Compares what Redis has with what it should have, and says what to do about it.
  private mutating func assess(_ view: AccountView, at now: Moment, lead: Lead) -> [Outcome] {
    let hasGoodCopy = copy.map { $0.remaining(at: now) > .zero } ?? false
    if let intent = view.intent {
      // The straggler of a good token is waited for; without one, waiting helps nobody.
      // One from the future says that Redis's clock was set back, not that it has more time.
      let redisTime = max(view.now, intent.at)
      let wait =
        hasGoodCopy
        ? intent.deadline - redisTime + Timing.stragglerMargin
        : intent.at - redisTime + Timing.fetchSpacing
      want(.takeover, notBefore: now + max(wait, .zero))
    }
    if view.dirty != nil { want(.dirty, notBefore: now) }
    if hasLostTrace(view, at: now) {
      // Remembered until BEGIN has set another: should the lead be over before, a follower marks.
      isSuspicious = true
      want(.sweep, notBefore: now)
    } else {
      watch(view, at: now)
    }
    if sweepNeedsFetch(redisTime: view.now, at: now) { want(.sweep, notBefore: now) }
    // What may have killed the token is no longer just under way.
    if view.dirty != nil || sweep?.isOver(at: now) == true { copy?.isOwn = false }
    guard let copy, hasGoodCopy else {
      want(.start, notBefore: now)
      return []
    }
    guard let committed = view.committed else {
      want(.takeover, notBefore: now)
      return copy.isPublishable(at: now) ? republish(at: now, lead: lead) : []
    }
    if let lost = lostCommit(in: view), lost > copy.version { want(.takeover, notBefore: now) }
    if copy.version > committed {
      guard copy.isPublishable(at: now) else {
        want(.takeover, notBefore: now)
        return []
      }
      phase = .recommitting(.due(now))
      return []
    }
    if copy.version < committed {
      want(.takeover, notBefore: now)
      return []
    }
    if isDamaged(view, copy, at: now) {
      // By Redis's clock its life is over, so that no key of it would be written.
      let isOver = view.expiresAt.map { $0 <= view.now } ?? false
      guard !isOver else {
        want(.takeover, notBefore: now)
        return []
      }
      guard copy.isPublishable(at: now) else {
        want(.takeover, notBefore: now)
        return []
      }
      return republish(at: now, lead: lead)
    }
    return []
  }

  /// Whether the published keys differ from what the copy's commit wrote.
  private func isDamaged(_ view: AccountView, _ copy: Copy, at now: Moment) -> Bool {
    guard view.token == copy.token, let expiresAt = view.expiresAt else { return true }
    let left = expectedRemaining(record: expiresAt - view.now, copy, at: now)
    let tolerance = RemainingTolerance.ofTTL(lifetime: copy.lifetime)
    guard let token = view.tokenRemaining, let expiry = view.clientExpiryRemaining,
      abs((token - left).wholeMilliseconds) <= tolerance.wholeMilliseconds,
      abs((expiry - left).wholeMilliseconds) <= tolerance.wholeMilliseconds
    else { return true }
    let margin = margins.client(lifetime: copy.lifetime)
    return view.clientExpiry
      != (expiresAt.milliseconds - margin.wholeMilliseconds) / 1000
  }

  /// What the keys should have left: what the record says, but never far above what our own
  /// clock says, since Redis counts by a wall clock that can be set back.
  private func expectedRemaining(record: Duration, _ copy: Copy, at now: Moment) -> Duration {
    let own = copy.remaining(at: now)
    return record > own + RemainingTolerance.ofClock(lifetime: copy.lifetime) ? own : record
  }

  mutating func republish(at now: Moment, lead: Lead) -> [Outcome] {
    guard let copy, copy.remaining(at: now) > .zero else {
      phase = .holding
      return []
    }
    phase = .republishing(.sent(now))
    return [
      .send(
        .republish(
          .init(
            account: name, fence: lead.epoch, version: copy.version,
            outputs: outputs(of: copy.token, lifetime: copy.lifetime), lifetime: copy.lifetime,
            remaining: copy.remaining(at: now))))
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
      outputs: outputs(of: copy.token, lifetime: copy.lifetime), lifetime: copy.lifetime,
      age: copy.lifetime - copy.remaining(at: now), dirty: nil, parent: nil, sweep: nil,
      isRecommit: true, runID: runID, instance: instance)
    return [.send(.commit(command))]
  }

  mutating func recommitted(
    _ commit: StoreCommand.Commit, _ reply: StoreReply, sentAt: Moment
  ) -> [Outcome] {
    phase = .holding
    storeFailures = 0
    switch reply {
    case .committed:
      copy?.seenAt = sentAt
      return [.note(.recommitted(name, commit.version))]
    case .superseded(let epoch):
      return [.saw(epoch), .stepDown(.fenced)]
    case .deposed(let epoch, let mark):
      remember(mark)
      return [.saw(epoch), .stepDown(.fenced)]
    default:
      return []
    }
  }

  /// Everything that a commit of this token publishes.
  func outputs(of token: AccessToken, lifetime: Duration) -> [Output] {
    [
      Output(key: .accessToken, format: .token(token)),
      Output(
        key: .expiresIn, format: .clientExpiry(margin: margins.client(lifetime: lifetime))),
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
