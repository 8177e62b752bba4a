import Logging
import NIOCore
import Synchronization

/// One server's connection, kept while `run()` runs, and the commands for it, from any thread.
final class NodeClient: Sendable {
  private let connector: RedisConnector
  private let eventLoop: any EventLoop
  private let node: NIOLoopBoundBox<RedisNode>
  private let nextID = Atomic<UInt64>(0)

  /// - Parameter onEvent: called in order on the event loop, so it must not block; `connected`
  ///   comes before any reply of the new connection.
  init(
    configuration: RedisConfiguration, eventLoop: any EventLoop, logger: Logger,
    onEvent: @escaping @Sendable (ConnectionEvent) -> Void
  ) {
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
  func run() async {
    await connector.keepConnected(
      { [node] in node.value.connection }, stop: { [node] in node.value.stop() })
  }

  /// Sends commands in one write and returns their replies in order; a refusal is a reply.
  func execute(
    _ commands: [RedisCommand], deadline: ContinuousClock.Instant, waitForConnection: Bool,
    onAbandonment: RedisClient.Abandonment
  ) async throws(RedisError) -> [RedisReply] {
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

  /// Ends the connection that there is; another one follows by itself.
  func endConnection(_ failure: RedisFailure) {
    eventLoop.execute { [node] in node.value.connection.end(failure) }
  }

  /// Breaks every silence of so long with a PING, on this connection and on later ones; nil ends
  /// that.
  func keepAlive(every interval: Duration?) {
    eventLoop.execute { [node] in node.value.connection.keepAlive(every: interval) }
  }
}

/// Whether a caller has gone, for the moment when its commands reach the event loop.
private final class Cancellation: Sendable {
  private let requested = Atomic<Bool>(false)
  var isRequested: Bool { requested.load(ordering: .acquiring) }
  func request() { requested.store(true, ordering: .releasing) }
}
