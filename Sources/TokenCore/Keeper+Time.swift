/// What is due, and who else is there.
extension Keeper {
  mutating func advance(at now: Moment, to actions: inout [Action]) {
    if tickAt <= now {
      ticks += 1
      tickAt = now + timing.tick
      table.updateAll { $0.hinted(at: now) }
    }
    if wantsAbdication {
      wantsAbdication = false
      if shutdownBy == nil, election.leadership != nil, anotherMayDoBetter {
        actions.append(heartbeat(abdicates: true, at: now))
        stepDown(.abdicated, at: now, to: &actions)
      }
    }
    giveUp(at: now, to: &actions)
    // Who is let go on may have nothing to fetch any more: then the next one is.
    repeat {
      table.admit(upTo: maximumFetches)
      advanceAccounts(at: now, to: &actions)
    } while table.hasQueue && table.fetching < maximumFetches
    if shutdownBy != nil { return shutDown(at: now, to: &actions) }
    if storeIsConnected {
      apply(election.advance(at: now), at: now, to: &actions)
      if heartbeatAt <= now, heartbeatSentAt == nil {
        actions.append(heartbeat(abdicates: false, at: now))
      }
    }
  }

  mutating func advanceAccounts(at now: Moment, to actions: inout [Action]) {
    var place = 0
    while let index = table.next(from: place, dueBy: now, common: common) {
      let scene = scene(at: now)
      let outcomes = table.update(index) { $0.advance(in: scene, using: &generator) }
      apply(outcomes, of: table[index].name, at: now, to: &actions)
      place = index + 1
    }
  }

  /// What was not answered in time counts as failed.
  mutating func giveUp(at now: Moment, to actions: inout [Action]) {
    if let failure = election.giveUp(at: now, using: &generator) {
      actions.append(.note(.storeStepFailed(nil, failure)))
    }
    if let sentAt = heartbeatSentAt, sentAt + timing.answerBy <= now {
      heartbeatSentAt = nil
      heartbeatAt = now + timing.retry
    }
  }

  /// Whether WeChat gave another account a token since it fails for this one: then it can be
  /// reached from here.
  func succeedsElsewhere(_ account: CredentialID, at now: Moment) -> Bool {
    guard let lastSuccess, lastSuccess.account != account else { return false }
    return now - lastSuccess.at < Timing.abdicationDoubt
  }

  /// The orderly end: what is in flight is finished, within bounds; then the lock is given back.
  mutating func shutDown(at now: Moment, to actions: inout [Action]) {
    guard let shutdownBy, !isStopped else { return }
    let isOwing = table.all.contains { !$0.traces.debts.isEmpty }
    if isReleasing {
      let isLost = !storeIsConnected && !isOwing
      if (isReleased && !isOwing) || now >= shutdownBy || isLost { stop(to: &actions) }
      return
    }
    if isOwing || table.all.contains(where: \.mustFinish), now < shutdownBy {
      if storeIsConnected, election.leadership != nil {
        apply(election.advance(at: now), at: now, to: &actions)
      }
      return
    }
    if election.leadership != nil, storeIsConnected {
      stepDown(.shutdown, at: now, to: &actions)
      isReleasing = true
    } else if let term = election.termUnderWay, storeIsConnected {
      // Nobody shall wait for a lock that was asked for and is of no use.
      election.stopped()
      apply([election.release(term, at: now)], at: now, to: &actions)
      isReleasing = true
    } else {
      stop(to: &actions)
    }
  }

  mutating func heartbeat(abdicates: Bool, at now: Moment) -> Action {
    heartbeatSentAt = now
    heartbeatAt = now + min(heartbeatSoon ?? Timing.followerLook, Timing.followerLook)
    heartbeatSoon = heartbeatSoon.flatMap { $0 < Timing.followerLook ? $0 * 2 : nil }
    let command = StoreCommand.heartbeat(
      .init(
        instance: instance, isLeader: election.leadership != nil, abdicates: abdicates,
        life: life))
    return .store(command, number(command, at: now))
  }

  mutating func noteNamesakes(to actions: inout [Action]) {
    var heard: [UInt64?: (seenAt: RedisTime, repetitions: Int)] = [:]
    for replica in replicas where replica.instance == instance && replica.life != life {
      let before = namesakes[replica.life] ?? (replica.seenAt, 0)
      let isRepeated = replica.seenAt > before.seenAt
      heard[replica.life] = (replica.seenAt, before.repetitions + (isRepeated ? 1 : 0))
    }
    namesakes = heard
    guard !nameIsToldShared, isNamesake else { return }
    nameIsToldShared = true
    actions.append(.note(.nameIsShared))
  }

  /// Whether another live replica has this one's name.
  var isNamesake: Bool {
    replicas.contains { $0.instance == instance && isAnother($0) }
  }

  /// Whether it is a replica beside this one.
  ///
  /// One of the same name may be this one's predecessor, which is gone, though its last heartbeat
  /// may come late; another says again and again that it lives. Of another name the one counts that
  /// was heard last, for the same reason.
  func isAnother(_ replica: Replica) -> Bool {
    guard replica.instance == instance else {
      return !replicas.contains {
        $0.instance == replica.instance && $0.seenAt > replica.seenAt
      }
    }
    return namesakes[replica.life].map { $0.repetitions >= 2 } ?? false
  }

  /// Whether another live replica exists that has not given up leadership lately itself.
  var anotherMayDoBetter: Bool {
    guard let asOf = replicasAsOf else { return false }
    return replicas.contains { replica in
      isAnother(replica)
        && asOf - replica.seenAt < Timing.followerLook * 3
        && (replica.abdicatedAt.map { asOf - $0 > Timing.abdicationMemory } ?? true)
    }
  }

  var lead: Scene.Lead? {
    election.leadership.map {
      .init(
        epoch: $0.epoch, validUntil: $0.validUntil,
        lookEvery: table.count > Keeper.accountsLookedAtWithRenewal
          ? timing.tick : timing.renew)
    }
  }

  /// What decides for all accounts together when one is due.
  var common: AccountTable.Common {
    .init(
      leads: election.leadership != nil, isConnected: storeIsConnected,
      isEnding: shutdownBy != nil)
  }

  func index(of account: CredentialID) -> Int? { table.place(of: account) }
}
