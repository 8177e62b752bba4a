package import TokenCore

/// What the shell does around a keeper: it carries out actions and brings one answer to each.
extension World {
  /// A new keeper, as a process that starts has it: with no memory.
  mutating func birth(_ index: Int, life: Int) -> (InstanceID, Keeper) {
    let name = chance.percent(50) ? "r\(index)" : "r\(index)-\(life)"
    guard let instance = InstanceID(name) else { preconditionFailure("\(name) is a good name") }
    var timing = timing
    if !plan.parts.contains(.leaseCheck) { timing.lease = .seconds(100_000) }
    let credentials = Dictionary(
      uniqueKeysWithValues: accounts.indices.map { (accounts[$0], credential(of: $0)) })
    let keeper = Keeper(
      instance: instance, accounts: configuredAccounts.map { accounts[$0] }, timing: timing,
      margins: Margins(),
      credentials: credentials, generator: SplitMix64(seed: chance.next()))
    return (instance, keeper)
  }

  mutating func restart(_ replica: Int) {
    let (instance, keeper) = birth(replica, life: replicas[replica].life)
    replicas[replica].begin(keeper, as: instance)
    replicas[replica].isAlive = true
    replicas[replica].isEnding = false
    trace("r\(replica) starts as \(instance)")
    handle(.started, replica)
    queue.push(
      .reconnect(replica: replica, life: replicas[replica].life),
      at: now + chance.within(1...50) * millisecond)
  }

  // MARK: The keeper

  mutating func handle(_ event: Keeper.Event, _ replica: Int) {
    let moment = replicas[replica].local(at: now)
    if log != nil {
      if case .woke = event {} else { trace("r\(replica) <- \(brief(event))") }
    }
    // Reports reach whoever leads, and nobody need know how long they are held up.
    let actions = replicas[replica].handle(event, at: moment).filter { !$0.isHint }
    mix(UInt64(truncatingIfNeeded: now))
    mix(UInt64(replica))
    mix(digest(of: event))
    for action in actions { mix(digest(of: action)) }
    remember(replica)
    isNotBusy(event, actions, replica, at: moment)
    perform(
      actions.map { SimulatedReplica.Held(action: $0, isPastCheck: false) }, replica)
    if replicas[replica].isAlive { scheduleWake(replica) }
  }

  mutating func scheduleWake(_ replica: Int) {
    guard let due = replicas[replica].nextWake else { return }
    let instant = max(
      replicas[replica].clock.instant(showing: due.nanoseconds), now + 100_000)
    if let scheduled = replicas[replica].scheduledWake, scheduled <= instant { return }
    replicas[replica].scheduledWake = instant
    queue.push(.wake(replica: replica, life: replicas[replica].life), at: instant)
  }

  mutating func perform(_ held: [SimulatedReplica.Held], _ replica: Int) {
    let life = replicas[replica].life
    for (index, item) in held.enumerated() {
      if !item.isPastCheck { boundary(.send, .init(item.action), replica) }
      if opensHole, case .fetch(let order) = item.action, order.trigger == .schedule {
        // Beyond the sweep that its successor's fetch will have set.
        opensHole = false
        lifeInHole = life
        pause(replica, for: 200 * second)
        replicas[replica].held.append(.init(action: item.action, isPastCheck: true))
        replicas[replica].held += held[(index + 1)...]
        return
      }
      guard replicas[replica].life == life, replicas[replica].isAlive else { return }
      if replicas[replica].isPaused(at: now) {
        var rest = Array(held[index...])
        for place in rest.indices { rest[place].isDelayed = true }
        if case .fetch = item.action, chance.percent(30) { rest[0].isPastCheck = true }
        replicas[replica].held += rest
        return
      }
      if chance.chance(perMillion: isHealed ? 0 : plan.unanswered) {
        replicas[replica].leavesUnanswered = true
      }
      switch item.action {
      case .store(let command, let step): send(command, step, replica)
      case .fetch(let order): fetch(order, item, replica)
      case .cancelFetch(let name, let version): withdraw(name, version, replica)
      case .probe(let order): probe(order, replica)
      case .giveBack(let report):
        if now >= redisIsFullUntil { request(report, until: now + 2 * minute) }
      case .listen, .announce: break
      case .note(let note): noted(note, replica)
      case .stop:
        trace("r\(replica) stopped")
        let isEnding = replicas[replica].isEnding
        kill(replica, restartAfter: isEnding ? second : 10 * second)
        return
      }
    }
  }

