import Foundation
import Logging
import NIOPosix
package import RedisClient
import Synchronization

/// A primary, its replicas and the sentinels that watch them, all real and all on this machine.
package final class SentinelGroup: Sendable {
  /// What is unlike the usual.
  package struct Options: Sendable {
    /// Of each server with data.
    package var serverArguments: [String] = []
    /// Lines of each sentinel's configuration; those of `sentinel` come after `monitor`.
    package var sentinelLines: [String] = []
    /// What the sentinels ask of their clients.
    package var sentinelPassword: String?
    package var replicas = 2
    package var sentinels = 3
    /// Where the sentinels are told that the primary is, in place of its own port.
    package var announcedHost = "127.0.0.1"

    package init() {}
  }

  /// What the sentinels call the primary.
  package static let name = "wch"

  /// The first begins as the primary.
  package let servers: [RedisServer]
  package let sentinels: [SentinelServer]
  private let options: Options

  package var endpoint: RedisEndpoint {
    var set = SentinelSet(sentinels.map(\.address), primary: Self.name)
    set.password = options.sentinelPassword.map { RedisPassword($0) }
    return RedisEndpoint(set)
  }

  /// For settings; without the sentinels' password.
  package var url: String {
    let hosts = sentinels.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
    return "redis-sentinel://\(hosts)/0?master=\(Self.name)"
  }

  private init(servers: [RedisServer], sentinels: [SentinelServer], options: Options) {
    self.servers = servers
    self.sentinels = sentinels
    self.options = options
  }

  package func stop() {
    for sentinel in sentinels { sentinel.stop() }
    for server in servers { server.stop() }
  }

  /// Starts all, and waits until each sentinel knows all others and both replicas.
  package static func start(_ options: Options) async throws -> SentinelGroup {
    // Replicas are there at once, and notice soon when the primary does not answer.
    let usual = [
      "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--repl-timeout", "5",
    ]
    let primary = try await RedisServer.start(arguments: usual + options.serverArguments)
    var servers = [primary]
    for _ in 0..<options.replicas {
      servers.append(
        try await RedisServer.start(
          arguments: usual + ["--replicaof", "127.0.0.1", "\(primary.port)"]
            + options.serverArguments))
    }
    let quorum = options.sentinels / 2 + 1
    let lines =
      [
        "sentinel monitor \(name) \(options.announcedHost) \(primary.port) \(quorum)",
        "sentinel down-after-milliseconds \(name) 1000",
        "sentinel failover-timeout \(name) 4000", "sentinel parallel-syncs \(name) 2",
      ] + options.sentinelLines
    var sentinels: [SentinelServer] = []
    for _ in 0..<options.sentinels {
      sentinels.append(
        try await SentinelServer.start(
          lines, password: options.sentinelPassword, tlsLines: nil))
    }
    let group = SentinelGroup(servers: servers, sentinels: sentinels, options: options)
    do {
      for sentinel in sentinels { try await group.hasten(sentinel) }
      try await group.waitUntilComplete()
    } catch {
      group.stop()
      throw error
    }
    return group
  }

  /// Makes a sentinel look and tell more often, so that tests need not wait; one that was starved
  /// by other work must not think that its clock jumped.
  package func hasten(_ sentinel: SentinelServer) async throws {
    try await ask(
      sentinel, "SENTINEL", "DEBUG", "info-period", "300", "ping-period", "100", "ask-period",
      "200", "publish-period", "200", "tilt-trigger", "20000", "tilt-period", "1000",
      "election-timeout", "2000")
  }

  private func waitUntilComplete() async throws {
    for sentinel in sentinels {
      try await waitUntil("sentinel \(sentinel.port) knows all", within: patience) {
        let reply = try await ask(sentinel, "SENTINEL", "MASTER", Self.name)
        let texts = (reply.elements ?? []).map(\.text)
        func value(_ name: String) -> String? {
          texts.firstIndex(of: name).flatMap { texts[texts.index(after: $0)] }
        }
        return value("num-slaves") == "\(servers.count - 1)"
          && value("num-other-sentinels") == "\(sentinels.count - 1)"
          && value("flags") == "master"
      }
    }
  }

  // MARK: Asking

  /// Asks one sentinel, on a connection of its own.
  @discardableResult
  package func ask(
    _ sentinel: SentinelServer, _ name: String, _ arguments: String...
  ) async throws -> RedisReply {
    var endpoint = RedisEndpoint(sentinel.address)
    endpoint.password = options.sentinelPassword.map { RedisPassword($0) }
    let client = RedisClient(
      configuration: RedisConfiguration(endpoint: endpoint),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test"))
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await client.run() }
      defer { group.cancelAll() }
      let reply = try await client.execute(
        RedisCommand(name, arguments), deadline: .now + patience, waitForConnection: true)
      if let refusal = reply.refusal { throw refusal }
      return reply
    }
  }

  /// The port that a sentinel names.
  package func named(by sentinel: SentinelServer) async throws -> Int? {
    let reply = try await ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self.name)
    return reply.elements?.last?.text.flatMap { Int($0) }
  }

  /// Waits until these sentinels name another primary than that, and it leads.
  package func waitForPrimary(
    otherThan former: RedisServer, by sentinels: [SentinelServer]? = nil,
    within limit: Duration = patience
  ) async throws -> RedisServer {
    let asked = sentinels ?? self.sentinels
    return try await waited(for: "another primary", within: limit, every: .milliseconds(10)) {
      for sentinel in asked {
        guard let port = try await named(by: sentinel), port != former.port,
          let server = servers.first(where: { $0.port == port }),
          try await server.command("ROLE").elements?.first?.text == "master"
        else { continue }
        return server
      }
      return nil
    }
  }
}
