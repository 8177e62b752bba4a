/// A token in this replica's memory.
package struct Copy: Hashable, Sendable {
  package let token: AccessToken
  package let version: Version
  /// The life that WeChat stated.
  package let lifetime: Duration
  /// When the token's life ends, by this replica's clock, as WeChat or Redis told it.
  package let expiresAt: Moment
  /// Redis's time of the BEGIN of its fetch; nil when the record did not tell it.
  package let begunAt: RedisTime?
  /// Until then nothing that has begun can have killed it, as far as this replica has seen.
  package internal(set) var certainUntil: Moment
  /// The same by Redis's clock.
  package internal(set) var certainTime: RedisTime
  /// When this was last seen in Redis, whatever stood beside it.
  package internal(set) var seenAt: Moment
  /// Whether this replica fetched it, has led without a break since, and nothing that it asked
  /// WeChat before may still be processed.
  package internal(set) var isOwn: Bool

  /// Until when the token certainly lives.
  package var certainEnd: Moment { isOwn ? expiresAt : min(expiresAt, certainUntil) }

  /// The same by Redis's clock; nil when that does not tell.
  var certainEndTime: RedisTime? {
    let lifeEnd = begunAt.map { $0 + lifetime }
    // A life that is shorter than the grace ends before it, also where this machine stood still.
    return isOwn ? lifeEnd : min(lifeEnd ?? certainTime, certainTime)
  }

  /// What is left of its life; negative when it is over.
  package func remaining(at now: Moment) -> Duration { expiresAt - now }
}

/// What Redis states of the token that it has, as it was last read, by this replica's clock.
package struct Stated: Hashable, Sendable {
  /// Something that may have killed the token, or may yet.
  struct Bound: Hashable, Sendable {
    /// When it began, by Redis's clock of then.
    let begunAt: RedisTime
    /// Until when the token certainly lives all the same, by this replica's clock.
    let end: Moment
  }

  /// What was committed.
  package let version: Version
  /// When the token's own life ends.
  let lifeEnd: Moment
  let doubt: Bound?
  let intent: Bound?
  /// Until then the token certainly lives, by Redis's clock, as its record has it.
  package let recordedEnd: RedisTime
  /// When everything that the doubt is about is over; nil without a doubt.
  package let doubtOver: Moment?

  /// Until then the token certainly lives.
  package var end: Moment {
    min(lifeEnd, doubt?.end ?? lifeEnd, intent?.end ?? lifeEnd)
  }

  /// Whether something stands that may have killed the token.
  var isDoubtful: Bool { doubt != nil || intent != nil }

  /// How far our clock and Redis's may be apart about the end: what they can go wrong by in the
  /// time that it is known.
  func slack(lifetime: Duration) -> Duration {
    RemainingTolerance.ofClock(lifetime: isDoubtful ? min(Timing.certain, lifetime) : lifetime)
  }

  /// - Parameters:
  ///   - earlier: what was known before: what is the same never ends later by a clock that was set
  ///     back, whatever came beside it.
  ///   - certainUntil: of the copy in memory, when it is of this token.
  ///   - sentAt: when the look was sent: from here what is left counts.
  ///   - own: when the fetch of this replica that Redis dates so began, by the replica's clock.
  init?(
    _ view: AccountView, after earlier: Stated?, certainUntil: Moment? = nil, sentAt: Moment,
    at now: Moment, own: (RedisTime) -> Moment? = { _ in nil }
  ) {
    guard let version = view.committed, let expiresAt = view.expiresAt, let end = view.statedEnd
    else { return nil }
    self.version = version
    recordedEnd = end
    let life = sentAt + (expiresAt - view.now)
    lifeEnd = earlier?.version == version ? min(life, earlier?.lifeEnd ?? life) : life
    func bound(_ begunAt: RedisTime) -> Bound {
      var end = sentAt + Timing.certain - max(view.now - begunAt, .zero)
      // Nothing has begun later than now: Redis's clock was set back since it began, and nobody
      // knows by how much.
      if begunAt > view.now, let certainUntil { end = min(end, certainUntil) }
      for known in [earlier?.doubt, earlier?.intent] where known?.begunAt == begunAt {
        end = min(end, known?.end ?? end)
      }
      if let beganAt = own(begunAt) { end = min(end, beganAt + Timing.certain) }
      return Bound(begunAt: begunAt, end: end)
    }
    doubt = view.doubt.map { bound($0.first) }
    intent = view.intent.flatMap { $0.kills ? bound($0.at) : nil }
    doubtOver = view.doubt.map {
      now + ($0.last + Timing.straggling + Timing.afterDoubt - view.now)
    }
  }

  /// When the next token is fetched by schedule.
  ///
  /// A doubt is let be over first, so that one fetch settles it, unless too little would be left.
  func refreshAt(margin: Duration) -> Moment {
    let early = end - margin
    guard let doubtOver, doubtOver > early, end - doubtOver >= Timing.leftAfterDoubt else {
      return early
    }
    return doubtOver
  }
}
