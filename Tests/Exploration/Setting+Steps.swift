import Simulation
import TokenCore

/// What comes of a move.
extension Setting {
  typealias Teller = ((String) -> Void)?

  /// Carries a move out; `tell` takes a line about it and about what it leads to.
  func apply(_ move: Move, to state: inout State, tell: Teller = nil) {
    state.hasJustMinted = false
    switch move {
    case .wake(let index): handle(.woke, index, &state, tell)
    case .giveUpStep(let index, let place):
      let step = state.replicas[index].steps.remove(at: place)
      let failure = StoreFailure(mayHaveRun: true, reason: "timed out")
      handle(.stored(step.id, .failure(failure)), index, &state, tell)
    case .giveUpCall(let index, let place):
      let call = state.replicas[index].calls.remove(at: place)
      let failure = FetchFailure(.transient, reason: "no answer in time", isTransport: true)
      handle(
        .fetched(call.order.account, call.order.version, .unknown(failure)), index, &state, tell)
    case .reconnect(let index):
      state.replicas[index].reconnectAt = nil
      state.replicas[index].isConnected = true
      handle(.storeConnected(runID: state.redis.runID), index, &state, tell)
    case .carryOut(let index, let place):
      let command = state.replicas[index].steps[place].command
      let reply = execute(command, of: index, &state, tell)
      state.replicas[index].steps[place].stage = .answered(Letter(reply), isPrompt: true)
    case .answer(let index, let place): answer(index, place, &state, tell)
    case .process(let index, let place):
      let call = state.replicas[index].calls[place]
      let token = process(call.request, &state, tell)
      let outcome = FetchOutcome.token(
        FetchedToken(
          token: AccessToken(Mint.name(token)), lifetime: Mint.lifetime,
          sentAt: Moment(nanoseconds: call.sentAt)))
      state.replicas[index].calls[place].stage = .answered(outcome, isPrompt: true)
    case .respond(let index, let place):
      let call = state.replicas[index].calls.remove(at: place)
      guard case .answered(let outcome, _) = call.stage else { break }
      handle(
        .fetched(call.order.account, call.order.version, outcome), index, &state, tell)
    case .carryOutStray(let place):
      let stray = state.strayCommands.remove(at: place)
      _ = execute(stray.letter.content, of: stray.replica, &state, tell)
    case .processStray(let place):
      let stray = state.strayFetches.remove(at: place)
      _ = process(stray.request, &state, tell)
    case .start(let index): start(index, &state, tell)
    case .resume(let index): resume(index, &state, tell)
    case .request(let index):
      state.requests -= 1
      handle(.reported(.force(Self.account)), index, &state, tell)
    case .pass: pass(&state, tell)
    case .crash, .pause, .pauseAtGate, .cut, .loseStep, .slowStep, .delayStep, .loseAnswer,
      .loseCall,
      .delayCall, .loseResponse, .failOver, .flush:
      apply(fault: move, to: &state, tell)
    }
    judge(&state)
  }

  // MARK: Replicas

  func start(_ index: Int, _ state: inout State, _ tell: Teller) {
    tell?("r\(index) starts")
    let keeper = keeper(index, life: state.replicas[index].life)
    var replica = Replica(mind: Mind(keeper))
    replica.life = state.replicas[index].life
    replica.isConnected = true
    state.replicas[index] = replica
    handle(.started, index, &state, nil)
    handle(.storeConnected(runID: state.redis.runID), index, &state, tell)
  }

  private func resume(_ index: Int, _ state: inout State, _ tell: Teller) {
    tell?("r\(index) goes on")
    state.replicas[index].isPaused = false
    for place in state.replicas[index].calls.indices {
      let call = state.replicas[index].calls[place]
      guard case .held = call.stage else { continue }
      if call.order.notAfter < state.moment {
        state.replicas[index].calls[place].request.isThroughHole = true
      }
      tell?("r\(index) sends \(call.order.version), its check being long ago")
      if Self.deadline(of: call) > state.now {
        state.replicas[index].calls[place].stage = .sent
        state.replicas[index].calls[place].openAt = state.now
      } else {
        state.replicas[index].calls[place].stage = .lost
        state.strayFetches.append(
          StrayFetch(
            request: state.replicas[index].calls[place].request,
            until: state.now + Self.reach.wholeNanoseconds, openAt: state.now))
      }
    }
    if state.replicas[index].isConnected, state.replicas[index].isCut {
      cut(index, &state, tell)
      state.replicas[index].reconnectAt = state.now
    }
  }

