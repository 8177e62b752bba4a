import TokenCore

/// The second phase: nothing fails any more, and everything has to come right in time.
extension World {
  mutating func heal() {
    trace("HEALED")
    isHealed = true
    healedAt = now
    armed = nil
    straggleNext = false
    loseNextAnswer = false
    refuseUntil = now
    refuseNext = nil
    answersLostUntil = now
    repeatsUntil = now
    sendsSlowlyUntil = now
    hidden = [:]
    bringAllBack()
    endFork()
    for shard in shards.indices { shards[shard].heal(at: now) }
    // A backoff from before may still run out.
    disturbedUntil = now + (replicas.indices.map { backoff(of: $0) }.max() ?? 0)
    for replica in replicas.indices {
      replicas[replica].requestsToRedisLostUntil = min(
        replicas[replica].requestsToRedisLostUntil, now)
      replicas[replica].repliesOfRedisLostUntil = 0
      replicas[replica].requestsToWeChatLostUntil = 0
      replicas[replica].answersOfWeChatLostUntil = 0
      replicas[replica].slowUntil = 0
      if replicas[replica].isPaused(at: now) {
        replicas[replica].pausedUntil = now
        queue.push(.resume(replica: replica), at: now)
      }
      if !replicas[replica].isAlive {
        queue.push(.restart(replica: replica, life: replicas[replica].life), at: now)
      }
    }
    let heldBack = replicas.map { replica in
      let until = replica.keeper.election.heldBackUntil ?? .origin
      return max((until - replica.local(at: now)).wholeNanoseconds, 0)
    }
    let bound = timing.lease * 51 / 50 + timing.retry * 6 / 5 + .seconds(2) + timing.opTimeout * 2
    queue.push(
      .check(.leader), at: now + bound.wholeNanoseconds + (heldBack.min() ?? 0))
  }

  mutating func check(_ check: Check) {
    switch check {
    case .leader:
      guard let leader = leader() else {
        return violate(.leaderAfterHealing, "nobody leads")
      }
      let wait = backoff(of: leader)
      queue.push(
        .check(.token), at: now + (timing.apiTimeout + .seconds(6)).wholeNanoseconds + wait)
    case .token:
      for index in accounts.indices where publishedToken(index) == nil {
        violate(.tokenAfterHealing, "account \(accounts[index]) has no token")
      }
      queue.push(.check(.quiet), at: max(now, healedAt) + quietBound)
    case .quiet:
      guard becomesQuiet(.quiet) else { return }
      queue.push(.check(.crashed), at: now)
    case .crashed:
      guard isSettled(.crashed) else { return }
      guard replicas.count > 1, let leader = leader() else { return finish() }
      trace("the leader is killed")
      kill(leader, restartAfter: minute)
      let bound = timing.lease * 51 / 50 + timing.retry * 6 / 5 + .milliseconds(500)
      queue.push(.check(.successor), at: now + bound.wholeNanoseconds)
    case .successor:
      guard leader() != nil else { return violate(.leaderAfterCrash, "nobody leads") }
      queue.push(.check(.released), at: now + 2 * minute)
    case .released:
      guard isSettled(.released) else { return }
      guard let leader = leader() else { return violate(.leaderAfterCrash, "nobody leads") }
      trace("the leader ends in order")
      end(leader)
      queue.push(.check(.heir), at: now + 500 * millisecond)
    case .heir:
      guard leader() != nil else { return violate(.leaderAfterRelease, "nobody leads") }
      queue.push(.check(.flushed), at: now + 2 * minute)
    case .flushed:
      guard isSettled(.flushed) else { return }
      trace("everything is flushed")
      for shard in shards.indices { wipe(shard) }
      let bound = timing.renew * 51 / 50 + .milliseconds(500)
      queue.push(.check(.restored), at: now + bound.wholeNanoseconds)
    case .restored:
      for index in accounts.indices where publishedToken(index) == nil {
        violate(.tokenAfterWipe, "account \(accounts[index]) has no token")
      }
      queue.push(.check(.end), at: now + quietBound)
    case .end:
      guard becomesQuiet(.end) else { return }
      finish()
    }
  }

