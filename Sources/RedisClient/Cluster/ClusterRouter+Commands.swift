/// Commands on their way.
extension ClusterRouter {
  /// Sends a batch, and once more where it was refused because its key is elsewhere.
  func execute(
    _ commands: [RedisCommand], to route: Route, deadline: Instant, waits: Bool,
    onAbandonment: RedisClient.Abandonment
  ) async throws(RedisError) -> [RedisReply] {
    var redirection = Redirection(
      deadline: deadline, isBlocking: onAbandonment == .closeConnection)
    var target = Redirection.Target.owner
    while true {
      let address = try await place(of: route, target, by: deadline, waits: waits)
      let isAsking = target != .owner
      let replies: [RedisReply]
      do throws(RedisError) {
        replies = try await send(
          isAsking ? commands.flatMap { [RedisCommand("ASKING"), $0] } : commands, to: address,
          isGuest: isAsking || route == .node(address), deadline: deadline,
          onAbandonment: onAbandonment)
      } catch {
        guard case .notSent(.stopped) = error, !isStopped, deadline > .now else { throw error }
        // The node was left before it was sent to it.
        target = .owner
        continue
      }
      let own = isAsking ? try answers(replies) : replies
      guard case .slot(let slot) = route else { return own }
      let verdict = redirection.judge(own, from: address, at: .now, spread: .random(in: 0..<1))
      take(verdict, on: slot, from: address, isWhole: commands.contains(where: \.hasSeveralKeys))
      guard case .send(let next, let pause) = verdict.next else { return own }
      target = next
      if pause > .zero {
        do {
          try await Task.sleep(for: pause)
        } catch {
          // It was refused, so it has not run.
          throw .notSent(.cancelled)
        }
        // On a busy machine a pause takes longer: the refusal says more than that.
        if deadline <= .now { return own }
      }
    }
  }

  /// Those to the commands behind each `ASKING`.
  private func answers(_ replies: [RedisReply]) throws(RedisError) -> [RedisReply] {
    stride(from: 0, to: replies.count - 1, by: 2).map { index in
      // Without it the command is sent to and fro; that it was refused says why.
      replies[index].refusal == nil ? replies[index + 1] : replies[index]
    }
  }

  private func take(
    _ verdict: Redirection.Verdict, on slot: HashSlot, from address: Address, isWhole: Bool
  ) {
    if let moved = verdict.moved, let place = moved.address { view.move(moved.slot, to: place) }
    if verdict.isMapDoubtful { wish.yield() }
    if verdict.reconnects {
      members[address]?.node.client.endConnection(.nodeLeft("\(address)"))
    }
    if verdict.isSplit {
      view.note(slot, isSplit: true)
    } else if isWhole, verdict.next == .answer {
      view.note(slot, isSplit: false)
    }
  }

  /// Where a batch goes now.
  private func place(
    of route: Route, _ target: Redirection.Target, by deadline: Instant, waits: Bool
  ) async throws(RedisError) -> Address {
    if case .asked(let address) = target { return address }
    let slot: HashSlot
    switch route {
    case .node(let address): return address
    case .home: slot = home
    case .slot(let other): slot = other
    }
    let now = Instant.now
    slots[slot] = now
    view.use(slot, at: now)
    while true {
      let turn = changed.turn
      if isStopped { throw .notSent(.stopped) }
      if Task.isCancelled { throw .notSent(.cancelled) }
      let map = view.map
      if let address = map?[slot] { return address }
      wish.yield()
      let failure = map == nil ? view.failure : .slotUnserved(slot.number)
      guard deadline > .now, waits || failure == nil else {
        throw .notSent(failure.map { .notConnected($0) } ?? .deadlinePassed)
      }
      await changed.wait(since: turn, by: deadline, on: eventLoop)
    }
  }

  private func send(
    _ commands: [RedisCommand], to address: Address, isGuest: Bool, deadline: Instant,
    onAbandonment: RedisClient.Abandonment
  ) async throws(RedisError) -> [RedisReply] {
    if isStopped { throw .notSent(.stopped) }
    let node = member(at: address, isGuest: isGuest)
    let id = members[address]?.id
    members[address]?.usedAt = .now
    members[address]?.batches += 1
    defer { if members[address]?.id == id { members[address]?.batches -= 1 } }
    do throws(RedisError) {
      return try await node.client.execute(
        commands, deadline: deadline, waitForConnection: true, onAbandonment: onAbandonment)
    } catch {
      // Whatever it was, another node may serve the slot by now; this command goes to none.
      if error.failure != .cancelled { wish.yield() }
      // Of several nodes people have to know which.
      switch error {
      case .notSent(.notConnected(let failure?)):
        throw .notSent(.notConnected(.node("\(address)", failure)))
      case .notSent(.deadlinePassed): throw .notSent(.node("\(address)", .deadlinePassed))
      default: throw error
      }
    }
  }
}

extension RedisCommand {
  /// Whether it is a script with more than one key: such a command needs all of them at one node.
  fileprivate var hasSeveralKeys: Bool {
    guard arguments.count > 2, String(decoding: arguments[0], as: UTF8.self).hasPrefix("EVAL")
    else { return false }
    return (Int(String(decoding: arguments[2], as: UTF8.self)) ?? 0) > 1
  }
}
