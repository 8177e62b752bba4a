/// The simulated server's clock: it can be moved on, stopped and hurried.
public struct VirtualClock: Sendable {
  private var anchor: ContinuousClock.Instant
  private var reading: Milliseconds
  /// How many milliseconds pass in a real one; 0 while it stands.
  public private(set) var rate: Double

  /// A day in less than a tenth of a second: faster than anybody can watch, and far from overflow.
  public static let maxRate = 1_000_000.0

  /// A clock that shows that time at the instant.
  public init(
    showing reading: Milliseconds, at instant: ContinuousClock.Instant, rate: Double = 1
  ) {
    anchor = instant
    self.reading = reading
    self.rate = Self.limited(rate)
  }

  /// What the clock shows.
  public func time(at instant: ContinuousClock.Instant) -> Milliseconds {
    reading + Milliseconds(milliseconds(from: anchor, to: instant) * rate)
  }

  /// Moves the clock on by that many milliseconds, at once.
  public mutating func advance(by span: Milliseconds, at instant: ContinuousClock.Instant) {
    settle(at: instant)
    reading += max(0, span)
  }

  /// Lets the clock run at another rate, at most ``maxRate``; 0 stops it.
  public mutating func setRate(_ rate: Double, at instant: ContinuousClock.Instant) {
    settle(at: instant)
    self.rate = Self.limited(rate)
  }

  private static func limited(_ rate: Double) -> Double { min(max(0, rate), maxRate) }

  private mutating func settle(at instant: ContinuousClock.Instant) {
    reading = time(at: instant)
    anchor = instant
  }

  private func milliseconds(
    from start: ContinuousClock.Instant, to end: ContinuousClock.Instant
  ) -> Double {
    let (seconds, attoseconds) = (end - start).components
    return Double(seconds) * 1000 + Double(attoseconds) / 1e15
  }
}
