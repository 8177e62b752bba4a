/// The simulation's only source of chance: small, fast, and the same everywhere.
///
/// The algorithm is Steele, Lea and Flood's SplitMix64 (OOPSLA 2014). All draws are integers, so
/// that debug and release builds agree to the last bit.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
    return bits ^ (bits >> 31)
  }

  /// A number from 0 up to, and without, the bound.
  package mutating func below(_ bound: Int64) -> Int64 {
    Int64(next().multipliedFullWidth(by: UInt64(max(bound, 1))).high)
  }

  /// A number of the range, both ends included.
  package mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + below(range.upperBound - range.lowerBound + 1)
  }

  /// True so many times in a million.
  package mutating func chance(perMillion: Int64) -> Bool {
    perMillion > 0 && below(1_000_000) < perMillion
  }

  /// True so many times in a hundred.
  package mutating func percent(_ percent: Int64) -> Bool { chance(perMillion: percent * 10_000) }

  /// One of the elements, each as likely.
  package mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[Int(below(Int64(elements.count)))]
  }
}
