package import TokenCore

/// A Redis whose keys lie in several slots, each at one of several servers: what SplitStep sends.
extension ModelRedis {
  /// Where keys lie, and what is wrong about it.
  package struct Slots: Hashable, Sendable {
    /// How many servers there are.
    package let shards: Int
    /// The lock's server, each account's record's, and its outputs', by their places; where that
    /// is nil the output lies beside the record.
    var lock = 0
    var records: [Int]
    var outputs: [[Int?]]

    /// Draws where everything is: of the unnamed account in three slots, of others in one, or with
    /// what is for other software in two.
    init(accounts: Int, using chance: inout SplitMix64) {
      shards = Int(chance.within(2...4))
      let servers = Int64(shards)
      lock = Int(chance.below(servers))
      records = (0..<accounts).map { _ in Int(chance.below(servers)) }
      outputs = (0..<accounts).map { account in
        if account > 0, chance.percent(50) { return [nil, nil] }
        let expiry = account == 0 ? Int(chance.below(servers)) : nil
        return [nil, expiry, Int(chance.below(servers))]
      }
    }

    /// The server of what is sent there.
    func shard(of call: SplitStep.Call, _ account: Int?) -> Int {
      guard let account else { return lock }
      guard case .apart(let command) = call,
        let place = ModelRedis.place(of: command.output, others: ModelRedis.others)
      else { return records[account] }
      return outputs[account][place] ?? records[account]
    }

    /// Whether an output lies in another slot than its account's record.
    func isApart(_ output: Output, _ account: Int) -> Bool {
      ModelRedis.place(of: output.key, others: ModelRedis.others)
        .map { outputs[account][$0] != nil } ?? false
    }
  }

  /// The keys of other software that a run has.
  package static let others = ["sdk"]

  /// The place of an output in the list, with the names of those after the first two.
  static func place(of output: Output.Key, others: [String]) -> Int? {
    switch output {
    case .credential: 0
    case .expiry: 1
    case .other(let name): others.firstIndex(of: name).map { $0 + 2 }
    }
  }

  /// Carries out what is sent to one slot, at that server's time.
  ///
  /// - Parameters:
  ///   - server: who answers; nil where it does not say so.
  ///   - others: the keys of other software that its account has.
  package mutating func execute(
    _ call: SplitStep.Call, at now: RedisTime, server: String? = nil,
    others: [String] = ModelRedis.others
  ) -> SplitStep.Reply {
    switch call {
    case .step(let command):
      var reply = execute(command.seen(by: server), at: now)
      if case .account(var view) = reply {
        view.server = server
        reply = .account(view)
      }
      return .step(reply, command.account.flatMap { statedLife($0, at: now) })
    case .apart(let command):
      expire(at: now)
      guard let index = data.accounts.firstIndex(where: { $0.name == command.account }),
        let place = Self.place(of: command.output, others: others)
      else { return .apart(.held(HeldOutput(text: nil, remaining: nil), now: now)) }
      return .apart(apart(command, &data.accounts[index], place, at: now))
    }
  }

  /// Carries out a whole step, everything that it sends at one time; for tests.
  package mutating func perform(
    _ command: StoreCommand, number: Int64, at now: RedisTime, others: [String],
    isApart: (Output) -> Bool
  ) -> StoreReply {
    var split = SplitStep(command, number: number, isApart: isApart)
    var turns = [split.begin()]
    while let turn = turns.popLast() {
      switch turn {
      case .waits: break
      case .ends(let result):
        guard case .success(let reply) = result else { preconditionFailure("\(result)") }
        return reply
      case .sends(let calls, let first):
        for (index, call) in calls.enumerated() {
          let reply = execute(call, at: now, others: others)
          turns.append(split.answered(first + index, .success(reply)))
        }
      }
    }
    preconditionFailure("\(command) does not end")
  }

  /// What the record states.
  private func statedLife(_ name: CredentialID, at now: RedisTime) -> StatedLife? {
    guard let account = data.accounts.first(where: { $0.name == name }) else { return nil }
    let scripts = AccountScripts(parts: parts, now: now)
    return StatedLife(
      now: now, committed: account.state.committed,
      end: scripts.statedEnd(account) ?? scripts.bound(account),
      lifetime: account.state.lifetime ?? .zero)
  }

  private func apart(
    _ command: ApartCommand, _ account: inout Account, _ place: Int, at now: RedisTime
  ) -> ApartReply {
    let held = account[output: place]
    func isOutranked(_ rank: Rank) -> Bool {
      parts.contains(.apartFence) && account.fences[place].map { $0 > rank } ?? false
    }
    switch command {
    case .read:
      return .held(
        HeldOutput(
          text: held?.text,
          remaining: held?.text == nil ? nil : held?.expiresAt.map { $0 - now }), now: now)
    case .shorten(let shorten):
      if let rank = shorten.rank {
        if isOutranked(rank) { return .outranked(account.fences[place]?.epoch ?? .none) }
        account.fences[place] = rank
      }
      guard let held else { return .shortened }
      let end = now + shorten.left
      if shorten.left <= .zero {
        // What its software has written since is not ours to take away.
        if let text = held.text, account.placed[place] == text { account[output: place] = nil }
      } else if held.expiresAt.map({ end < $0 }) ?? true {
        account[output: place] = Key(text: shorten.text ?? held.text, expiresAt: end)
        if let text = shorten.text { account.placed[place] = text }
      }
      return .shortened
    case .place(let order):
      if isOutranked(order.rank) { return .outranked(account.fences[place]?.epoch ?? .none) }
      account.fences[place] = order.rank
      guard now <= order.notAfter || !parts.contains(.apartFence) else {
        return .placed(wrote: false)
      }
      guard order.end > now else {
        guard let text = held?.text, account.placed[place] == text else {
          return .placed(wrote: false)
        }
        account[output: place] = nil
        return .placed(wrote: true)
      }
      account.placed[place] = order.text
      if let held, held.text == order.text, let expiresAt = held.expiresAt,
        abs((expiresAt - order.end).wholeMilliseconds)
          <= order.tolerance.wholeMilliseconds
      {
        return .placed(wrote: false)
      }
      account[output: place] = Key(text: order.text, expiresAt: order.end)
      return .placed(wrote: true)
    }
  }

  // MARK: Losing writes

  /// One server goes on with what it had earlier; the others keep what they have.
  mutating func turnBack(_ shard: Int, to old: Data, _ slots: Slots) {
    if slots.lock == shard {
      (data.lock, data.epoch, data.replicas) = (old.lock, old.epoch, old.replicas)
    }
    for index in data.accounts.indices {
      let before = old.accounts[index]
      if slots.records[index] == shard {
        data.accounts[index].state = before.state
        data.accounts[index].token = before.token
      }
      for (place, apart) in slots.outputs[index].enumerated() where place > 0 {
        guard (apart ?? slots.records[index]) == shard else { continue }
        data.accounts[index][output: place] = before[output: place]
        data.accounts[index].fences[place] = before.fences[place]
        data.accounts[index].placed[place] = before.placed[place]
      }
    }
  }
}

extension StoreCommand {
  /// The step with the server that carries it out, where that says who it is.
  fileprivate func seen(by server: String?) -> StoreCommand {
    guard let server else { return self }
    switch self {
    case .takeOver(var takeOver):
      takeOver.runID = server
      return .takeOver(takeOver)
    case .commit(var commit):
      commit.runID = server
      return .commit(commit)
    case .pollLock, .acquire, .renew, .release, .look, .begin, .resolve, .republish, .mark,
      .heartbeat:
      return self
    }
  }
}
