import FoundationEssentials

/// A program that is run for each new token and ticket.
package struct HookTarget: Hashable, Sendable {
  /// Where it is run.
  package enum Scope: String, Hashable, Sendable {
    case leader, all
  }

  /// The program's path, and its arguments as they were given.
  package let command: [String]
  package let scope: Scope

  package init(command: [String], scope: Scope = .leader) {
    self.command = command
    self.scope = scope
  }

  /// The program.
  package var program: String { command.first ?? "" }

  /// What stands for the kind of credential in arguments.
  private static let kindMark = "{kind}"

  /// The program and its arguments, about that credential.
  package func words(account: String, kind: String) -> [String] {
    command.prefix(1)
      + command.dropFirst().map {
        $0.replacing(FileTarget.accountMark, with: account).replacing(Self.kindMark, with: kind)
      }
  }
}

/// How a program and its arguments are written in one text.
///
/// A list of JSON5 when it begins with `[`; else words with blanks between them. No shell ever
/// reads it: what only means something to a shell is refused, since whoever writes it expects one.
enum CommandText {
  /// More arguments than these are a mistake.
  static let mostWords = 64
  /// Bytes of one.
  static let longestWord = 4096

  private static let shellCharacters: Set<Character> = [
    "'", "\"", "\\", "$", "`", "|", "&", ";", "<", ">", "(", ")", "*", "?", "\n", "\r\n",
  ]

  /// Words as the list that this reads.
  static func written(_ words: [String]) -> String { JSONText.value(words) }

  /// - Throws: `FileProblem` with what is wrong.
  static func words(_ text: String) throws(FileProblem) -> [String] {
    let words = text.hasPrefix("[") ? try list(text) : try plain(text)
    guard let program = words.first, !program.isEmpty else {
      throw FileProblem("names no program: give \(Setting.exec.form)")
    }
    guard words.count <= mostWords else {
      throw FileProblem("has \(words.count) words: at most \(mostWords) are possible")
    }
    guard words.allSatisfy({ $0.utf8.count <= longestWord && !$0.utf8.contains(0) }) else {
      throw FileProblem("has an argument of more than \(longestWord) bytes, or with a zero byte")
    }
    return words
  }

  private static func list(_ text: String) throws(FileProblem) -> [String] {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    // The decoder's own words are not shown: what it quotes could be a secret.
    guard let words = try? decoder.decode([String].self, from: Data(text.utf8)) else {
      throw FileProblem(
        "begins with `[` and is no list of texts such as `[\"/usr/bin/program\", \"argument\"]`")
    }
    return words
  }

  private static func plain(_ text: String) throws(FileProblem) -> [String] {
    if let strange = text.first(where: shellCharacters.contains) {
      throw FileProblem(
        "has \(quoted(String(strange))), and no shell reads it: write a list,"
          + " `[\"/usr/bin/program\", \"argument\"]`, or name a script")
    }
    return text.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
  }
}
