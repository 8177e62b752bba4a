import Foundation
import TestSupport
import Testing

@Suite struct HangUpTests {
  private static func text(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }

  @Test("SIGHUP opens the log file anew, also when the process began with it ignored")
  func reopens() async throws {
    try await Deployment.run { deployment in
      let path = deployment.redis.directory.appendingPathComponent("log.json").path
      let environment = deployment.environment(instance: "a")
        .merging(["WCH_LOG_FILE": path]) { $1 }
      // As `nohup` has it.
      let process = try ChildProcess(
        ["/bin/sh", "-c", "trap '' HUP; exec \"$0\" run", SidecarProcess.binary],
        environment: environment)
      defer { process.end(SIGKILL) }
      try await waitUntil("it leads", within: patience) {
        Self.text(path).contains("This replica leads")
      }
      for round in 1...3 {
        try FileManager.default.moveItem(atPath: path, toPath: "\(path).\(round)")
        process.signal(SIGHUP)
        try await waitUntil("the file is there again", within: patience) {
          Self.text(path).contains("The log file was opened anew")
        }
      }
      // Where it cannot be opened, lines go on to the file that was moved.
      try FileManager.default.moveItem(atPath: path, toPath: "\(path).4")
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      process.signal(SIGHUP)
      try await waitUntil("it says so", within: patience) {
        Self.text("\(path).4").contains("the old one stays in use")
      }
      process.signal(SIGTERM)
      try await waitUntil("its end", within: patience) { !process.isRunning }
      #expect(process.exit == .code(0))
      #expect(Self.text("\(path).4").contains("wch-sidecar has ended in order"))
    }
  }

  @Test("SIGHUP does nothing without a log file, from the first moment to the last")
  func ignored() async throws {
    try await Deployment.run { deployment in
      for _ in 1...5 {
        // Blocked until the program can take it: before, no program can.
        let process = try SidecarProcess(
          environment: deployment.environment(instance: "a"), instance: "a",
          blockedSignals: [SIGHUP])
        try await waitUntil("the lead among hang-ups", within: patience) {
          #expect(kill(process.id, SIGHUP) == 0)
          return process.log.contains { $0.message == "This replica leads" }
        }
        process.terminate()
        try await waitUntil("its end among hang-ups", within: patience) {
          kill(process.id, SIGHUP)
          return !process.isRunning
        }
        #expect(try await process.waitForExit() == .code(0))
      }
    }
  }

  @Test("SIGHUP ends verbs that only look, as a closed terminal should")
  func watching() async throws {
    try await Deployment.run { deployment in
      let watching = try SidecarProcess(
        ["status", "--watch"], environment: deployment.environment(instance: "a"),
        instance: "watch")
      try await waitUntil("it says so", within: patience) {
        watching.outputText.contains("no daemon answers")
      }
      kill(watching.id, SIGHUP)
      #expect(try await watching.waitForExit() == .signal(Int(SIGHUP)))
    }
  }
}