  mutating func resume(_ replica: Int) {
    guard replicas[replica].isAlive, !replicas[replica].isPaused(at: now) else { return }
    guard replicas[replica].pausedUntil > 0 else { return }
    thaw(replica)
    replicas[replica].pausedUntil = 0
    replicas[replica].disturb(until: now)
    trace("r\(replica) resumes")
    let life = replicas[replica].life
    let held = replicas[replica].held
    let backlog = replicas[replica].backlog
    replicas[replica].held = []
    replicas[replica].backlog = []
    let timerFirst = chance.percent(50)
    perform(held, replica)
    if timerFirst, replicas[replica].life == life, !replicas[replica].isPaused(at: now) {
      handle(.woke, replica)
    }
    for happening in backlog where replicas[replica].life == life { take(happening) }
    if replicas[replica].life == life, replicas[replica].isAlive { scheduleWake(replica) }
  }

  // MARK: Redis

  private mutating func send(_ command: StoreCommand, _ number: StepID, _ replica: Int) {
    steps += 1
    let step = steps
    let life = replicas[replica].life
    guard replicas[replica].isConnected else {
      let failure = StoreFailure(mayHaveRun: false, reason: "not connected")
      queue.push(
        .event(
          replica: replica, life: life, .stored(number, .failure(failure))),
        at: now + 100_000)
      return
    }
    trace("r\(replica) sends \(brief(command))")
    let isUnanswered = isLeftUnanswered(replica)
    var split = self.split(command, number)
    let first = split.begin()
    if !isUnanswered {
      replicas[replica].pendingSteps.append(
        .init(id: step, command: command, step: number, sentAt: now, split: split))
      let moment = replicas[replica].local(at: now)
      queue.push(
        .stepTimedOut(replica: replica, life: life, step: step),
        at: replicas[replica].clock.instant(showing: (moment + timing.opTimeout).nanoseconds))
    } else if chance.percent(50) {
      return
    }
    send(first, of: step, replica)
  }

  /// Sends what a step sends next.
  private mutating func send(_ turn: SplitStep.Turn, of step: Int, _ replica: Int) {
    guard case .sends(let calls, let first) = turn else { return }
    let life = replicas[replica].life
    if let index = replicas[replica].pendingSteps.firstIndex(where: { $0.id == step }) {
      replicas[replica].pendingSteps[index].calls += calls
    }
    for (index, call) in calls.enumerated() {
      // The step's own was decided where the keeper wanted it.
      if case .apart = call { boundary(.send, .init(call), replica) }
      guard replicas[replica].life == life, replicas[replica].isAlive else { return }
      sendAhead(call, of: step, replica)
      send(call, first + index, of: step, replica)
    }
  }

  /// Sends one call of a step to the server that has its keys.
  mutating func send(
    _ call: SplitStep.Call, _ number: Int, of step: Int, _ replica: Int
  ) {
    let shard = shard(of: call)
    let arrival = Arrival(
      replica: replica, life: replicas[replica].life, step: step, call: number,
      sent: rewritten(call, replica), shard: shard,
      connection: isForked(replica) ? World.oldPrimary : shards[shard].generation, sentAt: now)
    if now < replicas[replica].requestsToRedisLostUntil {
      // What waits in a buffer may come through when the way is free again.
      if chance.percent(40) {
        queue.push(
          .arrive(arrival),
          at: replicas[replica].requestsToRedisLostUntil + chance.below(second))
      }
      return
    }
    if chance.chance(perMillion: isHealed ? 0 : plan.lostPackets) { return }
    queue.push(.arrive(arrival), at: now + delay(replica))
  }

  mutating func delay(_ replica: Int) -> Int64 {
    if now < replicas[replica].slowUntil { return chance.within(1...4000) * millisecond }
    return chance.percent(2)
      ? chance.within(5...200) * millisecond : chance.within(200...3000) * 1000
  }

