import TokenCore

/// Invariant A, exact and at every moment: while a key has a token, the token lives as long as the
/// key does.
extension World {
  /// How the life that Redis states fails the token's.
  struct Overstatement {
    /// When the token died or dies, as WeChat has it now.
    let death: Instant
    /// What killed it; nil when its own life was over.
    let killer: ModelWeChat.Issue?
    /// Why it is not guaranteed to be otherwise; nil when it is.
    let hole: Hole?
  }

  /// A stated life may exceed the token's for so long: a lease, a retry, a look.
  static let repair: Duration = .seconds(15 + 2 + 30)

  /// Clocks may go wrong by one in a hundred.
  private static func tolerance(lifetime: Int64) -> Int64 { 2 * second + lifetime / 90 }

  /// What Redis states too much of an account's token, as things are; nil when it does not.
  func overstatement(_ index: Int) -> Overstatement? {
    guard let token = publishedToken(index),
      let issue = weChat.issue(of: token, account: index)
    else { return nil }
    let keys = redis.data.accounts[index]
    let isTampered =
      keys.token?.expiresAt == nil
      || (keys.state.committed == nil && marks.accounts[index].endless.contains(token))
    let end = endOfToken(index)
    let ownEnd = issue.endsAt + World.tolerance(lifetime: issue.endsAt - issue.issuedAt)
    guard issue.diesAt < issue.endsAt else {
      guard end > ownEnd else { return nil }
      return Overstatement(
        death: ownEnd, killer: nil, hole: isTampered ? .tampered : holeOfAge(issue, index))
    }
    guard end > issue.diesAt else { return nil }
    let killer = weChat.issuesAfter(token, account: index).first
    return Overstatement(
      death: issue.diesAt, killer: killer,
      hole: isTampered ? .tampered : hole(of: killer, of: issue, end: end, index))
  }

  /// Nobody sees what Redis's clock, which was stepped just now or before, has made of a life.
  mutating func notSeenStepped(_ index: Int) {
    guard now - marks.clockSteppedAt <= World.repair.wholeNanoseconds else { return }
    marks.accounts[index].clockSteppedUnseenAt = marks.clockSteppedAt
  }

  /// When the token's key lapses by what it states now.
  func endOfToken(_ index: Int) -> Instant {
    // A key lives through the last millisecond that it is given.
    redis.data.accounts[index].token?.expiresAt.map { instant(showing: $0) } ?? .max
  }

  /// The first instant at which Redis's clock is beyond a time.
  private func instant(showing time: RedisTime) -> Instant {
    redisClock.instant(showing: (time.milliseconds + 1) * millisecond - clockStep)
  }

  // MARK: What is not guaranteed

  /// Why a token's own life may be overstated.
  private func holeOfAge(_ issue: ModelWeChat.Issue, _ index: Int) -> Hole? {
    // What an answer on the way repeated is younger to whoever has never seen it.
    if marks.accounts[index].repeated.contains(issue.token) { return .repeated }
    // Beside clocks that differ, a step of the server's is not to be told from a slow one of ours.
    return marks.clockSteppedAt > issue.issuedAt - 2 * minute ? .steppedClock : nil
  }

  /// Which hole of TokenCore.md#what-is-not the killer went through, by its trace.
  private func hole(
    of killer: ModelWeChat.Issue?, of victim: ModelWeChat.Issue, end: Instant, _ index: Int
  ) -> Hole? {
    guard let killer else { return nil }
    guard let id = killer.request else { return .foreign }
    // Where WeChat kept more old tokens it would live to the end of the key.
    // So it is where a stable token is forced twice.
    if weChat.keepsOneOld || plan.repeats[index], end <= killer.issuedAt + plan.grace {
      return .oneOld
    }
    let call = calls[id]
    let isOut = isOut(call)
    if call.isThroughHole, isOut { return .pausedSend }
    guard let use = marks.uses[index][call.order.version] else { return nil }
    if use.isOfOldPrimary, fork != nil || now < forkEndedAt + World.repair.wholeNanoseconds {
      return .fork
    }
    // While it lasts each side has a token of its own, and one of them dies.
    if let fork, isForked(call.replica), killer.issuedAt >= fork.since { return .fork }
    // What was begun just before is lost to the other side, too.
    if wasForked(call.replica), isForgotten(use, index) { return .fork }
    if isLosersCopy(victim, killer, index) { return .fork }
    if isOut, isForgotten(use, index) { return .forgotten }
    if isOut, use.begunAt <= marks.clockSetForwardAt || isUnseenStep(since: use) {
      return .steppedClock
    }
    // A record that looks like another AppID's is nobody's to mend when the clock is set meanwhile,
    // and nobody who sees it afterwards knows by how much.
    if use.begunAt <= marks.accounts[index].clockSteppedUnseenAt { return .steppedClock }
    if marks.accounts[index].repeated.contains(victim.token) { return .repeated }
    return nil
  }

  /// Whether whoever asked is gone, or has been away from Redis nearly all the time since.
  private func isOut(_ call: Call) -> Bool {
    let replica = replicas[call.replica]
    guard replica.life == call.life, replica.isAlive else { return true }
    // Whoever let the account go has forgotten what it did.
    if replica.letGoAt[call.account].map({ $0 >= call.sentAt }) ?? false { return true }
    return !replica.isConnected || replica.isPaused(at: now)
      || now - max(replica.undisturbedSince, redisServesSince)
        < World.repair.wholeNanoseconds
  }

  /// Whether Redis's clock was stepped after that BEGIN, and nobody is there who saw it before.
  private func isUnseenStep(since use: Marks.Use) -> Bool {
    guard use.begunAt <= marks.clockSteppedAt else { return false }
    let seenBy = marks.clockSteppedAt - (Timing.followerLook + .seconds(2)).wholeNanoseconds
    return !replicas.contains {
      $0.isAlive && $0.isConnected && !$0.isPaused(at: now)
        && max($0.undisturbedSince, use.begunAt) < seenBy
    }
  }

