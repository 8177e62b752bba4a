/// What follows from what an account or the election has decided.
extension Keeper {
  mutating func apply(
    _ steps: [Election.Step], at now: Moment, to actions: inout [Action]
  ) {
    for step in steps {
      switch step {
      case .send(let command, let step): actions.append(.store(command, step))
      case .won(let leadership):
        conflict = nil
        wantsAbdication = false
        sequenceFloor = 0
        actions += [.note(.becameLeader(leadership.epoch)), .listen(true)]
        heartbeatAt = now
        table.updateAll { $0.startedLeading(at: now) }
      case .lost(let reason): stepDown(reason, at: now, to: &actions)
      }
    }
  }

  mutating func apply(
    _ outcomes: [AccountKeeper.Outcome], of account: CredentialID, at now: Moment,
    to actions: inout [Action]
  ) {
    for outcome in outcomes {
      switch outcome {
      case .send(let command, let step): actions.append(.store(command, step))
      case .fetch(let order): actions.append(.fetch(order))
      case .cancelFetch(let version): actions.append(.cancelFetch(account, version))
      case .probe(let order): actions.append(.probe(order))
      case .renewLease: election.renewSoon(at: now)
      case .saw(let epoch): election.saw(epoch)
      case .note(let note): actions.append(.note(note))
      case .met(let conflict): meet(conflict, to: &actions)
      case .succeeded: lastSuccess = (account, now)
      case .announce(let announcement): actions.append(.announce(announcement))
      case .stepDown(let reason): stepDown(reason, at: now, to: &actions)
      case .recordIsOurs:
        if conflict != nil, !table.all.contains(where: \.isRefused) { conflict = nil }
      case .sourceIsRefused(let token): take(.rejected(token), at: now, to: &actions)
      case .refused(let reason):
        if table.all.allSatisfy(\.isRefused) { stepDown(reason, at: now, to: &actions) }
      case .unreachable: wantsAbdication = wantsAbdication || !succeedsElsewhere(account, at: now)
      }
    }
  }

  mutating func noteConflict(_ answer: StoreAnswer.Acquire, to actions: inout [Action]) {
    switch answer {
    case .foreignApp(let remaining):
      meet(.foreignApp(remaining: remaining), to: &actions)
    case .held(let holder, let remaining) where remaining < .zero:
      guard endlessHolder != holder else { return }
      endlessHolder = holder
      actions.append(.note(.lockNeverLapses(holder: holder)))
    case .acquired, .held:
      endlessHolder = nil
    }
  }

  /// A conflict is told when it begins, not with every look that meets it.
  mutating func meet(_ conflict: Conflict, to actions: inout [Action]) {
    let isKnown =
      switch (self.conflict, conflict) {
      case (.foreignApp, .foreignApp): true
      case (let known, _): known == conflict
      }
    self.conflict = conflict
    if !isKnown { actions.append(.note(.conflict(conflict))) }
  }

  mutating func stepDown(
    _ reason: StepDownReason, at now: Moment, to actions: inout [Action]
  ) {
    guard let leadership = election.leadership else { return }
    // Before anything is given back, which must not come to this replica again.
    actions += [.note(.steppedDown(reason)), .listen(false)]
    election.steppedDown(reason, at: now, using: &generator)
    table.updateAll { account in
      if let report = account.takeUnserved() { actions.append(.giveBack(report)) }
      for outcome in account.steppedDown(at: now) {
        switch outcome {
        case .cancelFetch(let version): actions.append(.cancelFetch(account.name, version))
        case .send(let command, let step): actions.append(.store(command, step))
        default: break
        }
      }
    }
    switch reason {
    case .lockLost: break
    case .leaseOver, .fenced, .shutdown:
      // Also when the lease is over: a renewal that Redis carried out late may have kept the lock.
      apply([election.release(leadership.term, at: now)], at: now, to: &actions)
    case .abdicated, .foreignApp, .newerLayout:
      election.holdBack(until: now + Timing.abdication, at: now)
      apply([election.release(leadership.term, at: now)], at: now, to: &actions)
    }
    heartbeatAt = now
  }

  mutating func stop(to actions: inout [Action]) {
    guard !isStopped else { return }
    isStopped = true
    election.stopped()
    actions.append(.stop)
  }
}
