import TokenCore

/// Redis in several parts: the lock's slot, the records' and those of what lies apart, each at one
/// of several servers that stall, refuse, fail over and lose writes by themselves.
extension World {
  /// One server of Redis.
  struct Shard {
    var downUntil: Instant = 0
    /// Until when it takes no writes, and what it says instead.
    var refusesUntil: Instant = 0
    var refusal = "READONLY"
    var stalledUntil: Instant = 0
    /// Which server it is; connections to another one are gone.
    var generation = 1

    var runID: String { "run-\(generation)" }

    /// From when on it answers, as far as is known.
    var answersFrom: Instant { max(downUntil, stalledUntil) }
    /// From when on it answers and takes writes.
    var servesFrom: Instant { max(answersFrom, refusesUntil) }

    mutating func heal(at now: Instant) {
      downUntil = min(downUntil, now)
      refusesUntil = now
      stalledUntil = min(stalledUntil, now)
    }
  }

  var lockShard: Shard { shards[slots?.lock ?? 0] }

  func recordShard(_ account: Int) -> Int { slots?.records[account] ?? 0 }

  func shard(of call: SplitStep.Call) -> Int {
    slots?.shard(of: call, call.account.map { index(of: $0) }) ?? 0
  }

  /// Where a fault of Redis strikes.
  mutating func someShard() -> Int {
    shards.count == 1 ? 0 : Int(chance.below(Int64(shards.count)))
  }

  /// Whether a step ends with the connection to the server that counts.
  func isOfLock(_ command: StoreCommand) -> Bool { slots == nil || command.account == nil }

  func split(_ command: StoreCommand, _ step: StepID) -> SplitStep {
    let account = command.account.map { index(of: $0) }
    return SplitStep(command, number: step.number) { output in
      account.flatMap { slots?.isApart(output, $0) } ?? false
    }
  }

  /// Who answers, where the answer says it: of several servers each for itself.
  func server(for arrival: Arrival) -> String? {
    guard let slots, plan.tellsRunID else { return nil }
    let isOwn = plan.parts.contains(.ownServer)
    return shards[isOwn ? arrival.shard : slots.lock].runID
  }

  /// A call as it is sent when a part is taken away.
  func rewritten(_ call: SplitStep.Call, _ replica: Int) -> SplitStep.Call {
    guard case .step(let command) = call else { return call }
    return .step(rewritten(command, replica))
  }

  // MARK: Losing writes

  /// One server lost what it had been told last.
  mutating func failOver(_ shard: Int, losing span: Int64, in slots: ModelRedis.Slots) {
    let old = redis.data
    if let kept = history.first(where: { $0.at > now - span }) {
      redis.turnBack(shard, to: kept.data, slots)
    }
    lostWrites(of: shard, since: old, isElsewhere: true)
  }

  mutating func lostWrites(
    of shard: Int, since old: ModelRedis.Data, isElsewhere: Bool = false
  ) {
    history = []
    storeDisturbedAt = now
    if slots?.lock == shard { lockDisturbedAt = now }
    for account in accounts.indices {
      marks.accounts[account].apart = [:]
      guard recordShard(account) == shard else { continue }
      lostRecord(account, since: old.accounts[account].state, isElsewhere: isElsewhere)
    }
  }

  /// A call of a step as it is when the record is not written first: the others are, too.
  mutating func sendAhead(_ call: SplitStep.Call, of step: Int, _ replica: Int) {
    guard !plan.parts.contains(.recordFirst), case .step(.commit(let commit)) = call, let slots
    else { return }
    let account = index(of: commit.account)
    let left = commit.lifetime - commit.age
    let end = redisTime + left
    let outputs = credential(of: account).otherOutputs + Output.own(Margins())
    for output in outputs where slots.isApart(output, account) {
      let place = ApartCommand.Place(
        account: commit.account, output: output.key, rank: Rank(epoch: commit.fence, number: 0),
        text: output.text(of: commit.token, end: end, lifetime: commit.lifetime), end: end,
        notAfter: end, tolerance: .zero)
      send(.apart(.place(place)), -1, of: step, replica)
    }
  }

  // MARK: Oracles

