import ArgumentParser
import Glibc
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

  @Option(help: "How faults come; chosen by the seed, of the first three, when not given.")
  var profile: Plan.Profile?

  @Option(help: "A kind of fault that may come; may be repeated; all kinds when not given.")
  var only: [Fault] = []

  @Option(help: "Seconds between two probes of a leader; none when not given.")
  var probe: Int64?

  @Option(help: "Parts of the protocol to take away.")
  var without: [Part] = []

  @Flag(help: "Do not judge, only measure: every run goes to its end.")
  var measure = false

  @Flag(help: "Print, of each run with a dead token, its options and how long it was dead.")
  var list = false

  @Flag(help: "Take away each part in turn, and fail unless every one is missed.")
  var planted = false

  @Flag(
    help: "Print a table of what each way of keeping a token comes to; usual faults by default."
  )
  var table = false

  @Flag(help: "Fail unless every fault struck at every boundary of every effect that matters.")
  var everywhere = false

  @Flag(help: "Compare a few runs with what was recorded of them, bit by bit.")
  var recorded = false

  @Flag(help: "Run storms of each kind of fault alone and of each two together, count seeds each.")
  var pairs = false

  @Flag(help: "Run faults of each kind alone, one at a time in a run, count seeds each.")
  var kinds = false

  @Flag(help: "Accounts come and go meanwhile.")
  var moves = false

  @Flag(help: "Keys lie in several slots, at servers that fail each for itself.")
  var slots = false

  @Flag(help: "Print everything that happens.")
  var trace = false

  func validate() throws {
    guard count > 0, hours > 0, replicas > 0, jobs > 0 else {
      throw ValidationError("count, hours, replicas and jobs must be above zero")
    }
    guard [planted, table, pairs, kinds, recorded].count(where: { $0 }) <= 1 else {
      throw ValidationError("planted, table, pairs, kinds and recorded exclude each other")
    }
  }

  /// Oracles are worth what they find: each planted bug within its stated number of seeds.
  private func findPlanted() async throws {
    let findings = await withTaskGroup(of: (Planted, without: Verdict?, with: Verdict?).self) {
      group in
      for planted in Planted.all {
        group.addTask { @concurrent in
          let without = planted.firstFailure()
          return (planted, without, without.flatMap { planted.firstFailureOfAll(upTo: $0.seed) })
        }
      }
      var findings: [Planted: (without: Verdict?, with: Verdict?)] = [:]
      for await (planted, without, with) in group { findings[planted] = (without, with) }
      return findings
    }
    var missing = 0
    for planted in Planted.all {
      let finding = findings[planted]
      let found = finding?.without.map { "seed \($0.seed): \($0.violation?.rule.rawValue ?? "")" }
      print(
        "without \(planted.part.rawValue): \(found ?? "NOT FOUND in \(planted.seeds) seeds")")
      if let with = finding?.with {
        print("THE WHOLE PROTOCOL FAILS THE SAME SEEDS")
        explain(with, plan: planted.plan(without: false))
      }
      if finding?.without == nil || finding?.with != nil { missing += 1 }
    }
    missing += await compareWithOthers()
    if missing > 0 { throw ExitCode.failure }
  }

  /// Seeds of the comparison that belongs to the planted bugs.
  private static let compared: UInt64 = 30

  /// The protocol beside what other systems do; returns how many of these do not look as they
  /// should.
  private func compareWithOthers() async -> Int {
    var strange = 0
    for variant in Variant.others {
      let sweep = await variant.measure(1...Self.compared, profile: .usual, workers: 2)
      print(variant.row(sweep))
      let looksSafe = sweep.worstDeadSeconds <= Sweep.notable
      let looksUnsafe = sweep.runsWithDeadToken > Int(Self.compared) / 3
      if variant.parts == .all ? !looksSafe : !looksUnsafe { strange += 1 }
    }
    return strange
  }

  /// The table of CONTRIBUTING.md: the protocol, what others do, and each part taken away.
  private func printTable() async {
    print(Variant.head)
    let only = only.isEmpty ? nil : only
    for variant in Variant.others + Variant.ablations {
      let sweep = await variant.measure(
        seed...(seed + count - 1), profile: profile ?? .usual, only: only, workers: jobs)
      print(variant.row(sweep))
    }
  }

  func run() async throws {
    if planted { return try await findPlanted() }
    if table { return await printTable() }
    if pairs { return try await runPairs() }
    if recorded { return try compareWithRecord() }
    if kinds { return try await runKinds() }
    let plan = plan(profile: profile, only: only.isEmpty ? nil : only)
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
    for verdict in sweep.failures { explain(verdict, plan: plan) }
    if list {
      for (seed, dead) in sweep.deadRuns.sorted(by: { $0.key < $1.key }) {
        print("dead for \(Int(dead))s: \(plan(seed).arguments.joined(separator: " "))")
      }
    }
    try conclude(sweep)
  }

  /// How the options say that seeds are to be run.
  private func plan(
    profile: Plan.Profile?, only: [Fault]?
  ) -> @Sendable (UInt64) -> Plan {
    let (hours, replicas, probe, moves, slots) = (hours, replicas, probe, moves, slots)
    let parts = Parts.all.subtracting(Parts(without))
    return {
      Plan(
        seed: $0, hours: hours, replicas: replicas, parts: parts, profile: profile,
        probeSeconds: probe, onlyFaults: only, moves: moves, slots: slots)
    }
  }

  /// Says what the runs came to, and fails when they did not come right.
  private func conclude(_ sweep: Sweep) throws {
    print(summary(of: sweep))
    let missing = Strike.all(isSplit: slots).filter { strike in
      !sweep.strikes.contains(strike) && (only.isEmpty || only.contains(strike.fault))
    }
    if everywhere {
      for strike in missing { print("never struck: \(strike)") }
    }
    if !sweep.failures.isEmpty || (everywhere && !missing.isEmpty) { throw ExitCode.failure }
  }

  /// One fault at a time, all of a run of one kind: what a mixed run has no time for.
  private func runKinds() async throws {
    let kinds = Fault.allCases.filter {
      (only.isEmpty || only.contains($0)) && !(slots && $0 == .fork)
    }
    var all = Sweep()
    for kind in kinds {
      let plan = plan(profile: .single, only: [kind])
      let sweep = await Sweep.run(
        seed...(seed + count - 1), workers: jobs, judges: !measure, plan: plan)
      for verdict in sweep.failures { explain(verdict, plan: plan) }
      print(
        "\(kind.rawValue): \(sweep.faults) faults at \(sweep.strikes.count) places, "
          + "\(sweep.failures.count) of \(sweep.runs) broke a rule; dead for "
          + "\(Int(sweep.deadSeconds))s, outside of holes \(Int(sweep.unexcusedDeadSeconds))s")
      all.add(sweep)
    }
    try conclude(all)
  }

  /// What broke, of which source, how to see it again, and how it came about.
  private func explain(_ verdict: Verdict, plan: (UInt64) -> Plan) {
    guard let violation = verdict.violation else { return }
    let plan = plan(verdict.seed)
    print("seed \(verdict.seed) (\(plan.profile)) of \(Self.commit): \(violation)")
    print("again: simulate \(plan.arguments.joined(separator: " ")) --trace")
    guard !trace else { return }
    print("its last steps:")
    for line in Sweep.lastSteps(of: plan) { print("  \(line)") }
  }

  /// What the source is that this was built of, if it was built where it runs.
  private static let commit: String = {
    guard let pipe = unsafe popen("git describe --always --dirty 2>/dev/null", "r") else {
      return "an unknown commit"
    }
    defer { unsafe pclose(pipe) }
    var text: [UInt8] = []
    while case let byte = unsafe fgetc(pipe), byte != EOF { text.append(UInt8(byte)) }
    let name = String(decoding: text, as: UTF8.self).split(separator: "\n").first
    return name.map { "commit \($0)" } ?? "an unknown commit"
  }()

  private func compareWithRecord() throws {
    let differences = Recording.differences()
    for (seed, value) in differences { print("seed \(seed) is not as recorded: \(value)") }
    guard differences.isEmpty else { throw ExitCode.failure }
    print("\(Recording.fingerprints.count) runs are as recorded")
    let broken = Recording.brokenAgain()
    for (regression, verdict) in broken { explain(verdict) { _ in regression.plan } }
    guard broken.isEmpty else { throw ExitCode.failure }
    print("\(Recording.regressions.count) runs that broke version 1 break no rule")
  }

  /// What comes together once in a thousand mixed runs does in these.
  private func runPairs() async throws {
    let seeds = seed...(seed + count - 1)
    var all = Sweep()
    for (index, first) in Plan.stormy.enumerated() {
      for second in Plan.stormy[index...] {
        let plan = plan(profile: nil, only: [first, second])
        let sweep = await Sweep.run(seeds, workers: jobs, plan: plan)
        for verdict in sweep.failures { explain(verdict, plan: plan) }
        all.add(sweep)
      }
    }
    print(summary(of: all))
    if !all.failures.isEmpty { throw ExitCode.failure }
  }

  private func summary(of sweep: Sweep) -> String {
    let holes = Hole.allCases.compactMap { hole in
      sweep.holes[hole].map {
        "\(hole.rawValue) \($0) times, \(Int(sweep.deadByHole[hole] ?? 0))s dead"
      }
    }
    return """
      \(sweep.runs) runs, \(Int(sweep.replicaHours)) replica-hours, \(sweep.steps) steps, \
      \(sweep.faults) faults, \(sweep.fetches) fetches (\(sweep.fetches / sweep.runs) a run), \
      \(sweep.foreign) by another party, \
      \(sweep.collisions) collisions of epochs, \(sweep.strikes.count) of \
      \(Strike.all(isSplit: slots).count) faults at boundaries of effects
      holes: \(holes.isEmpty ? "none" : holes.joined(separator: "; ")); overstated and not read \
      \(sweep.overstated) times, \(Int(sweep.overstatedSeconds))s; without a token \
      \(Int(sweep.tokenlessSeconds) / sweep.runs)s a run
      \(sweep.failures.count) broke a rule; \(sweep.runsWithDeadToken) with a dead token for more \
      than \(Int(Sweep.notable))s, worst \(Int(sweep.worstDeadSeconds))s, \
      mean \(Int(sweep.deadSeconds) / sweep.runs)s, \(Int(sweep.unexcusedDeadSeconds))s of all \
      outside of holes
      """
  }
}