  /// So long after its deadline a request may still be processed.
  static let reach: Duration = Timing.straggler + Timing.stragglerMargin

  func handle(
    _ event: Keeper.Event, _ index: Int, _ state: inout State, _ tell: Teller
  ) {
    guard let mind = state.replicas[index].mind else { return }
    if let tell {
      if case .woke = event {} else { tell("r\(index) <- \(brief(event))") }
    }
    var keeper = mind.keeper
    let before = keeper.accounts[0].copy?.version
    var actions = keeper.handle(event, at: state.moment)
    answerHeartbeats(&keeper, &actions, state)
    if let before, let after = keeper.accounts[0].copy?.version, after < before {
      state.violate(.copiesGrow, "r\(index) has \(after) after \(before)")
    }
    state.replicas[index].mind = Mind(keeper)
    if state.replicas[index].hasPromptAnswer { state.replicas[index].delayAnswers() }
    for action in actions { perform(action, index, &state, tell) }
  }

  /// What heartbeats tell decides nothing here, so they take no time and no place.
  private func answerHeartbeats(
    _ keeper: inout Keeper, _ actions: inout [Keeper.Action], _ state: State
  ) {
    while let place = actions.firstIndex(where: \.isHeartbeat) {
      guard case .store(_, let step) = actions.remove(at: place) else { return }
      actions += keeper.handle(
        .stored(step, .success(.heartbeat([], now: state.redisTime))), at: state.moment)
    }
  }

  private func perform(
    _ action: Keeper.Action, _ index: Int, _ state: inout State, _ tell: Teller
  ) {
    switch action {
    case .store(let command, let step):
      guard state.replicas[index].isConnected else { break }
      tell?("r\(index) -> \(brief(command))")
      if case .commit(let commit) = command { holdsFence(commit.fence, index, &state) }
      if case .republish(let republish) = command { holdsFence(republish.fence, index, &state) }
      if isFollowersLook(command, index, state) {
        let reply = execute(command, of: index, &state, tell)
        handle(.stored(step, answer(reply, to: command)), index, &state, tell)
      } else {
        state.replicas[index].steps.append(Step(letter: Letter(command), id: step))
      }
    case .fetch(let order):
      tell?("r\(index) -> fetch \(order.version) for \(order.trigger)")
      mayBeSent(order, index, &state)
      state.replicas[index].calls.append(
        Call(
          order: order,
          request: Request(
            version: order.version, replica: index, life: state.replicas[index].life,
            decidedAt: state.now),
          sentAt: state.now, openAt: state.now))
    case .giveBack: state.requests += 1
    case .note(let note): tell?("r\(index) notes \(note)")
    // What is sent is written at once, but for what is held back past the check.
    case .cancelFetch, .probe, .listen, .announce, .stop: break
    }
  }

  /// A follower's look decides nothing at once, and the next one comes soon: it is carried out and
  /// answered when it is sent.
  private func isFollowersLook(_ command: StoreCommand, _ index: Int, _ state: State) -> Bool {
    guard !splitsLooks, case .look = command else { return false }
    return state.replicas[index].mind?.keeper.election.leadership == nil
  }

  private func answer(_ index: Int, _ place: Int, _ state: inout State, _ tell: Teller) {
    let step = state.replicas[index].steps.remove(at: place)
    guard case .answered(let letter, _) = step.stage else { return }
    let reply = rewritten(letter.content, of: step.command)
    confirm(step, reply, index, &state)
    let answer = answer(reply, to: step.command)
    handle(.stored(step.id, answer), index, &state, tell)
    if !parts.contains(.leaseFromSend), case .renew = step.command {
      let late = StepID(of: step.command, number: step.id.number, issuedAt: state.moment)
      handle(.stored(late, answer), index, &state, nil)
    }
  }

