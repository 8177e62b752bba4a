import ArgumentParser
import Simulation

/// Runs seeds and prints what they came to.
@main
struct Simulate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the protocol through simulated faults and checks its invariants.")

  @Option(help: "The first seed.")
  var seed: UInt64 = 1

  @Option(help: "How many seeds to run.")
  var count: UInt64 = 100

  @Option(help: "Simulated hours of faults in a run.")
  var hours: Int64 = 12

  @Option(help: "Replicas in a run.")
  var replicas = 3

  @Option(help: "Runs at the same time.")
  var jobs = 1

  @Option(help: "How faults come: chaos, single or usual; chosen by the seed when not given.")
  var profile: Plan.Profile?

  @Option(help: "Seconds between two probes of a leader; none when not given.")
  var probe: Int64?

  @Option(help: "Parts of the protocol to take away.")
  var without: [Part] = []

  @Flag(help: "Do not judge, only measure: every run goes to its end.")
  var measure = false

  @Flag(help: "Take away each part in turn, and fail unless every one is missed.")
  var planted = false

  @Flag(help: "Print everything that happens.")
  var trace = false

  func validate() throws {
    guard count > 0, hours > 0, replicas > 0, jobs > 0 else {
      throw ValidationError("count, hours, replicas and jobs must be above zero")
    }
  }

  /// Oracles are worth what they find: each planted bug within its stated number of seeds.
  private func findPlanted() async throws {
    let found = await withTaskGroup(of: (Planted, Verdict?).self) { group in
      for planted in Planted.all {
        group.addTask { @concurrent in (planted, planted.firstFailure()) }
      }
      var found: [(Planted, Verdict?)] = []
      for await result in group { found.append(result) }
      return found
    }
    var missing = 0
    for planted in Planted.all {
      let verdict = found.first { $0.0 == planted }?.1
      let rule = verdict?.violation.map { "seed \(verdict?.seed ?? 0): \($0.rule.rawValue)" }
      print("without \(planted.part.rawValue): \(rule ?? "NOT FOUND in \(planted.seeds) seeds")")
      if rule == nil { missing += 1 }
    }
    missing += await compareWithOthers()
    if missing > 0 { throw ExitCode.failure }
  }

  /// Seeds of the comparison with what other systems do.
  private static let compared: UInt64 = 30

  /// The table of PROTOCOL section 1; returns how many of its rows do not look as they should.
  private func compareWithOthers() async -> Int {
    let variants: [(String, Parts, isSafe: Bool)] = [
      ("the protocol", .all, true), ("SET NX PX and plain SET", .plainLock, false),
      ("fenced write", .fencedWrite, false), ("always refetch on take-over", .alwaysRefetch, false),
    ]
    var strange = 0
    for (name, parts, isSafe) in variants {
      let sweep = await Sweep.run(1...Self.compared, workers: 2, judges: false) {
        Plan(seed: $0, parts: parts, profile: .usual)
      }
      print(
        "\(name): \(sweep.runsWithDeadToken) of \(sweep.runs) runs left a dead token, "
          + "worst \(Int(sweep.worstDeadSeconds)) s, \(sweep.fetches / sweep.runs) fetches a run")
      let looksSafe = sweep.worstDeadSeconds <= Sweep.notable
      let looksUnsafe = sweep.runsWithDeadToken > Int(Self.compared) / 3
      if isSafe ? !looksSafe : !looksUnsafe { strange += 1 }
    }
    return strange
  }

  func run() async throws {
    if planted { return try await findPlanted() }
    let (hours, replicas, profile, probe) = (hours, replicas, profile, probe)
    let parts = Parts.all.subtracting(Parts(without))
    let plan: @Sendable (UInt64) -> Plan = {
      Plan(
        seed: $0, hours: hours, replicas: replicas, parts: parts, profile: profile,
        probeSeconds: probe)
    }
    let seeds = seed...(seed + count - 1)
    let sweep: Sweep
    if trace {
      var counted = Sweep()
      for seed in seeds {
        var world = World(plan: plan(seed), judges: !measure) { print($0) }
        counted.add(world.run())
      }
      sweep = counted
    } else {
      sweep = await Sweep.run(seeds, workers: jobs, judges: !measure, plan: plan)
    }
    for verdict in sweep.failures {
      guard let violation = verdict.violation else { continue }
      print("seed \(verdict.seed) (\(plan(verdict.seed).profile)): \(violation)")
    }
    if let first = sweep.failures.first, !trace {
      print("the last steps of seed \(first.seed):")
      for line in Sweep.lastSteps(of: plan(first.seed)) { print("  \(line)") }
    }
    print(
      """
      \(sweep.runs) runs, \(Int(sweep.replicaHours)) replica-hours, \(sweep.steps) steps, \
      \(sweep.faults) faults, \(sweep.fetches) fetches (\(sweep.fetches / sweep.runs) a run), \
      \(sweep.holes) holes, \
      \(sweep.forgotten) forgotten, \(sweep.collisions) collisions of epochs
      \(sweep.failures.count) broke a rule; \(sweep.runsWithDeadToken) with a dead token for more \
      than \(Int(Sweep.notable))s, worst \(Int(sweep.worstDeadSeconds))s, \
      mean \(Int(sweep.deadSeconds) / sweep.runs)s
      """)
    if !sweep.failures.isEmpty { throw ExitCode.failure }
  }
}

extension Part: ExpressibleByArgument {}
extension Plan.Profile: ExpressibleByArgument {}
