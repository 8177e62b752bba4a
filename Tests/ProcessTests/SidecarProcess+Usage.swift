import Foundation
import RedisClient
import TestSupport

/// What a process has taken of the machine so far.
struct Usage {
  /// The `RssAnon` of proc(5): what no other process can share.
  let anonymousKiB: Int
  /// The `VmRSS` of proc(5), the program's own pages included.
  let residentKiB: Int
  let processorSeconds: Double
  /// Commands to Redis, by the replica's own metric.
  let redisCommands: Double
}

extension SidecarProcess {
  /// What the kernel and its metrics say of it.
  func usage() async throws -> Usage {
    let status = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)
    func field(_ name: String) -> Int {
      let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
      return line.flatMap { Int($0.split(whereSeparator: { $0 == " " || $0 == "\t" })[1]) } ?? .max
    }
    let stat = try String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8)
    // After the name: state, then fields 4 and on; user and system time are fields 14 and 15.
    let fields = stat[stat.lastIndex(of: ")")!...].split(separator: " ")
    let ticks = Double(fields[12])! + Double(fields[13])!
    let commands = try await get("/metrics").body.split(separator: "\n")
      .filter { $0.hasPrefix("wechat_token_redis_commands_total{") }
      .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
      .reduce(0, +)
    return Usage(
      anonymousKiB: field("RssAnon"), residentKiB: field("VmRSS"),
      processorSeconds: ticks / Double(sysconf(Int32(_SC_CLK_TCK))), redisCommands: commands)
  }
}

extension Deployment {
  /// How many connections to Redis a replica has.
  func connections(of replica: SidecarProcess) async throws -> Int {
    let list = try await ask("CLIENT", "LIST").text ?? ""
    return list.split(separator: "\n")
      .filter { $0.contains("name=wch-sidecar:\(replica.instance) ") }.count
  }
}
