import TokenCore

/// What goes wrong, and where.
extension World {
  /// Where a fault can strike an effect.
  enum Boundary: String, CaseIterable {
    /// The keeper has decided; nothing is sent yet.
    case send
    /// Redis or WeChat has just done it; the answer is not on its way yet.
    case execution
    /// The answer is here; the keeper has not seen it.
    case answer
  }

  mutating func boundary(_ boundary: Boundary, _ effect: Strike.Effect?, _ replica: Int) {
    guard !isHealed else { return }
    if let armed, armed.effect == effect, armed.boundary == boundary {
      self.armed = nil
      struckAt = now
      strike(armed.fault, boundary, effect, replica)
      scheduleFault(at: now + 20 * minute)
      return
    }
    guard plan.profile != .single else { return }
    let rate = effect == nil ? plan.atOrdinaryEffects : plan.atCriticalEffects
    if chance.chance(perMillion: rate) {
      strike(chance.pick(plan.faults), boundary, effect, replica)
    }
  }

  private mutating func strike(
    _ fault: Fault, _ boundary: Boundary, _ effect: Strike.Effect?, _ replica: Int
  ) {
    if let effect {
      verdict.strikes.insert(Strike(fault: fault, boundary: boundary, effect: effect))
    }
    inject(fault, replica)
  }

  /// The next fault that comes by itself.
  mutating func nextFault() {
    guard !isHealed, now == faultDue else { return }
    switch plan.profile {
    case .calm: break
    case .chaos, .storm, .usual:
      inject(chance.pick(plan.faults), someReplica())
      scheduleFault(at: now + chance.below(2 * plan.betweenFaults))
    case .single: nextSingleFault()
    }
  }

  mutating func someReplica() -> Int {
    let leader = replicas.firstIndex { $0.leadership != nil }
    if let leader, chance.percent(60) { return leader }
    return Int(chance.below(Int64(replicas.count)))
  }

  /// Something is broken until then.
  mutating func disturb(until instant: Instant) {
    disturbedUntil = max(disturbedUntil, instant)
  }

  mutating func inject(_ fault: Fault, _ replica: Int) {
    verdict.faults += 1
    accountAll()
    if fault.isOfRedis {
      injectIntoRedis(fault)
    } else {
      injectInto(replica, fault)
    }
  }

  private mutating func injectInto(_ replica: Int, _ fault: Fault) {
    trace("FAULT \(fault.rawValue) r\(replica)")
    switch fault {
    case .crash:
      let wait = chance.percent(10) ? 10 * minute : chance.within(200...120_000) * millisecond
      kill(replica, restartAfter: wait)
      disturb(until: now + wait)
    case .pause:
      guard replicas[replica].isAlive else { return }
      let length = chance.within(5...400) * second
      pause(replica, for: length)
    case .cutRedis: cutRedis(replica, for: chance.within(3...300) * second)
    case .cutWeChat: cutWeChat(replica, for: chance.within(3...600) * second)
    case .cutBoth:
      let length = chance.within(3...300) * second
      cutRedis(replica, for: length)
      cutWeChat(replica, for: length)
    case .dropConnection:
      loseConnection(replica)
      disturb(until: now + 3 * second)
    case .slowNetwork:
      replicas[replica].slowUntil = now + chance.within(5...60) * second
      replicas[replica].disturb(until: replicas[replica].slowUntil)
      disturb(until: replicas[replica].slowUntil + 5 * second)
    case .rollingRestart:
      queue.push(.rollOn(next: 0), at: now)
      disturb(until: now + Int64(replicas.count) * 40 * second)
    case .straggler:
      straggleNext = true
    case .lostAnswer:
      loseNextAnswer = true
    case .refusal: beginRefusing()
    case .foreignFetch: fetchElsewhere()
    case .request: ask()
    case .brownOut: brownOut()
    case .repeatedAnswer: repeatAnswers()
    case .slowSend: sendSlowly()
    case .unanswered: replicas[replica].leavesUnanswered = true
    case .frozenClock: freeze(replica)
    case .hostLoss: loseHost(replica)
    case .restartEmpty, .flush, .restart, .failOver, .stepClock, .deleteLock, .evict, .readOnly,
      .stall, .damageKeys, .noReplicas, .outOfMemory, .fork, .foreignApp, .newerLayout:
      break
    }
  }

