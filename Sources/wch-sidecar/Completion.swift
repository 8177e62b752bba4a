import ArgumentParser
import Sidecar

/// `completion`: what a shell needs to complete verbs, options, settings and their values.
struct Completion: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print a completion script for bash, zsh or fish.",
    discussion: """
      bash: into /etc/bash_completion.d/wch-sidecar; zsh: into a file _wch-sidecar in a directory \
      of $fpath; fish: into ~/.config/fish/completions/wch-sidecar.fish.
      """)

  enum Shell: String, ExpressibleByArgument, CaseIterable {
    case bash, zsh, fish
  }

  @Argument(help: "bash, zsh or fish.")
  var shell: Shell

  func run() throws {
    let script = try CompletionScript(VerbTable())
    let text =
      switch shell {
      case .bash: script.bash
      case .zsh: script.zsh
      case .fish: script.fish
      }
    print(text, terminator: "")
  }
}

/// The scripts, from the table of verbs.
struct CompletionScript {
  /// A flag as a shell is told of it.
  private struct Flag {
    let words: [String]
    let meaning: String
    let takesValue: Bool
    let choices: [String]
    let isPath: Bool
  }

  private let verbs: [VerbTable.Verb]

  init(_ table: VerbTable) { verbs = table.verbs }

  private func flags(of verb: VerbTable.Verb) -> [Flag] {
    verb.options.map { option in
      Flag(
        words: option.words, meaning: option.abstract ?? "", takesValue: option.takesValue,
        choices: option.allValues ?? [], isPath: false)
    }
      + verb.settings.map { setting in
        Flag(
          words: [setting.flagName], meaning: setting.meaning, takesValue: true,
          choices: setting.form.choices, isPath: setting.form == .path)
      }
  }

  /// What may stand where no verb is: `run` is meant then.
  private var standard: [Flag] {
    verbs.first { $0.commandName == "run" }.map(flags) ?? []
  }

  /// Every flag that takes a value, once: what its value may be does not depend on the verb.
  private var valued: [Flag] {
    var seen: Set<[String]> = []
    return verbs.flatMap(flags).filter { $0.takesValue && seen.insert($0.words).inserted }
  }

  /// The verbs as a pattern of `case`.
  private var pattern: String { verbs.map(\.commandName).joined(separator: "|") }

  private var names: String { verbs.map(\.commandName).joined(separator: " ") }

  private static func words(_ flags: [Flag]) -> String {
    (flags.flatMap(\.words) + ["--help"]).joined(separator: " ")
  }

  /// A text in single quotes.
  private static func quoted(_ text: String) -> String {
    "'" + text.replacing("`", with: "").replacing("'", with: "'\\''") + "'"
  }

  var bash: String {
    var lines = [
      "# bash completion for wch-sidecar; printed by `wch-sidecar completion bash`.",
      "_wch_sidecar() {",
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}",
      "  local verb= word words=",
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do",
      "    case $word in \(pattern)) verb=$word; break;; esac",
      "  done",
      "  case $previous in",
    ]
    for flag in valued {
      let pattern = flag.words.joined(separator: "|")
      if flag.isPath {
        lines.append("    \(pattern)) COMPREPLY=($(compgen -f -- \"$current\")); return;;")
      } else {
        let words = "compgen -W \"\(flag.choices.joined(separator: " "))\" -- \"$current\""
        lines.append("    \(pattern)) COMPREPLY=($(\(words))); return;;")
      }
    }
    lines += ["  esac", "  case $verb in"]
    for verb in verbs {
      let words = (verb.choices + [Self.words(flags(of: verb))]).joined(separator: " ")
      lines.append("    \(verb.commandName)) words=\"\(words)\";;")
    }
    lines += [
      "    *) words=\"\(names) --version \(Self.words(standard))\";;", "  esac",
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))", "}",
      "complete -F _wch_sidecar wch-sidecar", "",
    ]
    return lines.joined(separator: "\n")
  }

  var zsh: String {
    func described(_ name: String, _ meaning: String) -> String {
      Self.quoted(name.replacing(":", with: "\\:") + ":" + meaning)
    }
    func list(_ flags: [Flag]) -> String {
      flags.flatMap { flag in flag.words.map { described($0, flag.meaning) } }
        .joined(separator: " ") + " " + described("--help", "Show help.")
    }
    var lines = [
      "#compdef wch-sidecar", "# Printed by `wch-sidecar completion zsh`.",
      "_wch-sidecar() {",
      "  local verb= word previous=$words[CURRENT-1]", "  local -a verbs flags",
      "  for word in ${words[2,CURRENT-1]}; do",
      "    case $word in (\(pattern)) verb=$word; break;; esac",
      "  done", "  case $previous in",
    ]
    for flag in valued {
      let action =
        flag.isPath
        ? "_files"
        : flag.choices.isEmpty
          ? "_message value" : "compadd -- \(flag.choices.joined(separator: " "))"
      lines.append("    (\(flag.words.joined(separator: "|"))) \(action); return;;")
    }
    lines += ["  esac", "  case $verb in"]
    for verb in verbs {
      let words = verb.choices.joined(separator: " ")
      let extra = words.isEmpty ? "" : "compadd -- \(words); "
      lines.append("    (\(verb.commandName)) \(extra)flags=(\(list(flags(of: verb))));;")
    }
    let all = verbs.map { described($0.commandName, $0.abstract ?? "") }.joined(separator: " ")
    lines += [
      "    (*) verbs=(\(all)); flags=(\(list(standard)));;", "  esac",
      "  (( $#verbs )) && _describe verb verbs", "  _describe flag flags", "}",
      "if [[ $funcstack[1] = _wch-sidecar ]]; then _wch-sidecar \"$@\"; else compdef _wch-sidecar"
        + " wch-sidecar; fi", "",
    ]
    return lines.joined(separator: "\n")
  }

  var fish: String {
    var lines = [
      "# fish completion for wch-sidecar; printed by `wch-sidecar completion fish`.",
      "complete -c wch-sidecar -f",
      "complete -c wch-sidecar -l help -d 'Show help.'",
    ]
    func add(_ flag: Flag, when condition: String) {
      var line = "complete -c wch-sidecar -n '\(condition)'"
      for word in flag.words {
        line += word.hasPrefix("--") ? " -l \(word.dropFirst(2))" : " -s \(word.dropFirst(1))"
      }
      if flag.isPath { line += " -r -F" } else if flag.takesValue { line += " -x" }
      if !flag.choices.isEmpty { line += " -a '\(flag.choices.joined(separator: " "))'" }
      lines.append(line + " -d \(Self.quoted(flag.meaning).replacing("\\", with: "\\"))")
    }
    let none = "not __fish_seen_subcommand_from \(names)"
    for verb in verbs {
      lines.append(
        "complete -c wch-sidecar -n '\(none)' -a \(verb.commandName)"
          + " -d \(Self.quoted(verb.abstract ?? ""))")
    }
    for flag in standard { add(flag, when: none) }
    for verb in verbs {
      let condition = "__fish_seen_subcommand_from \(verb.commandName)"
      if !verb.choices.isEmpty {
        let words = verb.choices.joined(separator: " ")
        lines.append("complete -c wch-sidecar -n '\(condition)' -a '\(words)'")
      }
      for flag in flags(of: verb) { add(flag, when: condition) }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