  mutating func arrive(_ arrival: Arrival) {
    // A server that is gone takes what was on its way with it.
    let isOfOld = arrival.connection == World.oldPrimary
    let shard = shards[arrival.shard]
    guard
      isOfOld ? fork != nil : now >= shard.downUntil && arrival.connection == shard.generation
    else { return }
    // What a fault held back for long does not outlast the faults.
    guard !isHealed || arrival.sentAt > healedAt || now < healedAt + 5 * second else { return }
    guard isOfOld || now >= shard.stalledUntil else {
      queue.push(.arrive(arrival), at: shard.stalledUntil + chance.below(millisecond))
      return
    }
    let replica = arrival.replica
    let result: Result<SplitStep.Reply, StoreFailure>
    if isOfOld, let refusal = refusalOfOldPrimary(arrival.sent) {
      result = .failure(StoreFailure(mayHaveRun: false, reason: refusal))
    } else if isOfOld {
      result = .success(withOldPrimary { $0.execute(arrival) })
    } else if now < shard.refusesUntil, arrival.sent.writes {
      result = .failure(StoreFailure(mayHaveRun: false, reason: shard.refusal))
    } else {
      result = .success(execute(arrival))
    }
    boundary(.execution, .init(arrival.sent), replica)
    guard isOfOld || now >= shards[arrival.shard].downUntil else { return }
    if replicas[replica].life == arrival.life, isLeftUnanswered(replica) {
      replicas[replica].pendingSteps.removeAll { $0.id == arrival.step }
      return
    }
    if now < replicas[replica].repliesOfRedisLostUntil { return }
    if chance.chance(perMillion: isHealed ? 0 : plan.lostPackets) { return }
    queue.push(
      .answer(
        replica: replica, life: arrival.life, step: arrival.step, call: arrival.call, result),
      at: now + delay(replica))
  }

  private mutating func execute(_ arrival: Arrival) -> SplitStep.Reply {
    let time = redisTime
    redis.expire(at: time)
    // What reads changes nothing; a copy that is kept would make every look cost one.
    let before = arrival.sent.writes ? redis.data : nil
    let server = server(for: arrival)
    let answer =
      arrival.command.flatMap { hiddenReply($0) }.map { .step($0, nil) }
      ?? redis.execute(arrival.sent, at: time, server: server)
    if log != nil, arrival.sent.writes {
      trace("redis: r\(arrival.replica) \(brief(arrival.sent)) -> \(brief(answer))")
    }
    if let before, arrival.connection != World.oldPrimary {
      history.append((at: now, data: before))
      if history.count > 400 { history.removeFirst(200) }
    }
    switch (arrival.sent, answer) {
    case (.step(let command), .step(let reply, let life)):
      if let account = command.account { stated(account, life) }
      executed(arrival, command, reply, before: before)
      hint(after: arrival, command, reply)
    case (.apart(let command), .apart(let reply)):
      executed(arrival, command, reply, before: before)
    case (.step, .apart), (.apart, .step): break
    }
    return answer
  }

  private mutating func hint(
    after arrival: Arrival, _ command: StoreCommand, _ reply: StoreReply
  ) {
    let event: Keeper.Event
    switch (command, reply) {
    case (.commit(let commit), .committed): event = .hinted(commit.account)
    case (.republish(let republish), .republished(wrote: true)):
      event = .hinted(republish.account)
    case (.mark(let mark), .marked): event = .hinted(mark.account)
    case (.release, .released): event = .leadershipHinted
    default: return
    }
    // A mark wakes the leader alone, by a list that a full server does not lengthen.
    let isForLeader = if case .mark = command { true } else { false }
    if isForLeader, now < redisIsFullUntil { return }
    for replica in replicas.indices
    where isForked(replica) == (arrival.connection == World.oldPrimary) {
      if isForLeader,
        replicas[replica].leadTerm != redis.data.lock?.holder
      {
        continue
      }
      if chance.chance(perMillion: isHealed ? 0 : plan.lostHints) { continue }
      if now < replicas[replica].repliesOfRedisLostUntil { continue }
      guard replicas[replica].isConnected else { continue }
      queue.push(
        .event(replica: replica, life: replicas[replica].life, event), at: now + delay(replica))
    }
  }

