import Synchronization

/// A fixed number of places, for what may not be done by any number at once.
final class Places: Sendable {
  /// A place that somebody has taken; left once.
  struct Place: Sendable {
    fileprivate let places: Places

    func leave() { places.taken.withLock { $0 -= 1 } }
  }

  private let count: Int
  private let taken = Mutex(0)

  init(_ count: Int) { self.count = count }

  /// A place, or nil when all are taken.
  func enter() -> Place? {
    taken.withLock { taken in
      guard taken < count else { return nil }
      taken += 1
      return Place(places: self)
    }
  }
}
