/// What runs of two hours came to when this was last recorded.
///
/// Another protocol, or another model, gives other numbers: then the failing test prints the ones
/// to put here. A debug and a release build, and two processes, that differ are a defect.
package enum Recording {
  /// The fingerprint of each seed.
  package static let fingerprints: [(seed: UInt64, value: UInt64)] = [
    (1, 7_858_439_966_447_073_108),
    (2, 9_160_858_365_649_331_671),
    (3, 11_309_937_797_973_995_680),
    (5, 1_792_715_776_470_072_221),
    (8, 18_317_453_897_305_181_514),
  ]

  /// The runs that differ from the record: how each came out now.
  package static func differences() -> [(seed: UInt64, value: UInt64)] {
    fingerprints.compactMap { recorded in
      var world = World(plan: Plan(seed: recorded.seed, hours: 2))
      let value = world.run().fingerprint
      return value == recorded.value ? nil : (recorded.seed, value)
    }
  }

  /// A run that left version 1 with a dead token for minutes: one fault at a time, of one kind.
  package struct Regression: Sendable {
    package let seed: UInt64
    package let fault: Fault
    /// How long a token was dead, at worst.
    package let deadSeconds: Int

    package var plan: Plan { Plan(seed: seed, profile: .single, onlyFaults: [fault]) }
  }

  /// Forks of Redis, and WeChat that processes while its answers are lost.
  package static let regressions: [Regression] =
    [
      (5, 3961), (8, 1508), (9, 1177), (14, 1324), (19, 897), (21, 2119), (32, 2163), (39, 874),
      (49, 1790), (60, 1900),
    ].map { Regression(seed: $0.0, fault: .fork, deadSeconds: $0.1) }
    + [
      (1, 446), (8, 417), (9, 534), (12, 574), (15, 519), (16, 583), (20, 309), (25, 612),
      (36, 685), (39, 337),
    ].map { Regression(seed: $0.0, fault: .brownOut, deadSeconds: $0.1) }

  /// Those that break a rule now.
  package static func brokenAgain() -> [(regression: Regression, verdict: Verdict)] {
    regressions.compactMap { regression in
      var world = World(plan: regression.plan)
      let verdict = world.run()
      return verdict.violation == nil ? nil : (regression, verdict)
    }
  }
}
