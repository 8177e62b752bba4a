/// A date of the Gregorian calendar, and its day counted from 1970-01-01.
///
/// Years begin in March here, so that the leap day is the last of its year; eras are 400 years,
/// after which the calendar repeats.
struct CivilDate: Hashable {
  let year: Int64
  let month: Int64
  let day: Int64

  private static let daysInEra: Int64 = 146_097
  /// The day of 0000-03-01 is so many before the one that is counted from.
  private static let firstDay: Int64 = 719_468

  init(year: Int64, month: Int64, day: Int64) {
    (self.year, self.month, self.day) = (year, month, day)
  }

  init(dayNumber: Int64) {
    let day = dayNumber + Self.firstDay
    let era = day.flooredQuotient(by: Self.daysInEra)
    let dayOfEra = day - era * Self.daysInEra
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / (Self.daysInEra - 1)) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    self.day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
  }

  /// Of a year that is not negative.
  var dayNumber: Int64 {
    let (year, month) = month > 2 ? (year, month - 3) : (year - 1, month + 9)
    let leapDays = year / 4 - year / 100 + year / 400
    return 365 * year + leapDays + (153 * month + 2) / 5 + day - 1 - Self.firstDay
  }
}

extension Int64 {
  /// The quotient rounded toward negative infinity.
  func flooredQuotient(by divisor: Int64) -> Int64 {
    (self - (self % divisor + divisor) % divisor) / divisor
  }
}
