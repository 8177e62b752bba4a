import Logging
import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A connection that has passed its handshake.
struct RedisConnection: Sendable {
  let handler: NIOLoopBound<RedisChannelHandler>
  let server: RedisServerInfo
}

/// Opens connections: one attempt a call, under one deadline for all of its steps.
struct RedisConnector: Sendable {
  let configuration: RedisConfiguration
  let eventLoop: any EventLoop
  let logger: Logger

  /// Connects, and again whenever the connection has ended, until the task is cancelled.
  ///
  /// - Parameters:
  ///   - connectFailed: called on the event loop.
  ///   - serve: returns when the connection has ended, with the reason; cancelled, it ends it.
  func keepConnected(
    connectFailed: @escaping @Sendable (RedisFailure) -> Void,
    serve: (RedisConnection) async -> RedisFailure
  ) async {
    var backoff = configuration.backoff
    var random = SystemRandomNumberGenerator()
    while !Task.isCancelled {
      do throws(RedisFailure) {
        let connection = try await connect()
        if let objection = configuration.objection?(connection.server) {
          eventLoop.execute { connection.handler.value.fail(objection) }
          throw objection
        }
        logger.debug(
          "redis connected",
          metadata: [LogKeys.version: "\(connection.server.version ?? "unknown")"])
        let start = ContinuousClock.now
        let failure = await serve(connection)
        logger.debug("redis disconnected", metadata: [LogKeys.reason: "\(failure)"])
        // A server that accepts and drops at once must not be met every 50 ms.
        if start.duration(to: .now) >= backoff.cap { backoff.reset() }
        if failure.needsOperator { backoff.jumpToCap() }
      } catch {
        guard !Task.isCancelled else { return }
        logger.debug("redis connect failed", metadata: [LogKeys.reason: "\(error)"])
        eventLoop.execute { connectFailed(error) }
        if error.needsOperator { backoff.jumpToCap() }
      }
      // A cancelled sleep ends the loop: that is its only error.
      try? await Task.sleep(for: backoff.delay(using: &random), clock: .continuous)
    }
  }

  /// Resolves, tries every address, shakes hands in TLS, authenticates and selects the database.
  ///
  /// - Throws: what went wrong; nothing of the attempt is left then.
  func connect() async throws(RedisFailure) -> RedisConnection {
    let deadline = ContinuousClock.now + configuration.connectTimeout
    let promise = eventLoop.makePromise(of: RedisConnection.self)
    do {
      let (handshake, tls) = try await prepare()
      let attempt = try await eventLoop.submit { [configuration, eventLoop] in
        NIOLoopBound(
          RedisConnectionAttempt(
            configuration: configuration, handshake: handshake, tls: tls, eventLoop: eventLoop,
            promise: promise),
          eventLoop: eventLoop)
      }.get()
      return try await withTaskCancellationHandler {
        eventLoop.execute { attempt.value.start(deadline: deadline) }
        return try await promise.futureResult.get()
      } onCancel: {
        eventLoop.execute { attempt.value.interrupt(.cancelled) }
      }
    } catch {
      let failure = RedisFailure(channelError: error, tlsName: nil)
      promise.fail(failure)
      throw failure
    }
  }

  /// Does what may block, away from the event loop: reads the password and the files of TLS.
  private func prepare() async throws -> (RedisHandshake, NIOSSLContext?) {
    try await NIOThreadPool.singleton.runIfActive { [configuration] in
      let endpoint = configuration.endpoint
      let password = configuration.password.map { $0() } ?? endpoint.password?.revealed
      return (
        try RedisHandshake(
          endpoint: endpoint, password: password, clientName: configuration.clientName),
        try endpoint.tls?.makeContext()
      )
    }
  }
}

/// The commands that begin a connection, sent in one write, and what their replies mean.
struct RedisHandshake: Sendable {
  private let steps: [RedisCommand]
  let encoded: ByteBuffer
  var count: Int { steps.count }

