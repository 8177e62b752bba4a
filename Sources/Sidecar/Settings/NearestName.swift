/// Longer names are compared by their beginning: the work is the product of the two lengths.
private let comparedLength = 64

/// The candidate that is the fewest edits away from a mistyped name; nil without candidates.
///
/// - Parameters:
///   - name: what was written.
///   - candidates: the known names; among equals the first wins.
func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
  let letters = comparedLetters(of: name)
  return candidates.map { ($0, editDistance(letters, comparedLetters(of: $0))) }
    .min { $0.1 < $1.1 }?.0
}

/// Cut before it is lowercased: a name may be as long as a command line.
private func comparedLetters(of name: String) -> [UInt8] {
  Array(String(name.prefix(comparedLength)).lowercased().utf8.prefix(comparedLength))
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from one to the other.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  // Three rows of the table, used again and again.
  var beforeLast = Array(0...b.count)
  var last = beforeLast
  var row = beforeLast
  for i in a.indices {
    row[0] = i + 1
    for j in b.indices {
      var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        cost = min(cost, beforeLast[j - 1] + 1)
      }
      row[j + 1] = cost
    }
    swap(&beforeLast, &last)
    swap(&last, &row)
  }
  return last[b.count]
}
