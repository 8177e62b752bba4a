/// A part of the protocol, and how many seeds at most it takes to miss it when it is taken away.
package struct Planted: Hashable, Sendable {
  package let part: Part
  package let seeds: UInt64

  /// Every part: oracles are worth what they find.
  package static let all = [
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

  /// The first seed that misses the part; nil when none of the stated number does.
  package func firstFailure() -> Verdict? {
    let parts = Parts.all.subtracting(Parts(part))
    return Sweep.firstFailure(1...seeds) { Plan(seed: $0, parts: parts) }
  }
}
