import Testing

@testable import TokenCore

@Suite struct BackoffTests {
  private static func wait(
    isUnknown: Bool, inARow: Int = 1, remaining: Duration? = nil, hasBudget: Bool,
    _ category: FetchFailure.Class = .transient
  ) -> Duration {
    var generator: any RandomNumberGenerator & Sendable = Middle()
    return Backoff.wait(
      after: FetchFailure(category, reason: "nothing came"), isUnknown: isUnknown,
      inARow: inARow, remaining: remaining, hasBudget: hasBudget, using: &generator)
  }

  @Test func `an unknown outcome is tried again every five minutes when half of the day is used`() {
    for inARow in [1, 5, 100] {
      #expect(Self.wait(isUnknown: true, inARow: inARow, hasBudget: false) == .seconds(300))
      #expect(
        Self.wait(isUnknown: true, inARow: inARow, remaining: .seconds(10), hasBudget: false)
          == .seconds(300), "however little is left")
      #expect(Self.wait(isUnknown: true, inARow: inARow, hasBudget: true) <= .seconds(36))
    }
  }

  @Test func `what costs none of the day's calls does not wait for the budget`() {
    #expect(
      Self.wait(isUnknown: false, hasBudget: false)
        == Self.wait(isUnknown: false, hasBudget: true))
    for category in FetchFailure.Class.allCases where category != .transient {
      #expect(
        Self.wait(isUnknown: false, hasBudget: false, category)
          == Self.wait(isUnknown: false, hasBudget: true, category))
    }
  }

  @Test func `a wait is a quarter of the stated life that is left, and no less than a second`() {
    #expect(
      Self.wait(isUnknown: true, inARow: 9, remaining: .seconds(40), hasBudget: true)
        == .seconds(10))
    #expect(
      Self.wait(isUnknown: true, inARow: 9, remaining: .seconds(1), hasBudget: true)
        == .seconds(1))
  }

  @Test func `a keeper whose day is half used asks a silent WeChat every five minutes`() {
    var credential = Credential()
    credential.dailyBudget = 3
    var bench = KeeperBench(credential)
    bench.run(for: .seconds(10), reportingEvery: nil)
    bench.isSilent = true
    bench.report()
    bench.run(for: .seconds(20), reportingEvery: nil)
    let before = bench.fetches.count
    bench.run(for: .seconds(3000), reportingEvery: nil)
    #expect((9...11).contains(bench.fetches.count - before))
  }
}

/// Always the middle of what is drawn from.
private struct Middle: RandomNumberGenerator, Sendable {
  mutating func next() -> UInt64 { 1 << 63 }
}