  private mutating func finish() { isOver = true }

  private var quietBound: Int64 {
    (Timing.certain + timing.tick + timing.lease + .seconds(15)).wholeNanoseconds
  }

  private func leader() -> Int? {
    replicas.indices.first {
      replicas[$0].isAlive && replicas[$0].keeper.isLeader(at: replicas[$0].local(at: now))
        && redis.data.lock?.holder
          == replicas[$0].leadTerm
    }
  }

  /// How long the leader still waits before it fetches, because WeChat failed before.
  private func backoff(of leader: Int) -> Int64 {
    let moment = replicas[leader].local(at: now)
    // Without a failure it waits for another one's fetch to be over, and no longer.
    let drain = (timing.attemptSpan + Timing.stragglerMargin).wholeNanoseconds
    let waits = replicas[leader].keeper.accounts.map { account in
      let wait = account.wanted.map { max(($0.notBefore - moment).wholeNanoseconds, 0) } ?? 0
      return (account.failures.last == nil ? min(wait, drain) : wait) * 51 / 50
    }
    return waits.max() ?? 0
  }

  /// Whether no fetch is just being made; if one is, the check comes again.
  private mutating func isSettled(_ check: Check) -> Bool {
    let isBusy = replicas.contains { replica in
      replica.isAlive
        && replica.keeper.accounts.contains { account in
          switch account.work {
          case .follow, .hold, .look: account.wanted != nil
          case .takeOver, .republish, .recommit, .begin, .waitForLease, .fetch, .commit, .resolve:
            true
          }
        }
    }
    if isBusy { queue.push(.check(check), at: now + 500 * millisecond) }
    return !isBusy
  }

  /// What every keeper that lives has gone on to since it began is what may follow.
  mutating func wentOnInOrder() {
    guard verdict.violation == nil else { return }
    for replica in replicas {
      for account in replica.keeper.accounts {
        for kind in Work.Kind.allCases {
          let others = account.workSteps.after(kind).subtracting(kind.successors)
          if !others.isEmpty { violate(.workFollows, "\(others) after \(kind)") }
        }
      }
    }
  }

  /// Whether all is quiet; a refresh that is just under way is given a moment.
  private mutating func becomesQuiet(_ check: Check) -> Bool {
    guard let unrest = unrest() else {
      marks.quietBy = nil
      return true
    }
    if marks.quietBy == nil { marks.quietBy = now + 10 * second }
    if let quietBy = marks.quietBy, now >= quietBy {
      violate(.quietAfterHealing, unrest)
    } else {
      queue.push(.check(check), at: now + 500 * millisecond)
    }
    return false
  }

  /// What is not quiet, if anything.
  private func unrest() -> String? {
    guard leader() != nil else { return "nobody leads" }
    for index in accounts.indices {
      let state = redis.data.accounts[index].state
      if let doubt = state.doubt { return "a doubt of \(doubt.first), and it is \(redisTime)" }
      // One that kills nothing may stand until the next fetch: nothing follows from it.
      if let intent = state.intent, intent.kills { return "an intent of \(intent.version)" }
      guard let token = publishedToken(index) else { return "no token" }
      guard let newest = weChat.newest(account: index) else { return "WeChat was never asked" }
      if token != newest.token, overstatement(index)?.hole == nil {
        return "\(token) is not \(newest.token)"
      }
      for (number, replica) in replicas.enumerated() where replica.isAlive {
        let copy = kept(index, by: number)?.copy?.token.revealed
        if copy != token { return "r\(number) has \(copy ?? "nothing") instead of \(token)" }
      }
    }
    let isOwing = replicas.contains { $0.keeper.accounts.contains { !$0.traces.debts.isEmpty } }
    return isOwing ? "a mark is owed" : nil
  }
}
