package import Logging
package import NIOCore
import Synchronization

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

  private let connector: RedisConnector
  private let eventLoop: any EventLoop
  private let node: NIOLoopBoundBox<RedisNode>
  private let nextID = Atomic<UInt64>(0)

  /// - Parameters:
  ///   - onEvent: called in order on the client's event loop, so it must not block; `connected`
  ///     comes before any reply of the new connection.
  package init(
    configuration: RedisConfiguration, eventLoopGroup: any EventLoopGroup, logger: Logger,
    onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }
  ) {
    let eventLoop = eventLoopGroup.next()
    self.eventLoop = eventLoop
    connector = RedisConnector(configuration: configuration, eventLoop: eventLoop)
    node = NIOLoopBoundBox.makeBoxSendingValue(
      RedisNode(
        configuration: configuration, eventLoop: eventLoop, logger: logger, onEvent: onEvent),
      eventLoop: eventLoop)
  }

  /// Connects, and connects again whenever the connection ends, until the task is cancelled.
  ///
  /// Afterwards every command fails with `.notSent(.stopped)`; a client runs once.
  package func run() async {
    await connector.keepConnected(
      { [node] in node.value.connection }, stop: { [node] in node.value.stop() })
  }

  /// Sends commands in one write and returns their replies in order; a refusal is a reply.
  ///
  /// - Parameters:
  ///   - deadline: for everything: waiting for a connection, writing and reading.
  ///   - waitForConnection: whether to wait until the deadline when there is no connection;
  ///     without, such a command fails at once.
  /// - Throws: `notSent` when it certainly did not happen, `outcomeUnknown` when it may have.
  package func execute(
    _ commands: [RedisCommand], deadline: ContinuousClock.Instant, waitForConnection: Bool = false,
    onAbandonment: Abandonment = .discardReplies
  ) async throws(RedisError) -> [RedisReply] {
    guard !commands.isEmpty else { return [] }
    let wire: ByteBuffer
    do throws(RedisFailure) {
      wire = try ByteBuffer(commands: commands)
    } catch {
      throw .notSent(error)
    }
    let id = nextID.wrappingAdd(1, ordering: .relaxed).newValue
    let cancellation = Cancellation()
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        eventLoop.execute { [node] in
          node.value.submit(
            RedisNode.Batch(
              id: id, caller: RedisCaller(id: id, wire: wire, continuation: continuation),
              count: commands.count, bytes: wire.readableBytes, deadline: deadline,
              waitsForConnection: waitForConnection, onAbandonment: onAbandonment),
            isCancelled: cancellation.isRequested)
        }
      }
    } onCancel: {
      // Set first: when this comes before the submission, the submission sees it.
      cancellation.request()
      eventLoop.execute { [node] in node.value.cancel(id) }
    }
    return try result.get()
  }

  /// Sends one command and returns its reply.
  package func execute(
    _ command: RedisCommand, deadline: ContinuousClock.Instant, waitForConnection: Bool = false,
    onAbandonment: Abandonment = .discardReplies
  ) async throws(RedisError) -> RedisReply {
    let replies = try await execute(
      [command], deadline: deadline, waitForConnection: waitForConnection,
      onAbandonment: onAbandonment)
    return replies[0]
  }

  /// Ends the connection that there is; another one follows by itself.
  package func endConnection(_ failure: RedisFailure) {
    eventLoop.execute { [node] in node.value.connection.end(failure) }
  }

  /// Breaks every silence of so long with a PING, on this connection and on later ones; nil ends
  /// that.
  package func keepAlive(every interval: Duration?) {
    eventLoop.execute { [node] in node.value.connection.keepAlive(every: interval) }
  }
}

/// Whether a caller has gone, for the moment when its commands reach the event loop.
private final class Cancellation: Sendable {
  private let requested = Atomic<Bool>(false)
  var isRequested: Bool { requested.load(ordering: .acquiring) }
  func request() { requested.store(true, ordering: .releasing) }
}
