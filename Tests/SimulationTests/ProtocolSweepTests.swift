import Foundation
import Simulation
import Testing

/// The protocol as built, through everything that goes wrong.
@Suite struct ProtocolSweepTests {
  /// How many seeds of how many hours: few in a debug build, thirty times slower than the release
  /// build of `simulate`, which runs the real sweep (`deploy/test simulate`).
  static var seeds: UInt64 {
    if let text = ProcessInfo.processInfo.environment["WCH_SIMULATION_SEEDS"],
      let number = UInt64(text), number > 0
    {
      return number
    }
    #if DEBUG
      return 2
    #else
      return 200
    #endif
  }

  #if DEBUG
    static let hours: Int64 = 2
  #else
    static let hours: Int64 = 12
  #endif

  @Test func `no seed with three replicas breaks a rule`() async {
    let seeds = Self.seeds
    let sweep = await Sweep.run(1...seeds, workers: 2) {
      Plan(seed: $0, hours: Self.hours, probeSeconds: 300)
    }
    print(
      """
      simulated \(sweep.runs) seeds, \(Int(sweep.replicaHours)) replica-hours, \
      \(sweep.faults) faults, \(sweep.fetches) fetches; \(sweep.holes) times into the hole
      """)
    for verdict in sweep.failures {
      let last = Sweep.lastSteps(of: Plan(seed: verdict.seed, hours: Self.hours, probeSeconds: 300))
        .joined(separator: "\n")
      Issue.record("seed \(verdict.seed): \(verdict.violation?.description ?? "")\n\(last)")
    }
  }

  @Test func `no single fault leaves a dead token at all`() async {
    let seeds = max(Self.seeds / 4, 2)
    let sweep = await Sweep.run(1001...(1000 + seeds), workers: 2) {
      Plan(seed: $0, hours: Self.hours, profile: .single)
    }
    for verdict in sweep.failures {
      Issue.record("seed \(verdict.seed): \(verdict.violation?.description ?? "")")
    }
    #expect(sweep.deadSeconds == 0)
  }

  @Test func `five replicas without faults fetch once a life, one at a time`() {
    // A life of 7200 s is renewed 180 s before its end: six lives in eleven hours.
    var world = World(plan: Plan(seed: 7, hours: 11, replicas: 5, profile: .calm), judges: false)
    let verdict = world.run()
    #expect(verdict.fetches == 6 * world.numberOfAccounts)
    #expect(verdict.commits == verdict.fetches)
    #expect(verdict.elections == 1)
    #expect(verdict.deadSeconds == 0)
    #expect(verdict.faults == 0)
  }
}