  /// Somebody wants another token; while Redis is forked, on either side.
  mutating func ask() {
    guard fork != nil, chance.percent(50) else { return askHere() }
    withOldPrimary { $0.askHere() }
  }

  /// An application was refused its token, or an older one; a person wants another one; or an
  /// owner has replaced the secret, which every replica learns of.
  private mutating func askHere() {
    let account = Int(chance.below(Int64(accounts.count)))
    marks.allowedFetches += 2
    disturb(until: now)
    switch chance.below(6) {
    case 0: request(.force(accounts[account]), until: now + 2 * minute)
    case 1:
      for replica in replicas.indices where replicas[replica].isAlive {
        queue.push(
          .event(
            replica: replica, life: replicas[replica].life, .secretChanged(accounts[account])),
          at: now + delay(replica))
      }
    case 2:
      guard let issue = weChat.issues[account].last else { return }
      request(.rejected(AccessToken(issue.token)), until: now + 2 * minute)
    default:
      guard let token = publishedToken(account) else { return }
      request(.rejected(AccessToken(token)), until: now + 2 * minute)
    }
  }

  /// Brings a request to whoever leads, as the list in Redis does; without a leader it waits.
  mutating func request(_ report: Report, until end: Instant) {
    let holder = redis.data.lock?.holder
    let leader = replicas.firstIndex {
      $0.isAlive && $0.isConnected && $0.leadTerm == holder
    }
    guard let leader, holder != nil, now >= lockShard.answersFrom else {
      guard now < end, !isHealed else { return }
      return queue.push(.request(report, until: end), at: now + second)
    }
    queue.push(
      .event(replica: leader, life: replicas[leader].life, .reported(report)),
      at: now + delay(leader))
  }

  /// Another party fetches with our AppSecret.
  private mutating func fetchElsewhere() {
    // What only the probe finds is not to be looked for by the checks after healing.
    guard now < plan.hours * hour - 20 * minute else { return }
    let account = Int(chance.below(Int64(accounts.count)))
    let token = weChat.mint(
      account: account, request: nil, lifetime: lifetime(of: account), at: now)
    trace("wechat: another party -> \(token)")
    verdict.foreign += 1
  }

  mutating func beginRefusing() {
    refusal = chance.pick([-1, -1, -1, 45011, 45009, 40164, 40125])
    refuseUntil = now + chance.within(1...120) * second
    // What the backoff for this class may still wait when the refusals are over.
    let wait: Int64 =
      switch refusal {
      case 45009: 900 * second
      case 40164, 40125: 320 * second
      case 45011: 70 * second
      default: 40 * second
      }
    disturb(until: refuseUntil + wait)
  }

  mutating func pause(_ replica: Int, for length: Int64) {
    let until = now + length
    replicas[replica].pausedUntil = max(replicas[replica].pausedUntil, until)
    queue.push(.resume(replica: replica), at: replicas[replica].pausedUntil)
    disturb(until: until)
  }

  private mutating func cutRedis(_ replica: Int, for length: Int64) {
    let way = chance.below(4)
    if way != 0 { replicas[replica].requestsToRedisLostUntil = now + length }
    if way != 1 { replicas[replica].repliesOfRedisLostUntil = now + length }
    replicas[replica].disturb(until: now + length)
    // The backoff of a fetch that may not begin is over soon after.
    disturb(until: now + length + 5 * second)
  }

  private mutating func cutWeChat(_ replica: Int, for length: Int64) {
    let way = chance.below(4)
    if way != 0 { replicas[replica].requestsToWeChatLostUntil = now + length }
    if way != 1 { replicas[replica].answersOfWeChatLostUntil = now + length }
    disturb(until: now + length + 40 * second)
  }