  mutating func answered(
    _ replica: Int, _ step: Int, _ call: Int, _ result: Result<SplitStep.Reply, StoreFailure>
  ) {
    guard let index = replicas[replica].pendingSteps.firstIndex(where: { $0.id == step }) else {
      return
    }
    let pending = replicas[replica].pendingSteps[index]
    let life = replicas[replica].life
    guard pending.calls.indices.contains(call) else { return }
    boundary(.answer, .init(pending.calls[call]), replica)
    guard replicas[replica].life == life, replicas[replica].isAlive else { return }
    if replicas[replica].isPaused(at: now) {
      replicas[replica].backlog.append(
        .answer(replica: replica, life: life, step: step, call: call, result))
      return
    }
    guard let index = replicas[replica].pendingSteps.firstIndex(where: { $0.id == step }) else {
      return
    }
    if isLeftUnanswered(replica) {
      replicas[replica].pendingSteps.remove(at: index)
      return
    }
    switch replicas[replica].pendingSteps[index].split.answered(call, result) {
    case .waits: break
    case .sends(let calls, let first): send(.sends(calls, from: first), of: step, replica)
    case .ends(let result):
      replicas[replica].pendingSteps.remove(at: index)
      ended(pending, result, replica)
    }
  }

  /// A step is over, all its calls being answered.
  private mutating func ended(
    _ pending: SimulatedReplica.PendingStep, _ result: Result<StoreReply, StoreFailure>,
    _ replica: Int
  ) {
    let life = replicas[replica].life
    var result = result
    if case .success(let reply) = result {
      result = .success(rewritten(reply, of: pending.command))
    }
    confirmLease(pending, result, replica)
    let answer = result.answer(to: pending.command)
    handle(.stored(pending.step, answer), replica)
    if !plan.parts.contains(.leaseFromSend), case .renew = pending.command,
      replicas[replica].life == life, !replicas[replica].isPaused(at: now)
    {
      let now = replicas[replica].local(at: now)
      let late = StepID(of: pending.command, number: pending.step.number, issuedAt: now)
      handle(.stored(late, answer), replica)
    }
  }

  mutating func timedOut(_ replica: Int, _ step: Int) {
    guard let index = replicas[replica].pendingSteps.firstIndex(where: { $0.id == step }) else {
      return
    }
    let pending = replicas[replica].pendingSteps.remove(at: index)
    let life = replicas[replica].life
    let failure = StoreFailure(mayHaveRun: true, reason: "timed out")
    var split = pending.split
    let isOfLock = isOfLock(pending.command)
    ended(pending, split.end(failure), replica)
    if plan.timeoutDisconnects, isOfLock, replicas[replica].life == life { disconnect(replica) }
  }

  /// The connection is gone; every step under way ends without an answer.
  mutating func disconnect(_ replica: Int) {
    guard replicas[replica].isAlive, replicas[replica].isConnected else { return }
    let life = replicas[replica].life
    replicas[replica].isConnected = false
    replicas[replica].reconnects = 0
    // Of several servers it is the lock's that counts.
    let pending = replicas[replica].pendingSteps.filter { isOfLock($0.command) }
    replicas[replica].pendingSteps.removeAll { isOfLock($0.command) }
    let failure = StoreFailure(mayHaveRun: true, reason: "connection lost")
    for step in pending {
      take(
        .event(
          replica: replica, life: life,
          .stored(step.step, .failure(failure))))
    }
    take(.event(replica: replica, life: life, .storeDisconnected))
    guard replicas[replica].life == life else { return }
    queue.push(
      .reconnect(replica: replica, life: life), at: now + chance.within(20...80) * millisecond)
  }

  mutating func reconnect(_ replica: Int) {
    guard !replicas[replica].isConnected else { return }
    let life = replicas[replica].life
    let isReachable =
      (isForked(replica) || now >= lockShard.answersFrom)
      && now >= replicas[replica].requestsToRedisLostUntil
      && now >= replicas[replica].repliesOfRedisLostUntil
    guard isReachable else {
      replicas[replica].reconnects = min(replicas[replica].reconnects + 1, 6)
      let wait = min(2 * second, 50 * millisecond << Int64(replicas[replica].reconnects))
      queue.push(
        .reconnect(replica: replica, life: life), at: now + wait / 2 + chance.below(wait / 2))
      return
    }
    replicas[replica].isConnected = true
    replicas[replica].metRedisAt = replicas[replica].metRedisAt ?? now
    replicas[replica].disturb(until: now)
    handle(.storeConnected(runID: plan.tellsRunID ? server(of: replica).runID : nil), replica)
  }

