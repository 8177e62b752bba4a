import TokenCore

/// One row of the settings table: a name, from which every spelling follows by rule.
package struct Setting: Sendable, Hashable {
  /// What a value looks like; typed reading, messages and documentation follow from it.
  package enum Form: Sendable, Hashable {
    /// Free text, described for people.
    case text(String)
    /// Several with commas between them, described for people; in the file a list, too.
    case list(String)
    /// One of a few words.
    case oneOf([String])
    /// `500ms`, `15s`, `5m`, `2h`, within a range, or the word `off`.
    case duration(ClosedRange<Duration>, orOff: Bool = false)
    /// The path of a file.
    case path
    /// A program and its arguments: words with blanks between them, or a list.
    case command
  }

  /// The name in the file: camelCase, from which the variable and the flag are derived.
  package let name: String
  /// The variable: `redisCommandTimeout` becomes `WCH_REDIS_COMMAND_TIMEOUT`.
  package let environmentName: String
  /// The flag: `redisCommandTimeout` becomes `--redis-command-timeout`.
  package let flagName: String
  /// What a value looks like.
  package let form: Form
  /// The default, written as a user would write it; nil when there is none.
  package let fallback: String?
  /// One sentence for `--help` and the documentation.
  package let meaning: String
  /// Whether the value is kept out of flags and of everything that is shown.
  package let isSecret: Bool
  /// Whether the file may hold it (the file's own path may not be in the file).
  package let isAllowedInFile: Bool

  package init(
    _ name: String, _ form: Form, default fallback: String? = nil, secret: Bool = false,
    inFile: Bool = true, _ meaning: String
  ) {
    let words = Self.words(of: name)
    self.name = name
    environmentName = "WCH_" + words.map { $0.uppercased() }.joined(separator: "_")
    flagName = "--" + words.joined(separator: "-")
    self.form = form
    self.fallback = fallback
    self.meaning = meaning
    isSecret = secret
    isAllowedInFile = inFile
  }

  /// The setting that names a file with this secret; nil for what is not secret.
  package var fileTwin: Setting? {
    guard isSecret else { return nil }
    return Setting(
      name + "File", .path, "A file with `\(environmentName)`; read again when it changes.")
  }

  /// A name's words in lower case: a capital letter begins a new one.
  private static func words(of name: String) -> [String] {
    var words = [""]
    for character in name {
      if character.isUppercase { words.append("") }
      words[words.count - 1] += character.lowercased()
    }
    return words
  }
}

extension Setting.Form: CustomStringConvertible {
  /// What would be right, for messages and documentation.
  package var description: String {
    switch self {
    case .text(let shape), .list(let shape): shape
    case .oneOf(let words): words.map { "`\($0)`" }.joined(separator: " or ")
    case .duration(let range, let orOff):
      "a duration from `\(range.lowerBound.written)` to `\(range.upperBound.written)`"
        + (orOff ? ", or `off`" : "")
    case .path: "the path of a file"
    case .command:
      "a program with arguments, best as a list: `[\"/usr/bin/program\", \"argument\"]`"
    }
  }
}