  // MARK: Redis and WeChat

  private func execute(
    _ command: StoreCommand, of index: Int, _ state: inout State, _ tell: Teller
  ) -> StoreReply {
    let now = state.redisTime
    state.redis.expire(at: now)
    let before = state.redis.data
    let command = rewritten(command, of: index, state)
    let reply = state.redis.execute(command, at: now)
    tell?("redis: r\(index) \(brief(command)) -> \(brief(reply))")
    changedWhatItMay(command, reply, before: before, &state)
    if state.faults < faults, before != state.redis.data { keep(before, &state) }
    return reply
  }

  private func answer(
    _ reply: StoreReply, to command: StoreCommand
  ) -> Result<StoreAnswer, StoreFailure> {
    Result.success(reply).answer(to: command)
  }

  private func keep(_ data: ModelRedis.Data, _ state: inout State) {
    state.history.append((data, state.now))
    if state.history.count > lostWrites { state.history.removeFirst() }
  }

  private func process(
    _ request: Request, _ state: inout State, _ tell: Teller
  ) -> Int {
    state.hasJustMinted = true
    let token = state.weChat.mint(request, at: state.now, keepsOneOld: keepsOneOld)
    tell?("wechat: \(request.version) of r\(request.replica) -> \(Mint.name(token))")
    return token
  }

  // MARK: Time

  private func pass(_ state: inout State, _ tell: Teller) {
    while let next = nextMoment(in: state) {
      state.now = next.at
      state.redis.expire(at: state.redisTime)
      state.strayCommands.removeAll { $0.until < next.at }
      state.strayFetches.removeAll { $0.until < next.at }
      for index in state.replicas.indices where state.replicas[index].hasPromptAnswer {
        state.replicas[index].delayAnswers()
      }
      var isSilent = next.isTimersOnly
      for index in state.replicas.indices where !wakeSilently(index, &state) { isSilent = false }
      if !isSilent { return }
    }
  }

  /// Wakes a replica if that is of no consequence for others; returns false if it is.
  private func wakeSilently(_ index: Int, _ state: inout State) -> Bool {
    let replica = state.replicas[index]
    guard let mind = replica.mind, !replica.isPaused, let due = mind.keeper.nextWake,
      due <= state.moment
    else { return true }
    var keeper = mind.keeper
    var actions = keeper.handle(.woke, at: state.moment)
    answerHeartbeats(&keeper, &actions, state)
    guard actions.isEmpty else { return false }
    state.replicas[index].mind = Mind(keeper)
    return true
  }

  // MARK: Faults

  private func apply(fault: Move, to state: inout State, _ tell: Teller) {
    state.faults += 1
    if let tell { tell("fault: \(fault)") }
    switch fault {
    case .crash(let index): crash(index, &state)
    case .pause(let index): state.replicas[index].isPaused = true
    case .pauseAtGate(let index):
      state.replicas[index].isPaused = true
      for place in state.replicas[index].calls.indices
      where state.replicas[index].calls[place].isAtGate(at: state.now) {
        state.replicas[index].calls[place].stage = .held
      }
    case .cut(let index): cut(index, &state, tell)
    case .loseStep(let index, let place), .loseAnswer(let index, let place):
      state.replicas[index].steps[place].stage = .lost
    case .slowStep(let index, let place):
      state.replicas[index].steps[place].isSlow = true
      if case .answered(let letter, _) = state.replicas[index].steps[place].stage {
        state.replicas[index].steps[place].stage = .answered(letter, isPrompt: false)
      }
    case .delayStep(let index, let place):
      state.strayCommands.append(
        StrayCommand(
          replica: index, letter: state.replicas[index].steps[place].letter,
          until: state.now + Self.longestDelay.wholeNanoseconds))
      state.replicas[index].steps[place].stage = .lost
    case .loseCall(let index, let place), .loseResponse(let index, let place):
      state.replicas[index].calls[place].stage = .lost
    case .delayCall(let index, let place):
      stray(state.replicas[index].calls[place], index, &state)
      state.replicas[index].calls[place].stage = .lost
    case .failOver(let count): failOver(losing: count, &state, tell)
    case .flush:
      state.redis.wipe()
      state.lockDisturbedAt = state.now
      state.wipedAt = state.now
    default: break
    }
    if state.faults == faults { state.history = [] }
  }

