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
  /// What is set from outside, on the event loop only.
  private struct Current {
    var handler: RedisChannelHandler? = nil
    var keepAlive: Duration? = nil
  }

  private let connector: RedisConnector
  private let current: NIOLoopBoundBox<Current>

  package init(
    configuration: RedisConfiguration, eventLoopGroup: any EventLoopGroup, logger: Logger
  ) {
    let eventLoop = eventLoopGroup.next()
    connector = RedisConnector(
      configuration: configuration, eventLoop: eventLoop, logger: logger)
    current = NIOLoopBoundBox.makeBoxSendingValue(Current(), eventLoop: eventLoop)
  }

  /// Ends the connection that there is; another one follows by itself.
  package func endConnection(_ failure: RedisFailure) {
    connector.eventLoop.execute { [current] in current.value.handler?.fail(failure) }
  }

  /// Breaks every silence of so long with a PING, on this connection and on later ones.
  package func keepAlive(every interval: Duration?) {
    connector.eventLoop.execute { [current] in
      current.value.keepAlive = interval
      current.value.handler?.keepAlive(every: interval)
    }
  }

  /// Listens until the task is cancelled; it connects by the same rules as `RedisClient`.
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
    let eventLoop = connector.eventLoop
    let timeout = connector.configuration.unresponsiveAfter
    await connector.keepConnected { failure in
      onEvent(.connectFailed(failure))
    } serve: { connection in
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          eventLoop.execute {
            let subscription = Subscription(
              channels: Set(channels), handler: connection.handler.value, onMessage: onMessage,
              onSubscribed: onSubscribed)
            onEvent(.connected(connection.server))
            current.value.handler = connection.handler.value
            connection.handler.value.keepAlive(every: current.value.keepAlive)
            subscription.start(timeout: timeout, on: eventLoop) { failure in
              current.value.handler = nil
              onEvent(.disconnected(failure))
              continuation.resume(returning: failure)
            }
          }
        }
      } onCancel: {
        eventLoop.execute { connection.handler.value.fail(.stopped) }
      }
    }
  }
}

/// One connection's subscription, on its event loop only: unconfirmed → confirmed → ended.
private final class Subscription {
  private var unconfirmed: Set<String>
  private let handler: RedisChannelHandler
  private let onMessage: (RedisMessage) -> Void
  private let onSubscribed: () -> Void
  private var timer: Scheduled<Void>? = nil

  init(
    channels: Set<String>, handler: RedisChannelHandler,
    onMessage: @escaping (RedisMessage) -> Void, onSubscribed: @escaping () -> Void
  ) {
    unconfirmed = channels
    self.handler = handler
    self.onMessage = onMessage
    self.onSubscribed = onSubscribed
  }

  func start(
    timeout: Duration, on eventLoop: any EventLoop, onEnd: @escaping (RedisFailure) -> Void
  ) {
    // It may have ended between its handshake and now.
    if let failure = handler.failure { return onEnd(failure) }
    handler.onFailure = { [self] failure in
      timer?.cancel()
      onEnd(failure)
    }
    timer = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(timeout)) { [handler] in
      handler.fail(.unresponsive)
    }
    do throws(RedisFailure) {
      let command = try ByteBuffer(commands: [RedisCommand("SUBSCRIBE", unconfirmed.sorted())])
      handler.subscribe(command) { [self] in received($0) }
    } catch {
      handler.fail(error)
    }
  }

  private func received(_ reply: RedisReply) {
    if let refusal = reply.refusal {
      return handler.fail(.refused(command: "SUBSCRIBE", refusal))
    }
    if reply.elements?.first?.text == "pong" { return }
    guard let elements = reply.elements, elements.count == 3, let channel = elements[1].text else {
      return handler.fail(.unmatchedReply)
    }
    switch elements[0].text {
    case "subscribe":
      guard unconfirmed.remove(channel) != nil else { return handler.fail(.unmatchedReply) }
      guard unconfirmed.isEmpty else { return }
      timer?.cancel()
      onSubscribed()
    case "message":
      guard let payload = elements[2].bytes else { return handler.fail(.unmatchedReply) }
      onMessage(RedisMessage(channel: channel, payload: payload))
    default: handler.fail(.unmatchedReply)
    }
  }
}