  init(endpoint: RedisEndpoint, password: String?, clientName: String?) throws(RedisFailure) {
    var steps: [RedisCommand] = []
    switch (endpoint.username, password) {
    case (nil, nil): break
    case (nil, let password?): steps.append(RedisCommand("AUTH", password))
    // A user that needs no password is entered with any.
    case (let user?, let password): steps.append(RedisCommand("AUTH", user, password ?? ""))
    }
    if endpoint.database != 0 { steps.append(RedisCommand("SELECT", "\(endpoint.database)")) }
    if let clientName { steps.append(RedisCommand("CLIENT", "SETNAME", clientName)) }
    steps.append(RedisCommand("INFO", "server"))
    // INFO answers while the data set is being loaded; PING is refused then.
    steps.append(RedisCommand("PING"))
    self.steps = steps
    encoded = try ByteBuffer(commands: steps)
  }

  /// Judges the replies in order; the first refusal that matters is thrown.
  ///
  /// `CLIENT`, `INFO` and `PING` may be refused by an ACL or a proxy, and are not needed.
  func judge(_ replies: [RedisReply]) throws(RedisFailure) -> RedisServerInfo {
    var info: RedisReply? = nil
    for (step, reply) in zip(steps, replies) {
      let name = String(decoding: step.arguments[0], as: UTF8.self)
      if name == "INFO" { info = reply }
      guard let refusal = reply.refusal else { continue }
      switch (name, refusal.kind) {
      case (_, .noAuth), (_, .wrongPassword), ("AUTH", _): throw .authenticationFailed(refusal)
      case (_, .loading), (_, .busy), (_, .masterDown): throw .notReady(refusal)
      case ("SELECT", _): throw .refused(command: name, refusal)
      default: break
      }
    }
    return RedisServerInfo(info: info)
  }
}

extension ByteBuffer {
  /// The commands one after the other, as they go over the wire.
  init(commands: [RedisCommand]) throws(RedisFailure) {
    self.init()
    do throws(RedisCommandError) {
      for command in commands { writeBytes(try command.encoded()) }
    } catch {
      throw .commandRefused(error)
    }
  }
}

/// One attempt to connect, on its event loop only: waiting → open → done, or failed at any moment.
private final class RedisConnectionAttempt {
  private let configuration: RedisConfiguration
  private let handshake: RedisHandshake
  private let tls: NIOSSLContext?
  private let eventLoop: any EventLoop
  private let promise: EventLoopPromise<RedisConnection>
  private var timer: Scheduled<Void>? = nil
  private var handler: RedisChannelHandler? = nil
  private var isOver = false

  init(
    configuration: RedisConfiguration, handshake: RedisHandshake, tls: NIOSSLContext?,
    eventLoop: any EventLoop, promise: EventLoopPromise<RedisConnection>
  ) {
    self.configuration = configuration
    self.handshake = handshake
    self.tls = tls
    self.eventLoop = eventLoop
    self.promise = promise
  }

  func start(deadline: ContinuousClock.Instant) {
    guard !isOver else { return }
    let remaining = TimeAmount(until: deadline)
    let address = configuration.endpoint.address
    timer = eventLoop.assumeIsolated().scheduleTask(in: remaining) { [self] in
      let hangsInTLS = tls != nil && handler != nil && handler?.tlsCertificate == nil
      interrupt(hangsInTLS ? .tls(.handshakeTimedOut) : .connectTimedOut("\(address)"))
    }
    let bootstrap = makeBootstrap(timeout: remaining)
    let connected =
      switch address {
      // NIO asks for A and AAAA and tries every address they give (RFC 8305).
      case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
      case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
      }
    connected.assumeIsolated().whenComplete { [self] in opened($0) }
  }

  /// Ends the attempt from outside: its time is up, or nobody wants it any more.
  func interrupt(_ failure: RedisFailure) {
    guard !isOver else { return }
    if let handler, handler.failure == nil {
      // The handshake lacks replies and fails by this: with the server's own words, if it has
      // refused something before it fell silent.
      handler.fail(failure)
    } else {
      fail(failure)
    }
  }

