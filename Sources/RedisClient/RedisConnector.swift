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

  /// Resolves, tries every address, and readies the handshakes of TLS and Redis.
  ///
  /// - Returns: otherwise what went wrong, and in which of these steps; nothing of the attempt is
  ///   left then.
  private func open() async -> Result<OpenedConnection, RedisFailure> {
    let deadline = ContinuousClock.now + configuration.connectTimeout
    do {
      let (handshake, tls) = try await prepare()
      return .success(
        OpenedConnection(
          boundHandler: try await open(tls, by: deadline), handshake: handshake,
          hasTLS: tls != nil, deadline: deadline))
    } catch {
      return .failure(RedisFailure(channelError: error, tlsName: nil))
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

// MARK: - The connection

extension RedisConnector {
  /// The handlers of the channels that are being opened, on the event loop only.
  private final class Handlers {
    var all: [ObjectIdentifier: RedisChannelHandler] = [:]
  }

  private func open(
    _ tls: NIOSSLContext?, by deadline: ContinuousClock.Instant
  ) async throws -> NIOLoopBound<RedisChannelHandler> {
    let address = configuration.endpoint.address
    let handlers = NIOLoopBoundBox.makeBoxSendingValue(Handlers(), eventLoop: eventLoop)
    let channel: any Channel
    switch address {
    case .tcp(let host, let port):
      do throws(DialFailure) {
        channel = try await configuration.dialer.connect(
          host: host, port: port, deadline: deadline, on: eventLoop
        ) { configure($0.withKeepalive(), tls, handlers) }.channel
      } catch {
        throw RedisFailure(error, at: "\(address)", host: host)
      }
    case .unix(let path):
      do {
        channel = try await configure(ClientBootstrap(group: eventLoop), tls, handlers)
          .connectTimeout(TimeAmount(until: deadline)).connect(unixDomainSocketPath: path).get()
      } catch {
        throw connectFailure(error)
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
    _ bootstrap: ClientBootstrap, _ tls: NIOSSLContext?,
    _ handlers: NIOLoopBoundBox<Handlers>
  ) -> ClientBootstrap {
    let endpoint = configuration.endpoint
    let limits = configuration.replyLimits
    let name: String? =
      switch endpoint.address {
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
        let handler = RedisChannelHandler(limits: limits, tlsName: name)
        handlers.value.all[ObjectIdentifier(channel)] = handler
        try channel.pipeline.syncOperations.addHandler(handler)
      }
    }
  }

  /// Of a Unix socket.
  private func connectFailure(_ error: any Error) -> RedisFailure {
    let address = "\(configuration.endpoint.address)"
    switch error {
    case let error as IOError: return .unreachable(address, reason: error.reasonWithoutCall)
    case ChannelError.connectTimeout: return .connectTimedOut(address)
    default: return RedisFailure(channelError: error, tlsName: nil)
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
