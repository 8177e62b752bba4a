import Foundation
import RedisClient
import TestSupport
import Testing

/// What is promised of the program as users get it: built for release, stripped.
@Suite("The release program", .serialized)
struct ReleaseTests {
  /// Whether the program under test is the one that users get, and not a debug build.
  static let isRelease: Bool = {
    guard let size = try? FileManager.default.attributesOfItem(atPath: SidecarProcess.binary)[.size]
    else { return false }
    return (size as? Int ?? .max) < 100_000_000
  }()

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

  @Test(
    "SIGTERM some milliseconds after the start is an orderly end, a hundred times",
    .enabled(if: isRelease, "a debug build takes longer to load"), arguments: [5, 20, 40, 80])
  func earlySignals(milliseconds: Int) async throws {
    try await Deployment.run(alone: true) { deployment in
      var ready = 0
      for round in 0..<100 {
        let process = try SidecarProcess(
          ["run"], environment: deployment.environment(instance: "early\(round)"),
          instance: "early\(round)")
        let end = ContinuousClock.now + .milliseconds(milliseconds)
        while ContinuousClock.now < end { await Task.yield() }
        let isReady = try Self.takesSIGTERM(process.id)
        process.terminate()
        let exit = try await process.waitForExit()
        // On a busy machine it may not have run yet: of that no program can be judged.
        if isReady { ready += 1 }
        #expect(exit == .code(0) || !isReady, "round \(round)")
      }
      #expect(ready > 50, "the handler came after \(milliseconds) ms in most rounds")
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
