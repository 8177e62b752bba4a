/// When each of a fixed number of places is due: the earliest of all is read at once, and who is
/// due is found without looking at the others.
///
/// A tree of minima over the places in their order. A change costs the logarithm of their number.
struct WakeTree: Hashable, Sendable {
  /// The minima, the root first; the leaves are the second half, `.never` of whom is never due.
  private var minima: [Moment]
  /// How many leaves there are: the next power of two.
  private let width: Int

  /// For so many places, none of which is due.
  init(count: Int) {
    var width = 1
    while width < count { width *= 2 }
    self.width = width
    minima = Array(repeating: .never, count: 2 * width)
  }

  /// The earliest moment at which a place is due; nil when none ever is.
  var earliest: Moment? { minima[1] == .never ? nil : minima[1] }

  /// Says when a place is due; nil for never.
  mutating func set(_ place: Int, to moment: Moment?) {
    var node = width + place
    let moment = moment ?? .never
    guard minima[node] != moment else { return }
    minima[node] = moment
    while node > 1 {
      node /= 2
      let least = min(minima[2 * node], minima[2 * node + 1])
      if minima[node] == least { return }
      minima[node] = least
    }
  }

  /// The first place from `start` on that is due by then; nil when there is none.
  func first(from start: Int, dueBy moment: Moment) -> Int? {
    guard start < width else { return nil }
    var node = width + start
    // Up to the next subtree on the right that has somebody who is due: what follows a right child
    // is what follows its parent, and nothing follows the root.
    while minima[node] > moment {
      while node % 2 == 1 { node /= 2 }
      guard node > 0 else { return nil }
      node += 1
    }
    // And down to the leftmost of them.
    while node < width { node = minima[2 * node] <= moment ? 2 * node : 2 * node + 1 }
    return node - width
  }
}

extension Moment {
  /// Later than every moment that comes.
  fileprivate static let never = Moment(nanoseconds: .max)
}