  // MARK: WeChat

  /// Whether the lease is over though the replica's clock, which stood still since it was given,
  /// cannot know: wherever it stood, it is as if it had between the check and the send.
  private func isLateByStoppedClock(_ replica: Int) -> Bool {
    let lease = timing.lease.wholeNanoseconds * 51 / 50
    return replicas[replica].thawedAt > replicas[replica].leaseFromInstant
      && now > replicas[replica].leaseFromInstant + lease
  }

  private mutating func fetch(
    _ order: FetchOrder, _ held: SimulatedReplica.Held, _ replica: Int
  ) {
    let life = replicas[replica].life
    guard now < sendsSlowlyUntil, lifeInHole != life else { return write(order, held, replica) }
    var later = held
    later.isPastCheck = false
    later.isDelayed = true
    queue.push(.write(replica: replica, life: life, order, later), at: now + connecting())
  }

  /// The request is written, unless that is too late by now.
  mutating func write(_ order: FetchOrder, _ held: SimulatedReplica.Held, _ replica: Int) {
    let isPastCheck = held.isPastCheck
    if !isPastCheck, replicas[replica].withdrawn.contains(order.version) {
      let refused = FetchFailure(.transient, reason: "not wanted any more")
      return handle(.fetched(order.account, order.version, .knownFailure(refused)), replica)
    }
    let moment = replicas[replica].local(at: now)
    let life = replicas[replica].life
    let isLate = moment > order.notAfter
    steps += 1
    if (isLate && plan.parts.contains(.leaseCheck) && !isPastCheck) || moment >= order.deadline {
      if !isPastCheck {
        let refused = FetchFailure(.transient, reason: "too late to be sent")
        queue.push(
          .event(
            replica: replica, life: life,
            .fetched(order.account, order.version, .knownFailure(refused))), at: now + 100_000)
        return
      }
    }
    let account = index(of: order.account)
    let id = calls.count
    calls.append(
      Call(
        replica: replica, life: life, account: account, order: order, sentAt: now,
        sentLocally: moment,
        isThroughHole: (isLate && isPastCheck) || isLateByStoppedClock(replica),
        wasHeld: held.isDelayed))
    trace("r\(replica) fetches \(order.version) for \(order.trigger)\(isLate ? ", late" : "")")
    sent(id)
    if lifeInHole == life, isPastCheck {
      lifeInHole = nil
      queue.push(.process(call: id), at: now + chance.within(30...600) * millisecond)
      return kill(replica, restartAfter: 10 * minute)
    }
    if !isLeftUnanswered(replica) {
      replicas[replica].pendingCalls.append(.init(id: id, order: order, sentAt: moment))
      let deadline = replicas[replica].clock.instant(showing: order.deadline.nanoseconds)
      queue.push(
        .callTimedOut(replica: replica, life: life, call: id), at: max(deadline, now + millisecond))
    }
    if now < replicas[replica].requestsToWeChatLostUntil {
      switch chance.below(3) {
      case 0:
        // The connection is refused or not made: nothing was sent, and nothing to keep away from.
        replicas[replica].lastFetchAt[account] = nil
        let failure = FetchFailure(.transient, reason: "cannot connect", isTransport: true)
        queue.push(
          .respond(replica: replica, life: life, call: id, .knownFailure(failure)),
          at: now + chance.within(1...3000) * millisecond)
      case 1: queue.push(.process(call: id), at: now + chance.below(60 * second))
      default: break
      }
      return
    }
    let isStraggler = straggleNext || chance.chance(perMillion: isHealed ? 0 : plan.stragglers)
    straggleNext = false
    let lag =
      isStraggler ? chance.below(60 * second) : chance.within(30...600) * millisecond
    queue.push(.process(call: id), at: now + lag)
  }

  /// Asks WeChat whether a token lives; what brings no answer proves nothing.
  private mutating func probe(_ order: ProbeOrder, _ replica: Int) {
    let death = weChat.death(of: order.token.revealed, account: index(of: order.account))
    let isAnswered =
      now >= replicas[replica].requestsToWeChatLostUntil
      && now >= replicas[replica].answersOfWeChatLostUntil && now >= refuseUntil && !isInBrownOut()
    let isDead = isAnswered && (death ?? now) <= now
    queue.push(
      .event(
        replica: replica, life: replicas[replica].life,
        .probed(order.account, order.version, isDead: isDead, dailyLimit: nil)),
      at: now + (isAnswered ? chance.within(30...600) * millisecond : 5 * second))
  }

