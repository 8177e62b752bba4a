import ArgumentParser
import Sidecar

/// A verb that settings may follow as flags, before and behind its own options.
protocol SettingsVerb: ParsableCommand {
  /// The settings that it reads.
  static var settings: [Setting] { get }
  /// Its own options, as they are declared.
  static var options: [OwnOption] { get }
  /// Whether it asks the daemon for what needs the bearer.
  static var isGuarded: Bool { get }
  /// What stands behind the verb beside its own options.
  var flags: [String] { get }
}

/// An option of a verb's own.
struct OwnOption {
  /// As it is typed: `--output`.
  let name: String
  let takesValue: Bool
  /// The same in short: `-o`.
  var short: String?
  /// The words that its value may be, when they are a few.
  var choices: [String]?
}

extension SettingsVerb {
  static var settings: [Setting] { Setting.table }
  static var options: [OwnOption] { declared }
  static var isGuarded: Bool { false }

  /// Its own options, for whoever mistypes one.
  var names: [String] { flags.isEmpty ? [] : Self.options.map(\.name) }

  /// What the properties of the verb declare: `rejectedStdin` is `--rejected-stdin`.
  static var declared: [OwnOption] {
    Mirror(reflecting: Self()).children.compactMap { label, value in
      guard let label, label.hasPrefix("_"), !(value is Argument<[String]>) else { return nil }
      let words = label.dropFirst().map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }
      return OwnOption(name: "--" + words.joined(), takesValue: !(value is Flag<Bool>))
    }
  }

  /// The words behind the verb, with those of its own options before all others.
  ///
  /// ArgumentParser takes no option that stands behind a setting, since it knows no settings.
  ///
  /// - Throws: `Failure` when such an option has a value too much, too little or unknown.
  fileprivate static func sorted(_ words: [String]) throws(Failure) -> [String] {
    let options = options
    var rest = words
    var own: [String] = []
    while let word = rest.first,
      let option = options.first(where: { $0.begins(word, orShort: true) })
    {
      let isWhole = option.takesValue && !word.contains("=")
      own += rest.prefix(isWhole ? 2 : 1)
      rest.removeFirst(min(isWhole ? 2 : 1, rest.count))
    }
    for option in options { own += try take(option, from: &rest) }
    return own + rest
  }

  /// Takes an option out, written `--name value` or `--name=value`.
  private static func take(
    _ option: OwnOption, from rest: inout [String]
  ) throws(Failure) -> [String] {
    func failure(_ text: String) -> Failure {
      Failure(.usage, "wch-sidecar \(_commandName): \(option.name) \(text)")
    }
    var own: [String] = []
    while let index = rest.firstIndex(where: { option.begins($0) }) {
      let word = rest.remove(at: index)
      var value =
        word.hasPrefix("--") ? word.firstIndex(of: "=").map { word[$0...].dropFirst() } : nil
      guard option.takesValue else {
        guard value == nil else { throw failure("takes no value") }
        own.append(word)
        continue
      }
      if value == nil, index < rest.count, !rest[index].hasPrefix("--") {
        value = rest.remove(at: index)[...]
      }
      guard let value else { throw failure("needs a value") }
      if let choices = option.choices, !choices.contains(String(value)) {
        throw failure("takes \(choices.joined(separator: " or ")), not \"\(value)\"")
      }
      // ArgumentParser takes an empty value only by itself, and one that begins with - only joined.
      own += value.isEmpty ? [option.name, ""] : ["\(option.name)=\(value)"]
    }
    return own
  }
}

extension OwnOption {
  fileprivate func begins(_ word: String, orShort: Bool = false) -> Bool {
    word == name || word.hasPrefix(name + "=") || word == short
      || orShort && short.map { word.hasPrefix($0 + "=") } == true
  }
}

extension Root {
  /// The verb of that name, when settings may follow it.
  static func settingsVerb(_ name: String) -> (any SettingsVerb.Type)? {
    configuration.subcommands.first { $0._commandName == name } as? any SettingsVerb.Type
  }

  /// The program's words as ArgumentParser takes them.
  static func sorted(_ words: [String]) throws(Failure) -> [String] {
    guard let name = words.first, let verb = settingsVerb(name) else { return words }
    return [name] + (try verb.sorted(Array(words.dropFirst())))
  }
}
