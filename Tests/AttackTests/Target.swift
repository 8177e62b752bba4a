import Foundation
import TestSupport
import WeChatSimulator

/// A replica that listens on a port, where anybody may come.
struct Target: Sendable {
  let process: SidecarProcess
  let port: Int

  /// What the kernel says of the process; nil once it has ended.
  var figures: ProcessFigures? { ProcessFigures(of: process.id) }
}

/// What the kernel says of a process.
struct ProcessFigures: Sendable {
  let residentKiB: Int
  let descriptors: Int
  let processorSeconds: Double

  init?(of id: Int32) {
    guard let status = try? String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8),
      let stat = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
      let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(id)/fd"),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
      let resident = Int(line.split(whereSeparator: { $0 == " " || $0 == "\t" })[1]),
      let name = stat.lastIndex(of: ")")
    else { return nil }
    // After the name: state, then fields 4 and on; user and system time are fields 14 and 15.
    let fields = stat[name...].split(separator: " ")
    guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13])
    else { return nil }
    residentKiB = resident
    descriptors = files.count
    processorSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}

extension Deployment {
  /// Starts a replica that listens on a port of 127.0.0.1.
  func startTarget(
    _ instance: String, _ settings: [String: String] = [:], launcher: [String] = []
  ) throws -> Target {
    let port = try FreePort.pick()
    let own = ["WCH_HTTP_LISTEN": "127.0.0.1:\(port)", "WCH_LOG_LEVEL": "info"]
    let process = try start(
      instance, own.merging(settings) { $1 }, launcher: launcher)
    return Target(process: process, port: port)
  }

  /// Starts replicas and waits until one leads, a live token is in Redis and all answer; the leader
  /// is the first of them.
  func startTargets(
    count: Int, _ settings: [String: String] = [:], launcher: [String] = []
  ) async throws -> [Target] {
    var targets: [Target] = []
    for name in ["a", "b", "c"].prefix(count) {
      targets.append(try startTarget(name, settings, launcher: launcher))
    }
    try await waitForLiveToken()
    for target in targets {
      try await waitUntil("\(target.process.instance) answers", within: .seconds(10)) {
        Prober.look(at: target.port, path: "/livez").isGood
      }
    }
    let leader = try await waitForLeader()
    return targets.filter { $0.process === leader } + targets.filter { $0.process !== leader }
  }
}
