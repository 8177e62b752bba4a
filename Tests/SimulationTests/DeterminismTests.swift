import Simulation
import Testing

@Suite struct DeterminismTests {
  // `simulate --recorded` compares the same in a release build.
  @Test func `seeds replay as they were recorded`() {
    for (seed, value) in Recording.differences() {
      Issue.record("seed \(seed) is not as recorded, record \(value)")
    }
  }

  @Test func `a seed replays to the last bit`() {
    let plan = Plan(seed: 5, hours: 2)
    var first = World(plan: plan)
    var second = World(plan: plan)
    let one = first.run()
    let other = second.run()
    #expect(one.fingerprint == other.fingerprint)
    #expect(one.steps == other.steps)
  }

  @Test func `two seeds differ`() {
    var first = World(plan: Plan(seed: 1, hours: 1))
    var second = World(plan: Plan(seed: 2, hours: 1))
    #expect(first.run().fingerprint != second.run().fingerprint)
  }

  @Test func `a trace changes nothing`() {
    let plan = Plan(seed: 3, hours: 1)
    var silent = World(plan: plan)
    var lines = 0
    var traced = World(plan: plan) { _ in lines += 1 }
    #expect(silent.run().fingerprint == traced.run().fingerprint)
    #expect(lines > 1000)
  }
}
