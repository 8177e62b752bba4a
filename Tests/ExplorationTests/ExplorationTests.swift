import Exploration
import Simulation
import Testing

/// Small bounds, which a debug build goes through in seconds; `explore` has the large ones.
@Suite struct ExplorationTests {
  @Test(arguments: Scenario.allCases)
  func `without a fault every order of events keeps every rule`(scenario: Scenario) {
    var setting = Setting()
    setting.faults = 0
    var explorer = Explorer(setting, scenario: scenario, depth: 120)
    let found = explorer.run()
    #expect(found.counterexample == nil)
    #expect(found.overstated == 0)
    #expect(found.states > 150)
  }

  @Test(arguments: Scenario.allCases)
  func `one fault breaks nothing within a few moves`(scenario: Scenario) {
    var explorer = Explorer(Setting(), scenario: scenario, depth: 12)
    let found = explorer.run()
    #expect(found.counterexample == nil)
    #expect(found.states > 300)
  }

  @Test(arguments: [Part.intent, .bound, .fold, .epochFloor])
  func `a part that is missing is missed, in the shortest way`(part: Part) throws {
    let omission = try #require(Omission.all.first { $0.part == part })
    #expect(omission.explore().counterexample?.length == omission.length)
    #expect(omission.exploreWhole().counterexample == nil)
  }

  @Test func `a counterexample reads like what happened`() throws {
    let omission = try #require(Omission.all.first { $0.part == .bound })
    let transcript = try #require(omission.explore().counterexample?.transcript)
    #expect(transcript.first?.hasPrefix("at first: T1 for 6500") == true)
    #expect(transcript.contains { $0.contains("wechat: e1.2 of r0 -> T2") })
    #expect(transcript.last?.hasPrefix("broken: A") == true)
  }

  @Test func `an exploration comes to the same each time`() {
    var first = Explorer(Setting(), scenario: .cold, depth: 10)
    var second = Explorer(Setting(), scenario: .cold, depth: 10)
    let (one, other) = (first.run(), second.run())
    #expect(one.states == other.states)
    #expect(one.transitions == other.transitions)
  }
}
