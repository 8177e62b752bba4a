/// Reads the `Date` header of an answer (RFC 9110 section 5.6.7, the preferred form).
package enum HTTPDate {
  /// The Unix second of a date such as `Tue, 08 Aug 2023 08:56:10 GMT`, nil for anything else.
  ///
  /// Dashes between day, month and year are taken as well, as WeChat once wrote them.
  package static func second(of text: String) -> Int64? {
    let parts = text.split { $0 == " " || $0 == "," || $0 == "-" }
    guard parts.count == 6, parts[5] == "GMT", let day = Int64(parts[1]),
      let month = months.firstIndex(of: String(parts[2])), let year = Int64(parts[3]),
      (1...31).contains(day), (1970...9999).contains(year)
    else { return nil }
    let clock = parts[4].split(separator: ":").compactMap { Int64($0) }
    guard clock.count == 3, (0..<24).contains(clock[0]), (0..<60).contains(clock[1]),
      (0...60).contains(clock[2])
    else { return nil }
    let days = CivilDate(year: year, month: Int64(month) + 1, day: day).dayNumber
    return days * 86_400 + clock[0] * 3600 + clock[1] * 60 + clock[2]
  }

  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
}
