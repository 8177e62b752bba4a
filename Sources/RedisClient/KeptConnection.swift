import Logging
import NIOCore

/// A connection that is kept, on its event loop only: does what its `ConnectionLife` decides.
final class KeptConnection {
  private let configuration: RedisConfiguration
  private let eventLoop: any EventLoop
  private let logger: Logger

  private var life: ConnectionLife
  private var manner = HandshakeManner()
  private var random = SystemRandomNumberGenerator()
  private var opened: OpenedConnection? = nil
  private var wishes: AsyncStream<Void>.Continuation? = nil
  /// Of the handshake, or of the rest before the next attempt.
  private var timer: Scheduled<Void>? = nil
  private var keepAliveInterval: Duration? = nil

  /// Says what the end of a connection in use is called, by who knows what it was used for.
  var nameEnd: ((RedisFailure) -> RedisFailure)? = nil

  /// Called for each event; from `connected` to `disconnected` there is a handler to be used.
  var onEvent: ((ConnectionEvent) -> Void)? = nil

  init(
    configuration: RedisConfiguration, eventLoop: any EventLoop, logger: Logger,
    tellsOfUnused: Bool = false
  ) {
    self.configuration = configuration
    self.eventLoop = eventLoop
    self.logger = logger
    life = ConnectionLife(backoff: configuration.backoff, tellsOfUnused: tellsOfUnused)
  }

  /// The connection's handler, while there is one.
  var handler: RedisChannelHandler? { opened?.handler }

  /// Begins to ask for connections, each of which is to be opened and handed to `openingEnded`.
  func start() -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream<Void>.makeStream()
    wishes = continuation
    take(.started)
    return stream
  }

  func openingEnded(_ result: Result<OpenedConnection, RedisFailure>) {
    switch result {
    case .success(let new):
      opened = new
      take(.opened)
      // It may have moved while this was on its way here.
      if let address = configuration.locator.moves?.last { primaryMoved(to: address) }
    case .failure(let failure): take(.openingFailed(failure))
    }
  }

  /// Ends the connection that there is; another one follows by itself.
  func end(_ failure: RedisFailure) { take(.unwanted(failure)) }

  func stop() { take(.stopped) }

  /// The primary is there by now: a connection to another place is of no use, be it still so good.
  func primaryMoved(to address: RedisEndpoint.Address) {
    guard opened?.address != address else { return }
    take(.primaryMoved(.primaryMoved(to: "\(address)")))
  }

  /// Breaks every silence of so long with a PING, on this connection and on later ones.
  func keepAlive(every interval: Duration?) {
    keepAliveInterval = interval
    if case .ready = life.state { handler?.keepAlive(every: interval) }
  }

  private func take(_ event: ConnectionLife.Event) {
    for action in life.handle(event, at: .now, using: &random) { perform(action) }
  }

  private func perform(_ action: ConnectionLife.Action) {
    switch action {
    case .open:
      timer?.cancel()
      wishes?.yield()
    case .shakeHands: shakeHands()
    case .judge(let server): judge(server)
    case .tell(let event): tell(event)
    case .close(let failure):
      timer?.cancel()
      handler?.fail(failure)
      opened = nil
    case .rest(let duration): schedule(in: TimeAmount(duration)) { [self] in take(.restPassed) }
    }
  }

  private func schedule(in delay: TimeAmount, _ body: @escaping () -> Void) {
    timer?.cancel()
    timer = eventLoop.assumeIsolated().scheduleTask(in: delay, body)
  }

  private func shakeHands() {
    guard let opened else { return }
    let handler = opened.handler
    let handshake = opened.handshake.without(manner.begin(at: .now))
    schedule(in: TimeAmount(until: opened.deadline)) { [self] in
      let hangsInTLS = opened.hasTLS && handler.tlsCertificate == nil
      take(
        .handshakeTimePassed(
          hangsInTLS
            ? .tls(.handshakeTimedOut) : .handshakeTimedOut("\(opened.address)")))
    }
    // One that ends meanwhile fails by this: with the server's own words, if it has refused
    // something before it fell silent.
    handler.send(handshake.encoded, count: handshake.count) { [self] result in
      do throws(RedisFailure) {
        let server = try handshake.judge(try result.get())
        guard manner.succeeded() else {
          return take(.handshakeChanged(.unwanted(reason: Self.triedWithMore)))
        }
        take(.handshakePassed(server))
      } catch {
        handshakeFailed(error, handshake)
      }
    }
  }

  private static let triedWithMore =
    "the handshake has passed without a command that it was hung up on with: that is tried again"

  private func handshakeFailed(_ failure: RedisFailure, _ handshake: RedisHandshake) {
    let isHangUp =
      switch failure {
      case .connectionLost: true
      // It has refused the first command before it hung up on another one.
      case .refusedByServer(let refusal):
        refusal.kind == .unknownCommand || refusal.kind == .noPermission
      default: false
      }
    guard isHangUp else { return take(.handshakeFailed(failure)) }
    let named = failure.isHangUp ? .hungUp(commands: handshake.names) : failure
    take(manner.hungUp(at: .now) ? .handshakeChanged(named) : .handshakeFailed(named))
  }

  private func judge(_ server: RedisServerInfo) {
    timer?.cancel()
    handler?.onFailure = { [self] failure in
      opened = nil
      take(.ended(nameEnd?(failure) ?? failure))
    }
    eventLoop.assumeIsolated().execute { [self] in
      take(.judged(objection: configuration.objection?(server)))
    }
  }

  private func tell(_ event: ConnectionEvent) {
    switch event {
    case .connected(let server):
      logger.debug(
        "redis connected", metadata: [LogKeys.version: "\(server.version ?? "unknown")"])
      handler?.keepAlive(every: keepAliveInterval)
    case .disconnected(let failure):
      logger.debug("redis disconnected", metadata: [LogKeys.reason: "\(failure)"])
    case .connectFailed(let failure):
      logger.debug("redis connect failed", metadata: [LogKeys.reason: "\(failure)"])
    }
    onEvent?(event)
  }
}

/// The dotted keys of this module's log metadata.
private enum LogKeys {
  static let reason = "redis.reason"
  static let version = "redis.version"
}
