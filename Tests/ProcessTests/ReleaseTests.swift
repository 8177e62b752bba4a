import Foundation
import RedisClient
import TestSupport
import Testing

/// What is promised of the program as users get it: built for release, stripped.
@Suite("The release program", .serialized)
struct ReleaseTests {
  /// Whether the program under test is the one that users get, and not a debug build.
  private static let isRelease: Bool = {
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
      let before = try await commands(deployment)
      let cpuBefore = try [leader, follower].map { try Usage(of: $0).cpuSeconds }
      try await waitUntil("a minute has passed", within: .seconds(70)) {
        ContinuousClock.now - start > .seconds(60)
      }
      let seconds = Double((ContinuousClock.now - start).components.seconds)
      let after = try await commands(deployment)
      for (index, process) in [leader, follower].enumerated() {
        let usage = try Usage(of: process)
        let name = process.instance
        #expect(usage.anonymousKiB < 5 * 1024, "\(name): RssAnon \(usage.anonymousKiB) kB")
        #expect(usage.residentKiB < 30 * 1024, "\(name): VmRSS \(usage.residentKiB) kB")
        let share = (usage.cpuSeconds - cpuBefore[index]) / seconds
        #expect(share < 0.005, "\(name): \(share * 100) % of a core")
        let made = (after[name, default: 0] - before[name, default: 0]) / seconds
        #expect(made <= 2, "\(name): \(made) commands a second")
      }
      let connections = try await deployment.ask("CLIENT", "LIST").text ?? ""
      func count(_ name: String) -> Int {
        connections.split(separator: "\n").filter { $0.contains("name=wch-sidecar:\(name) ") }.count
      }
      #expect(count("a") <= 3, "\(connections)")
      #expect(count("b") <= 2, "\(connections)")
    }
  }

  /// Commands that each replica counted itself, by its metrics.
  private func commands(_ deployment: Deployment) async throws -> [String: Double] {
    var counts: [String: Double] = [:]
    for process in deployment.processes {
      let text = try await process.get("/metrics").body
      counts[process.instance] = text.split(separator: "\n")
        .filter { $0.hasPrefix("wechat_token_redis_commands_total{") }
        .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
        .reduce(0, +)
    }
    return counts
  }

  /// What the kernel says of a process.
  private struct Usage {
    let anonymousKiB: Int
    let residentKiB: Int
    let cpuSeconds: Double

    init(of process: SidecarProcess) throws {
      let status = try String(contentsOfFile: "/proc/\(process.id)/status", encoding: .utf8)
      func field(_ name: String) -> Int {
        let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line.flatMap { Int($0.split(whereSeparator: { $0 == " " || $0 == "\t" })[1]) }
          ?? .max
      }
      anonymousKiB = field("RssAnon")
      residentKiB = field("VmRSS")
      let stat = try String(contentsOfFile: "/proc/\(process.id)/stat", encoding: .utf8)
      let fields = stat[stat.lastIndex(of: ")")!...].split(separator: " ")
      // After the name: state, then fields 4 and on; user and system time are fields 14 and 15.
      cpuSeconds = (Double(fields[12])! + Double(fields[13])!) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
  }

  @Test(
    "SIGTERM at any moment from the first statement on is an orderly end, a hundred times",
    arguments: [0, 5, 20, 40, 80])
  func earlySignals(milliseconds: Int) async throws {
    try await Deployment.run { deployment in
      for round in 0..<100 {
        let process = try SidecarProcess(
          ["run"], environment: deployment.environment(instance: "early\(round)"),
          instance: "early\(round)")
        // What comes before is the dynamic loader's time, in which no program can have a handler.
        try await waitUntil("the handler is there", within: .seconds(10)) {
          Self.catchesTermination(process.id)
        }
        let end = ContinuousClock.now + .milliseconds(milliseconds)
        while ContinuousClock.now < end { await Task.yield() }
        process.terminate()
        #expect(try await process.waitForExit() == .code(0), "round \(round)")
      }
    }
  }

  /// Whether SIGTERM no longer kills the process, by the kernel's own account.
  private static func catchesTermination(_ id: pid_t) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8) else {
      return true
    }
    return ["SigCgt:", "SigIgn:"].contains { name in
      let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
      let mask = line?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) } ?? 0
      return mask & (1 << UInt64(SIGTERM - 1)) != 0
    }
  }
}
