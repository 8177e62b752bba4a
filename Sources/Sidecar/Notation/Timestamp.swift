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
    let day = floorDivide(milliseconds, 86_400_000)
    let inDay = milliseconds - day * 86_400_000
    let date = civilDate(dayNumber: day)
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

private func floorDivide(_ number: Int64, _ divisor: Int64) -> Int64 {
  (number - (number % divisor + divisor) % divisor) / divisor
}

/// The Gregorian date of a day counted from 1970-01-01.
///
/// Years begin in March here, so that the leap day is the last of its year; eras are 400 years,
/// after which the calendar repeats.
private func civilDate(dayNumber: Int64) -> (year: Int64, month: Int64, day: Int64) {
  let daysInEra: Int64 = 146_097
  // 0000-03-01 is 719468 days before 1970-01-01.
  let day = dayNumber + 719_468
  let era = floorDivide(day, daysInEra)
  let dayOfEra = day - era * daysInEra
  let yearOfEra =
    (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / (daysInEra - 1)) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let marchMonth = (5 * dayOfYear + 2) / 153
  let dayOfMonth = dayOfYear - (153 * marchMonth + 2) / 5 + 1
  let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  return (year, month, dayOfMonth)
}
