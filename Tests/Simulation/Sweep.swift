/// Many runs, of as many seeds: what the driver and the tests count.
package struct Sweep: Sendable {
  package private(set) var runs = 0
  /// The runs that broke a rule, by seed.
  package private(set) var failures: [Verdict] = []
  /// The runs in which applications read a dead token for more than a tick.
  package private(set) var runsWithDeadToken = 0
  /// The longest time in each of them.
  package private(set) var deadRuns: [UInt64: Double] = [:]
  package private(set) var worstDeadSeconds: Double = 0
  package private(set) var deadSeconds: Double = 0
  package private(set) var fetches = 0
  package private(set) var faults = 0
  /// By the hole of TokenCore.md#what-is-not: how often a life was overstated, and how long a token
  /// was read that was dead.
  package private(set) var holes: [Hole: Int] = [:]
  package private(set) var deadByHole: [Hole: Double] = [:]
  package private(set) var overstated = 0
  package private(set) var overstatedSeconds: Double = 0
  package private(set) var tokenlessSeconds: Double = 0
  package private(set) var foreign = 0
  package private(set) var collisions = 0
  package private(set) var replicaHours: Double = 0
  package private(set) var steps = 0
  /// Which faults struck where.
  package private(set) var strikes: Set<Strike> = []

  /// A token that was dead for longer than this was not just being replaced.
  package static let notable: Double = 20

  /// How long tokens were read that were dead, apart from what went through a hole.
  package private(set) var unexcusedDeadSeconds: Double = 0

  package init() {}

  /// Counts a run.
  package mutating func add(_ verdict: Verdict) {
    runs += 1
    if verdict.violation != nil { failures.append(verdict) }
    if verdict.worstDeadSeconds > Sweep.notable {
      runsWithDeadToken += 1
      deadRuns[verdict.seed] = verdict.worstDeadSeconds
    }
    worstDeadSeconds = max(worstDeadSeconds, verdict.worstDeadSeconds)
    deadSeconds += verdict.deadSeconds
    fetches += verdict.fetches
    faults += verdict.faults
    holes.merge(verdict.holes, uniquingKeysWith: +)
    deadByHole.merge(verdict.deadByHole, uniquingKeysWith: +)
    unexcusedDeadSeconds += verdict.unexcusedDeadSeconds
    overstated += verdict.overstated
    overstatedSeconds += verdict.overstatedSeconds
    tokenlessSeconds += verdict.tokenlessSeconds
    foreign += verdict.foreign
    collisions += verdict.collisions
    replicaHours += verdict.replicaHours
    steps += verdict.steps
    strikes.formUnion(verdict.strikes)
  }

  /// Adds what another worker counted.
  package mutating func add(_ other: Sweep) {
    runs += other.runs
    failures += other.failures
    runsWithDeadToken += other.runsWithDeadToken
    deadRuns.merge(other.deadRuns) { max($0, $1) }
    worstDeadSeconds = max(worstDeadSeconds, other.worstDeadSeconds)
    deadSeconds += other.deadSeconds
    fetches += other.fetches
    faults += other.faults
    holes.merge(other.holes, uniquingKeysWith: +)
    deadByHole.merge(other.deadByHole, uniquingKeysWith: +)
    unexcusedDeadSeconds += other.unexcusedDeadSeconds
    overstated += other.overstated
    overstatedSeconds += other.overstatedSeconds
    tokenlessSeconds += other.tokenlessSeconds
    foreign += other.foreign
    collisions += other.collisions
    replicaHours += other.replicaHours
    steps += other.steps
    strikes.formUnion(other.strikes)
  }

  /// Runs the plans on so many workers; each run by itself is one thread's.
  package static func run(
    _ seeds: ClosedRange<UInt64>, workers: Int, judges: Bool = true,
    plan: @escaping @Sendable (UInt64) -> Plan
  ) async -> Sweep {
    let stride = UInt64(max(workers, 1))
    return await withTaskGroup(of: Sweep.self) { group in
      for worker in 0..<stride {
        group.addTask { @concurrent in
          var sweep = Sweep()
          for seed in seeds where seed % stride == worker {
            var world = World(plan: plan(seed), judges: judges)
            sweep.add(world.run())
          }
          return sweep
        }
      }
      var all = Sweep()
      for await sweep in group { all.add(sweep) }
      all.failures.sort { $0.seed < $1.seed }
      return all
    }
  }

  /// The first run that ends as is looked for; nil when none does.
  static func first(
    of seeds: ClosedRange<UInt64>, plan: (UInt64) -> Plan, where isLookedFor: (Verdict) -> Bool
  ) -> Verdict? {
    for seed in seeds {
      var world = World(plan: plan(seed))
      let verdict = world.run()
      if isLookedFor(verdict) { return verdict }
    }
    return nil
  }

  /// The last lines of a run's trace: what a failure is printed with.
  package static func lastSteps(of plan: Plan, count: Int = 60) -> [String] {
    final class Lines { var kept: [String] = [] }
    let lines = Lines()
    var world = World(plan: plan) { line in
      lines.kept.append(line)
      if lines.kept.count > 2 * count { lines.kept.removeFirst(count) }
    }
    _ = world.run()
    return Array(lines.kept.suffix(count))
  }
}
