/// What one replica knows of the token that Redis has, and of the life that is stated of it.
package struct Published: Sendable {
  package internal(set) var copy: Copy?
  /// What Redis states of the token that it has.
  package internal(set) var stated: Stated?
  /// The tokens that this replica has, or had lately.
  var handedOut = HandedOut()
  /// Whether a record of the account was ever seen.
  var hasHistory = false
  /// Who fetched the token that Redis has, as its record says.
  package internal(set) var fetchedBy: String?
  /// When what Redis has was asked for last, as far as this replica saw that.
  private(set) var polledAt: Moment?
  /// When the life ends that counts from when this value was first seen.
  private(set) var reckonedEnd: Moment?
  /// The token that WeChat was last found to refuse before its time.
  var provedDead: Version?

  /// When the leader refreshes the token it has.
  func refreshAt(_ margins: Margins) -> Moment? {
    guard let copy else { return nil }
    let margin = margins.refresh(lifetime: copy.lifetime)
    guard let stated, stated.version == copy.version else { return copy.expiresAt - margin }
    return min(stated.refreshAt(margin: margin), copy.expiresAt - margin)
  }

  /// When the leader asks again for what it has; nil when it has nothing.
  func pollAt(_ polling: Credential.Polling) -> Moment? {
    guard let copy, let statedEnd else { return nil }
    guard let polledAt else { return copy.seenAt }
    let left = reckonedEnd.map { $0 - polling.overtime - polledAt } ?? copy.lifetime
    return polledAt + polling.wait(left: left, stated: statedEnd - polledAt)
  }

  /// When the life ends that Redis states of the copy, as far as it is known.
  var statedEnd: Moment? {
    copy.map { copy in
      guard let stated, stated.version == copy.version else { return copy.expiresAt }
      return min(stated.end, copy.expiresAt)
    }
  }

  /// What is left of that life; zero when nothing is.
  func remaining(at now: Moment) -> Duration { max((statedEnd ?? now) - now, .zero) }

  /// Whether what is there was proved dead: it is published no more, whoever led in between, and
  /// whatever was lost.
  var isProvedDead: Bool { copy != nil && copy?.version == provedDead }

  /// Takes what Redis shows into memory; a copy never goes backwards (invariant F).
  ///
  /// - Parameter own: when the fetch of this replica that Redis dates so began, by its clock.
  mutating func observe(
    _ view: AccountView, sentAt: Moment, at now: Moment, own: (RedisTime) -> Moment?
  ) {
    fetchedBy = view.fetchedBy
    if view.committed != nil { hasHistory = true }
    let isCopy = copy?.version == view.committed
    stated = Stated(
      view, after: stated, certainUntil: isCopy ? copy?.certainUntil : nil, sentAt: sentAt,
      at: now, own: own)
    guard view.tokenMatchesRecord, let token = view.token, let version = view.committed,
      let expiresAt = view.expiresAt, let stated
    else { return }
    if let copy, copy.version > version { return }
    if let copy, copy.version < version { polledAt = sentAt }
    if let seenAt = view.fetchedAt, let lifetime = view.lifetime {
      reckonedEnd = sentAt + (seenAt + lifetime - view.now)
    }
    // Whatever begins after this look lets it live for the grace.
    let certain = min(stated.end, sentAt + Timing.certain)
    let certainTime = min(stated.recordedEnd, view.now + Timing.certain)
    if let copy, copy.version == version, copy.token == token {
      self.copy?.seenAt = max(copy.seenAt, sentAt)
      // What a doubt is about may have begun before it was seen to be certain.
      self.copy?.certainUntil = stated.isDoubtful ? certain : max(copy.certainUntil, certain)
      self.copy?.certainTime =
        stated.isDoubtful ? certainTime : max(copy.certainTime, certainTime)
      if stated.isDoubtful { self.copy?.isOwn = false }
      return
    }
    handedOut.add(token)
    copy = Copy(
      token: token, version: version, lifetime: view.lifetime ?? expiresAt - view.now,
      expiresAt: sentAt + (expiresAt - view.now), begunAt: view.fetchedAt, certainUntil: certain,
      certainTime: certainTime, seenAt: sentAt, isOwn: false)
  }

  /// This replica has published a token.
  ///
  /// - Parameters:
  ///   - overtime: how much longer than its life it is left there.
  ///   - isCertain: whether Redis knows of nothing that may have killed it.
  mutating func commit(
    _ fetched: FetchedToken, of attempt: Attempt, overtime: Duration, isCertain: Bool,
    sentAt: Moment
  ) {
    let lifetime = fetched.lifetime + overtime
    if copy?.token != fetched.token { reckonedEnd = nil }
    polledAt = fetched.sentAt
    copy = Copy(
      token: fetched.token, version: attempt.version, lifetime: lifetime,
      expiresAt: fetched.sentAt + lifetime, begunAt: attempt.receipt?.at,
      certainUntil: attempt.firstBeganAt + Timing.certain,
      certainTime: attempt.receipt.map { $0.at + Timing.certain } ?? RedisTime(milliseconds: 0),
      seenAt: sentAt, isOwn: isCertain)
    hasHistory = true
    stated = nil
  }

  /// Whether keys are there that are to be gone: their life is over by what is known here, and not
  /// by the record, whose clock was set back, or nobody's, where one has lost its TTL.
  func isOverdue(_ view: AccountView, _ outputs: [Output]) -> Bool {
    guard let stated, let copy else { return false }
    let slack = stated.slack(lifetime: copy.lifetime)
    func outlasts(_ remaining: Duration?) -> Bool { remaining.map { $0 > slack } ?? true }
    if view.token != nil, outlasts(view.tokenRemaining) { return true }
    // In a slot of its own a key may outlast the token; what its software has written there since
    // is left alone.
    return zip(outputs.dropFirst(), view.others).contains { output, held in
      guard let text = held.text, outlasts(held.remaining) else { return false }
      return output.isLeftover(text, of: copy.token, lifetime: copy.lifetime)
    }
  }

  /// Whether the published keys differ from what the record states.
  func isDamaged(_ view: AccountView, _ outputs: [Output], at now: Moment) -> Bool {
    guard let stated, let copy else { return false }
    let left = stated.end - now
    // What has no life left is not there; the next token follows.
    guard left > .zero else { return isOverdue(view, outputs) }
    guard view.token == copy.token, let end = view.statedEnd else { return true }
    let recorded = end - view.now
    let slack = stated.slack(lifetime: copy.lifetime)
    let expected = min(recorded, left + slack)
    let tolerance = RemainingTolerance.ofTTL(lifetime: copy.lifetime)
    func isRight(_ remaining: Duration?) -> Bool {
      remaining.map {
        abs(($0 - expected).wholeMilliseconds) <= tolerance.wholeMilliseconds
      } ?? false
    }
    guard recorded <= expected, isRight(view.tokenRemaining),
      view.others.count == outputs.count - 1
    else { return true }
    return !zip(outputs.dropFirst(), view.others).allSatisfy { output, held in
      !held.isRead
        || isRight(held.remaining)
          && held.text == output.text(of: copy.token, end: end, lifetime: copy.lifetime)
    }
  }

  /// The keys of other software that hold what nobody here has written.
  func overwritten(_ view: AccountView, _ outputs: [Output]) -> [Output.Key] {
    guard let copy, let end = view.statedEnd else { return [] }
    return zip(outputs.dropFirst(), view.others).compactMap { output, held in
      guard case .other = output.key, case .token = output.content, let text = held.text,
        text != output.text(of: copy.token, end: end, lifetime: copy.lifetime),
        // What could not be written for a while is our own.
        !handedOut.contains(where: {
          output.isLeftover(text, of: $0, lifetime: copy.lifetime)
        })
      else { return nil }
      return output.key
    }
  }

  /// Whether a token that Redis has lost would still be certain to live when it is written again so
  /// much later: another may have been fetched since, whose traces are lost as well.
  func canCommitAgain(redisTime: RedisTime, within span: Duration) -> Bool {
    guard !isProvedDead, let begunAt = copy?.begunAt else { return false }
    return begunAt + Timing.certain > redisTime + span
  }
}

/// How far a remaining life may be off before it counts as wrong.
package enum RemainingTolerance {
  /// Between a key's TTL and the record: both are Redis's, so only delay is forgiven.
  package static func ofTTL(lifetime: Duration) -> Duration { min(.seconds(2), lifetime / 8) }

  /// Between Redis's clock and ours: two clocks that may differ by 1 %, and then some.
  package static func ofClock(lifetime: Duration) -> Duration { .seconds(2) + lifetime / 50 }
}
