package import TokenCore

/// This process's clock for everything that `TokenCore` decides.
///
/// It keeps counting while the machine sleeps, and no step of the wall clock moves it.
package struct MonotonicClock {
  /// A second before its first use, so that an instant taken just before that isn't negative.
  private static let start = ContinuousClock.now - .seconds(1)

  /// The time now, counted from about the first use of the clock in this process.
  package static func now() -> Moment { moment(of: .now) }

  /// The same instant on this process's clock.
  package static func moment(of instant: ContinuousClock.Instant) -> Moment {
    Moment.origin + (instant - start)
  }

  /// The instant of Swift's clock that a moment of this process is.
  package static func instant(of moment: Moment) -> ContinuousClock.Instant {
    start + (moment - .origin)
  }
}
