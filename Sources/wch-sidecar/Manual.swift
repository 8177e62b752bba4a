import ArgumentParser
import Sidecar

/// `manual`: the manual page `wch-sidecar.1`.
struct Manual: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the manual page, in the form that man reads.",
    discussion: "`wch-sidecar manual | man -l -` shows it; its place is man1/wch-sidecar.1.")

  func run() throws { print(ManualPage(try VerbTable()).text, terminator: "") }
}

/// The page in the macros of `man`.
struct ManualPage {
  let text: String

  init(_ table: VerbTable) {
    var lines = [
      ".TH WCH\\-SIDECAR 1 \"\" \"wch\\-sidecar \(Version.current)\" \"User Commands\"",
      ".SH NAME",
      "wch\\-sidecar \\- " + Self.escaped(Self.uncapitalized(table.abstract)),
      ".SH SYNOPSIS", ".B wch\\-sidecar", "[\\fIverb\\fR] [\\fIoptions\\fR] [\\fIsettings\\fR]",
      ".SH DESCRIPTION", Self.escaped(table.discussion),
      ".PP",
      "Without a verb it runs the daemon. Settings follow a verb as flags, \\fB\\-\\-name\\fR"
        + " \\fIvalue\\fR or \\fB\\-\\-name=\\fIvalue\\fR, before or behind the verb's own"
        + " options.",
      ".SH VERBS",
    ]
    for verb in table.verbs {
      lines += [".SS \(Self.escaped(verb.commandName))", Self.escaped(verb.abstract ?? "")]
      if let discussion = verb.discussion, !discussion.isEmpty {
        lines += [".PP", Self.escaped(discussion)]
      }
      for option in verb.options {
        let words = option.words.map { "\\fB\(Self.escaped($0))\\fR" }.joined(separator: ", ")
        let value = option.takesValue ? " \\fI\(Self.escaped(option.valueName ?? "value"))\\fR" : ""
        lines += [
          ".TP", words + value,
          Self.escaped((option.abstract ?? "").isEmpty ? "See above." : option.abstract ?? "")
            + (option.defaultValue.map { " The default is \(Self.escaped($0))." } ?? ""),
        ]
      }
      switch verb.settings.count {
      case 0: break
      case Setting.flags.count: lines += [".PP", "Takes all settings."]
      default:
        let names = verb.settings.map { "\\fB\(Self.escaped($0.flagName))\\fR" }
        lines += [
          ".PP",
          "Reads only these settings, and minds no others: \(names.joined(separator: ", "))"
            + (verb.isGuarded ? ", and the bearer." : "."),
        ]
      }
    }
    lines += [
      ".SH SETTINGS",
      "By flag, by environment variable or in the JSON5 file of \\fB\\-\\-config\\fR, in this"
        + " order. No flag carries a secret.",
    ]
    for setting in Setting.table {
      let names =
        (setting.isSecret ? [] : [setting.flagName]) + [setting.environmentName]
        + (setting.isAllowedInFile ? [setting.name] : [])
      lines += [
        ".TP", names.map { "\\fB\(Self.escaped($0))\\fR" }.joined(separator: ", "),
        Self.escaped(setting.meaning),
        ".br",
        "Takes " + Self.escaped("\(setting.form)")
          + (setting.fallback.map { "; the default is \(Self.escaped($0))." } ?? "."),
      ]
    }
    lines += [".SH EXIT STATUS"]
    for status in ExitStatus.allCases {
      lines += [".TP", "\\fB\(status.rawValue)\\fR", Self.escaped(status.meaning.english)]
    }
    text = lines.joined(separator: "\n") + "\n"
  }

  /// A text as `man` shows it, backquotes as bold; a line must not begin as a request does.
  private static func escaped(_ text: String) -> String {
    var result = ""
    var isBold = false
    var atStart = true
    for character in text {
      switch character {
      case "\\": result += "\\e"
      case "-": result += "\\-"
      case "`":
        isBold.toggle()
        result += isBold ? "\\fB" : "\\fR"
      case ".", "'":
        result += (atStart ? "\\&" : "") + String(character)
      case "…": result += "..."
      default: result.append(character)
      }
      atStart = character == "\n"
    }
    return result
  }

  private static func uncapitalized(_ text: String) -> String {
    let text = text.hasSuffix(".") ? String(text.dropLast()) : text
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
