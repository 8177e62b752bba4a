import Dialing
import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A connection that stands and has not been used, on its event loop only.
///
/// The handler comes along: it may have seen the end of the connection already, with the server's
/// words for it, and have left the pipeline.
struct OpenedConnection: Sendable {
  fileprivate let boundHandler: NIOLoopBound<RedisChannelHandler>
  let address: RedisEndpoint.Address
  let handshake: RedisHandshake
  let hasTLS: Bool
  /// By when the handshake has to be over.
  let deadline: ContinuousClock.Instant

  var handler: RedisChannelHandler { boundHandler.value }
}

/// Opens connections: one attempt a call, under one deadline for all of its steps.
struct RedisConnector: Sendable {
  let configuration: RedisConfiguration
  let eventLoop: any EventLoop

  /// Opens a connection whenever it is asked for one, until the task is cancelled.
  ///
  /// - Parameters:
  ///   - connection: what is kept, and asks; called on the event loop.
  ///   - stop: stops it; called on the event loop, at least once.
  func keepConnected(
    _ connection: @escaping @Sendable () -> KeptConnection, stop: @escaping @Sendable () -> Void
  ) async {
    let moves = configuration.locator.moves
    let observation = moves?.observe { [eventLoop] address in
      eventLoop.execute { connection().primaryMoved(to: address) }
    }
    defer { observation.map { moves?.forget($0) } }
    await withTaskCancellationHandler {
      guard let wishes = try? await eventLoop.submit({ connection().start() }).get() else { return }
      for await _ in wishes {
        let result = await open()
        let isCancelled = Task.isCancelled
        eventLoop.execute {
          // Before anything is told: an attempt that was cancelled has not failed.
          if isCancelled { stop() }
          connection().openingEnded(result)
        }
      }
    } onCancel: {
      eventLoop.execute(stop)
    }
    // Whatever is told of the end has been told when this returns.
    try? await eventLoop.submit(stop).get()
  }

  /// Finds the server, resolves its name, tries every address, and readies the handshakes of TLS
  /// and Redis.
  ///
  /// - Returns: otherwise what went wrong, and in which of these steps; nothing of the attempt is
  ///   left then.
  private func open() async -> Result<OpenedConnection, RedisFailure> {
    let deadline = ContinuousClock.now + configuration.connectTimeout
    let locator = configuration.locator
    do {
      let address = try await locator.locate(by: deadline, on: eventLoop)
      let opened =
        if let moves = locator.moves {
          // Where it was may let attempts hang: it may have been paused or cut off.
          try await moves.run(whileAt: address, discard: discard) {
            try await open(address, by: deadline)
          }
        } else {
          try await open(address, by: deadline)
        }
      return .success(opened)
    } catch {
      return .failure(RedisFailure(channelError: error, tlsName: nil))
    }
  }

  private func open(
    _ address: RedisEndpoint.Address, by deadline: ContinuousClock.Instant
  ) async throws -> OpenedConnection {
    let (handshake, tls) = try await prepare(for: address)
    return OpenedConnection(
      boundHandler: try await open(address, tls, by: deadline), address: address,
      handshake: handshake, hasTLS: tls != nil, deadline: deadline)
  }

  private func discard(_ opened: OpenedConnection) {
    eventLoop.execute { opened.handler.fail(.cancelled) }
  }

  /// Does what may block, away from the event loop: reads the password and the files of TLS.
  private func prepare(
    for address: RedisEndpoint.Address
  ) async throws -> (RedisHandshake, NIOSSLContext?) {
    try await NIOThreadPool.singleton.runIfActive { [configuration] in
      let endpoint = configuration.endpoint
      let password = configuration.password.map { $0() } ?? endpoint.password?.revealed
      return (
        try RedisHandshake(
          endpoint: endpoint, address: address, password: password,
          clientName: configuration.clientName, asksWhoItIs: configuration.asksWhoItIs),
        try endpoint.tls?.makeContext()
      )
    }
  }

  /// Opens a connection, asks on it, and closes it.
  ///
  /// - Returns: the replies to the commands.
  /// - Throws: `RedisFailure`.
  func ask(
    _ commands: [RedisCommand], at address: RedisEndpoint.Address,
    by deadline: ContinuousClock.Instant
  ) async throws -> [RedisReply] {
    let opened = try await open(address, by: deadline)
    return try await withTaskCancellationHandler {
      defer { discard(opened) }
      return try await replies(to: commands, on: opened).get()
    } onCancel: {
      discard(opened)
    }
  }

  private func replies(
    to commands: [RedisCommand], on opened: OpenedConnection
  ) async -> Result<[RedisReply], RedisFailure> {
    await withCheckedContinuation { continuation in
      eventLoop.execute { [eventLoop] in
        let (handler, handshake) = (opened.handler, opened.handshake)
        let timer = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(until: opened.deadline))
        {
          let hangsInTLS = opened.hasTLS && handler.tlsCertificate == nil
          handler.fail(
            hangsInTLS ? .tls(.handshakeTimedOut) : .handshakeTimedOut("\(opened.address)"))
        }
        let all: ByteBuffer
        do throws(RedisFailure) {
          var buffer = handshake.encoded
          buffer.writeImmutableBuffer(try ByteBuffer(commands: commands))
          all = buffer
        } catch {
          timer.cancel()
          return continuation.resume(returning: .failure(error))
        }
        handler.send(all, count: handshake.count + commands.count) { result in
          timer.cancel()
          do throws(RedisFailure) {
            let replies = try result.get()
            _ = try handshake.judge(replies)
            continuation.resume(returning: .success(Array(replies.dropFirst(handshake.count))))
          } catch {
            continuation.resume(returning: .failure(error))
          }
        }
      }
    }
  }
}

