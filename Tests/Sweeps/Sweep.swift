/// A kind of hostile input, made from a seed, and what must hold of it whatever it is.
package enum Sweep: String, CaseIterable, Sendable {
  /// Mutated replies of Redis: the pieces in which bytes arrive change nothing.
  case codec
  /// Mutated URLs of Redis: no password shows, and what is shown reads back as the same.
  case urls
  /// Mutated flags, variables and files: they load or say what is wrong, and show no secret.
  case settings

  /// Makes the input of a seed and judges it.
  ///
  /// - Returns: what does not hold; nil when all is well.
  package func contradiction(seed: UInt64) -> String? {
    switch self {
    case .codec: codecContradiction(seed: seed)
    case .urls: urlContradiction(seed: seed)
    case .settings: settingsContradiction(seed: seed)
    }
  }

  /// The first contradictions of many seeds, at most ten.
  package func contradictions(of seeds: some Sequence<UInt64>) -> [String] {
    var found: [String] = []
    for seed in seeds where found.count < 10 {
      if let contradiction = contradiction(seed: seed) {
        found.append("\(rawValue), seed \(seed): \(contradiction)")
      }
    }
    return found
  }
}