  /// What is not written yet is not written any more.
  private mutating func withdraw(_ name: CredentialID, _ version: Version, _ replica: Int) {
    replicas[replica].withdrawn.insert(version)
    replicas[replica].held.removeAll { held in
      if case .fetch(let order) = held.action {
        order.account == name && order.version == version && !held.isPastCheck
      } else {
        false
      }
    }
  }

  mutating func process(_ id: Int) {
    let call = calls[id]
    let repeated = repetition(for: call)
    if repeated == nil || repeatsReach {
      calls[id].isProcessed = true
      processed(call.account)
      verdict.fetches += 1
    }
    let replica = call.replica
    var outcome = repeated != nil && !repeatsReach ? nil : refused(call, id) ?? minted(call, id)
    boundary(.execution, .fetch, replica)
    if let repeated {
      trace("the last answer to \(accounts[call.account]) is repeated")
      if let kept = lastAnswers[call.account] {
        marks.accounts[call.account].repeated.insert(kept.token)
      }
      outcome = repeated
    }
    let isLost =
      loseNextAnswer || isInBrownOut()
      || chance.chance(perMillion: isHealed ? 0 : plan.lostAnswers)
    loseNextAnswer = false
    guard let outcome, !isLost, now >= replicas[replica].answersOfWeChatLostUntil else { return }
    if case .token(let fetched) = outcome, repeated == nil {
      lastAnswers[call.account] = (fetched.token.revealed, fetched.lifetime.wholeNanoseconds)
    }
    if replicas[replica].life == call.life, isLeftUnanswered(replica) {
      replicas[replica].pendingCalls.removeAll { $0.id == id }
      return
    }
    queue.push(
      .respond(replica: replica, life: call.life, call: id, outcome),
      at: now + chance.within(10...300) * millisecond)
  }

  /// WeChat's good answer, which may state a life that nobody believes.
  private mutating func minted(_ call: Call, _ id: Int) -> FetchOutcome {
    let lifetime = lifetime(of: call.account)
    var (token, left) = ("", lifetime)
    if plan.repeats[call.account] {
      let answer = weChat.answer(
        account: call.account, request: id, isForced: call.order.isForced, lifetime: lifetime,
        at: now)
      guard case .token(let text, let remaining) = answer else {
        trace("wechat: \(call.order.version) of r\(call.replica) is forced too often")
        return .knownFailure(FetchFailure(.quota, code: 45009, reason: "the day's quota"))
      }
      (token, left) = (text, remaining / second * second)
    } else {
      token = weChat.mint(account: call.account, request: id, lifetime: lifetime, at: now)
    }
    trace("wechat: \(call.order.version) of r\(call.replica) -> \(token)")
    // No life, a life of nothing, or no answer that makes sense.
    let nonsense: Int64 = plan.livesChange ? 30_000 : 5000
    if left <= 0 || !isHealed && plan.profile != .calm && chance.chance(perMillion: nonsense) {
      return .unknown(FetchFailure(.transient, reason: "an answer that makes no sense"))
    }
    return .token(
      FetchedToken(
        token: AccessToken(token), lifetime: .nanoseconds(left), sentAt: call.sentLocally))
  }

  /// WeChat's refusal, if it refuses.
  private mutating func refused(_ call: Call, _ id: Int) -> FetchOutcome? {
    if let code = refuseNext {
      refuseNext = nil
      trace("wechat: refuses \(call.order.version) of r\(call.replica) with \(code)")
      return .knownFailure(FetchFailure(.rate, code: code, reason: "the minute's"))
    }
    if now >= refuseUntil {
      guard chance.chance(perMillion: isHealed ? 0 : plan.refusals) else { return nil }
      beginRefusing()
    }
    trace("wechat: refuses \(call.order.version) of r\(call.replica) with \(refusal)")
    switch refusal {
    case 45009:
      return .knownFailure(FetchFailure(.quota, code: 45009, reason: "the day's quota"))
    case 45011: return .knownFailure(FetchFailure(.rate, code: 45011, reason: "the minute's"))
    case 40164:
      return .knownFailure(
        FetchFailure(
          .operator, code: 40164, reason: "address refused", refusesAddress: true))
    case 40125:
      return .knownFailure(FetchFailure(.configuration, code: 40125, reason: "bad secret"))
    default:
      // -1 says nothing: WeChat may have minted all the same.
      if chance.percent(50) {
        _ = minted(call, id)
      }
      return .unknown(FetchFailure(.transient, code: -1, reason: "system busy"))
    }
  }

