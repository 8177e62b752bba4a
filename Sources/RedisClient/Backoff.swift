/// How long to wait before the next attempt: doubling, with jitter that only shortens.
package struct Backoff: Hashable, Sendable {
  /// The first wait, before jitter.
  package let initial: Duration
  /// No wait is longer.
  package let cap: Duration
  private var next: Duration

  package init(initial: Duration = .milliseconds(50), cap: Duration = .seconds(2)) {
    self.initial = initial
    self.cap = cap
    next = min(initial, cap)
  }

  /// The next wait: between half and all of the doubled one.
  ///
  /// Jitter never lengthens, since the promises about recovery count with the cap.
  package mutating func delay(using generator: inout some RandomNumberGenerator) -> Duration {
    defer { next = min(next * 2, cap) }
    // 53 bits are what a Double holds; `Double.random` would draw again and again from a generator
    // that always gives the same.
    let fraction = Double(generator.next() >> 11) / Double(1 << 53)
    return next * (0.5 + fraction / 2)
  }

  /// Begins anew: after a connection that has proved itself.
  package mutating func reset() { next = min(initial, cap) }

  /// Waits as long as it may from now on: for failures that pass only when somebody acts.
  package mutating func jumpToCap() { next = cap }
}
