/// A part of the protocol, and how many seeds at most it takes to miss it when it is taken away.
package struct Planted: Hashable, Sendable {
  package let part: Part
  package let seeds: UInt64
  /// The rule that tells of it: another one's finding would not show what this part is for.
  let rule: Violation.Rule
  /// The faults that show it, when among all of them it would take many seeds.
  let faults: [Fault]?
  /// How these come.
  let profile: Plan.Profile?
  /// Whether keys lie in several slots.
  let isSplit: Bool

  private init(
    _ part: Part, seeds: UInt64, _ rule: Violation.Rule, faults: [Fault]? = nil,
    profile: Plan.Profile? = nil, isSplit: Bool = false
  ) {
    self.isSplit = isSplit
    self.part = part
    self.seeds = seeds
    self.rule = rule
    self.faults = faults
    self.profile = profile
  }

  /// Every part: oracles are worth what they find.
  ///
  /// But for re-commit, which keeps a token in Redis where a fetch would have to bring another: no
  /// rule is broken without it.
  package static let all = [
    Planted(.fence, seeds: 10, .fenceHolderWrites),
    Planted(.leaseCheck, seeds: 10, .sendWithinLease),
    Planted(.intent, seeds: 20, .deadToken, faults: [.crash], profile: .single),
    Planted(.fold, seeds: 40, .deadToken, faults: [.brownOut], profile: .single),
    Planted(.doubt, seeds: 20, .deadToken, faults: [.brownOut], profile: .single),
    Planted(.bound, seeds: 10, .deadToken, faults: [.brownOut], profile: .single),
    Planted(.straggling, seeds: 30, .deadToken, faults: [.straggler], profile: .single),
    Planted(.mark, seeds: 60, .deadToken, faults: [.fork], profile: .single),
    Planted(.leaseFromSend, seeds: 60, .oneLeader, faults: [.slowNetwork, .cutRedis]),
    Planted(.epochFloor, seeds: 10, .epochsGrow),
    Planted(.idempotentAcquire, seeds: 20, .orphanedLock, faults: [.stall]),
    Planted(.freshCopy, seeds: 60, .deadToken, faults: [.flush, .crash]),
    Planted(.commitAge, seeds: 60, .deadToken, faults: [.stall], profile: .single),
    Planted(.runID, seeds: 20, .deadToken, faults: [.hostLoss], profile: .single),
    Planted(
      .apartFence, seeds: 20, .ordersInTurn, faults: [.cutRedis], profile: .single, isSplit: true),
    Planted(.recordFirst, seeds: 10, .recordFirst, isSplit: true),
    Planted(
      .ownServer, seeds: 60, .deadToken, faults: [.hostLoss], profile: .single, isSplit: true),
  ]

  /// The first seed in which its rule misses the part; nil when none of the stated number does.
  package func firstFailure() -> Verdict? {
    Sweep.first(of: 1...seeds, plan: plan(without: true)) { $0.violation?.rule == rule }
  }

  /// The first of the seeds up to that one which the whole protocol breaks, too: then it was not
  /// the part that was missed.
  package func firstFailureOfAll(upTo seed: UInt64) -> Verdict? {
    Sweep.first(of: 1...seed, plan: plan(without: false)) { $0.violation != nil }
  }

  /// How a seed is run, with the part or without it.
  package func plan(without isTaken: Bool) -> (UInt64) -> Plan {
    {
      Plan(
        seed: $0, parts: isTaken ? .all.subtracting(Parts(part)) : .all, profile: profile,
        onlyFaults: faults, slots: isSplit)
    }
  }
}
