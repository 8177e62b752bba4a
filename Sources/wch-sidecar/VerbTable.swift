import ArgumentParser
import FoundationEssentials
import Sidecar

/// The verbs with their options, as ArgumentParser has them, and the settings that each reads: the
/// one source of the completion scripts and the manual page.
struct VerbTable {
  /// One verb.
  struct Verb: Decodable {
    let commandName: String
    let abstract: String?
    let discussion: String?
    let arguments: [Option]?

    /// The options that people give, help apart.
    var options: [Option] {
      (arguments ?? []).filter { option in
        option.shouldDisplay && option.kind != "positional" && !option.words.contains("--help")
          && !option.words.contains("--version")
      }
    }

    /// The words that may stand behind it.
    var choices: [String] {
      (arguments ?? []).filter { $0.kind == "positional" }.flatMap { $0.allValues ?? [] }
    }

    /// Whether it asks for what needs the bearer.
    var isGuarded: Bool { type?.isGuarded ?? false }

    private var type: (any SettingsVerb.Type)? { Root.settingsVerb(commandName) }

    /// The settings that may follow as flags.
    var settings: [Setting] {
      let flags = Set(type?.settings.map(\.name) ?? [])
      return Setting.flags.filter { flags.contains($0.name) }
    }
  }

  /// An option of a verb's own.
  struct Option: Decodable {
    struct Name: Decodable {
      let kind: String
      let name: String
    }
    let kind: String
    let shouldDisplay: Bool
    let names: [Name]?
    let valueName: String?
    let defaultValue: String?
    let allValues: [String]?
    let abstract: String?

    /// As they are typed: `-o`, `--output`.
    var words: [String] { (names ?? []).map { ($0.kind == "short" ? "-" : "--") + $0.name } }
    var takesValue: Bool { kind == "option" }
  }

  private struct Tool: Decodable {
    struct Command: Decodable {
      let abstract: String?
      let discussion: String?
      let subcommands: [Verb]?
    }
    let command: Command
  }

  let abstract: String
  let discussion: String
  let verbs: [Verb]

  init() throws {
    let tool: Tool
    do {
      tool = try JSONDecoder().decode(Tool.self, from: Data(Root._dumpHelp().utf8))
    } catch {
      throw Failure(.failed, "wch-sidecar: the table of verbs cannot be read: \(error)")
    }
    abstract = tool.command.abstract ?? ""
    discussion = tool.command.discussion ?? ""
    verbs = (tool.command.subcommands ?? []).filter { $0.commandName != "help" }
  }
}

extension Setting.Form {
  /// The words that a value may be, when they are a few.
  var choices: [String] {
    switch self {
    case .oneOf(let words): words
    case .duration(_, let orOff): orOff ? ["off"] : []
    case .text, .list, .path, .command: []
    }
  }
}
