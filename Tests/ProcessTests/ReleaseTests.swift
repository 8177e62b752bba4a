import Foundation
import RedisClient
import TestSupport
import Testing

/// What is promised of the program as users get it: built for release, stripped.
@Suite("The release program", .serialized)
struct ReleaseTests {
  /// Whether the program under test is the one that users get, and not a debug build.
  static let isRelease = ProcessInfo.processInfo.environment["WCH_SIDECAR_BINARY"] != nil

  @Test(
    "it is below 40 MB and has no ICU in it", .enabled(if: isRelease, "a debug build is larger"))
  func size() throws {
    let program = try Data(contentsOf: URL(filePath: SidecarProcess.binary))
    #expect(program.count < 40_000_000)
    // Full Foundation brings ICU, whose data is found by this name in any binary that has it.
    for name in ["icudt", "_FoundationICU", "ucol_open"] {
      #expect(program.firstRange(of: Data(name.utf8)) == nil, "\(name) is in the binary")
    }
  }

  @Test(
    "it is stripped, and runs where Swift is not installed",
    .enabled(if: isRelease, "a debug build has symbols and Swift's libraries"))
  func link() async throws {
    let sections = try await Self.readelf("--section-headers")
    #expect(sections.contains(" .text "), "not read: \(sections)")
    #expect(!sections.contains(" .symtab "))
    #expect(!sections.contains(" .debug_"))
    let needed = try await Self.readelf("--dynamic").split(separator: "\n")
      .filter { $0.contains("(NEEDED)") }
    #expect(needed.contains { $0.contains("[libc.") }, "not read: \(needed)")
    #expect(!needed.contains { $0.lowercased().contains("swift") }, "\(needed)")
    #expect(!needed.contains { $0.contains("Foundation") || $0.contains("hiredis") }, "\(needed)")
  }

  /// What binutils tell about the program.
  private static func readelf(_ question: String) async throws -> String {
    let pipe = openPipe()
    let reader = try ChildProcess(
      ["readelf", "--wide", question, SidecarProcess.binary], standardOutput: pipe.writing)
    close(pipe.writing)
    let text = FileHandle(fileDescriptor: pipe.reading, closeOnDealloc: true)
    let output = String(decoding: try text.readToEnd() ?? Data(), as: UTF8.self)
    #expect(reader.succeeds())
    return output
  }

  @Test(
    "a minute of idling costs little memory, little time, few commands and few connections",
    .enabled(if: isRelease, "the promise is about the release build"))
  func idling() async throws {
    try await Deployment.run { deployment in
      let leader = try deployment.start("a")
      _ = try await deployment.waitForLiveToken()
      let follower = try deployment.start("b")
      try await follower.waitForStatus(200, of: "/readyz")
      let start = ContinuousClock.now
      let before = try await [leader.usage(), follower.usage()]
      try await waitUntil("a minute has passed", within: .seconds(70)) {
        ContinuousClock.now - start > .seconds(60)
      }
      let seconds = Double((ContinuousClock.now - start).components.seconds)
      for (index, process) in [leader, follower].enumerated() {
        let usage = try await process.usage()
        let name = process.instance
        #expect(usage.anonymousKiB < 5 * 1024, "\(name): RssAnon \(usage.anonymousKiB) kB")
        #expect(usage.residentKiB < 30 * 1024, "\(name): VmRSS \(usage.residentKiB) kB")
        let share = (usage.processorSeconds - before[index].processorSeconds) / seconds
        #expect(share < 0.005, "\(name): \(share * 100) % of a core")
        let made = (usage.redisCommands - before[index].redisCommands) / seconds
        #expect(made <= 2, "\(name): \(made) commands a second")
      }
      #expect(try await deployment.connections(of: leader) <= 3)
      #expect(try await deployment.connections(of: follower) <= 2)
    }
  }

  // Counted from the handler: when a busy machine lets the process run at all is no matter of ours.
  // How soon after exec it is there, `deploy/test measure` tells.
  @Test(
    "SIGTERM from when there is a handler is an orderly end, a hundred times",
    .enabled(if: isRelease, "a debug build takes longer to load"), arguments: [0, 5, 20, 40, 80])
  func earlySignals(milliseconds: Int) async throws {
    try await Deployment.run(alone: true) { deployment in
      for round in 0..<100 {
        let name = "early\(milliseconds)-\(round)"
        let process = try SidecarProcess(
          ["run"], environment: deployment.environment(instance: name), instance: name)
        let limit = ContinuousClock.now + .seconds(10)
        while try !Self.takesSIGTERM(process.id) {
          try #require(ContinuousClock.now < limit, "no handler in round \(round)")
          await Task.yield()
        }
        let end = ContinuousClock.now + .milliseconds(milliseconds)
        while ContinuousClock.now < end { await Task.yield() }
        process.terminate()
        #expect(try await process.waitForExit() == .code(0), "round \(round)")
      }
    }
  }

  /// Whether a process has a handler for SIGTERM, by the kernel's own account.
  private static func takesSIGTERM(_ id: pid_t) throws -> Bool {
    let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }
    let mask = line?.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0, radix: 16) }
    return try #require(mask) & (1 << UInt64(SIGTERM - 1)) != 0
  }

  // Until the dynamic loader has done its work no program can have a handler: without a mask, a
  // signal at 0 ms meets a process that is not ours yet. With one, it waits for us.
  @Test("SIGTERM at the start, blocked by who starts it, is an orderly end, a hundred times")
  func pendingSignals() async throws {
    try await Deployment.run { deployment in
      for round in 0..<100 {
        let process = try SidecarProcess(
          ["run"], environment: deployment.environment(instance: "pending\(round)"),
          instance: "pending\(round)", blockedSignals: [SIGTERM, SIGINT])
        process.terminate()
        #expect(try await process.waitForExit() == .code(0), "round \(round)")
      }
    }
  }

  @Test("whoever starts it with SIGTERM blocked or ignored can end it with SIGTERM all the same")
  func inheritedDispositions() async throws {
    try await Deployment.run { deployment in
      let process = try SidecarProcess(
        ["run"], environment: deployment.environment(instance: "blocked"), instance: "blocked",
        blockedSignals: [SIGTERM, SIGINT])
      _ = try await deployment.waitForLiveToken()
      process.terminate()
      #expect(try await process.waitForExit() == .code(0))

      let ignoring = try ChildProcess(
        ["/bin/sh", "-c", "trap '' TERM INT; exec \"$0\" run", SidecarProcess.binary],
        environment: deployment.environment(instance: "ignoring"))
      try await waitUntil("it leads", within: .seconds(10)) {
        try await deployment.ask("GET", "WCH_leader").text?.hasPrefix("ignoring:") == true
      }
      ignoring.signal(SIGTERM)
      let exit = try await waited(for: "its end", within: .seconds(10)) { ignoring.exit }
      #expect(exit == .code(0))
    }
  }
}
