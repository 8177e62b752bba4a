import Logging
import NIOCore
import Synchronization

/// One node of a cluster that a client has a connection to.
final class ClusterNode: Sendable {
  let client: NodeClient
  private let eventLoop: any EventLoop
  private let retirement: AsyncStream<Void>
  private let retired: AsyncStream<Void>.Continuation

  /// So long it may answer what was asked of it before.
  private static let grace: TimeAmount = .seconds(1)

  init(
    _ address: RedisEndpoint.Address, _ configuration: RedisConfiguration,
    eventLoop: any EventLoop, logger: Logger,
    onEvent: @escaping @Sendable (ConnectionEvent) -> Void
  ) {
    self.eventLoop = eventLoop
    (retirement, retired) = AsyncStream.makeStream()
    client = NodeClient(
      configuration: configuration.connection(to: address), eventLoop: eventLoop, logger: logger,
      onEvent: onEvent)
  }

  /// Keeps the connection until it is retired, or the task is cancelled.
  func run() async {
    await withTaskGroup { group in
      group.addTask { [client] in await client.run() }
      for await _ in retirement {}
      group.cancelAll()
    }
  }

  /// Ends it: at once, or when it has had a moment for what is under way.
  func retire(isIdle: Bool) {
    guard !isIdle else { return retired.finish() }
    eventLoop.scheduleTask(in: Self.grace) { [retired] in retired.finish() }
  }
}
