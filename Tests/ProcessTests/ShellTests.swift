import Foundation
import TestSupport
import Testing

/// Completion scripts and the manual page, as shells and `man` read them.
@Suite struct ShellTests {
  private static let verbs = [
    "run", "demo", "once", "check", "status", "health", "wait", "token", "refresh", "acl",
    "simulate-wechat", "completion", "manual",
  ]

  private static func output(_ words: [String], input: String? = nil) async throws -> String {
    let process = try SidecarProcess(
      words, environment: [:], instance: words.joined(), input: input)
    #expect(try await process.waitForExit() == .code(0), "\(process.errorText)")
    return process.outputText
  }

  /// Runs a script in a shell and returns what it prints; nil when the shell is not there.
  private static func run(_ shell: [String], _ script: String) async throws -> String? {
    guard FileManager.default.isExecutableFile(atPath: shell[0]) else { return nil }
    // The program under test is not asked by any of these.
    let process = try SidecarProcess(
      [], environment: ["PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "TERM": "dumb"],
      instance: shell[0], launcher: shell + [script])
    #expect(try await process.waitForExit() == .code(0), "\(process.errorText)")
    #expect(process.errorText.isEmpty, "\(process.errorText)")
    return process.outputText
  }

  @Test("bash completes verbs, their options, settings and values")
  func bash() async throws {
    let script = try await Self.output(["completion", "bash"])
    func completed(_ words: String...) async throws -> [Substring] {
      let list = words.map { "'\($0)'" }.joined(separator: " ")
      let text = try await Self.run(
        ["/bin/bash", "--norc", "-c"],
        script + "\nCOMP_WORDS=(wch-sidecar \(list)); COMP_CWORD=\(words.count); _wch_sidecar;"
          + " printf '%s\\n' \"${COMPREPLY[@]}\"; :")
      return try #require(text).split(separator: "\n")
    }
    #expect(Set(Self.verbs).isSubset(of: Set(try await completed("").map(String.init))))
    #expect(try await completed("st") == ["status"])
    #expect(try await completed("status", "--ou") == ["--output"])
    #expect(try await completed("status", "--output", "") == ["text", "json"])
    #expect(try await completed("check", "--mi") == ["--mint"])
    #expect(
      try await completed("run", "--redis-u").sorted() == ["--redis-url", "--redis-username"])
    #expect(try await completed("--api", "").isEmpty == false)
    // Verbs that ask the daemon do not read the others' settings.
    #expect(try await completed("health", "--lease").isEmpty)
    #expect(try await completed("health", "--http-ca") == ["--http-ca-file"])
    #expect(!script.contains("appsecret "))
  }

  @Test("zsh and fish read their scripts")
  func zshAndFish() async throws {
    let zsh = try await Self.output(["completion", "zsh"])
    let functions = try await Self.run(
      ["/usr/bin/zsh", "-f", "-c"],
      "autoload -U compinit; compinit -u -D;\n" + zsh + "\nprint -r -- $_comps[wch-sidecar]")
    if let functions { #expect(functions == "_wch-sidecar\n") }
    let fish = try await Self.output(["completion", "fish"])
    let completed = try await Self.run(
      ["/usr/bin/fish", "--no-config", "-c"],
      fish + "\ncomplete -C 'wch-sidecar st'; complete -C 'wch-sidecar status -o ';"
        + " complete -C 'wch-sidecar health --http-c'")
    if let completed {
      let words = completed.split(separator: "\n").map { $0.prefix { $0 != "\t" } }
      #expect(words.contains("status"))
      #expect(words.contains("json"))
      #expect(words.contains("--http-ca-file"))
    }
  }

  @Test("the manual page has every verb, setting and exit code, and man has nothing to say of it")
  func manual() async throws {
    let page = try await Self.output(["manual"])
    for verb in Self.verbs {
      #expect(page.contains(".SS \(verb.replacing("-", with: "\\-"))\n"), "\(verb)")
    }
    for words in [
      "\\fBWCH_HTTP_CA_FILE\\fR", "\\fB\\-\\-mint\\fR", "\\fB77\\fR", ".SH EXIT STATUS",
    ] {
      #expect(page.contains(words), "\(words)")
    }
    #expect(!page.contains("`"))
    let file = FileManager.default.temporaryDirectory
      .appendingPathComponent("manual\(UInt32.random(in: 0 ... .max)).1")
    try Data(page.utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let shown = try await Self.run(
      ["/bin/sh", "-c"], "test -x /usr/bin/man || exit 0; man --warnings=w -l '\(file.path)'")
    if let shown, !shown.isEmpty { #expect(shown.contains("EXIT STATUS")) }
  }
}
