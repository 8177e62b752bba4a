/// Longer names are compared by their beginning: the work is the product of the two lengths.
private let comparedLength = 64

/// The candidate that is the fewest edits away from a mistyped name; nil without candidates.
///
/// - Parameters:
///   - name: what was written.
///   - candidates: the known names; among equals the first wins.
func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
  candidates.map { ($0, editDistance(name, $0)) }.min { $0.1 < $1.1 }?.0
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from one to the other.
private func editDistance(_ first: String, _ second: String) -> Int {
  let a = Array(first.lowercased().utf8.prefix(comparedLength))
  let b = Array(second.lowercased().utf8.prefix(comparedLength))
  var beforeLast = [Int]()
  var last = Array(0...b.count)
  for i in a.indices {
    var row = [i + 1]
    for j in b.indices {
      var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        cost = min(cost, beforeLast[j - 1] + 1)
      }
      row.append(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.count]
}
