/// Where a value came from.
package enum Origin: Hashable, Sendable, CustomStringConvertible {
  /// A flag, as spelled: `--lease`.
  case flag(String)
  /// An argument that is no flag, by its position from 1: it may be a secret that lost its flag.
  case argument(Int)
  /// An environment variable.
  case environment(String)
  /// A key of the configuration file; a nested one is written `accounts.shop.appid`.
  case file(path: String, key: String)
  /// A file as a whole: the configuration file, or one that holds a secret.
  case wholeFile(String)
  /// A directory with accounts, or of one.
  case directory(String)
  /// The table's default.
  case fallback
  /// Several settings together.
  case combination

  package var description: String {
    switch self {
    case .flag(let name): "flag \(name)"
    case .argument(let position): "argument \(position)"
    case .environment(let name): "environment variable \(name)"
    case .file(let path, let key): "file \(RedactedURL.shown(path)), key \(key)"
    case .wholeFile(let path): "file \(RedactedURL.shown(path))"
    case .directory(let path): "directory \(RedactedURL.shown(path))"
    case .fallback: "default"
    case .combination: "settings"
    }
  }
}

/// One thing wrong with the settings: where it came from, what is wrong, what would be right.
package struct SettingsProblem: Hashable, Sendable, CustomStringConvertible {
  /// Where the value, or the unknown name, was found.
  package let origin: Origin
  /// What is wrong and what would be right; never with a secret.
  package let message: String

  package init(_ origin: Origin, _ message: String) {
    self.origin = origin
    self.message = message
  }

  package var description: String { "\(origin): \(message)" }
}

/// The settings cannot be used: every problem at once (exit code 78).
package struct SettingsError: Error, Hashable, CustomStringConvertible {
  /// At least one, in the order flags, environment, file, combinations.
  package let problems: [SettingsProblem]

  package var description: String {
    let count = problems.count == 1 ? "1 problem" : "\(problems.count) problems"
    return "the settings have \(count):\n"
      + problems.map { "  - \($0)" }.joined(separator: "\n")
  }
}

/// Text of a user's in a message: quoted, printable, short, and without the password of a URL.
func quoted(_ text: String) -> String {
  let limit = 80
  let text = RedactedURL.shown(text, isWrong: true)
  let shown = text.unicodeScalars.prefix(limit).map { scalar in
    scalar.properties.generalCategory == .control
      ? "\\u{\(String(scalar.value, radix: 16))}"
      : String(scalar)
  }
  return "`" + shown.joined() + (text.unicodeScalars.count > limit ? "…" : "") + "`"
}
