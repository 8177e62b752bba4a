import Foundation
import TestSupport
import Testing

/// The verbs that ask a running daemon.
@Suite struct VerbTests {
  /// Runs a verb with the settings of a replica to its end.
  private static func ask(
    _ deployment: Deployment, _ arguments: String..., input: String? = nil
  ) async throws -> SidecarProcess {
    let process = try SidecarProcess(
      arguments, environment: deployment.environment(instance: "a"), instance: arguments[0],
      input: input)
    _ = try await process.waitForExit()
    return process
  }

  @Test("token shows how long it lives, and itself only with --reveal")
  func token() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 1)
      let live = try #require(try await deployment.token())
      let expiry = try #require(try await deployment.keys().expiresIn)
      try await deployment.processes[0].waitForStatus(200, of: "/readyz")

      let shown = try await Self.ask(deployment, "token")
      #expect(shown.exit == .code(0))
      #expect(shown.outputText.contains("\(expiry)"))
      #expect(!shown.outputText.contains(live))

      // Flags of the verb may stand behind those of settings.
      let revealed = try await Self.ask(deployment, "token", "--log-level", "info", "--reveal")
      #expect(revealed.exit == .code(0))
      #expect(revealed.outputText == live + "\n")

      let unknown = try await Self.ask(deployment, "token", "--account", "nobody")
      #expect(unknown.exit == .code(1))
      #expect(unknown.errorText.contains("No such account"))
      let malformed = try await Self.ask(deployment, "token", "--account", "no body")
      #expect(malformed.exit == .code(64))
    }
  }

  @Test("refresh reports a token from standard input, and tells what came of it")
  func refreshReport() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 1)
      try await deployment.processes[0].waitForStatus(200, of: "/readyz")
      let failed = try #require(try await deployment.token())

      let report = try await Self.ask(
        deployment, "refresh", "--rejected-stdin", input: failed + "\n")
      #expect(report.exit == .code(0), "\(report.errorText)")
      #expect(report.outputText.hasPrefix("default: refreshed"))
      #expect(try await deployment.token() != failed)
      #expect(deployment.mints == 2)

      let late = try await Self.ask(deployment, "refresh", "--rejected-stdin", input: failed)
      #expect(late.exit == .code(0), "\(late.errorText)")
      #expect(late.outputText.hasPrefix("default: current"))
      #expect(deployment.mints == 2)
      #expect(!(report.outputText + late.outputText).contains(failed))

      for arguments in [["refresh"], ["refresh", "--force", "--rejected-stdin"]] {
        let wrong = try SidecarProcess(
          arguments, environment: deployment.environment(instance: "a"), instance: "wrong")
        #expect(try await wrong.waitForExit() == .code(64))
        #expect(wrong.errorText.contains("--rejected-stdin"))
      }
      for text in ["é", String(repeating: "t", count: 2049)] {
        let stray = try await Self.ask(deployment, "refresh", "--rejected-stdin", input: text)
        #expect(stray.exit == .code(64))
        #expect(stray.errorText.contains("is no token"))
      }
      let empty = try await Self.ask(deployment, "refresh", "--rejected-stdin")
      #expect(empty.exit == .code(64))
      #expect(empty.errorText.contains("standard input"))
    }
  }

  @Test("refresh --force fetches, and within the limits it says when")
  func forcedRefresh() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 1)
      try await deployment.processes[0].waitForStatus(200, of: "/readyz")
      let forced = try await Self.ask(deployment, "refresh", "--force")
      #expect(forced.exit == .code(0), "\(forced.errorText)")
      #expect(forced.outputText.hasPrefix("default: refreshed"))
      #expect(deployment.mints == 2)
      let again = try await Self.ask(deployment, "refresh", "--force")
      #expect(again.exit == .code(1))
      #expect(again.errorText.contains("limited"), "\(again.errorText)")
    }
  }

  @Test("wait ends with 0 once a live token is there, and with 75 when there is none in time")
  func wait() async throws {
    try await Deployment.run { deployment in
      let early = try await Self.ask(deployment, "wait", "--max", "300ms")
      #expect(early.exit == .code(75))
      #expect(early.errorText.contains("wch-sidecar run"), "\(early.errorText)")
      let wrong = try await Self.ask(deployment, "wait", "--max", "soon")
      #expect(wrong.exit == .code(64))

      let waiting = try SidecarProcess(
        ["wait"], environment: deployment.environment(instance: "a"), instance: "wait")
      try deployment.start("a")
      #expect(try await waiting.waitForExit(within: .seconds(30)) == .code(0))
      #expect(try await deployment.token() != nil)
    }
  }

  @Test("status --watch shows it again until SIGTERM, also while no daemon answers")
  func watch() async throws {
    try await Deployment.run { deployment in
      let watching = try SidecarProcess(
        ["status", "--watch"], environment: deployment.environment(instance: "a"),
        instance: "watch")
      try await waitUntil("it says so", within: .seconds(10)) {
        watching.outputText.contains("no daemon answers")
      }
      try deployment.start("a")
      try await waitUntil("two statuses", within: .seconds(20)) {
        watching.outputText.components(separatedBy: "instance  a (leader)").count > 2
      }
      watching.terminate()
      #expect(try await watching.waitForExit() == .code(0))
    }
  }

  @Test("status and health without a daemon end with 69 and 1, and say what to do")
  func noDaemon() async throws {
    try await Deployment.run { deployment in
      for (verb, code) in [("status", 69), ("token", 69), ("health", 1)] {
        let process = try await Self.ask(deployment, verb)
        #expect(process.exit == .code(code))
        #expect(process.errorText.contains("no such file"), "\(process.errorText)")
        #expect(process.errorText.contains("wch-sidecar run"))
        // What Redis alone tells is something.
        #expect(process.outputText.isEmpty == (verb != "status"))
      }
      let wrong = try await Self.ask(deployment, "status", "--output", "xml")
      #expect(wrong.exit == .code(64))
    }
  }
}
