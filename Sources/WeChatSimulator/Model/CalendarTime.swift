/// Milliseconds since 1970-01-01 00:00 UTC on the simulated server's clock.
public typealias Milliseconds = Int64

/// An HTTP date such as `Tue, 08 Aug 2023 08:56:10 GMT`.
func httpDate(_ time: Milliseconds) -> String {
  let seconds = time.flooredQuotient(by: 1000)
  let days = seconds.flooredQuotient(by: 86_400)
  let clock = seconds - days * 86_400
  let (year, month, day) = civil(days: days)
  let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
  let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
  let weekday = weekdays[Int(days - days.flooredQuotient(by: 7) * 7)]
  return "\(weekday), \(two(day)) \(months[Int(month) - 1]) \(year) "
    + "\(two(clock / 3600)):\(two(clock / 60 % 60)):\(two(clock % 60)) GMT"
}

/// The number of a calendar month since year 0, which is when monthly credits are renewed.
func monthNumber(_ time: Milliseconds) -> Int64 {
  let (year, month, _) = civil(days: time.flooredQuotient(by: 86_400_000))
  return year * 12 + month
}

private func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }

/// Year, month and day of a count of days since 1970, in the Gregorian calendar.
///
/// Counts in cycles of 400 years (146 097 days) from the first of March of year 0, so that the
/// leap day is the last of its year.
private func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
  let shifted = days + 719_468
  let cycle = shifted.flooredQuotient(by: 146_097)
  let inCycle = shifted - cycle * 146_097
  let year = (inCycle - inCycle / 1460 + inCycle / 36_524 - inCycle / 146_096) / 365
  let inYear = inCycle - (365 * year + year / 4 - year / 100)
  let marchMonth = (5 * inYear + 2) / 153
  let day = inYear - (153 * marchMonth + 2) / 5 + 1
  let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
  return (year + cycle * 400 + (month <= 2 ? 1 : 0), month, day)
}

extension Int64 {
  /// The quotient rounded toward negative infinity.
  func flooredQuotient(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
