import Testing

@Suite("Words of a source")
struct SwiftSourceTests {
  @Test func `the words of a source are told apart`() {
    let source = SwiftSource(
      #"""
      struct One: Two { // three
        static let four = "five \(six) \"seven\""
        enum Eight { case nine, ten(Eleven); indirect case twelve }
        func thirteen(_ fourteen: Int, fifteen: Int) { let local = self.sixteen ?? .seventeen }
      }
      extension One { var eighteen: Int { 1 }; let range = 0...nineteen }
      """#)
    #expect(
      source.declarations.map { "\($0.owner ?? "").\($0.name)" } == [
        ".One", "One.four", "One.Eight", "Eight.nine", "Eight.ten", "Eight.twelve", "One.thirteen",
        "One.eighteen", "One.range",
      ])
    #expect(
      source.declarations.map(\.kind) == [
        .type, .ofType, .type, .ofType, .ofType, .ofType, .ofValue, .ofValue, .ofValue,
      ])
    let named = ["Two", "six", "Eleven", "sixteen", "seventeen", "nineteen"]
    let used = source.uses.filter { named.contains($0.name) }
    #expect(used.map(\.name) == named)
    #expect(used.map(\.base) == [.none, .none, .none, .value, .nothing, .none])
    #expect(!source.uses.contains { ["three", "five", "seven", "fifteen"].contains($0.name) })
  }
}