  mutating func responded(_ replica: Int, _ id: Int, _ outcome: FetchOutcome) {
    guard replicas[replica].pendingCalls.contains(where: { $0.id == id }) else { return }
    let order = calls[id].order
    let life = replicas[replica].life
    boundary(.answer, .fetch, replica)
    guard replicas[replica].life == life, replicas[replica].isAlive else { return }
    if replicas[replica].isPaused(at: now) {
      replicas[replica].backlog.append(
        .respond(replica: replica, life: life, call: id, outcome))
      return
    }
    guard let index = replicas[replica].pendingCalls.firstIndex(where: { $0.id == id }) else {
      return
    }
    replicas[replica].pendingCalls.remove(at: index)
    if isLeftUnanswered(replica) { return }
    if case .knownFailure = outcome { calls[id].isProcessed = true }
    handle(.fetched(order.account, order.version, outcome), replica)
  }

  /// Whether nobody answers this action, ever; an answer that comes is then nobody's.
  private mutating func isLeftUnanswered(_ replica: Int) -> Bool {
    guard !isHealed else { return false }
    if replicas[replica].leavesUnanswered {
      replicas[replica].leavesUnanswered = false
      trace("r\(replica) is left without an answer")
      // Until it is given up nothing else is tried, of whatever account it is.
      let until = now + max(timing.answerBy, timing.apiTimeout + Timing.slack).wholeNanoseconds
      for index in accounts.indices {
        marks.accounts[index].hinderedAt = max(marks.accounts[index].hinderedAt, until)
      }
      return true
    }
    return false
  }

  // MARK: Planted bugs

  /// The command as it is sent when a part is taken away.
  func rewritten(_ command: StoreCommand, _ replica: Int) -> StoreCommand {
    if !plan.parts.contains(.mark), case .mark(let mark) = command {
      let none = Version(epoch: .none, sequence: 0)
      return .resolve(.init(account: mark.account, version: none, outputs: []))
    }
    if !plan.parts.contains(.idempotentAcquire), case .release(let term) = command,
      replicas[replica].term != term
    {
      return .release(Term(instance: term.instance, nonce: ""))
    }
    if !plan.parts.contains(.freshCopy), case .republish(var republish) = command,
      let copy = kept(index(of: republish.account), by: replica)?.copy
    {
      // As if nobody could have fetched since it was seen.
      republish.certain = copy.remaining(at: replicas[replica].local(at: now))
      republish.until = nil
      return .republish(republish)
    }
    guard !plan.parts.contains(.leaseCheck) else { return command }
    return switch command {
    case .acquire(let term, _, let floor):
      .acquire(term, lease: Timing().lease, floor: floor)
    case .renew(let term, _): .renew(term, lease: Timing().lease)
    default: command
    }
  }

  /// The reply as it is shown to the keeper when a part is taken away.
  private func rewritten(_ reply: StoreReply, of command: StoreCommand) -> StoreReply {
    if !plan.parts.contains(.mark), case .mark = command { return .inOrder }
    guard case .account(var view) = reply else { return reply }
    if !plan.parts.contains(.adoption), case .takeOver = command {
      // Nothing is worth keeping to such a leader.
      view.token = nil
      view.committed = nil
    }
    return .account(view)
  }
}

extension StoreCommand {
  /// Whether the command is one that a read-only server refuses.
  package var writes: Bool {
    switch self {
    case .pollLock, .look: false
    case .acquire, .renew, .release, .takeOver, .begin, .resolve, .commit, .republish, .mark,
      .heartbeat:
      true
    }
  }
}

extension Keeper.Action {
  /// Whether it tells others what they need not know here.
  fileprivate var isHint: Bool {
    switch self {
    case .listen, .announce: true
    case .store, .fetch, .cancelFetch, .probe, .giveBack, .note, .stop: false
    }
  }
}
