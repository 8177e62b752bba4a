import TokenCore

/// Accounts that come and go while all the rest happens.
extension World {
  /// What the settings say of an account.
  struct Configured {
    var isThere = true
    var changedAt: Instant = 0
  }

  /// The longest time until a replica has read the settings again, as they are mounted at each
  /// place when it suits.
  private static let longestDelay: Int64 = 3 * minute
  /// What came back is in order by then, with a fetch that has to be waited for.
  private static let settling: Int64 = longestDelay + 90 * second
  /// What is configured no longer goes within so long, where nothing hinders a replica: a call, a
  /// commit, a mark.
  private static let going: Int64 = 60 * second

  /// The accounts that are configured now.
  var configuredAccounts: [Int] {
    accounts.indices.filter { configured[$0].isThere }
  }

  /// What one account's kind of token means to its keeper.
  func credential(of index: Int) -> Credential {
    var credential = Credential()
    if plan.repeats[index] { credential.fetch = .renewsWhenForced }
    credential.probe = plan.probe.map { .nanoseconds($0) }
    if let slots, slots.outputs[index].count > 2 {
      credential.otherOutputs = [Output(key: .other(ModelRedis.others[0]), content: .token(.plain))]
    }
    return credential
  }

  /// An account as a replica keeps it, if it does.
  func kept(_ index: Int, by replica: Int) -> AccountKeeper? {
    let all = replicas[replica].keeper.accounts
    // Where all are kept each has its place.
    if all.count == accounts.count { return all[index] }
    return all.first { $0.name == accounts[index] }
  }

  /// An account is configured no longer, or again; each replica learns of it in its time.
  mutating func move() {
    guard !isHealed else { return }
    let index = Int(chance.below(Int64(accounts.count)))
    let isAlone = configuredAccounts == [index]
    if !isAlone {
      configured[index].isThere.toggle()
      configured[index].changedAt = now
      trace("account \(accounts[index]) is \(configured[index].isThere ? "there" : "gone")")
      if configured[index].isThere { marks.allowedFetches += 2 * replicas.count }
      for replica in replicas.indices where replicas[replica].isAlive {
        let wait =
          chance.percent(70)
          ? chance.within(1...2000) * millisecond : chance.below(World.longestDelay)
        queue.push(.reread(replica: replica, life: replicas[replica].life), at: now + wait)
      }
    }
    // Also one right after the other, and back.
    let wait = chance.percent(30) ? chance.below(5 * second) : chance.within(1...25) * minute
    queue.push(.move, at: now + wait)
  }

  /// A replica reads which accounts there are.
  mutating func reread(_ replica: Int) {
    let there = Set(configuredAccounts.map { accounts[$0] })
    let known = replicas[replica].keeper.accounts
    let kept = Set(known.filter { !$0.isLeaving }.map(\.name))
    let added = configuredAccounts.filter { !kept.contains(accounts[$0]) }.map {
      NewAccount(name: accounts[$0], credential: credential(of: $0))
    }
    let removed = known.filter { !$0.isLeaving && !there.contains($0.name) }.map(\.name)
    guard !added.isEmpty || !removed.isEmpty else { return }
    handle(.accountsChanged(added: added, removed: removed), replica)
  }

  /// Nothing is missing any more.
  mutating func bringAllBack() {
    guard plan.moves else { return }
    for index in configured.indices where !configured[index].isThere {
      configured[index] = Configured(isThere: true, changedAt: now)
      marks.allowedFetches += 2 * replicas.count
    }
    for replica in replicas.indices where replicas[replica].isAlive {
      queue.push(.reread(replica: replica, life: replicas[replica].life), at: now + 1)
    }
  }

  /// Whether nobody need refresh the account: it is configured nowhere, or not everywhere.
  func isMoving(_ index: Int) -> Bool {
    guard plan.moves else { return false }
    let configured = configured[index]
    let isSettled = configured.changedAt == 0 || now >= configured.changedAt + World.settling
    return !configured.isThere || !isSettled
  }

  /// What the oracles remember of an account is over once a replica has let it go.
  mutating func letGo(_ index: Int, by replica: Int) {
    guard replicas[replica].keeps[index] else { return }
    replicas[replica].keeps[index] = false
    replicas[replica].letGoAt[index] = now
    replicas[replica].copies[index] = nil
    replicas[replica].lastFetchAt[index] = nil
  }

  /// What is configured no longer has gone, where nothing hindered its going.
  mutating func removedGoes(_ index: Int) {
    guard plan.moves, !configured[index].isThere else { return }
    for replica in replicas.indices where replicas[replica].isAlive {
      guard let kept = kept(index, by: replica) else { continue }
      let begin = max(
        configured[index].changedAt + World.longestDelay, redisServesSince, disturbedUntil,
        replicas[replica].undisturbedSince)
      guard replicas[replica].isConnected, !replicas[replica].isPaused(at: now),
        now - begin > World.going
      else { continue }
      violate(
        .removedGoes,
        "r\(replica) keeps \(accounts[index]): \(kept.work), \(kept.traces.debts)")
    }
  }
}
