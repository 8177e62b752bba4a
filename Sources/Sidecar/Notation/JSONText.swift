import FoundationEssentials

/// Values as text of JSON.
package enum JSONText {
  /// One of our own values, its members in the order of their names.
  ///
  /// - Parameter isForPeople: on lines of its own, as in a file under version control.
  package static func value(_ value: some Encodable, isForPeople: Bool = false) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if isForPeople { encoder.outputFormatting.insert(.prettyPrinted) }
    guard let data = try? encoder.encode(value) else {
      preconditionFailure("our own values of strings and numbers always encode")
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// A string in quotes, with everything escaped that JSON or a line-reader would trip over.
  static func string(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
