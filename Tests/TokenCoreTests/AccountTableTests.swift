import Testing

@testable import TokenCore

@Suite("What is due, found without looking at all")
struct AccountTableTests {
  @Test("the tree finds what a look at every place finds", arguments: [1, 2, 3, 7, 8, 100])
  func tree(count: Int) {
    var random = SplitMix(seed: UInt64(count))
    var tree = WakeTree(count: count)
    var moments: [Moment?] = Array(repeating: nil, count: count)
    #expect(tree.earliest == nil)
    for _ in 0..<500 {
      let place = random.below(count)
      let moment = random.below(4) == 0 ? nil : Moment(nanoseconds: Int64(random.below(20)))
      moments[place] = moment
      tree.set(place, to: moment)
      #expect(tree.earliest == moments.compactMap(\.self).min())
      let now = Moment(nanoseconds: Int64(random.below(22)) - 1)
      let start = random.below(count + 1)
      let first = (start..<count).first { moments[$0].map { $0 <= now } ?? false }
      #expect(tree.first(from: start, dueBy: now) == first)
    }
  }

  @Test("an event looks at what it changes, however many accounts there are")
  func counted() throws {
    func looks(accounts count: Int) throws -> Int {
      let names = try (0..<count).map { try #require(CredentialID("a\($0)")) }
      var keeper = Keeper(
        instance: try #require(InstanceID("host")), accounts: names, timing: Timing(),
        margins: Margins(), generator: SplitMix(seed: 1))
      _ = keeper.handle(.started, at: .origin)
      _ = keeper.handle(.storeConnected(runID: "run"), at: .origin)
      let before = keeper.settledCount
      for round in 1...10 {
        _ = keeper.handle(
          .hinted(names[round % count]), at: .origin + .milliseconds(round))
      }
      return keeper.settledCount - before
    }
    let few = try looks(accounts: 2)
    #expect(few <= 30)
    #expect(try looks(accounts: 1000) == few)
  }

  @Test("a view shows what was changed, and nothing is copied that was not")
  func view() throws {
    let names = try (0..<8).map { try #require(CredentialID("a\($0)")) }
    var keeper = Keeper(
      instance: try #require(InstanceID("host")), accounts: names, timing: Timing(),
      margins: Margins(), generator: SplitMix(seed: 1))
    var view = keeper.view
    _ = keeper.handle(.started, at: .origin)
    _ = keeper.handle(.storeConnected(runID: nil), at: .origin)
    #expect(keeper.show(in: &view) == names)
    #expect(view.storeIsConnected)
    _ = keeper.handle(.hinted(names[3]), at: .origin + .milliseconds(1))
    #expect(keeper.show(in: &view) == [names[3]])
    #expect(view[names[3]]?.work == keeper.accounts[3].work)
    #expect(keeper.show(in: &view).isEmpty)
    #expect(view[CredentialID.unnamed] == nil)
  }
}

/// Numbers from a seed.
private struct SplitMix: RandomNumberGenerator, Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
