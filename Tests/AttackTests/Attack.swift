import Foundation
import Glibc

/// What all attacks have in common.
enum Attack {
  /// Attacks take minutes and the whole machine: `deploy/test attack` sets this.
  static let isWanted = ProcessInfo.processInfo.environment["WCH_ATTACK"] != nil

  /// So much resident memory may a process take more under attack.
  static let memoryBoundKiB = 64 << 10
  /// So long does a kubelet wait for the answer to a probe, as it is configured by default.
  static let probeLimit: Duration = .seconds(1)
  /// So long may the end take after SIGTERM.
  static let endLimit: Duration = .seconds(2)

  /// Lets this process have as many connections as the machine allows: some thousand are needed.
  static let roomForClients: Void = {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }()
}

/// Clients that do a replica harm.
protocol Attackers: Sendable {
  /// How they fared so far, for the line of figures.
  var account: String { get }
  /// Ends them and gives all connections up.
  func end() async
}
