import FoundationEssentials

/// An instant by the wall clock, for logs and pages; no decision is taken by it.
package struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Milliseconds since 1970-01-01 00:00 UTC.
  package let milliseconds: Int64

  package init(milliseconds: Int64) { self.milliseconds = milliseconds }

  package init(second: Int64) { milliseconds = second * 1000 }

  /// The wall clock now.
  package static var now: Timestamp {
    Timestamp(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
  }

  /// The Unix second, rounded down.
  package var second: Int64 { Int64((Double(milliseconds) / 1000).rounded(.down)) }

  package static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

  /// RFC 3339 in UTC with milliseconds: `2024-02-29T23:59:59.007Z`.
  package var description: String {
    let day = milliseconds.flooredQuotient(by: 86_400_000)
    let inDay = milliseconds - day * 86_400_000
    let date = CivilDate(dayNumber: day)
    let (hour, minute) = (inDay / 3_600_000, inDay / 60_000 % 60)
    let (second, millisecond) = (inDay / 1000 % 60, inDay % 1000)
    return "\(digits(date.year, 4))-\(digits(date.month, 2))-\(digits(date.day, 2))"
      + "T\(digits(hour, 2)):\(digits(minute, 2)):\(digits(second, 2)).\(digits(millisecond, 3))Z"
  }
}

private func digits(_ number: Int64, _ count: Int) -> String {
  let text = String(number)
  return String(repeating: "0", count: max(0, count - text.count)) + text
}
