/// A part of the protocol, and how many seeds at most it takes to miss it when it is taken away.
package struct Planted: Hashable, Sendable {
  package let part: Part
  package let seeds: UInt64
  /// The faults that show it, when among all of them it would take many seeds.
  let faults: [Fault]?
  /// How these come.
  let profile: Plan.Profile?

  private init(
    _ part: Part, seeds: UInt64, faults: [Fault]? = nil, profile: Plan.Profile? = nil
  ) {
    self.part = part
    self.seeds = seeds
    self.faults = faults
    self.profile = profile
  }

  /// Every part: oracles are worth what they find.
  package static let all = [
    Planted(.fence, seeds: 10),
    Planted(.leaseCheck, seeds: 10),
    Planted(.intent, seeds: 10),
    Planted(.dirtyMark, seeds: 100),
    Planted(.sweep, seeds: 10),
    Planted(.recommit, seeds: 40),
    Planted(.drainWait, seeds: 40),
    Planted(.leaseFromSend, seeds: 20, faults: [.slowNetwork, .cutRedis]),
    Planted(.epochFloor, seeds: 10),
    Planted(.idempotentAcquire, seeds: 20, faults: [.stall]),
    Planted(.idempotentMark, seeds: 20, faults: [.cutRedis], profile: .single),
    Planted(.freshCopy, seeds: 20),
    Planted(.runID, seeds: 60, faults: [.failOver, .crash]),
  ]

  /// The first seed that misses the part; nil when none of the stated number does.
  package func firstFailure() -> Verdict? {
    firstFailure(of: 1...seeds, parts: Parts.all.subtracting(Parts(part)))
  }

  /// The first of the seeds up to that one which the whole protocol breaks, too: then it was not
  /// the part that was missed.
  package func firstFailureOfAll(upTo seed: UInt64) -> Verdict? {
    firstFailure(of: 1...seed, parts: .all)
  }

  private func firstFailure(of seeds: ClosedRange<UInt64>, parts: Parts) -> Verdict? {
    Sweep.firstFailure(seeds) {
      Plan(
        seed: $0, parts: parts, profile: profile, onlyFaults: faults)
    }
  }
}