extension ByteBuffer {
  /// The commands one after the other, as they go over the wire.
  init(commands: [RedisCommand]) throws(RedisFailure) {
    self.init()
    do throws(RedisCommandError) {
      for command in commands { try command.withEncoded { writeBytes($0) } }
    } catch {
      throw .commandRefused(error)
    }
  }
}

// MARK: - The connection

extension RedisConnector {
  /// The handlers of the channels that are being opened, on the event loop only.
  private final class Handlers {
    var all: [ObjectIdentifier: RedisChannelHandler] = [:]
  }

  private func open(
    _ address: RedisEndpoint.Address, _ tls: NIOSSLContext?,
    by deadline: ContinuousClock.Instant
  ) async throws -> NIOLoopBound<RedisChannelHandler> {
    let handlers = NIOLoopBoundBox.makeBoxSendingValue(Handlers(), eventLoop: eventLoop)
    let channel: any Channel
    switch address {
    case .tcp(let host, let port):
      do throws(DialFailure) {
        channel = try await configuration.dialer.connect(
          host: host, port: port, deadline: deadline, on: eventLoop
        ) { configure($0.withKeepalive(), address, tls, handlers) }.channel
      } catch {
        throw RedisFailure(error, at: "\(address)", host: host)
      }
    case .unix(let path):
      do {
        channel = try await configure(ClientBootstrap(group: eventLoop), address, tls, handlers)
          .connectTimeout(TimeAmount(until: deadline)).connect(unixDomainSocketPath: path).get()
      } catch {
        throw connectFailure(error, at: address)
      }
    }
    return try await eventLoop.submit { [eventLoop] in
      guard let handler = handlers.value.all[ObjectIdentifier(channel)] else {
        throw RedisFailure.connectionLost(reason: "it was never open")
      }
      return NIOLoopBound(handler, eventLoop: eventLoop)
    }.get()
  }

  private func configure(
    _ bootstrap: ClientBootstrap, _ address: RedisEndpoint.Address, _ tls: NIOSSLContext?,
    _ handlers: NIOLoopBoundBox<Handlers>
  ) -> ClientBootstrap {
    let endpoint = configuration.endpoint
    let limits = configuration.replyLimits
    // It is not in the URL: whoever reads of it has to be told where it comes from.
    let reporter = endpoint.tls?.serverName == nil ? configuration.reporter(of: address) : nil
    let name: String? =
      switch address {
      case .tcp(let host, _): URLHost.certificateName(of: endpoint.tls?.serverName ?? host)
      case .unix: nil
      }
    return bootstrap.channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        if let tls {
          // NIOSSL verifies an IP address by itself, and refuses one as SNI.
          let isAddress = (try? SocketAddress(ipAddress: name ?? "", port: 1)) != nil
          let handler =
            if let name, !isAddress {
              try NamedPeer.handler(context: tls, name: name)
            } else {
              try NIOSSLClientHandler(context: tls, serverHostname: nil)
            }
          try channel.pipeline.syncOperations.addHandler(handler)
        }
        let handler = RedisChannelHandler(
          limits: limits, tlsName: name, reporter: reporter)
        handlers.value.all[ObjectIdentifier(channel)] = handler
        try channel.pipeline.syncOperations.addHandler(handler)
      }
    }
  }

  /// Of a Unix socket.
  private func connectFailure(
    _ error: any Error, at address: RedisEndpoint.Address
  ) -> RedisFailure {
    switch error {
    case let error as IOError: .unreachable("\(address)", reason: error.reasonWithoutCall)
    case ChannelError.connectTimeout: .connectTimedOut("\(address)")
    default: RedisFailure(channelError: error, tlsName: nil)
    }
  }
}

extension RedisFailure {
  /// Why a server was not reached.
  ///
  /// - Parameters:
  ///   - place: host and port, as in the URL.
  ///   - host: the host alone.
  init(_ failure: DialFailure, at place: String, host: String) {
    switch failure {
    case .notResolved(let host, let reason): self = .notResolved(host: host, reason: reason)
    case .lookUpTimedOut(let host): self = .lookUpTimedOut(host: host)
    case .connectTimedOut(let addresses):
      let others = addresses.filter { $0 != place }
      self = .connectTimedOut(
        others.isEmpty ? place : "\(place) (\(others.joined(separator: ", ")))")
    case .unreachable(let attempts):
      let reasons = attempts.map { attempt in
        let reason =
          switch attempt.error {
          case let error as IOError: error.reasonWithoutCall
          case ChannelError.connectTimeout: "no answer in time"
          case let error: "\(error)"
          }
        // Which address failed how is what one wants to know, unless it stands there already.
        return attempt.address == place ? reason : "\(attempt.address): \(reason)"
      }
      self = .unreachable(place, reason: reasons.joined(separator: "; "))
    case .cancelled: self = .cancelled
    }
  }
}

extension ClientBootstrap {
  /// Has the kernel find out that the peer is gone, since an idle client sends nothing.
  ///
  /// 30 s of silence, then three probes 5 s apart: 45 s, with no command for Redis to serve.
  fileprivate func withKeepalive() -> ClientBootstrap {
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