  mutating func kill(_ replica: Int, restartAfter wait: Int64) {
    guard replicas[replica].isAlive else { return }
    trace("r\(replica) is dead")
    replicas[replica].isAlive = false
    replicas[replica].life += 1
    replicas[replica].pausedUntil = 0
    replicas[replica].backlog = []
    replicas[replica].held = []
    replicas[replica].frozenAt = nil
    replicas[replica].leavesUnanswered = false
    replicas[replica].withdrawn = []
    replicas[replica].isConnected = false
    replicas[replica].pendingSteps = []
    replicas[replica].pendingCalls = []
    replicas[replica].scheduledWake = nil
    replicas[replica].term = nil
    replicas[replica].leaseFrom = nil
    for account in accounts.indices {
      replicas[replica].copies[account] = nil
      replicas[replica].lastFetchAt[account] = nil
    }
    queue.push(.restart(replica: replica, life: replicas[replica].life), at: now + wait)
  }

  mutating func loseConnection(_ replica: Int) {
    queue.push(
      .connectionLost(replica: replica, life: replicas[replica].life),
      at: now + chance.below(50 * millisecond))
  }

  mutating func rollOn(_ replica: Int) {
    guard !isHealed, replica < replicas.count else { return }
    if replicas[replica].isAlive, !replicas[replica].isPaused(at: now) {
      end(replica)
    }
    queue.push(.rollOn(next: replica + 1), at: now + 40 * second)
  }

  /// SIGTERM; after 30 s SIGKILL.
  mutating func end(_ replica: Int) {
    replicas[replica].isEnding = true
    queue.push(
      .endByForce(replica: replica, life: replicas[replica].life), at: now + 30 * second)
    handle(.shutdownRequested, replica)
  }

  // MARK: Redis

  private mutating func injectIntoRedis(_ fault: Fault) {
    trace("FAULT \(fault.rawValue) of redis")
    marks.allowedFetches += 2 * accounts.count
    switch fault {
    case .restartEmpty:
      let shard = someShard()
      wipe(shard)
      startAnotherServer(shard, after: chance.within(50...20_000) * millisecond)
    case .flush:
      wipe(someShard())
      disturb(until: now)
    case .restart:
      startAnotherServer(someShard(), after: chance.within(50...120_000) * millisecond)
    case .failOver:
      let shard = someShard()
      failOver(shard, losing: chance.within(50...10_000) * millisecond)
      startAnotherServer(shard, after: chance.within(50...15_000) * millisecond)
    case .stepClock:
      guard now < plan.hours * hour - 5 * minute else { return }
      let step = chance.within(500...100_000) * millisecond
      let isForward = chance.percent(50)
      clockStep += isForward ? step : -step
      marks.clockSteppedAt = now
      if isForward { marks.clockSetForwardAt = now }
      for index in accounts.indices where isHidden(index) { notSeenStepped(index) }
      lockDisturbedAt = now
      disturb(until: now + step)
    case .deleteLock:
      redis.data.lock = nil
      lockDisturbedAt = now
      disturb(until: now)
    case .evict: evict()
    case .readOnly, .noReplicas:
      let shard = someShard()
      shards[shard].refusal = fault == .readOnly ? "READONLY" : "NOREPLICAS"
      shards[shard].refusesUntil = now + chance.within(1...30) * second
      disturb(until: shards[shard].refusesUntil + 3 * second)
    case .stall:
      // Also longer than any replica's patience, and than a refresh comes early.
      let isLong = (plan.profile == .single || plan.profile == .chaos) && chance.percent(20)
      let longest: Int64 = isLong ? 600_000 : 20_000
      let shard = someShard()
      shards[shard].stalledUntil = now + chance.within(200...longest) * millisecond
      disturb(until: shards[shard].stalledUntil + 3 * second)
    case .damageKeys: damageKeys()
    case .outOfMemory: redisIsFullUntil = now + chance.within(1...120) * second
    case .fork: beginFork()
    case .foreignApp, .newerLayout: hideRecord(as: fault)
    case .crash, .pause, .cutRedis, .cutWeChat, .cutBoth, .dropConnection, .slowNetwork,
      .rollingRestart, .straggler, .lostAnswer, .refusal, .foreignFetch, .request, .brownOut,
      .repeatedAnswer, .slowSend, .unanswered, .frozenClock, .hostLoss:
      break
    }
  }

