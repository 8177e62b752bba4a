import Testing

/// What must not be, and the seed that shows it.
struct Contradiction: Sendable {
  let seed: UInt64
  /// The same words for the same kind.
  let problem: String
  let detail: String
}

extension [Contradiction] {
  /// Fails the test for each kind, with the first seed that shows it.
  func report(sourceLocation: SourceLocation = #_sourceLocation) {
    for (problem, found) in Dictionary(grouping: self, by: \.problem).sorted(by: { $0.key < $1.key }
    ) {
      guard let first = found.min(by: { $0.seed < $1.seed }) else { continue }
      Issue.record(
        "\(problem), \(found.count) times, first with seed \(first.seed): \(first.detail)",
        sourceLocation: sourceLocation)
    }
  }
}
