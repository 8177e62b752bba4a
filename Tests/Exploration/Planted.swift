package import Simulation

/// A part of the protocol that fits the bounds, and where its absence shows.
package struct Planted: Sendable {
  package let part: Part
  package let scenario: Scenario
  package let faults: Int
  /// How many moves lead to what breaks, at the least.
  package let length: Int

  private init(_ part: Part, _ scenario: Scenario, faults: Int, length: Int) {
    self.part = part
    self.scenario = scenario
    self.faults = faults
    self.length = length
  }

  /// Those whose absence breaks what is judged in a state: others cost time, or a token that is
  /// missing, or two epochs that chance keeps apart.
  package static let all = [
    Planted(.fence, .report, faults: 1, length: 14),
    Planted(.leaseCheck, .report, faults: 1, length: 22),
    Planted(.intent, .report, faults: 1, length: 4),
    Planted(.fold, .report, faults: 1, length: 11),
    Planted(.doubt, .report, faults: 1, length: 11),
    Planted(.bound, .report, faults: 1, length: 4),
    Planted(.straggling, .report, faults: 1, length: 16),
    Planted(.mark, .report, faults: 1, length: 103),
    Planted(.epochFloor, .report, faults: 1, length: 6),
    Planted(.runID, .report, faults: 2, length: 5),
    Planted(.commitAge, .report, faults: 1, length: 12),
  ]

  /// Explores without the part, up to the number of moves that is enough.
  package func explore() -> Exploration { explore(without: [part]) }

  /// The same with the part: then it was not the part that was missed.
  package func exploreWhole() -> Exploration { explore(without: []) }

  private func explore(without parts: [Part]) -> Exploration {
    var setting = Setting()
    setting.faults = faults
    setting.parts = .all.subtracting(Parts(parts))
    var explorer = Explorer(setting, scenario: scenario, depth: length)
    return explorer.run()
  }
}
