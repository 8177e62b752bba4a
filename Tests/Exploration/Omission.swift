package import Simulation

/// A part of the protocol that fits the bounds, and where its absence shows.
package struct Omission: Sendable {
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
    Omission(.fence, .report, faults: 1, length: 14),
    Omission(.leaseCheck, .report, faults: 1, length: 22),
    Omission(.intent, .report, faults: 1, length: 4),
    Omission(.fold, .report, faults: 1, length: 11),
    Omission(.doubt, .report, faults: 1, length: 11),
    Omission(.bound, .report, faults: 1, length: 4),
    Omission(.straggling, .refresh, faults: 1, length: 47),
    Omission(.mark, .report, faults: 1, length: 103),
    Omission(.leaseFromSend, .refresh, faults: 2, length: 33),
    Omission(.epochFloor, .report, faults: 1, length: 6),
    Omission(.runID, .report, faults: 2, length: 5),
    Omission(.commitAge, .report, faults: 1, length: 12),
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
