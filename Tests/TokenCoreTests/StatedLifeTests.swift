import Testing

@testable import TokenCore

/// What Redis states of a token's life, and when the leader fetches because of it
/// (TokenCore.md#the-record).
@Suite struct StatedLifeTests {
  /// A doubt that began so many seconds ago, and was over so many seconds ago.
  struct Case: Sendable {
    let first: Int64
    let last: Int64
    /// When the next token is fetched, in seconds from now.
    let fetch: Int64
  }

  private static let instant = RedisTime(milliseconds: 1_700_000_000_000)

  private static func view(
    doubt: (first: Int64, last: Int64)? = nil, intent: Int64? = nil, kills: Bool = true,
    left: Duration = .seconds(7000)
  ) -> AccountView {
    var view = AccountView(now: instant)
    view.committed = version(9, 1)
    view.expiresAt = instant + left
    view.doubt = doubt.map {
      Doubt(first: instant - .seconds($0.first), last: instant - .seconds($0.last))
    }
    view.intent = intent.map {
      Intent(version: version(9, 2), at: instant - .seconds($0), kills: kills)
    }
    return view
  }

  @Test func `the stated end is the earliest of promise, doubt and intent, each and 290 s`() {
    #expect(Self.view().statedEnd == Self.instant + .seconds(7000))
    #expect(Self.view(doubt: (9, 9)).statedEnd == Self.instant + .seconds(281))
    #expect(Self.view(doubt: (9, -60)).statedEnd == Self.instant + .seconds(281))
    #expect(Self.view(intent: 7).statedEnd == Self.instant + .seconds(283))
    #expect(Self.view(doubt: (9, 9), intent: 12).statedEnd == Self.instant + .seconds(278))
    #expect(Self.view(doubt: (9, 9), left: .seconds(20)).statedEnd == Self.instant + .seconds(20))
    #expect(Self.view(intent: 7, kills: false).statedEnd == Self.instant + .seconds(7000))
    var nothing = Self.view(doubt: (9, 9))
    nothing.committed = nil
    #expect(nothing.statedEnd == nil)
  }

  @Test(arguments: [
    // One request: 180 s before its 290 s are over, which is later than it can be processed.
    Case(first: 0, last: 0, fetch: 110), Case(first: 30, last: 30, fetch: 80),
    // What began earlier than it was over is waited for, and a second more for clocks that differ.
    Case(first: 19, last: 0, fetch: 91), Case(first: 18, last: 0, fetch: 92),
    Case(first: 100, last: 10, fetch: 81),
    // … unless less than a minute would be left then.
    Case(first: 139, last: 0, fetch: 91), Case(first: 140, last: 0, fetch: -30),
    Case(first: 250, last: 0, fetch: -140),
    // What cannot be processed any more is not waited for.
    Case(first: 200, last: 91, fetch: 0), Case(first: 230, last: 91, fetch: 0),
    Case(first: 231, last: 91, fetch: -121),
  ])
  func `a doubt is fetched over when it is over, and in time`(_ it: Case) {
    let sentAt = Moment.origin + .seconds(500)
    let stated = Stated(
      Self.view(doubt: (it.first, it.last)), after: nil, sentAt: sentAt, at: sentAt)
    #expect(stated?.refreshAt(margin: .seconds(180)) == sentAt + .seconds(it.fetch))
  }

  @Test func `what began later than now lets a copy live no longer than it was certain to`() {
    let sentAt = Moment.origin + .seconds(500)
    func end(begun: Int64, certain: Int64?) -> Moment? {
      Stated(
        Self.view(doubt: (begun, begun)), after: nil,
        certainUntil: certain.map { sentAt + .seconds($0) }, sentAt: sentAt, at: sentAt)?.end
    }
    #expect(end(begun: -40, certain: nil) == sentAt + .seconds(290))
    #expect(end(begun: -40, certain: 200) == sentAt + .seconds(200))
    #expect(end(begun: 1, certain: 200) == sentAt + .seconds(289))
  }

  @Test func `an intent is fetched over 110 s after its BEGIN`() {
    let sentAt = Moment.origin + .seconds(500)
    let stated = Stated(Self.view(intent: 10), after: nil, sentAt: sentAt, at: sentAt)
    #expect(stated?.refreshAt(margin: .seconds(180)) == sentAt + .seconds(100))
    let harmless = Stated(
      Self.view(intent: 10, kills: false), after: nil, sentAt: sentAt, at: sentAt)
    #expect(harmless?.refreshAt(margin: .seconds(180)) == sentAt + .seconds(6820))
    #expect(harmless?.isDoubtful == false)
  }

  @Test func `the end does not move back with Redis's clock, and does with what it is about`() {
    let sentAt = Moment.origin + .seconds(500)
    let first = Stated(Self.view(doubt: (10, 10)), after: nil, sentAt: sentAt, at: sentAt)
    #expect(first?.end == sentAt + .seconds(280))
    var later = Self.view(doubt: (10, 10))
    // An hour back: the same doubt seems to be of the future.
    later.now = later.now - .seconds(3600)
    let second = Stated(later, after: first, sentAt: sentAt, at: sentAt)
    #expect(second?.end == sentAt + .seconds(280))
    let restored = Stated(Self.view(), after: first, sentAt: sentAt, at: sentAt)
    #expect(restored?.end == sentAt + .seconds(7000))
  }

