import Simulation
import Testing

/// Oracles are worth what they find: every part of the protocol, taken away, must be missed.
@Suite struct PlantedBugTests {
  /// A part, how many seeds at most it takes to miss it, and where the search begins.
  struct Planted: Sendable, CustomTestStringConvertible {
    let part: Part
    let seeds: UInt64
    var testDescription: String { "without \(part.rawValue), within \(seeds) seeds" }
  }

  static let all = [
    Planted(part: .fence, seeds: 60),
    Planted(part: .leaseCheck, seeds: 10),
    Planted(part: .intent, seeds: 10),
    Planted(part: .dirtyMark, seeds: 40),
    Planted(part: .sweep, seeds: 10),
    Planted(part: .recommit, seeds: 40),
    Planted(part: .drainWait, seeds: 40),
    Planted(part: .leaseFromSend, seeds: 60),
    Planted(part: .epochFloor, seeds: 10),
    Planted(part: .idempotentAcquire, seeds: 20),
    Planted(part: .freshCopy, seeds: 20),
    Planted(part: .runID, seeds: 60),
  ]

  @Test(arguments: all)
  func `a planted bug is found`(_ planted: Planted) {
    let parts = Parts.all.subtracting(Parts(planted.part))
    let found = Sweep.firstFailure(1...planted.seeds) { Plan(seed: $0, parts: parts) }
    #expect(found != nil, "\(planted.seeds) seeds saw nothing")
    if let found, let violation = found.violation {
      print("without \(planted.part.rawValue): seed \(found.seed), \(violation.rule.rawValue)")
    }
  }
}
