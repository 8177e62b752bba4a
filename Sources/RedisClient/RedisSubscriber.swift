package import Logging
package import NIOCore

/// A message that somebody published.
package struct RedisMessage: Hashable, Sendable {
  package let channel: String
  /// At most as long as the limit of a string in the configuration's `replyLimits`.
  package let payload: [UInt8]

  package init(channel: String, payload: [UInt8]) {
    self.channel = channel
    self.payload = payload
  }
}

/// A connection that listens to channels, and keeps itself connected and subscribed.
///
/// What is published while it is not subscribed is lost: messages are hints.
package struct RedisSubscriber: Sendable {
  private let connector: RedisConnector
  private let listener: NIOLoopBoundBox<RedisListener>

  package init(
    configuration: RedisConfiguration, eventLoopGroup: any EventLoopGroup, logger: Logger
  ) {
    let eventLoop = eventLoopGroup.next()
    // What is published on one node of a cluster is told by all.
    let configuration = configuration.connectionToAnyNode()
    connector = RedisConnector(configuration: configuration, eventLoop: eventLoop)
    listener = NIOLoopBoundBox.makeBoxSendingValue(
      RedisListener(configuration: configuration, eventLoop: eventLoop, logger: logger),
      eventLoop: eventLoop)
  }

  /// Ends the connection that there is; another one follows by itself.
  package func endConnection(_ failure: RedisFailure) {
    connector.eventLoop.execute { [listener] in listener.value.connection.end(failure) }
  }

  /// Breaks every silence of so long with a PING, on this connection and on later ones.
  package func keepAlive(every interval: Duration?) {
    connector.eventLoop.execute { [listener] in
      listener.value.connection.keepAlive(every: interval)
    }
  }

  /// Listens until the task is cancelled; it connects by the same rules as `RedisClient`, and runs
  /// once.
  ///
  /// The callbacks are called in order on the event loop, so they must not block.
  ///
  /// - Parameters:
  ///   - onSubscribed: called after each (re)connect, when the server has confirmed every channel:
  ///     from here on nothing is missed, and before it something may have been.
  package func run(
    channels: [String],
    onMessage: @escaping @Sendable (RedisMessage) -> Void,
    onSubscribed: @escaping @Sendable () -> Void,
    onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }
  ) async {
    connector.eventLoop.execute { [listener] in
      listener.value.audience = RedisListener.Audience(
        channels: Set(channels), onMessage: onMessage, onSubscribed: onSubscribed,
        onEvent: onEvent)
    }
    await connector.keepConnected(
      { [listener] in listener.value.connection },
      stop: { [listener] in listener.value.connection.stop() })
  }
}

/// A subscriber's connection, on its event loop only: does what `Subscription` decides.
private final class RedisListener {
  struct Audience {
    let channels: Set<String>
    let onMessage: (RedisMessage) -> Void
    let onSubscribed: () -> Void
    let onEvent: (ConnectionEvent) -> Void
  }

  let connection: KeptConnection
  var audience: Audience? = nil
  private let timeout: Duration
  private let eventLoop: any EventLoop
  private var subscription: Subscription
  private var hangUps = HangUps()
  private var timer: Scheduled<Void>? = nil

  init(configuration: RedisConfiguration, eventLoop: any EventLoop, logger: Logger) {
    connection = KeptConnection(
      configuration: configuration, eventLoop: eventLoop, logger: logger, tellsOfUnused: true)
    timeout = configuration.unresponsiveAfter
    self.eventLoop = eventLoop
    subscription = Subscription(channels: [])
    connection.onEvent = { [weak self] in self?.connectionChanged($0) }
    connection.nameEnd = { [weak self] in self?.named($0) ?? $0 }
  }

  /// What has ended the connection: some proxies hang up on whoever wants to listen.
  private func named(_ failure: RedisFailure) -> RedisFailure {
    guard subscription.state != .confirmed, hangUps.lost(failure) else { return failure }
    return .hungUp(commands: "SUBSCRIBE")
  }

  private func connectionChanged(_ event: ConnectionEvent) {
    timer?.cancel()
    audience?.onEvent(event)
    if case .connected = event { subscribe() }
  }

  private func subscribe() {
    guard let audience, let handler = connection.handler else { return }
    subscription = Subscription(channels: audience.channels)
    timer = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(timeout)) { [self] in
      perform(subscription.timePassed())
    }
    do throws(RedisFailure) {
      let command = try ByteBuffer(commands: [
        RedisCommand("SUBSCRIBE", audience.channels.sorted())
      ])
      handler.subscribe(command) { [self] in perform(subscription.received($0)) }
    } catch {
      connection.end(error)
    }
  }

  private func perform(_ action: Subscription.Action) {
    switch action {
    case .nothing: break
    case .confirm:
      timer?.cancel()
      hangUps.answered()
      audience?.onSubscribed()
    case .deliver(let message): audience?.onMessage(message)
    case .close(let failure): connection.end(failure)
    }
  }
}
