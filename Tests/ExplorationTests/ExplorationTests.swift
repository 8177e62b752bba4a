import Exploration
import Simulation
import Testing

@Suite struct ExplorationTests {
  @Test func `an empty exploration finds nothing`() {
    var explorer = Explorer(Setting(), scenario: .cold, depth: 2)
    #expect(explorer.run().counterexample == nil)
  }
}
