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
}
