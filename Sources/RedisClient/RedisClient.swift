package import Logging
package import NIOCore

/// One logical connection to Redis that keeps itself connected while `run()` runs.
///
/// Commands are pipelined: each batch is one write, and replies come back in order. A command is
/// never sent twice. A batch whose caller has gone (deadline, cancellation) leaves its place in the
/// order: its replies are counted and thrown away when they come, so that they reach nobody else
/// and the connection stays of use to the others. When the replies stay out for `unresponsiveAfter`
/// beyond the batch's deadline, the connection is given up instead. So it is, once the replies are
/// handed over, when the server has become a replica, which a `READONLY` among them tells: the next
/// connection looks the name up again.
///
/// In a cluster it is a connection to each node that serves keys of ours, and what a node has
/// refused because the key is elsewhere is sent there (`Redirection`).
///
/// The event loop group must outlive the client.
package final class RedisClient: Sendable {
  /// What becomes of a connection when the caller of a written batch goes away.
  package enum Abandonment: Hashable, Sendable {
    /// The replies are thrown away when they come.
    case discardReplies
    /// The connection is closed, so that the server stops too: for blocking pops, which would
    /// otherwise take an item for nobody.
    case closeConnection
  }

  private enum Way {
    case server(NodeClient)
    case cluster(ClusterRouter)
  }

  private let way: Way

  /// - Parameters:
  ///   - home: of a cluster, the key whose node's connection is told of; nil for nobody who cares.
  ///   - onEvent: called in order on the client's event loop, so it must not block; `connected`
  ///     comes before any reply of the new connection.
  package init(
    configuration: RedisConfiguration, eventLoopGroup: any EventLoopGroup, home: String? = nil,
    logger: Logger, onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }
  ) {
    let eventLoop = eventLoopGroup.next()
    way =
      if let view = configuration.cluster {
        .cluster(
          ClusterRouter(
            view, configuration: configuration, eventLoop: eventLoop, home: home, logger: logger,
            onEvent: onEvent))
      } else {
        .server(
          NodeClient(
            configuration: configuration, eventLoop: eventLoop, logger: logger, onEvent: onEvent))
      }
  }

  /// Whether commands go to several nodes, each to that of its key.
  package var isClustered: Bool { if case .cluster = way { true } else { false } }

  /// Connects, and connects again whenever the connection ends, until the task is cancelled.
  ///
  /// Afterwards every command fails with `.notSent(.stopped)`; a client runs once.
  package func run() async {
    switch way {
    case .server(let node): await node.run()
    case .cluster(let router): await router.run()
    }
  }

  /// Sends commands in one write and returns their replies in order; a refusal is a reply.
  ///
  /// - Parameters:
  ///   - key: of a cluster, the key that they are about, all of them; nil when they are about none.
  ///     A batch that writes holds one command there: a redirected batch is sent again as a whole.
  ///   - deadline: for everything: waiting for a connection, writing and reading.
  ///   - waitForConnection: whether to wait until the deadline when there is no connection;
  ///     without, such a command fails at once.
  /// - Throws: `notSent` when it certainly did not happen, `outcomeUnknown` when it may have.
  package func execute(
    _ commands: [RedisCommand], key: String? = nil, deadline: ContinuousClock.Instant,
    waitForConnection: Bool = false, onAbandonment: Abandonment = .discardReplies
  ) async throws(RedisError) -> [RedisReply] {
    guard !commands.isEmpty else { return [] }
    switch way {
    case .server(let node):
      return try await node.execute(
        commands, deadline: deadline, waitForConnection: waitForConnection,
        onAbandonment: onAbandonment)
    case .cluster(let router):
      return try await router.execute(
        commands, to: key.map { .slot(HashSlot(of: $0)) } ?? .home, deadline: deadline,
        waits: waitForConnection, onAbandonment: onAbandonment)
    }
  }

  /// Sends one command and returns its reply.
  package func execute(
    _ command: RedisCommand, key: String? = nil, deadline: ContinuousClock.Instant,
    waitForConnection: Bool = false, onAbandonment: Abandonment = .discardReplies
  ) async throws(RedisError) -> RedisReply {
    let replies = try await execute(
      [command], key: key, deadline: deadline, waitForConnection: waitForConnection,
      onAbandonment: onAbandonment)
    return replies[0]
  }

  /// Sends commands that are about a key each, or about none, and returns their replies in order.
  ///
  /// They are in one write, but in a cluster, where this is for reads and for what may be repeated.
  package func execute(
    each commands: [(command: RedisCommand, key: String?)],
    deadline: ContinuousClock.Instant, waitForConnection: Bool = false
  ) async throws(RedisError) -> [RedisReply] {
    guard case .cluster = way else {
      return try await execute(
        commands.map(\.command), deadline: deadline, waitForConnection: waitForConnection)
    }
    var replies: [Int: RedisReply] = [:]
    let places = Dictionary(grouping: commands.indices) { commands[$0].key.map(HashSlot.init(of:)) }
    for (_, indices) in places.sorted(by: { $0.value[0] < $1.value[0] }) {
      let answers = try await execute(
        indices.map { commands[$0].command }, key: commands[indices[0]].key, deadline: deadline,
        waitForConnection: waitForConnection)
      for (index, answer) in zip(indices, answers) { replies[index] = answer }
    }
    return commands.indices.compactMap { replies[$0] }
  }

  /// Sends one command to one node of a cluster; without a cluster, to the server.
  package func execute(
    _ command: RedisCommand, at node: RedisEndpoint.Address, deadline: ContinuousClock.Instant
  ) async throws(RedisError) -> RedisReply {
    guard case .cluster(let router) = way else {
      return try await execute(command, deadline: deadline)
    }
    return try await router.execute(
      [command], to: .node(node), deadline: deadline, waits: true,
      onAbandonment: .discardReplies)[0]
  }

  /// Ends the connection that there is; another one follows by itself.
  package func endConnection(_ failure: RedisFailure) {
    switch way {
    case .server(let node): node.endConnection(failure)
    case .cluster(let router): router.endHomeConnection(failure)
    }
  }

  /// Breaks every silence of so long with a PING, on this connection and on later ones; nil ends
  /// that.
  package func keepAlive(every interval: Duration?) {
    switch way {
    case .server(let node): node.keepAlive(every: interval)
    case .cluster(let router): router.keepAlive(every: interval)
    }
  }
}
