import Sweeps
import Testing

/// A few of the inputs in each run of the tests; `deploy/test sweep` tries a million.
@Suite("Sweeps of hostile inputs")
struct SweepTests {
  @Test("nothing crashes, nothing is misread and no secret shows", arguments: Sweep.allCases)
  func holds(sweep: Sweep) {
    #expect(sweep.contradictions(of: 1...(sweep == .settings ? 1000 : 5000)) == [])
  }
}
