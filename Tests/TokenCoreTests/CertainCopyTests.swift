import Testing

@testable import TokenCore

/// For how long a token in memory is vouched for, published again, and committed again
/// (TokenCore.md#the-algorithm).
@Suite struct CertainCopyTests {
  /// A follower that has seen a token beside a doubt of that age, or beside none.
  private static func follower(doubtedFor doubt: Duration? = nil) -> Transcript {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: "one"))
    it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
    let view =
      doubt.map { it.view("T", version(9, 1), doubtedFor: $0) } ?? it.view("T", version(9, 1))
    it.answer(looks.first(where: \.isLook), .account(view))
    return it
  }

  private static func freshest(
    _ it: Transcript, after span: Duration, nobodyFetches: Bool = false
  ) -> AccessToken? {
    it.keeper.accounts[0].freshest(at: it.now + span, nobodyFetches: nobodyFetches)?.token
  }

  @Test func `another's token is vouched for until 290 s after it was seen`() {
    var it = Self.follower()
    #expect(Self.freshest(it, after: .milliseconds(289_999)) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(290)) == nil)
    it.pass(.seconds(100))
    it.look(it.view("T", version(9, 1), left: .seconds(6900)))
    #expect(Self.freshest(it, after: .milliseconds(289_999)) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(290)) == nil)
  }

  @Test(arguments: [(120, 120), (7200, 290)])
  func `what is published again from memory ends by Redis's clock with its life or the grace`(
    lifetime: Int, end: Int
  ) throws {
    var it = Transcript()
    let began = it.redisTime
    let fetching = it.fetch()
    let order = try #require(fetching)
    let fetched = FetchedToken(
      token: AccessToken("T"), lifetime: .seconds(lifetime), sentAt: it.now)
    let committing = it.post(.fetched(order.account, order.version, .token(fetched)))
    // A doubt stood beside it, so that nobody vouches for the whole life; then all is lost.
    let looking = it.answer(committing.first(where: \.isCommit), .committed(isCertain: false))
    let again = it.answer(looking.first(where: \.isLook), .account(it.view()))
    guard case .republish(let republish)? = again.first(where: \.isRepublish)?.command else {
      Issue.record("it is not published again")
      return
    }
    #expect(republish.until == began + .seconds(end))
  }

  @Test func `beside a doubt it is vouched for no longer than Redis states`() {
    let it = Self.follower(doubtedFor: .seconds(200))
    #expect(Self.freshest(it, after: .milliseconds(89_999)) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(90)) == nil)
  }

  @Test func `a doubt that is seen later takes back what was vouched for`() {
    var it = Self.follower()
    it.pass(.seconds(10))
    it.look(it.view("T", version(9, 1), left: .seconds(6990), doubtedFor: .seconds(250)))
    #expect(Self.freshest(it, after: .milliseconds(39_999)) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(40)) == nil)
  }

  @Test func `while nobody can begin to fetch it is vouched for until its end`() {
    var it = Self.follower()
    #expect(!it.keeper.view.nobodyFetches, "Redis is there")
    it.post(.storeDisconnected)
    #expect(it.keeper.view.nobodyFetches)
    #expect(
      Self.freshest(it, after: .seconds(6999), nobodyFetches: true) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(7000), nobodyFetches: true) == nil)
    // Another replica may reach a Redis that this one does not.
    var beside = Transcript()
    beside.publish()
    let other = InstanceID("b").map {
      Replica(instance: $0, isLeader: false, seenAt: beside.redisTime, abdicatedAt: nil)
    }
    beside.answer(
      beside.outstanding.first(where: \.isHeartbeat),
      .replicas([other].compactMap(\.self), now: beside.redisTime))
    beside.post(.storeDisconnected)
    #expect(!beside.keeper.view.nobodyFetches)
  }

  @Test func `a token of one's own is vouched for while the lead lasts, and then as another's`() {
    var it = Transcript()
    it.publish()
    #expect(Self.freshest(it, after: .milliseconds(7_199_999)) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(7200)) == nil)
    it.pass(.seconds(20))
    it.post(.woke)
    #expect(it.keeper.election.leadership == nil)
    #expect(Self.freshest(it, after: .milliseconds(269_999)) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(270)) == nil)
  }

  @Test func `a token that is fetched and not yet published is vouched for`() {
    var it = Transcript()
    _ = it.commit(token: "T")
    #expect(Self.freshest(it, after: .seconds(7199)) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(7200)) == nil, "its life is over all the same")
  }

  @Test func `an own token beside an unknown outcome is vouched for as another's`() {
    var it = Transcript()
    it.publish()
    it.pass(.seconds(1))
    let begun = it.post(.reported(.rejected(AccessToken("T"))))
    let order = it.answer(
      begun.first(where: \.isBegin), .began(it.receipt(committed: version(10, 1)))
    ).firstOrder
    let failure = FetchFailure(.transient, reason: "nothing came")
    it.post(.fetched(Transcript.account, order?.version ?? version(0, 0), .unknown(failure)))
    #expect(Self.freshest(it, after: .milliseconds(288_999)) == AccessToken("T"))
    #expect(Self.freshest(it, after: .seconds(290)) == nil)
  }

  // MARK: What is written again

  /// What a leader republishes when Redis has lost an account's record and keys.
  private static func republished(_ it: inout Transcript) -> StoreCommand.Republish? {
    let looked = it.look(it.view())
    guard case .republish(let republish)? = looked.first(where: \.isRepublish)?.command else {
      return nil
    }
    return republish
  }

  @Test func `into a missing record a copy goes with the life that is certain`() {
    var own = Transcript()
    own.publish()
    own.pass(.seconds(1))
    let whole = Self.republished(&own)
    #expect(whole?.certain == .seconds(7199))
    #expect(whole?.version == version(10, 1))

    var adopted = Transcript()
    let takingOver = adopted.lead()
    adopted.answer(takingOver, .account(adopted.view("S", version(9, 1))))
    adopted.pass(.seconds(1))
    #expect(Self.republished(&adopted)?.certain == .seconds(289))
    #expect(Self.republished(&adopted) == nil, "one at a time")
  }

  @Test(arguments: [(289, true), (290, false)])
  func `what is certain no longer is fetched, and not published again`(
    _ unseen: Int, _ isPublished: Bool
  ) {
    var it = Transcript()
    it.answer(it.lead(), .account(it.view("S", version(9, 1))))
    Self.renew(&it, until: it.now + .seconds(unseen))
    let looked = it.look(it.view())
    #expect(looked.has(\.isRepublish) == isPublished)
    #expect(looked.has(\.isBegin) != isPublished)
  }

  @Test func `where Redis says that nothing certain is left, a fetch follows`() {
    var it = Transcript()
    it.answer(it.lead(), .account(it.view("S", version(9, 1))))
    it.pass(.seconds(1))
    let looked = it.look(it.view())
    let answered = it.answer(looked.first(where: \.isRepublish), .republished(wrote: false))
    #expect(answered.has(\.isBegin))
  }

  @Test(arguments: [Duration.seconds(3600), nil])
  func `keys that are there beyond the token's life are taken away`(_ left: Duration?) {
    var it = Transcript()
    // WeChat gives no other one before its life is over.
    let adopted = it.view("T", version(9, 1), left: .seconds(9))
    let begun = it.answer(
      it.answer(it.lead(), .account(adopted)).first(where: \.isBegin), .began(it.receipt()))
    #expect(begun.firstOrder != nil)
    let failure = FetchFailure(.operator, reason: "refused")
    let resolving = it.post(.fetched(Transcript.account, version(10, 1), .knownFailure(failure)))
    it.fail(it.answer(resolving.first(where: \.isResolve), .resolved).first(where: \.isLook))
    it.pass(.seconds(9))
    var view = it.view("T", version(9, 1), left: .zero)
    // By a clock that was set back by an hour, or without a TTL.
    if let left {
      view.now = view.now - left
      it.restate(&view)
    } else {
      view.token = AccessToken("T")
      view.tokenRemaining = nil
    }
    let looked = it.look(view)
    guard case .republish(let republish)? = looked.first(where: \.isRepublish)?.command else {
      Issue.record("no REPUBLISH")
      return
    }
    #expect(republish.certain == .zero)
    let answered = it.answer(looked.first(where: \.isRepublish), .republished(wrote: true))
    #expect(!answered.notes.contains(.repaired(Transcript.account)))
  }

  @Test func `beside its record a copy goes as the record states, and with what clocks may differ`()
  {
    var it = Transcript()
    it.publish()
    it.pass(.seconds(1))
    var view = it.published("T")
    view.doubt = Doubt(first: it.redisTime - .seconds(90), last: it.redisTime)
    view.token = nil
    let looked = it.look(view)
    guard case .republish(let republish)? = looked.first(where: \.isRepublish)?.command else {
      Issue.record("no REPUBLISH")
      return
    }
    #expect(republish.certain == .seconds(200))
    // The record may be gone when it comes to be carried out.
    #expect(republish.until == view.now - .seconds(1) + Transcript.lifetime)
    #expect(republish.slack == RemainingTolerance.ofClock(lifetime: Timing.certain))
  }

  @Test(arguments: [(286_499, true), (286_500, false)])
  func `a lost commit is made again only while its token is certain to live then`(
    _ age: Int, _ isMade: Bool
  ) {
    var it = Transcript()
    it.publish()
    Self.renew(&it, until: it.now + .milliseconds(age))
    let looked = it.look(it.view("S", version(3, 1)))
    #expect(looked.has(\.isRecommit) == isMade)
    #expect(looked.has(\.isBegin) != isMade)
  }

  /// Lets time pass with a Redis that renews the lease, and lets nobody look.
  private static func renew(_ it: inout Transcript, until end: Moment) {
    while let wake = it.keeper.nextWake, wake <= end {
      it.now = max(it.now, wake)
      it.post(.woke)
      for action in it.outstanding {
        if action.isRenew { it.answer(action, .renewed) }
        if action.isHeartbeat { it.answer(action, .replicas([], now: it.redisTime)) }
        if action.isLook { it.fail(action) }
      }
    }
    it.now = end
  }
}
