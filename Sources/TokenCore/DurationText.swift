/// The units that a duration is written in, largest first.
private let units: [(name: String, milliseconds: Int64)] = [
  ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
]

extension Duration {
  /// Reads `500ms`, `15s`, `5m`, `2h`: digits and a unit, nothing else.
  ///
  /// Nil for anything else; a number without a unit could mean seconds or milliseconds.
  package init?(written text: String) {
    let digits = text.utf8.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    // Nine digits are eleven days in milliseconds and never overflow in hours.
    guard (1...9).contains(digits.count), let number = Int64(String(digits) ?? ""),
      let unit = units.first(where: { $0.name == text.dropFirst(digits.count) })
    else { return nil }
    self = .milliseconds(number * unit.milliseconds)
  }

  /// The duration as people write it: `250ms`, `1.5s`, `90s`, `5m`, `2h` (to the millisecond).
  package var written: String {
    let (seconds, attoseconds) = components
    let total = seconds * 1000 + attoseconds / 1_000_000_000_000_000
    let size = abs(total)
    switch size {
    case 0: return "0s"
    case 3_600_000... where size % 3_600_000 == 0: return "\(total / 3_600_000)h"
    case 300_000... where size % 60_000 == 0: return "\(total / 60_000)m"
    case ..<1000: return "\(total)ms"
    default:
      let fraction = String(1000 + size % 1000).dropFirst()
      let shown = fraction.trimmingSuffix("0")
      return "\(total < 0 ? "-" : "")\(size / 1000)\(shown.isEmpty ? "" : ".")\(shown)s"
    }
  }
}

extension Substring {
  /// The text without the given character at its end.
  fileprivate func trimmingSuffix(_ character: Character) -> Substring {
    var rest = self
    while rest.last == character { rest.removeLast() }
    return rest
  }
}
