import Foundation
package import RedisClient

/// A Redis Cluster of three primaries with a replica each, all real and all on this machine.
package final class ClusterGroup: Sendable {
  /// What is unlike the usual.
  package struct Options: Sendable {
    /// Of each node.
    package var serverArguments: [String] = []
    /// How the keys of a deployment come into few slots.
    package var keys: Keys = .named
    /// Certificate, key and authority, with which all speak TLS, too.
    package var tls: SentinelGroup.TLSFiles?
    /// What is done to each node once the cluster is there.
    package var configuration: [(name: String, value: String)] = []
    /// Whether there is but one node, which serves all slots.
    package var isAlone = false

    package init() {}
  }

  /// How the keys of a deployment lie.
  package enum Keys: Hashable, Sendable {
    /// The account has a name, whose slot is another primary's than that of the lock and that of
    /// the list of reports.
    case named
    /// All keys are in the slot of one tag.
    case tagged
    /// The account has no name: its keys are in several slots.
    case plain

    /// The account's name.
    package static let account = "store"

    package var prefix: String { self == .tagged ? "{wch}WCH_" : "WCH_" }
    package var token: String { prefix + "access_token" + (self == .named ? ":{store}" : "") }
    package var lock: String { prefix + "leader" }
    package var reports: String { prefix + "refresh_requests" }
    /// One key for each shard that matters.
    package var expiry: String { prefix + "expires_in" + (self == .named ? ":{store}" : "") }
    package var relevant: [String] {
      switch self {
      case .named: [lock, token, reports]
      case .tagged: [lock]
      case .plain: [lock, token, expiry]
      }
    }
  }

  /// The primaries first, at the start.
  package let servers: [RedisServer]
  package let keys: Keys
  private let options: Options

  /// Not all of them: whoever is asked names the others.
  package var endpoint: RedisEndpoint { RedisEndpoint(cluster: servers.map(address)) }

  /// For settings: two seeds, of which one is a primary at first, and one a replica.
  package var url: String {
    let seeds = [servers[0], servers.count > 4 ? servers[4] : nil].compactMap(\.self)
    guard let files = options.tls else {
      return "redis-cluster://"
        + seeds.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
    }
    return "rediss-cluster://"
      + seeds.compactMap(\.tlsPort).map { "localhost:\($0)" }.joined(separator: ",")
      + "?ca_file=\(files.authority)"
  }

  package func address(_ server: RedisServer) -> RedisEndpoint.Address {
    .tcp(host: "127.0.0.1", port: server.port)
  }

  private init(_ servers: [RedisServer], _ options: Options) {
    self.servers = servers
    keys = options.keys
    self.options = options
  }

  package func stop() { for server in servers { server.stop() } }

  /// Starts six nodes, makes them one cluster, and waits until each knows it whole.
  package static func start(_ options: Options) async throws -> ClusterGroup {
    // Replicas are there at once, and notice soon when their primary does not answer.
    let own =
      [
        "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0",
        "--repl-ping-replica-period", "1",
      ] + options.serverArguments + (options.tls == nil ? [] : ["--tls-cluster", "yes"])
    var servers: [RedisServer] = []
    for _ in 0..<(options.isAlone ? 1 : 6) {
      servers.append(
        try await RedisServer.start(
          arguments: own, tlsArguments: options.tls?.arguments, isClustered: true))
    }
    let group = ClusterGroup(servers, options)
    do {
      if options.isAlone {
        try await servers[0].command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        try await waitUntil("it serves", within: patience) {
          try await servers[0].command("CLUSTER", "INFO").text?.contains("cluster_state:ok") == true
        }
        return group
      }
      try group.command(
        ["create"] + servers.map { "127.0.0.1:\($0.tlsPort ?? $0.port)" }
          + ["--cluster-replicas", "1", "--cluster-yes"]
          + (options.tls.map { ["--tls", "--cacert", $0.authority] } ?? []))
      try await group.waitUntilWhole()
      for (name, value) in options.configuration {
        for server in servers { try await server.command("CONFIG", "SET", name, value) }
      }
    } catch {
      group.stop()
      throw error
    }
    return group
  }

  /// Has `redis-cli --cluster` do something; whatever it asks is answered with yes.
  package func command(_ arguments: [String]) throws {
    let process = try ChildProcess(
      ["timeout", "60", "/bin/sh", "-c", "yes yes | redis-cli --cluster \"$@\"", "sh"] + arguments)
    guard process.succeeds() else {
      throw RedisServer.Failure("redis-cli --cluster \(arguments) failed")
    }
  }

  /// Waits until each node serves, knows all others, and follows its primary if it is a replica.
  package func waitUntilWhole() async throws {
    for server in servers {
      try await waitUntil("node \(server.port) knows all", within: patience) {
        let state = try await server.command("CLUSTER", "INFO").text ?? ""
        let role = try await server.command("INFO", "replication").text ?? ""
        let others = try await server.command("CLUSTER", "SLOTS").elements ?? []
        return state.contains("cluster_state:ok")
          && others.allSatisfy { ($0.elements ?? []).count == 4 }
          && (role.contains("role:master") || role.contains("master_link_status:up"))
      }
    }
  }

  // MARK: Who serves what

  /// The port of the node that serves the key, as this node knows it.
  private func port(of key: String, by server: RedisServer) async throws -> Int? {
    let slot = HashSlot(of: key).number
    for shard in try await server.command("CLUSTER", "SLOTS").elements ?? [] {
      let fields = shard.elements ?? []
      guard fields.count > 2, let first = fields[0].number, let last = fields[1].number,
        (Int(first)...Int(last)).contains(slot)
      else { continue }
      return fields[2].elements?[1].number.map { Int($0) }
    }
    return nil
  }

  /// The node that serves the key and leads, as one of these knows it; nil when none does.
  package func primary(
    of key: String, otherThan former: RedisServer? = nil
  ) async throws -> RedisServer? {
    for server in servers where server !== former && server.runs {
      guard let port = try await port(of: key, by: server),
        let named = servers.first(where: { $0.port == port }), named !== former, named.runs,
        try await named.command("ROLE").elements?.first?.text == "master",
        try await self.port(of: key, by: named) == port
      else { continue }
      return named
    }
    return nil
  }

  /// Waits until another node than that serves the key.
  package func waitForPrimary(
    of key: String, otherThan former: RedisServer? = nil, within limit: Duration = patience
  ) async throws -> RedisServer {
    try await waited(for: "a primary of \(key)", within: limit, every: .milliseconds(10)) {
      try await primary(of: key, otherThan: former)
    }
  }

  /// A replica of that node.
  package func replica(of primary: RedisServer) async throws -> RedisServer {
    for server in servers where server !== primary && server.runs {
      let role = try await server.command("ROLE").elements ?? []
      if role.count > 2, role[0].text == "slave", role[2].number == Int64(primary.port) {
        return server
      }
    }
    throw RedisServer.Failure("\(primary.port) has no replica")
  }

  /// Has the replica of the key's primary take its place, as an operator does.
  package func failOver(_ key: String) async throws {
    let former = try await waitForPrimary(of: key)
    let replica = try await replica(of: former)
    try await waitUntil("a fail-over", within: patience, every: .milliseconds(50)) {
      guard try await primary(of: key) === former else { return true }
      do {
        try await replica.command("CLUSTER", "FAILOVER")
      } catch is RedisServerError {}
      return false
    }
  }

  /// Who is connected to a node by that beginning of a name.
  package func clients(of server: RedisServer, named prefix: String) async throws -> Int {
    let list = try await server.command("CLIENT", "LIST").text ?? ""
    return list.split(separator: "\n").filter { $0.contains(" name=\(prefix)") }.count
  }

  // MARK: Moving a slot

  /// A slot half-way between two nodes.
  package struct Move: Sendable {
    package let slot: Int
    package let source: RedisServer
    package let target: RedisServer
  }

  /// Begins to move the key's slot to another primary, or to that one; its keys stay until they are
  /// moved.
  package func beginMove(of key: String, toPrimaryOf other: String? = nil) async throws -> Move {
    let source = try await waitForPrimary(of: key)
    var target: RedisServer?
    if let other { target = try await waitForPrimary(of: other) }
    for server in servers where target == nil && server !== source {
      if try await server.command("ROLE").elements?.first?.text == "master" { target = server }
    }
    guard let target else { throw RedisServer.Failure("there is no other primary") }
    let move = Move(slot: HashSlot(of: key).number, source: source, target: target)
    let (from, to) = (try await id(of: source), try await id(of: target))
    try await target.command("CLUSTER", "SETSLOT", "\(move.slot)", "IMPORTING", from)
    try await source.command("CLUSTER", "SETSLOT", "\(move.slot)", "MIGRATING", to)
    return move
  }

  /// Moves these keys, or all that are there.
  package func moveKeys(_ keys: [String]? = nil, _ move: Move) async throws {
    var moved = keys ?? []
    if keys == nil {
      let reply = try await move.source.command(
        "CLUSTER", "GETKEYSINSLOT", "\(move.slot)", "1000")
      moved = (reply.elements ?? []).compactMap(\.text)
    }
    for key in moved {
      try await move.source.command(
        "MIGRATE", "127.0.0.1", "\(move.target.port)", key, "0", "5000")
    }
  }

  /// Ends the move: the slot is the target's.
  package func endMove(_ move: Move) async throws {
    try await moveKeys(nil, move)
    let to = try await id(of: move.target)
    for server in [move.target, move.source] + servers where server.runs {
      guard try await server.command("ROLE").elements?.first?.text == "master" else { continue }
      try await server.command("CLUSTER", "SETSLOT", "\(move.slot)", "NODE", to)
    }
  }

  private func id(of server: RedisServer) async throws -> String {
    try await server.command("CLUSTER", "MYID").text ?? ""
  }
}
