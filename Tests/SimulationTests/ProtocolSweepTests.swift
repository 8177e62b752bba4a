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
      \(sweep.faults) faults, \(sweep.fetches) fetches; \(sweep.holes.values.reduce(0, +)) times \
      through a hole
      """)
    for verdict in sweep.failures {
      record(verdict, Plan(seed: verdict.seed, hours: Self.hours, probeSeconds: 300))
    }
  }

  /// With what makes it happen again.
  private func record(_ verdict: Verdict, _ plan: Plan) {
    let last = Sweep.lastSteps(of: plan).joined(separator: "\n")
    let again = plan.arguments.joined(separator: " ")
    Issue.record("simulate \(again): \(verdict.violation?.description ?? "")\n\(last)")
  }

  @Test func `no single fault leaves a dead token at all`() async {
    let seeds = max(Self.seeds / 4, 2)
    let sweep = await Sweep.run(1001...(1000 + seeds), workers: 2) {
      Plan(seed: $0, hours: Self.hours, profile: .single)
    }
    for verdict in sweep.failures {
      record(verdict, Plan(seed: verdict.seed, hours: Self.hours, profile: .single))
    }
    #expect(sweep.unexcusedDeadSeconds == 0)
  }

  @Test func `no seed breaks a rule while accounts come and go`() async {
    let plan: @Sendable (UInt64) -> Plan = {
      Plan(seed: $0, hours: Self.hours, probeSeconds: 300, moves: true)
    }
    let sweep = await Sweep.run(2001...(2000 + Self.seeds), workers: 2, plan: plan)
    for verdict in sweep.failures { record(verdict, plan(verdict.seed)) }
  }

  // Hole (a) of TokenCore.md#what-is-not: paused between the check of the lease and the sending,
  // until its successor has fetched over whatever might come, and killed before it can say that it
  // sent.
  @Test(arguments: [nil, 300] as [Int64?])
  func `the hole is known by its trace, and a probe bounds it`(_ probe: Int64?) {
    var world = World(plan: Plan(seed: 1, hours: 6, profile: .calm, probeSeconds: probe))
    world.opensHole = true
    let verdict = world.run()
    #expect(verdict.violation == nil)
    #expect(verdict.holes[.pausedSend] == 1)
    // Asked every five minutes, twice with 5 s in between; without, until the next refresh.
    let bounds: ClosedRange<Double> = probe == nil ? 3600...7200 : 1...330
    #expect(bounds.contains(verdict.worstDeadSeconds), "\(verdict.worstDeadSeconds) s")
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
