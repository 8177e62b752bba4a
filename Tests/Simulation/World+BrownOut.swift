import TokenCore

/// What goes wrong between every replica and WeChat, and what stands still or is not ours.
extension World {
  // MARK: WeChat

  /// WeChat processes what it is asked, and its answers are lost, or nearly all of them.
  mutating func brownOut() {
    let length = chance.within(60...900) * second
    answersLostUntil = now + length
    answersLost = chance.percent(50) ? 100 : 90
    trace("\(answersLost)% of all answers of WeChat are lost for \(length / second)s")
    disturb(until: answersLostUntil + 40 * second)
  }

  /// Whether everybody's answers are lost, and this one is among them.
  mutating func isInBrownOut() -> Bool { now < answersLostUntil && chance.percent(answersLost) }

  /// Something on the way answers with what it has seen before.
  mutating func repeatAnswers() {
    repeatsUntil = now + chance.within(5...300) * second
    // Whether WeChat is asked all the same.
    repeatsReach = chance.percent(50)
    disturb(until: repeatsUntil + 40 * second)
  }

  /// The answer that came through last, as something on the way has kept it.
  func repetition(for call: Call) -> FetchOutcome? {
    // What is asked for with POST is kept by nothing.
    guard now < repeatsUntil, !plan.repeats[call.account], let kept = lastAnswers[call.account]
    else { return nil }
    return .token(
      FetchedToken(
        token: AccessToken(kept.token), lifetime: .nanoseconds(kept.lifetime),
        sentAt: call.sentLocally))
  }

  /// Connections are made slowly.
  mutating func sendSlowly() {
    sendsSlowlyUntil = now + chance.within(30...600) * second
    disturb(until: sendsSlowlyUntil + 10 * second)
  }

  /// How long after the order a request is written.
  mutating func connecting() -> Int64 {
    chance.percent(70)
      ? chance.within(1...300) * millisecond : chance.within(300...5500) * millisecond
  }

  /// The life of a token that WeChat makes now.
  mutating func lifetime(of account: Int) -> Int64 {
    if plan.repeats[account] { return max(plan.lifetime, 1800 * second) }
    guard plan.livesChange, !isHealed, chance.percent(30) else { return plan.lifetime }
    return chance.pick([7200, 7199, 3600, 600, 200, 60, 20]) * second
  }

  // MARK: Replicas

  /// The machine stands still, and its clock with it.
  mutating func freeze(_ replica: Int) {
    guard replicas[replica].isAlive else { return }
    if replicas[replica].frozenAt == nil, !replicas[replica].isPaused(at: now) {
      replicas[replica].frozenAt = now
    }
    pause(replica, for: chance.within(5...400) * second)
  }

  /// The clock goes on from where it stood.
  mutating func thaw(_ replica: Int) {
    guard let at = replicas[replica].frozenAt else { return }
    let clock = replicas[replica].clock
    replicas[replica].clock.offset -= clock.local(at: now) - clock.local(at: at)
    replicas[replica].frozenAt = nil
    replicas[replica].thawedAt = now
  }

  // MARK: The record

  /// Whose an account's record is, when it is not ours.
  struct Hidden {
    let until: Instant
    let isNewer: Bool
  }

  /// Somebody else's record lies where ours is to be.
  mutating func hideRecord(as fault: Fault) {
    let account = Int(chance.below(Int64(accounts.count)))
    let length = chance.within(10...600) * second
    hidden[account] = Hidden(until: now + length, isNewer: fault == .newerLayout)
    notSeenStepped(account)
    // Found with a look at the latest, by whoever is to lead then.
    disturb(until: now + length + (timing.tick + timing.lease).wholeNanoseconds)
  }

  /// What Redis answers about a record that is not ours.
  func hiddenReply(_ command: StoreCommand) -> StoreReply? {
    guard let name = command.account else { return nil }
    let account = index(of: name)
    guard let hidden = hidden[account], now < hidden.until else { return nil }
    switch command {
    case .look, .takeOver, .begin, .commit, .republish:
      let left = redis.data.accounts[account].token?.expiresAt.map { $0 - redisTime }
      return hidden.isNewer ? .newerLayout(3) : .foreignApp(remaining: left)
    case .resolve, .mark, .pollLock, .acquire, .renew, .release, .heartbeat: return nil
    }
  }
}
