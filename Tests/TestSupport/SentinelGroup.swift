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
    /// Certificate, key and authority, with which all speak TLS and nothing else.
    package var tls: TLSFiles?
    /// Whether the sentinels know the servers by the name `localhost`.
    package var usesNames = false
    /// On which networks they are; nil: all on this host's own.
    package var places: Places?

    package init() {}
  }

  /// Where all are that is not on this host's own network.
  package struct Places: Sendable {
    /// Of the first server.
    package var primary: RedisServer.Place
    /// Of the others.
    package var replicas: RedisServer.Place
    /// Of the first sentinel.
    package var firstSentinel: RedisServer.Place
    /// Of the others.
    package var sentinels: RedisServer.Place

    package init(
      primary: RedisServer.Place, replicas: RedisServer.Place,
      firstSentinel: RedisServer.Place, sentinels: RedisServer.Place
    ) {
      self.primary = primary
      self.replicas = replicas
      self.firstSentinel = firstSentinel
      self.sentinels = sentinels
    }
  }

  /// The files of TLS.
  package struct TLSFiles: Sendable {
    package let certificate: String
    package let key: String
    package let authority: String

    package init(certificate: String, key: String, authority: String) {
      self.certificate = certificate
      self.key = key
      self.authority = authority
    }

    /// As redis-server takes them.
    var lines: [String] {
      [
        "tls-cert-file \(certificate)", "tls-key-file \(key)", "tls-ca-cert-file \(authority)",
        "tls-auth-clients no", "tls-replication yes",
      ]
    }

    var arguments: [String] {
      lines.flatMap { line in
        let words = line.split(separator: " ", maxSplits: 1)
        return ["--\(words[0])", "\(words[1])"]
      }
    }
  }

  /// What the sentinels call the primary.
  package static let name = "wch"

  /// The first begins as the primary.
  package let servers: [RedisServer]
  package let sentinels: [SentinelServer]
  private let options: Options

  package var endpoint: RedisEndpoint {
    var set = SentinelSet(
      sentinels.map { options.tls == nil ? $0.address : .tcp(host: host, port: $0.port) },
      primary: Self.name)
    set.password = options.sentinelPassword.map { RedisPassword($0) }
    set.hasTLS = options.tls != nil
    var endpoint = RedisEndpoint(set)
    endpoint.tls = tls
    return endpoint
  }

  private var host: String { options.tls == nil ? "127.0.0.1" : "localhost" }

  private var tls: RedisEndpoint.TLS? {
    guard let files = options.tls else { return nil }
    var tls = RedisEndpoint.TLS()
    tls.caFile = files.authority
    tls.serverName = "localhost"
    return tls
  }

  /// For settings; without the sentinels' password.
  package var url: String {
    let hosts = sentinels.map { options.tls == nil ? "\($0.address)" : "\(host):\($0.port)" }
      .joined(separator: ",")
    let url = "://\(hosts)/0?master=\(Self.name)"
    guard let files = options.tls else { return "redis-sentinel\(url)" }
    return "rediss-sentinel\(url)&ca_file=\(files.authority)"
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
    let host =
      options.usesNames ? "localhost" : options.places?.primary.host ?? "127.0.0.1"
    let own =
      usual + options.serverArguments + (options.usesNames ? ["--replica-announce-ip", host] : [])
    let primary = try await RedisServer.start(
      at: options.places?.primary ?? .init(), arguments: own, tlsArguments: options.tls?.arguments)
    let port = primary.tlsPort ?? primary.port
    var servers = [primary]
    for _ in 0..<options.replicas {
      servers.append(
        try await RedisServer.start(
          at: options.places?.replicas ?? .init(),
          arguments: own + ["--replicaof", host, "\(port)"],
          tlsArguments: options.tls?.arguments))
    }
    let quorum = options.sentinels / 2 + 1
    let lines =
      (options.usesNames
        ? ["sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"] : [])
      + [
        "sentinel monitor \(name) \(host) \(port) \(quorum)",
        "sentinel down-after-milliseconds \(name) 1000",
        "sentinel failover-timeout \(name) 2000", "sentinel parallel-syncs \(name) 2",
      ] + options.sentinelLines
    var sentinels: [SentinelServer] = []
    for number in 0..<options.sentinels {
      let place = number == 0 ? options.places?.firstSentinel : options.places?.sentinels
      sentinels.append(
        try await SentinelServer.start(
          at: place ?? .init(), lines, password: options.sentinelPassword,
          tlsLines: options.tls?.lines))
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
  ///
  /// Replicas are asked once a second while the primary is down, and are good for a fail-over if
  /// they have answered within five periods of PING.
  package func hasten(_ sentinel: SentinelServer) async throws {
    try await ask(
      sentinel, "SENTINEL", "DEBUG", "info-period", "300", "ping-period", "300", "ask-period",
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
    endpoint.tls = tls
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
        guard let port = try await named(by: sentinel), port != former.tlsPort ?? former.port,
          let server = servers.first(where: { ($0.tlsPort ?? $0.port) == port }),
          try await server.command("ROLE").elements?.first?.text == "master"
        else { continue }
        return server
      }
      return nil
    }
  }

  /// Has the primary replaced as an operator does; waits until the first sentinel names another.
  ///
  /// It refuses while its last look at the replicas is too old, and gives up one that it has begun
  /// when a replica does not obey in time.
  package func failOver() async throws {
    let former = try await named(by: sentinels[0])
    try await waitUntil("a fail-over", within: patience, every: .milliseconds(50)) {
      guard try await named(by: sentinels[0]) == former else { return true }
      do {
        try await ask(sentinels[0], "SENTINEL", "FAILOVER", Self.name)
      } catch is RedisServerError {}
      return false
    }
  }

  /// One more sentinel that watches a server, and knows none of the others.
  package func stranger(watching server: RedisServer) async throws -> SentinelServer {
    try await SentinelServer.start(
      ["sentinel monitor \(Self.name) 127.0.0.1 \(server.port) 9"], password: nil, tlsLines: nil)
  }

  /// Who is connected to a server by that beginning of a name.
  package func clients(of server: RedisServer, named prefix: String) async throws -> Int {
    let list = try await server.command("CLIENT", "LIST").text ?? ""
    return list.split(separator: "\n").filter { $0.contains(" name=\(prefix)") }.count
  }

  // MARK: Replication

  /// From now on the replicas of the primary get nothing from it, and keep what they have.
  package func cutOffReplicas() async throws {
    for replica in servers.dropFirst() {
      try await replica.command("CONFIG", "SET", "masteruser", "nobody", "masterauth", "nothing")
    }
    try await servers[0].command("CLIENT", "KILL", "TYPE", "replica")
    for replica in servers.dropFirst() {
      try await waitUntil("a replica is cut off", within: patience) {
        let information = try await replica.command("INFO", "replication").text ?? ""
        return information.contains("master_link_status:down")
      }
    }
  }

  /// Lets replicas follow whoever leads next.
  package func lead(replicasOf former: RedisServer) async throws {
    for replica in servers where replica !== former {
      try await replica.command("CONFIG", "SET", "masteruser", "", "masterauth", "")
    }
  }
}
