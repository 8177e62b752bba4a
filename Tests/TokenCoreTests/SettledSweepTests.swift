import Testing
import TokenCore

/// What may still arrive at WeChat is fetched over, once it is certain to be over.
@Suite struct SettledSweepTests {
  /// A leader with a token, and a sweep that Redis has had since now.
  private static func swept() -> KeeperBench {
    var bench = KeeperBench()
    bench.run(for: .seconds(30), reportingEvery: nil)
    bench.sweep = bench.redisTime + Timing.sweep
    return bench
  }

  @Test func `one fetch settles a sweep`() {
    var bench = Self.swept()
    bench.run(for: Timing.sweep - .seconds(1), reportingEvery: nil)
    #expect(bench.fetches == [.start])
    bench.run(for: .seconds(20), reportingEvery: nil)
    #expect(bench.fetches == [.start, .sweep])
    #expect(bench.sweep == nil)
  }

  @Test func `a step of Redis's clock does not settle what may still arrive`() {
    var bench = Self.swept()
    bench.run(for: .seconds(7), reportingEvery: nil)
    bench.clockStep = .seconds(120)
    bench.run(for: .seconds(60), reportingEvery: nil)
    // Redis says that it is due: a fetch that helps if it is right, and trusts nobody.
    #expect(bench.fetches == [.start, .sweep])
    #expect(bench.sweep != nil)
    bench.run(for: .seconds(40), reportingEvery: nil)
    #expect(bench.fetches == [.start, .sweep, .sweep])
    #expect(bench.sweep == nil)
  }

  @Test func `a Redis whose clock was set back does not keep a sweep for an hour`() {
    var bench = Self.swept()
    bench.run(for: .seconds(7), reportingEvery: nil)
    bench.clockStep = .seconds(-3600)
    bench.run(for: Timing.sweep + .seconds(5), reportingEvery: nil)
    #expect(bench.fetches == [.start, .sweep])
    #expect(bench.sweep == nil)
  }

  @Test func `a later request for a sweep is waited for, too`() {
    var bench = Self.swept()
    bench.run(for: .seconds(80), reportingEvery: nil)
    bench.sweep = bench.sweep.map { $0 + .milliseconds(1) }
    // Redis calls it due soon, and it is due only 90 s after it was first seen.
    bench.run(for: .seconds(60), reportingEvery: nil)
    #expect(bench.sweep != nil)
    bench.run(for: .seconds(40), reportingEvery: nil)
    #expect(bench.sweep == nil)
    #expect(bench.fetches.count <= 3)
  }

  @Test func `a sweep that Redis loses is asked for again`() {
    var bench = Self.swept()
    bench.run(for: .seconds(30), reportingEvery: nil)
    bench.sweep = nil
    bench.run(for: .seconds(30), reportingEvery: nil)
    #expect(bench.fetches == [.start, .sweep])
    #expect(bench.sweep != nil)
    bench.run(for: Timing.sweep, reportingEvery: nil)
    #expect(bench.fetches == [.start, .sweep, .sweep])
    #expect(bench.sweep == nil)
  }

  /// A follower that has seen a sweep, due in 90 s.
  private static func watcher() -> Transcript {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: nil))
    it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
    var view = it.view("T", version(10, 1))
    view.sweep = it.redisTime + Timing.sweep
    it.answer(looks.first(where: \.isLook), .account(view))
    return it
  }

  /// What a follower does when Redis shows this.
  private static func look(_ it: inout Transcript, _ view: AccountView) -> [Keeper.Action] {
    let looking = it.post(.hinted(nil)).first(where: \.isLook)
    return it.answer(looking, .account(view))
  }

  // Seed 952136: stepped beyond the sweep and then emptied, Redis shows a token that looks as if it
  // were fetched after all that might arrive.
  @Test(arguments: [0, 100] as [Int64])
  func `a step of Redis's clock does not make a follower forget a sweep`(_ step: Int64) {
    var it = Self.watcher()
    it.pass(.seconds(20))
    var first = it.view("N", version(20, 1), left: Transcript.lifetime)
    first.now = first.now + .seconds(step)
    first.expiresAt = first.now + Transcript.lifetime
    #expect(Self.look(&it, first).has(\.isMark))
    // By both clocks it is over: nothing is missed.
    it = Self.watcher()
    it.pass(.seconds(95))
    first = it.view("N", version(20, 1), left: Transcript.lifetime)
    #expect(!Self.look(&it, first).has(\.isMark))
  }

  @Test func `a follower marks when a replica without memory leads a Redis that lost a sweep`() {
    var it = Self.watcher()
    it.pass(.seconds(20))
    #expect(!Self.look(&it, it.view()).has(\.isMark), "nobody has fetched yet")
    let first = it.view("N", version(20, 1), left: Transcript.lifetime)
    let marking = Self.look(&it, first).first(where: \.isMark)
    guard let mark = marking?.mark else {
      Issue.record("no MARK")
      return
    }
    #expect(mark.isUnknown)
    #expect(mark.version != first.committed && mark.version != first.parent)
    it.answer(marking, .marked(nil))
    #expect(!Self.look(&it, first).has(\.isMark), "said once")
  }

  @Test func `a follower does not mark when a sweep is settled`() {
    var it = Self.watcher()
    it.pass(Timing.sweep)
    let settled = it.view("N", version(10, 2), left: Transcript.lifetime)
    #expect(!Self.look(&it, settled).has(\.isMark))
  }
}
