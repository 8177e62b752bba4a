import ArgumentParser
import Exploration
import Glibc
import Simulation

/// Explores every order of events within bounds.
@main
struct Explore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Goes through every order of events within bounds and checks the invariants.")

  @Option(help: "So many moves at most follow each other; as many as there are when not given.")
  var depth: Int?

  @Option(help: "So many faults at most come together.")
  var faults = 1

  @Option(help: "Where to begin; everywhere when not given.")
  var scenario: Scenario?

  @Option(help: "So many states at most are looked at.")
  var limit = 2_000_000

  @Option(help: "Parts of the protocol to take away.")
  var without: [Part] = []

  @Option(help: "The times of the protocol.")
  var rhythm: Rhythm = .short

  @Flag(help: "Let WeChat keep only one old token.")
  var oneOld = false

  @Flag(help: "Let what one replica sends to Redis overtake each other.")
  var overtakes = false

  @Flag(help: "Let a follower's look at the account take its time, too.")
  var splitLooks = false

  @Flag(help: "Take away each part that fits the bounds, and fail unless every one is missed.")
  var planted = false

  @Flag(help: "Tell of each layer.")
  var progress = false

  func run() throws {
    if planted { return try findPlanted() }
    var isBroken = false
    for scenario in scenario.map({ [$0] }) ?? Scenario.allCases {
      if explore(scenario, Parts.all.subtracting(Parts(without))).counterexample != nil {
        isBroken = true
      }
    }
    if isBroken { throw ExitCode.failure }
  }

  private func findPlanted() throws {
    var isMissing = false
    for omission in Omission.all {
      let found = omission.explore()
      let length = found.counterexample.map { "after \($0.length) moves: \($0.violation)" }
      print(
        "without \(omission.part.rawValue): \(length ?? "NOT FOUND"), \(found.states) states")
      if length == nil { isMissing = true }
      guard let whole = omission.exploreWhole().counterexample else { continue }
      isMissing = true
      print("THE WHOLE PROTOCOL BREAKS WITHIN THE SAME BOUNDS")
      for line in whole.transcript { print("  \(line)") }
    }
    fflush(nil)
    if isMissing { throw ExitCode.failure }
  }

  private func explore(_ scenario: Scenario, _ parts: Parts) -> Exploration {
    var setting = Setting()
    setting.parts = parts
    setting.faults = faults
    setting.rhythm = rhythm
    setting.keepsOneOld = oneOld
    setting.overtakes = overtakes
    setting.splitsLooks = splitLooks
    var explorer = Explorer(setting, scenario: scenario, depth: depth ?? .max, limit: limit)
    let clock = ContinuousClock()
    let begin = clock.now
    let found = explorer.run { found in
      guard progress else { return }
      print("  depth \(found.depth): \(found.states) states, \(found.transitions) transitions")
      fflush(nil)
    }
    let seconds = (clock.now - begin).components.seconds
    print(
      "\(scenario.rawValue), \(faults) faults: \(found.states) states, \(found.transitions) "
        + "transitions, depth \(found.depth)\(found.isComplete ? " (all there are)" : ""), "
        + "\(found.widest) at a time, \(found.overstated) overstated for a moment, "
        + "\(found.holes) in a hole, \(found.collisions) with one epoch twice, \(seconds) s, "
        + "\(Self.peakMemory) MB")
    if let counterexample = found.counterexample {
      print("BROKEN after \(counterexample.length) moves")
      for line in counterexample.transcript { print("  \(line)") }
    }
    fflush(nil)
    return found
  }

  /// The most memory that this process had, in megabytes.
  private static var peakMemory: Int {
    var usage = rusage()
    unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss / 1024
  }
}

extension Part: ExpressibleByArgument {}
extension Scenario: ExpressibleByArgument {}
extension Rhythm: ExpressibleByArgument {}
