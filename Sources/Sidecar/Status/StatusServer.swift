import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// The HTTP interface cannot start.
package enum StatusServerError: Error, Hashable, CustomStringConvertible {
  /// Another process has the address.
  case addressInUse(ListenAddress)
  /// The address cannot be listened on.
  case cannotListen(ListenAddress, reason: String)
  /// Certificate or key cannot be used.
  case unusableCertificate(reason: String)

  package var description: String {
    switch self {
    case .addressInUse(.tcp(let host, let port)):
      "port \(port) on \(host) is in use by another process: stop it or set WCH_HTTP_LISTEN"
    case .addressInUse(let address):
      "\(address) is in use by another process: stop it or set WCH_HTTP_LISTEN"
    case .cannotListen(let address, let reason):
      "cannot listen on \(address): \(reason); set WCH_HTTP_LISTEN to host:port of this machine,"
        + " unix:/path in a folder that exists, or off"
    case .unusableCertificate(let reason):
      "the certificate for HTTPS cannot be used: \(reason)"
    }
  }
}

/// Serves the status page, the checks, the metrics and the token interface.
package struct StatusServer: Service {
  private let settings: Settings.HTTP
  private let source: any StatusSource
  private let metrics: MetricsRegistry
  private let logger: Logger
  private let certificateInterval: Duration
  private let whenListening: @Sendable (_ port: Int?) -> Void

  /// Connections beyond these wait in the kernel's queue.
  private static let connectionLimit = 512
  /// A client that sends nothing for this long is hung up on.
  private static let idleTimeout: TimeAmount = .seconds(60)

  /// - Parameters:
  ///   - certificateInterval: the least time between two looks at the certificate's files.
  ///   - whenListening: told the port once requests are taken; nil on a Unix socket, and at once
  ///     when the interface is off.
  package init(
    settings: Settings.HTTP, source: any StatusSource, metrics: MetricsRegistry, logger: Logger,
    certificateInterval: Duration = .seconds(1),
    whenListening: @escaping @Sendable (_ port: Int?) -> Void = { _ in }
  ) {
    self.settings = settings
    self.source = source
    self.metrics = metrics
    self.logger = logger
    self.certificateInterval = certificateInterval
    self.whenListening = whenListening
  }

  /// Serves until graceful shutdown or cancellation; returns at once when the interface is off.
  ///
  /// - Throws: `StatusServerError` when it cannot start.
  package func run() async throws {
    let address: BindAddress
    switch settings.listen {
    case .off:
      whenListening(nil)
      // A service that returns would end its group.
      try? await gracefulShutdown()
      return
    case .tcp(let host, let port): address = .hostname(host, port: port)
    case .unix(let path):
      try await refuseLiveSocket(path)
      address = .unixDomainSocket(path: path)
    }
    let certificates = try settings.tls.map {
      try CertificateFiles($0, logger: logger, interval: certificateInterval)
    }
    var serverLogger = logger
    // The server says what we say better.
    serverLogger.logLevel = max(logger.logLevel, .warning)
    let application = Application(
      responder: StatusResponder(source: source, metrics: metrics, bearer: settings.bearer),
      server: HTTPServerBuilder { responder in
        let plain = HTTP1Channel(
          responder: responder,
          configuration: HTTP1Channel.Configuration(
            idleTimeout: Self.idleTimeout,
            httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
              maxHeaderFieldSize: 8 * 1024, maxHeaderListSize: 16 * 1024,
              maxHeaderFieldCount: 100)))
        if let certificates { return EncryptedChannel(base: plain, certificates: certificates) }
        return plain
      },
      configuration: ApplicationConfiguration(
        address: address,
        availableConnectionsDelegate: MaximumAvailableConnections(Self.connectionLimit)),
      onServerRunning: { [settings, logger, whenListening] channel in
        let port = channel.localAddress?.port
        logger.info(
          "HTTP interface listens",
          metadata: .keyed([.httpListen: "\(Self.shown(settings.listen, port: port))"]))
        whenListening(port)
      },
      logger: serverLogger)
    do {
      try await application.run()
    } catch let error as IOError where error.errnoCode == EADDRINUSE {
      throw StatusServerError.addressInUse(settings.listen)
    } catch let error as IOError {
      throw StatusServerError.cannotListen(settings.listen, reason: Self.reason(of: error))
    } catch let error as SocketAddressError.UnknownHost {
      throw StatusServerError.cannotListen(
        settings.listen, reason: "the name \(error.host) has no address")
    } catch let error as SocketAddressError {
      throw StatusServerError.cannotListen(settings.listen, reason: "\(error)")
    } catch is UnixDomainSocketPathWrongType {
      throw StatusServerError.cannotListen(
        settings.listen, reason: "the path exists and is not a socket")
    }
  }

  /// Binding removes a socket that is left over; one that still answers is somebody's.
  private func refuseLiveSocket(_ path: String) async throws {
    let probe = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.seconds(1)).connect(unixDomainSocketPath: path).get()
    guard let probe else { return }
    try? await probe.close()
    throw StatusServerError.addressInUse(settings.listen)
  }

  private static func shown(_ address: ListenAddress, port: Int?) -> ListenAddress {
    guard case .tcp(let host, 0) = address, let port else { return address }
    return .tcp(host: host, port: port)
  }

  private static func reason(of error: IOError) -> String {
    switch error.errnoCode {
    case EACCES, EPERM: "this user may not (ports below 1024 need a privilege)"
    case EADDRNOTAVAIL: "this host does not have the address"
    case ENOENT, ENOTDIR: "the folder does not exist"
    default: "errno \(error.errnoCode)"
    }
  }
}