  @Test func `no bound moves back with Redis's clock, whatever comes beside it`() {
    let sentAt = Moment.origin + .seconds(500)
    let first = Stated(Self.view(intent: 10), after: nil, sentAt: sentAt, at: sentAt)
    var later = Self.view(doubt: (10, 5), intent: 0)
    // A minute back, and the intent has become a doubt beside another one.
    later.doubt?.first = later.now - .seconds(10)
    later.now = later.now - .seconds(60)
    let after = sentAt + .seconds(30)
    let second = Stated(later, after: first, sentAt: after, at: after)
    #expect(second?.end == sentAt + .seconds(280))
    // Nothing has begun later than now, and nothing later than when this replica began it.
    #expect(second?.intent?.end == after + .seconds(290))
    let own = Stated(later, after: nil, sentAt: after, at: after) { time in
      time == later.doubt?.first ? sentAt - .seconds(200) : nil
    }
    #expect(own?.end == sentAt + .seconds(90))
  }

  // MARK: A whole keeper

  /// A leader with a token, whose Redis has a doubt since so long, over so long ago.
  private static func doubting(
    since first: Duration = .zero, overSince last: Duration = .zero,
    margins: Margins = Margins()
  ) -> KeeperBench {
    var bench = KeeperBench(margins: margins)
    bench.run(for: .seconds(300), reportingEvery: nil)
    bench.doubt = Doubt(first: bench.redisTime - first, last: bench.redisTime - last)
    return bench
  }

  @Test func `one fetch settles a doubt`() {
    var bench = Self.doubting()
    bench.run(for: .milliseconds(109_999), reportingEvery: nil)
    #expect(bench.fetches == [.start])
    bench.run(for: .seconds(1), reportingEvery: nil)
    #expect(bench.fetches == [.start, .doubt])
    #expect(bench.doubt == nil)
    bench.run(for: .seconds(6000), reportingEvery: nil)
    #expect(bench.fetches.count == 2)
  }

  @Test func `a doubt that is over only later is waited for, and one fetch settles it`() {
    var bench = Self.doubting(since: .seconds(60))
    bench.run(for: .seconds(90), reportingEvery: nil)
    #expect(bench.fetches == [.start])
    bench.run(for: .seconds(2), reportingEvery: nil)
    #expect(bench.fetches == [.start, .doubt])
    #expect(bench.doubt == nil)
  }

  @Test func `what one fetch cannot settle the next one does, 110 s later`() {
    var bench = Self.doubting(since: .seconds(200))
    // Found by the next look, and not to be waited for: little is left.
    bench.run(for: .seconds(6), reportingEvery: nil)
    #expect(bench.fetches == [.start, .doubt])
    let began = bench.doubt?.first
    bench.run(for: .seconds(103), reportingEvery: nil)
    #expect(bench.fetches.count == 2)
    #expect(bench.doubt?.first == began)
    bench.run(for: .seconds(12), reportingEvery: nil)
    #expect(bench.fetches == [.start, .doubt, .doubt])
    #expect(bench.doubt == nil)
  }

  @Test(arguments: [0, 60, 150, 250] as [Int64])
  func `long margins do not make a doubt a storm`(_ seconds: Int64) {
    var margins = Margins()
    margins.serverExpiresBefore = .seconds(800)
    var bench = Self.doubting(since: .seconds(seconds), margins: margins)
    bench.run(for: .seconds(600), reportingEvery: nil)
    #expect(bench.doubt == nil)
    #expect((2...3).contains(bench.fetches.count), "\(bench.fetches)")
  }

  @Test func `a doubt that stays brings a fetch every 110 s, and no more`() {
    var bench = Self.doubting()
    for _ in 0..<10 {
      bench.run(for: .seconds(60), reportingEvery: nil)
      let now = bench.redisTime
      bench.doubt =
        bench.doubt.map { Doubt(first: $0.first, last: now) }
        ?? Doubt(
          first: now, last: now)
    }
    #expect((4...8).contains(bench.fetches.count), "\(bench.fetches)")
  }

  @Test func `a doubt from the future is no longer one than any`() {
    var bench = Self.doubting()
    bench.doubt = Doubt(
      first: bench.redisTime + .seconds(3600), last: bench.redisTime + .seconds(3600))
    bench.run(for: .seconds(3000), reportingEvery: nil)
    // One fetch after 110 s, and one that began when all of it must have been over.
    #expect(bench.leastRemaining > .seconds(179))
    #expect(bench.fetches.count <= 3)
  }

  @Test func `a take-over keeps a token beside an unresolved intent, and fetches 110 s after it`() {
    var it = Transcript()
    let takingOver = it.lead()
    var view = it.view("T", version(3, 1))
    view.intent = Intent(version: version(3, 2), at: it.redisTime - .seconds(20), kills: true)
    it.restate(&view)
    let adopted = it.answer(takingOver, .account(view))
    #expect(!adopted.has(\.isBegin))
    #expect(it.keeper.accounts[0].refreshAt == it.now + .seconds(90))
    #expect(it.keeper.accounts[0].wanted == nil)
  }
}
