import ArgumentParser
import Simulation

@main
struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs the protocol through simulated faults and checks its invariants.")

  @Option(help: "The first seed.")
  var seed: UInt64 = 1

  @Option(help: "How many seeds to run.")
  var count: Int = 100

  @Option(help: "Simulated hours of faults in a run.")
  var hours: Int64 = 12

  @Option(help: "Replicas in a run.")
  var replicas: Int = 3

  @Option(help: "Runs at the same time.")
  var jobs: Int = 1

  @Flag(help: "Stop at the first violation.")
  var first = false

  @Option(help: "How faults come: chaos, single or usual; by seed when not given.")
  var profile: Plan.Profile?

  @Flag(help: "Print everything that happens.")
  var trace = false

  @Option(parsing: .upToNextOption, help: "Parts of the protocol to take away.")
  var without: [Part] = []

  func validate() throws {
    guard count > 0, hours > 0, replicas > 0, jobs > 0 else {
      throw ValidationError("count, hours, replicas and jobs must be above zero")
    }
  }

  func run() throws {
    let parts = Parts.all.subtracting(Parts(without))
    var failures = 0
    var allSteps = 0
    var dead: Double = 0
    for seed in seed..<(seed + UInt64(count)) {
      let plan = Plan(seed: seed, hours: hours, replicas: replicas, parts: parts, profile: profile)
      var world = World(plan: plan, log: trace ? { print($0) } : nil)
      let verdict = world.run()
      if verdict.worstDeadSeconds > 60 {
        print("seed \(seed) \(plan.profile) dead \(verdict.deadSeconds) worst \(verdict.worstDeadSeconds) holes \(verdict.holes)")
      }
      dead += verdict.deadSeconds
      allSteps += verdict.steps
      if let violation = verdict.violation {
        failures += 1
        print("seed \(seed) \(plan.profile): \(violation)")
        if first { break }
      }
    }
    print("steps \(allSteps)")
    print("\(failures) of \(count) failed, dead \(dead)s")
    if failures > 0 { throw ExitCode.failure }
  }
}

extension Part: ExpressibleByArgument {}
extension Plan.Profile: ExpressibleByArgument {}
