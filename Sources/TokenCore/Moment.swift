/// An instant on one replica's own clock, counted from an arbitrary origin.
///
/// The clock keeps counting while the machine sleeps (`ContinuousClock` on Linux is
/// `CLOCK_BOOTTIME`). Moments of two replicas are never compared: between hosts only durations
/// and Redis's `TIME` mean anything (TokenCore.md#timing).
package struct Moment: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Nanoseconds since the origin of this replica's clock.
  package var nanoseconds: Int64

  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The origin of the clock.
  package static let origin = Moment(nanoseconds: 0)

  package static func < (a: Moment, b: Moment) -> Bool { a.nanoseconds < b.nanoseconds }

  package static func + (moment: Moment, span: Duration) -> Moment {
    Moment(nanoseconds: moment.nanoseconds + span.wholeNanoseconds)
  }

  package static func - (moment: Moment, span: Duration) -> Moment {
    Moment(nanoseconds: moment.nanoseconds - span.wholeNanoseconds)
  }

  package static func - (later: Moment, earlier: Moment) -> Duration {
    .nanoseconds(later.nanoseconds - earlier.nanoseconds)
  }

  package var description: String { "\(Double(nanoseconds / 1_000_000) / 1000)s" }
}

extension Duration {
  /// The duration in nanoseconds, clamped to what 64 bits hold (292 years).
  package var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    guard abs(seconds) < 9_000_000_000 else { return seconds < 0 ? .min / 2 : .max / 2 }
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }

  /// The duration in milliseconds, rounded toward zero.
  package var wholeMilliseconds: Int64 { wholeNanoseconds / 1_000_000 }

  /// The duration in seconds.
  package var inSeconds: Double { Double(wholeNanoseconds) / 1e9 }
}

/// Redis's own clock: milliseconds since 1970, as `TIME` tells it inside a script.
package struct RedisTime: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Milliseconds since 1970-01-01 00:00 UTC.
  package var milliseconds: Int64

  package init(milliseconds: Int64) { self.milliseconds = milliseconds }

  package static func < (a: RedisTime, b: RedisTime) -> Bool { a.milliseconds < b.milliseconds }

  package static func + (time: RedisTime, span: Duration) -> RedisTime {
    RedisTime(milliseconds: time.milliseconds + span.wholeMilliseconds)
  }

  package static func - (time: RedisTime, span: Duration) -> RedisTime {
    RedisTime(milliseconds: time.milliseconds - span.wholeMilliseconds)
  }

  package static func - (later: RedisTime, earlier: RedisTime) -> Duration {
    .milliseconds(later.milliseconds - earlier.milliseconds)
  }

  package var description: String { "\(milliseconds)" }
}
