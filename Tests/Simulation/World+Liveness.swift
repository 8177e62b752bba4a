import TokenCore

/// Invariant J: what a leader that is connected brings about, always and not only after healing.
extension World {
  /// A longer time without a token than this, with a leader and nothing broken, is too long.
  private static let tokenless: Duration = .seconds(60)

  /// A trace stands no longer than this after its last cause, while somebody leads and WeChat gives
  /// tokens.
  private static let longest: Duration = Timing.certain + .seconds(30)

  /// Whether the record is rid of what may have killed the token, in time.
  mutating func standsBriefly(_ index: Int) {
    let begun = redis.data.accounts[index].state.intent
    let doubt = redis.data.accounts[index].state.doubt
    let intent = begun.flatMap { $0.kills ? $0.version : nil }
    let cause =
      intent == nil && doubt == nil ? nil : Marks.Cause(intent: intent, last: doubt?.last)
    if cause != marks.accounts[index].cause {
      marks.accounts[index].cause = cause
      marks.accounts[index].causeStands = now
    }
    guard cause != nil, let ledSince = marks.ledSince else { return }
    // Where WeChat gives no token the doubt stands, and the keys are gone.
    if isFailing(index) || isHidden(index) || isMoving(index) {
      marks.accounts[index].hinderedAt = now
    }
    let begin = max(
      marks.accounts[index].causeStands, ledSince, redisServesSince, brokenUntil,
      marks.accounts[index].hinderedAt)
    guard now - begin > World.longest.wholeNanoseconds else { return }
    violate(
      .traceStands,
      "account \(accounts[index]) has had a trace for \((now - begin) / second)s: "
        + "doubt \(doubt.map { "\($0.first)...\($0.last)" } ?? "-"), "
        + "intent \(begun.map { "\($0.version)" } ?? "-")")
  }

  /// Until when what is between replicas and WeChat, or Redis, is broken.
  var brokenUntil: Instant {
    var until = max(answersLostUntil, repeatsUntil, refuseUntil, sendsSlowlyUntil)
    for index in replicas.indices {
      until = max(
        until, replicas[index].requestsToRedisLostUntil, replicas[index].repliesOfRedisLostUntil,
        replicas[index].requestsToWeChatLostUntil, replicas[index].answersOfWeChatLostUntil)
      until = max(until, replicas[index].slowUntil, replicas[index].pausedUntil)
    }
    return until
  }

  /// Whether the record looks like one that nobody here may write, or did just now.
  func isHidden(_ index: Int) -> Bool {
    hidden[index].map { now < $0.until + 40 * second } ?? false
  }

  /// Whether applications have a token.
  mutating func hasToken(_ index: Int) {
    guard publishedToken(index) == nil else {
      marks.accounts[index].hadTokenAt = now
      return
    }
    guard let since = marks.ledSince, !isFailing(index), !isHidden(index), !isMoving(index) else {
      return
    }
    lapsedForReason(index, ledSince: since)
    let begin = max(since, disturbedUntil, waitsUntil(index), marks.accounts[index].hadTokenAt)
    if now - begin > World.tokenless.wholeNanoseconds {
      violate(.tokenless, "account \(accounts[index]), at a leader")
    }
  }

  /// A fetch begins no later than so long before the end that Redis states.
  private static let leftForFetch: Int64 = 55 * second

  /// A key that just ended did so because no fetch could succeed.
  private mutating func lapsedForReason(_ index: Int, ledSince: Instant) {
    guard let token = marks.accounts[index].published,
      let issue = weChat.issue(of: token, account: index)
    else { return }
    // Lives that are shorter are renewed the later.
    let left = min(World.leftForFetch, (issue.endsAt - issue.issuedAt) / 4)
    let begin = max(
      ledSince, disturbedUntil, waitsUntil(index), marks.accounts[index].hinderedAt,
      redisServesSince, storeDisturbedAt, brokenUntil)
    guard now - begin > left else { return }
    violate(
      .lapse, "account \(accounts[index]) had \(token), and \((now - begin) / second)s for another")
  }
}