  /// Everything is gone that a server had.
  mutating func wipe(_ shard: Int) {
    let old = redis.data
    if let slots {
      redis.turnBack(shard, to: ModelRedis(accounts: accounts).data, slots)
      return lostWrites(of: shard, since: old)
    }
    redis.wipe()
    lostWrites(since: old)
  }

  /// Writes are gone: what was true of this lineage of the data need not be true of the next.
  ///
  /// - Parameter isElsewhere: whether another server goes on with what it has of the data.
  mutating func lostWrites(since old: ModelRedis.Data, isElsewhere: Bool = false) {
    history = []
    lockDisturbedAt = now
    storeDisturbedAt = now
    for account in accounts.indices {
      lostRecord(account, since: old.accounts[account].state, isElsewhere: isElsewhere)
    }
  }

  /// An account's record is gone, or an earlier one.
  mutating func lostRecord(
    _ account: Int, since old: ModelRedis.State, isElsewhere: Bool = false
  ) {
    let new = redis.data.accounts[account].state
    marks.accounts[account].committed = nil
    storeDisturbedAt = now
    guard (old.intent, old.committed) != (new.intent, new.committed) || old.doubt != new.doubt
    else { return }
    marks.accounts[account].losses.append(
      Marks.Loss(at: now, isElsewhere: isElsewhere && new.runID != nil))
  }

  private mutating func startAnotherServer(_ shard: Int, after wait: Int64) {
    servers += 1
    shards[shard].generation = servers
    shards[shard].downUntil = now + wait
    disturb(until: shards[shard].downUntil + 3 * second)
    guard shard == slots?.lock ?? 0 else { return }
    redis.runID = "run-\(servers)"
    for replica in replicas.indices where replicas[replica].isAlive { loseConnection(replica) }
  }

  /// A replica of Redis that had not seen the last writes becomes the primary.
  private mutating func failOver(_ shard: Int, losing span: Int64) {
    if let slots { return failOver(shard, losing: span, in: slots) }
    let old = redis.data
    if let kept = history.first(where: { $0.at > now - span }) { redis.data = kept.data }
    clockStep += chance.within(-200...200) * millisecond
    lostWrites(since: old, isElsewhere: true)
  }

  /// A replica dies with the primary beside it; another server has all but the last writes.
  private mutating func loseHost(_ replica: Int) {
    let wait = chance.within(1000...600_000) * millisecond
    kill(replica, restartAfter: wait)
    let shard = someShard()
    failOver(shard, losing: chance.within(50...10_000) * millisecond)
    startAnotherServer(shard, after: chance.within(50...15_000) * millisecond)
    marks.allowedFetches += 2 * accounts.count
    disturb(until: now + wait)
  }

  private mutating func evict() {
    for account in accounts.indices {
      if chance.percent(40) { redis.data.accounts[account].token = nil }
      if chance.percent(40) { redis.data.accounts[account].expiry = nil }
      if chance.percent(20) {
        let old = redis.data.accounts[account].state
        redis.data.accounts[account].state = .init()
        lostRecord(account, since: old)
      }
    }
    if chance.percent(30) { redis.data.lock = nil }
    if chance.percent(20) {
      redis.data.epoch = nil
      storeDisturbedAt = now
    }
    lockDisturbedAt = now
    disturb(until: now)
  }

  /// A foreign hand writes to the keys of applications.
  private mutating func damageKeys() {
    let account = Int(chance.below(Int64(accounts.count)))
    switch chance.below(5) {
    case 0: redis.data.accounts[account].token?.text = "foreign"
    case 1: redis.data.accounts[account].token?.text = nil
    case 2:
      if let text = redis.data.accounts[account].token?.text {
        marks.accounts[account].endless.insert(text)
      }
      redis.data.accounts[account].token?.expiresAt = nil
    case 3: redis.data.accounts[account].expiry = nil
    default:
      let late = redisTime + .seconds(100_000)
      redis.data.accounts[account].expiry?.expiresAt = late
    }
    disturb(until: now)
  }
}