  /// Since when Redis answers and takes writes.
  var redisServesSince: Instant { shards.map(\.servesFrom).max() ?? 0 }

  /// Whether a replica talks to an old primary, or has just left one.
  private func wasForked(_ replica: Int) -> Bool {
    isForked(replica)
      || marks.forks.last.map {
        $0.members.contains(replica) && now < $0.end + World.repair.wholeNanoseconds
      } ?? false
  }

  /// Whether a copy of a fork's losing side was published after the other side's was lost.
  private func isLosersCopy(
    _ victim: ModelWeChat.Issue, _ killer: ModelWeChat.Issue, _ index: Int
  ) -> Bool {
    marks.forks.contains { fork in
      fork.since <= killer.issuedAt && killer.issuedAt <= fork.end
        && marks.accounts[index].losses.contains { fork.end <= $0.at }
    }
  }

  /// Another server is known to have lost what was written up to so long before.
  private static let told = Timing.lostWrites - .seconds(5)

  /// Whether Redis lost the trace of a fetch, and nothing in it tells a leader of the loss.
  private func isForgotten(_ use: Marks.Use, _ index: Int) -> Bool {
    marks.accounts[index].losses.contains { loss in
      guard use.begunAt <= loss.at else { return false }
      guard plan.tellsRunID, loss.isElsewhere,
        loss.at - use.begunAt < World.told.wholeNanoseconds
      else { return true }
      // The next look of whoever leads tells.
      guard let ledSince = marks.ledSince, let holder = redis.data.lock?.holder,
        let leader = replicas.first(where: { $0.leadTerm == holder })
      else { return true }
      // Who never met the server before reckons with the time for which a lock is waited for, and
      // nobody could lead for longer.
      let reach = World.told + timing.successionSpan
      let neverMet = leader.metRedisAt.map { $0 > loss.at } ?? true
      if neverMet, ledSince - use.begunAt > reach.wholeNanoseconds { return true }
      return now - max(ledSince, redisServesSince, loss.at) <= World.repair.wholeNanoseconds
    }
  }

  // MARK: Judging

  /// After every step: nothing is overstated for long, and nothing read is dead after one fault.
  mutating func statesNoMore(_ index: Int) {
    guard let over = overstatement(index) else {
      endSpell(index)
      return
    }
    if marks.accounts[index].spell == nil {
      trace("OVERSTATED \(publishedToken(index) ?? ""), hole \(over.hole?.rawValue ?? "-")")
      marks.accounts[index].spell = Marks.Spell(since: now)
    }
    if let hole = over.hole, marks.accounts[index].spell?.hole == nil {
      marks.accounts[index].spell?.hole = hole
    }
    if over.death < now { marks.accounts[index].spell?.wasRead = true }
    guard let since = marks.accounts[index].spell?.since else { return }
    let token = publishedToken(index) ?? ""
    let name = accounts[index]
    switch over.hole {
    case .foreign: return isFoundByProbe(index, since: max(since, over.death))
    case .some: return
    case nil: break
    }
    // Of one that nobody keeps nobody looks at the record.
    let isMoving = isMoving(index)
    // What a server that stands still has in its buffers it carries out once it goes on.
    let wasReadable = over.death > redisServesSince
    if plan.profile == .single, over.death < now, wasReadable, isStatedWrongly(index) {
      violate(.deadToken, "account \(name) reads \(token), which is dead, after a single fault")
    }
    var begin = max(since, redisServesSince, marks.clockSteppedAt)
    // What a clock that was set back made too long is seen by the next look of a leader.
    if marks.clockSteppedAt > since - plan.grace { begin = max(begin, marks.ledSince ?? now) }
    if isMoving { marks.accounts[index].hinderedAt = now }
    if plan.moves { begin = max(begin, marks.accounts[index].hinderedAt) }
    if now - begin > World.repair.wholeNanoseconds {
      let way = over.death < now ? "is dead" : "dies \((over.death - now) / second)s from now"
      violate(
        .deadToken,
        "account \(name) has \(token), which \(way), stated to live longer for "
          + "\((now - since) / second)s")
    }
  }

  /// Whether it is by more than a clock that was stepped, until the next look.
  private func isStatedWrongly(_ index: Int) -> Bool {
    now - marks.clockSteppedAt > World.repair.wholeNanoseconds
  }

  private mutating func endSpell(_ index: Int) {
    guard let spell = marks.accounts[index].spell else { return }
    marks.accounts[index].spell = nil
    if let hole = spell.hole {
      verdict.holes[hole, default: 0] += 1
    } else if !spell.wasRead {
      verdict.overstated += 1
      verdict.overstatedSeconds += Double(now - spell.since) / Double(second)
    }
  }

  /// How long a probe takes at most to be believed: asked twice, with a pause in between.
  private static let probing: Duration = .seconds(20)

  /// Another party's fetch is found by the probe, when there is one.
  private mutating func isFoundByProbe(_ index: Int, since: Instant) {
    guard let probe = plan.probe, !isFailing(index), !isMoving(index) else { return }
    let bound =
      .nanoseconds(probe) + World.probing + timing.tick + timing.apiTimeout + timing.opTimeout * 4
    // Who begins to lead waits for as long as any other.
    let begin = max(since, disturbedUntil, waitsUntil(index), marks.ledSince ?? now)
    guard now - begin > bound.wholeNanoseconds else { return }
    violate(
      .deadToken, "account \(accounts[index]) has had a dead token for \((now - since) / second)s")
  }
}