/// A way of keeping a token, measured with a fault about every quarter of an hour.
private struct Variant {
  let name: String
  let parts: Parts

  static let others = [
    Variant(name: "the protocol", parts: .all),
    Variant(name: "`SET NX PX` and a plain `SET`", parts: .plainLock),
    Variant(name: "the same, with a fenced write", parts: .fencedWrite),
    Variant(name: "the same, and always a fetch on take-over", parts: .alwaysRefetch),
  ]

  static let ablations = Part.allCases.filter { $0 != .adoption }.map {
    Variant(name: "the protocol without \($0.rawValue)", parts: .all.subtracting(Parts($0)))
  }

  static let head = """
    | variant | runs with a dead token | worst | dead in a run | of it not by a hole \
    | no token in a run | fetches a run |
    |---|---|---|---|---|---|---|
    """

  func measure(
    _ seeds: ClosedRange<UInt64>, profile: Plan.Profile, only: [Fault]? = nil, workers: Int
  ) async -> Sweep {
    let parts = parts
    return await Sweep.run(seeds, workers: workers, judges: false) {
      Plan(seed: $0, parts: parts, profile: profile, onlyFaults: only)
    }
  }

  func row(_ sweep: Sweep) -> String {
    "| \(name) | \(sweep.runsWithDeadToken) of \(sweep.runs) | \(Int(sweep.worstDeadSeconds)) s "
      + "| \(Int(sweep.deadSeconds) / sweep.runs) s "
      + "| \(Int(sweep.unexcusedDeadSeconds) / sweep.runs) s "
      + "| \(Int(sweep.tokenlessSeconds) / sweep.runs) s | \(sweep.fetches / sweep.runs) |"
  }
}

extension Fault: ExpressibleByArgument {}
extension Part: ExpressibleByArgument {}
extension Plan.Profile: ExpressibleByArgument {}