  private func stray(_ call: Call, _ index: Int, _ state: inout State) {
    state.strayFetches.append(
      StrayFetch(
        request: call.request,
        until: Self.deadline(of: call) + Self.reach.wholeNanoseconds))
  }

  private func crash(_ index: Int, _ state: inout State) {
    for step in state.replicas[index].steps {
      guard case .sent = step.stage else { continue }
      strayBriefly(step, index, &state)
    }
    for call in state.replicas[index].calls {
      guard case .sent = call.stage else { continue }
      stray(call, index, &state)
    }
    var gone = Replica()
    gone.life = state.replicas[index].life + 1
    state.replicas[index] = gone
  }

  /// What was on its way when its connection ended comes at once or never.
  private func strayBriefly(_ step: Step, _ index: Int, _ state: inout State) {
    guard step.command.writes else { return }
    state.strayCommands.append(
      StrayCommand(
        replica: index, letter: step.letter, until: state.now))
  }

  /// The connection of a replica is gone; every step under way ends without an answer.
  private func cut(_ index: Int, _ state: inout State, _ tell: Teller) {
    let steps = state.replicas[index].steps
    state.replicas[index].steps = []
    state.replicas[index].isCut = false
    state.replicas[index].isConnected = false
    for step in steps {
      if case .sent = step.stage { strayBriefly(step, index, &state) }
    }
    let failure = StoreFailure(mayHaveRun: true, reason: "connection lost")
    for step in steps {
      handle(.stored(step.id, .failure(failure)), index, &state, tell)
    }
    handle(.storeDisconnected, index, &state, tell)
  }

  private func failOver(losing count: Int?, _ state: inout State, _ tell: Teller) {
    if let count {
      if count > 0 { state.redis.data = state.history[state.history.count - count].data }
    } else {
      state.redis.wipe()
    }
    if state.redis.data.accounts[0].state.committed == nil { state.wipedAt = state.now }
    state.servers += 1
    state.redis.runID = "run-\(state.servers)"
    state.redis.expire(at: state.redisTime)
    state.lockDisturbedAt = state.now
    state.history = []
    // What was on its way to the server that is gone is gone with it.
    state.strayCommands = []
    for index in state.replicas.indices where state.replicas[index].mind != nil {
      for place in state.replicas[index].steps.indices {
        state.replicas[index].steps[place].stage = .lost
      }
      guard state.replicas[index].isConnected else { continue }
      if state.replicas[index].isPaused {
        state.replicas[index].isCut = true
      } else {
        cut(index, &state, tell)
        state.replicas[index].reconnectAt = state.now
      }
    }
  }

  // MARK: Planted bugs

  /// The command as it is carried out when a part is taken away.
  private func rewritten(
    _ command: StoreCommand, of index: Int, _ state: State
  ) -> StoreCommand {
    if !parts.contains(.mark), case .mark(let mark) = command {
      let none = Version(epoch: .none, sequence: 0)
      return .resolve(.init(account: mark.account, version: none, outputs: []))
    }
    guard !parts.contains(.leaseCheck) else { return command }
    return switch command {
    case .acquire(let term, _, let floor):
      .acquire(term, lease: timing.lease, floor: floor)
    case .renew(let term, _): .renew(term, lease: timing.lease)
    default: command
    }
  }

  /// The reply as it is shown to the keeper when a part is taken away.
  private func rewritten(_ reply: StoreReply, of command: StoreCommand) -> StoreReply {
    if !parts.contains(.mark), case .mark = command { return .inOrder }
    return reply
  }
}

extension Keeper.Action {
  fileprivate var isHeartbeat: Bool {
    if case .store(.heartbeat, _) = self { true } else { false }
  }
}