  /// Remembers what the record states.
  mutating func stated(_ name: CredentialID, _ life: StatedLife?) {
    guard slots != nil, let life, let end = life.end else { return }
    let index = index(of: name)
    marks.accounts[index].ends.append(end)
    if marks.accounts[index].ends.count > 16 { marks.accounts[index].ends.removeFirst() }
  }

  /// While somebody leads, and every server answers, what lies apart is soon as the record has it.
  mutating func apartFollows(_ index: Int) {
    guard let slots, slots.outputs[index].contains(where: { $0 != nil }) else { return }
    guard let difference = apartDifference(index) else {
      marks.accounts[index].apartSince = nil
      return
    }
    let since = marks.accounts[index].apartSince ?? now
    marks.accounts[index].apartSince = since
    guard let ledSince = marks.ledSince else { return }
    // What WeChat refuses is not published again.
    let isRefused =
      publishedToken(index).flatMap { weChat.death(of: $0, account: index) }.map { $0 <= now }
    if isHidden(index) || isMoving(index) || isRefused == true {
      marks.accounts[index].hinderedAt = now
    }
    let begin = max(
      since, ledSince, redisServesSince, brokenUntil, marks.accounts[index].hinderedAt,
      marks.clockSteppedAt)
    guard now - begin > World.repair.wholeNanoseconds else { return }
    violate(
      .apartFollows, "account \(accounts[index]), for \((now - since) / second)s: \(difference)")
  }

  /// How an output that lies apart differs from what the record states.
  private func apartDifference(_ index: Int) -> String? {
    let account = redis.data.accounts[index]
    let view = AccountScripts(parts: plan.parts, now: redisTime).view(of: account)
    guard let end = view.statedEnd, end > redisTime + .seconds(2), let token = view.token,
      view.tokenMatchesRecord, let lifetime = view.lifetime
    else { return nil }
    let tolerance = RemainingTolerance.ofTTL(lifetime: lifetime) + .seconds(2)
    let outputs = Output.own(Margins()) + credential(of: index).otherOutputs
    for output in outputs where slots?.isApart(output, index) ?? false {
      guard let place = ModelRedis.place(of: output.key, others: ModelRedis.others) else {
        continue
      }
      let text = output.text(of: token, end: end, lifetime: lifetime)
      guard let held = account[output: place], let expiresAt = held.expiresAt else {
        return "\(output.key) is gone or endless"
      }
      if held.text != text { return "\(output.key) is \(held.text ?? "-") instead of \(text)" }
      if abs((expiresAt - end).wholeMilliseconds) > tolerance.wholeMilliseconds {
        return "\(output.key) ends \(expiresAt - end) later"
      }
    }
    return nil
  }

  /// What lies apart follows what the record stated a moment ago, and no older order overtakes a
  /// later one.
  mutating func executed(
    _ arrival: Arrival, _ command: ApartCommand, _ reply: ApartReply, before: ModelRedis.Data?
  ) {
    let index = index(of: command.account)
    guard case .place(let place) = command, case .placed(wrote: true) = reply,
      let output = ModelRedis.place(of: place.output, others: ModelRedis.others)
    else { return }
    if let last = marks.accounts[index].apart[output], last > place.rank {
      violate(.ordersInTurn, "\(place.output) of \(place.rank) after one of \(last)")
    }
    marks.accounts[index].apart[output] = place.rank
    guard place.end > redisTime, now - marks.clockSteppedAt > 10 * second else { return }
    if !marks.accounts[index].ends.contains(where: { $0 + .seconds(10) > place.end }) {
      violate(
        .recordFirst,
        "\(place.output) of \(accounts[index]) ends \(place.end - redisTime) from now, and no "
          + "record has said so")
    }
  }
}

extension SplitStep.Call {
  var account: CredentialID? {
    switch self {
    case .step(let command): command.account
    case .apart(let command): command.account
    }
  }

  /// Whether a server that takes no writes refuses it.
  var writes: Bool {
    switch self {
    case .step(let command): command.writes
    case .apart(.read): false
    case .apart(.shorten), .apart(.place): true
    }
  }
}

extension World.Arrival {
  /// The step itself, if it is that.
  var command: StoreCommand? { if case .step(let command) = sent { command } else { nil } }

  var account: CredentialID? { sent.account }
}