  private func fail(_ failure: RedisFailure) {
    guard !isOver else { return }
    isOver = true
    timer?.cancel()
    handler?.fail(failure)
    promise.fail(failure)
  }

  private func opened(_ result: Result<any Channel, any Error>) {
    switch result {
    case .failure(let error): fail(connectFailure(error))
    case .success(let channel):
      guard !isOver else { return channel.close(promise: nil) }
      guard
        let handler = try? channel.pipeline.syncOperations.handler(type: RedisChannelHandler.self)
      else {
        // A handler that was removed again has seen the end of its connection.
        return fail(.connectionLost(reason: "the server closed it"))
      }
      self.handler = handler
      handler.send(handshake.encoded, count: handshake.count) { [self] in answered($0, by: handler)
      }
    }
  }

  private func answered(
    _ result: Result<[RedisReply], RedisFailure>, by handler: RedisChannelHandler
  ) {
    guard !isOver else { return }
    do throws(RedisFailure) {
      let server = try handshake.judge(try result.get())
      isOver = true
      timer?.cancel()
      promise.succeed(
        RedisConnection(handler: NIOLoopBound(handler, eventLoop: eventLoop), server: server))
    } catch {
      fail(error)
    }
  }

  private func makeBootstrap(timeout: TimeAmount) -> ClientBootstrap {
    let endpoint = configuration.endpoint
    let limits = configuration.replyLimits
    let name: String? =
      switch endpoint.address {
      case .tcp(let host, _): endpoint.tls?.serverName ?? host
      case .unix: nil
      }
    return ClientBootstrap(group: eventLoop)
      .connectTimeout(timeout)
      .withKeepalive(endpoint.address)
      .channelInitializer { [tls] channel in
        channel.eventLoop.makeCompletedFuture {
          if let tls {
            // NIOSSL verifies an IP address by itself, and refuses one as SNI.
            let isAddress = (try? SocketAddress(ipAddress: name ?? "", port: 1)) != nil
            try channel.pipeline.syncOperations.addHandler(
              try NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : name))
          }
          try channel.pipeline.syncOperations.addHandler(
            RedisChannelHandler(limits: limits, tlsName: name))
        }
      }
  }

  private func connectFailure(_ error: any Error) -> RedisFailure {
    let address = "\(configuration.endpoint.address)"
    switch error {
    case let error as NIOConnectionError where error.connectionErrors.isEmpty:
      return .notResolved(host: error.host)
    case let error as NIOConnectionError:
      let reasons = error.connectionErrors.map { failure in
        // With several addresses, which of them failed how is what one wants to know.
        let where_ = error.connectionErrors.count > 1 ? "\(failure.target): " : ""
        return where_ + ((failure.error as? IOError)?.reasonWithoutCall ?? "\(failure.error)")
      }
      return .unreachable(address, reason: reasons.joined(separator: "; "))
    case let error as IOError: return .unreachable(address, reason: error.reasonWithoutCall)
    case ChannelError.connectTimeout: return .connectTimedOut(address)
    default: return RedisFailure(channelError: error, tlsName: nil)
    }
  }
}

extension ClientBootstrap {
  /// Has the kernel find out that the peer is gone, since an idle client sends nothing.
  ///
  /// 30 s of silence, then three probes 5 s apart: 45 s, with no command for Redis to serve.
  fileprivate func withKeepalive(_ address: RedisEndpoint.Address) -> ClientBootstrap {
    guard case .tcp = address else { return self }
    let bootstrap = channelOption(.socketOption(.so_keepalive), value: 1)
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
    #if os(Linux)
      return
        bootstrap
        .channelOption(.tcpOption(.init(rawValue: TCP_KEEPIDLE)), value: 30)
        .channelOption(.tcpOption(.init(rawValue: TCP_KEEPINTVL)), value: 5)
        .channelOption(.tcpOption(.init(rawValue: TCP_KEEPCNT)), value: 3)
    #else
      return bootstrap
    #endif
  }
}

/// The dotted keys of this module's log metadata.
private enum LogKeys {
  static let reason = "redis.reason"
  static let version = "redis.version"
}
