import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import RedisClient
import ServiceLifecycle
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

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
///
/// All of it runs on one event loop of its own, so that whoever asks, however much, keeps at most
/// one processor busy. SwiftNIO's handlers are used as they are, not a framework's connections:
/// these have no limit for an answer that nobody reads, none for a body that drips, and wait for
/// both when the process is to end.
package struct StatusServer: Service {
  private let settings: Settings.HTTP
  private let source: any StatusSource
  private let metrics: MetricsRegistry
  private let logger: Logger
  private let executor: LoopExecutor
  private let connectionLimit: Int
  private let certificates: CertificateFiles?
  private let certificateInterval: Duration
  private let whenListening: @Sendable (_ port: Int?) -> Void

  /// The most connections there may be; a descriptor each.
  private static let mostConnections = 512
  /// Descriptors for what matters more: Redis's connections while old ones end, calls to WeChat,
  /// look-ups, files, and what the runtime has.
  private static let reservedDescriptors: UInt64 = 48
  /// Whatever the limit of descriptors, a probe and a person are served.
  private static let leastConnections = 8
  /// Connections not yet taken; the kernel drops what comes beyond, and the client asks again after
  /// a second, which is too late for a probe.
  private static let backlog: CInt = 4096
  /// Connections taken before those that stand have their turn: a part of the places, or one would
  /// make room for the others before it could say what it wants.
  private var takenAtOnce: UInt { UInt(max(1, connectionLimit / 8)) }
  /// What is read at once: enough for a head, and too little to send much ahead.
  private static let readSize = 2048
  /// What the kernel keeps for a client that does not read, twice that; by default it is megabytes
  /// each, and all of it counts for a container's memory.
  private static let sendBuffer: CInt = 32 * 1024
  /// So long may the answers under way take once the process is to end.
  private static let grace: TimeAmount = .seconds(1)

  /// - Parameters:
  ///   - executor: where everything runs.
  ///   - connectionLimit: how many connections there may be; nil: as many as descriptors allow.
  ///   - certificates: what is served with; nil: read when it starts.
  ///   - certificateInterval: the least time between two looks at the certificate's files.
  ///   - whenListening: told the port once requests are taken; nil on a Unix socket, and at once
  ///     when the interface is off.
  init(
    settings: Settings.HTTP, source: any StatusSource, metrics: MetricsRegistry, logger: Logger,
    executor: LoopExecutor, connectionLimit: Int? = nil,
    certificates: CertificateFiles? = nil, certificateInterval: Duration = .seconds(1),
    whenListening: @escaping @Sendable (_ port: Int?) -> Void = { _ in }
  ) {
    self.settings = settings
    self.source = source
    self.metrics = metrics
    self.logger = logger
    self.executor = executor
    self.connectionLimit = connectionLimit ?? Self.connectionLimit(descriptors: Self.descriptors)
    self.certificates = certificates
    self.certificateInterval = certificateInterval
    self.whenListening = whenListening
  }

  /// How many connections there may be with so many descriptors for the whole process.
  static func connectionLimit(descriptors: UInt64) -> Int {
    let free = descriptors - min(descriptors, reservedDescriptors)
    return max(leastConnections, Int(min(UInt64(mostConnections), free)))
  }

  /// The process's limit of descriptors (`ulimit -n`).
  private static var descriptors: UInt64 {
    var limit = rlimit()
    // SAFETY: the pointer is to a value on this stack, written before it returns.
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return 1024
    }
    return UInt64(limit.rlim_cur)
  }

  /// Serves until graceful shutdown or cancellation; returns at once when the interface is off.
  ///
  /// - Throws: `StatusServerError` when it cannot start.
  package func run() async throws {
    if case .off = settings.listen {
      whenListening(nil)
      // A service that returns would end its group.
      try? await gracefulShutdown()
      return
    }
    let certificates =
      try certificates
      ?? settings.tls.map {
        try CertificateFiles($0, logger: logger, interval: certificateInterval)
      }
    let table = try await executor.eventLoop.submit { [connectionLimit, executor] in
      NIOLoopBound(
        ConnectionTable(limit: connectionLimit, eventLoop: executor.eventLoop),
        eventLoop: executor.eventLoop)
    }.get()
    let channel = try await bind(bootstrap(table, certificates))
    let port = channel.localAddress?.port
    logger.tell(
      .httpListening, "HTTP interface listens",
      .keyed([.httpListen: "\(Self.shown(settings.listen, port: port))"]))
    if connectionLimit < Self.mostConnections {
      logger.tell(
        .httpFewDescriptors,
        """
        The limit of descriptors (ulimit -n) leaves room for few HTTP connections; those that do \
        nothing make room for new ones. Raise it to 1024 or more
        """, .keyed([.count: .number(connectionLimit)]))
    }
    whenListening(port)
    let isEnding = Atomic(false)
    channel.closeFuture.whenComplete { [logger] _ in
      guard !isEnding.load(ordering: .acquiring) else { return }
      logger.tell(
        .httpLost,
        "The HTTP interface was lost, and comes back with the next start: the system closed it",
        .keyed([.httpListen: "\(Self.shown(settings.listen, port: port))"]))
    }
    try? await gracefulShutdown()
    isEnding.store(true, ordering: .releasing)
    try? await channel.close()
    try await executor.eventLoop.flatSubmit { table.value.shutDown(grace: Self.grace) }.get()
  }

  private func bootstrap(
    _ table: NIOLoopBound<ConnectionTable>, _ certificates: CertificateFiles?
  ) -> ServerBootstrap {
    let responder = StatusResponder(source: source, metrics: metrics, bearer: settings.bearer)
    return ServerBootstrap(group: executor.loops)
      .serverChannelOption(.backlog, value: Self.backlog)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.maxMessagesPerRead, value: takenAtOnce)
      .serverChannelInitializer { [logger] channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            AcceptHandler(table: table.value, logger: logger))
        }
      }
      .childChannelOption(.autoRead, value: false)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelOption(
        .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.readSize)
      )
      .childChannelOption(.socketOption(.so_sndbuf), value: .init(Self.sendBuffer))
      .childChannelInitializer { [executor] channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if let certificates {
            try pipeline.addHandler(NIOSSLServerHandler(context: certificates.current()))
          }
          var limits = NIOHTTPDecoderLimitConfiguration()
          limits.maxHeaderFieldSize = 8 * 1024
          limits.maxHeaderListSize = 16 * 1024
          limits.maxHeaderFieldCount = 100
          let meter = HeadMeter()
          try pipeline.addHandlers([
            meter, HTTPResponseEncoder(),
            ByteToMessageHandler(
              HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)),
            StatusConnection(
              responder: responder, table: table.value, executor: executor, head: meter),
          ])
        }
      }
  }

  private func bind(_ bootstrap: ServerBootstrap) async throws -> any Channel {
    do {
      switch settings.listen {
      case .off: preconditionFailure("what is off is not bound")
      case .tcp(let host, let port): return try await bootstrap.bind(host: host, port: port).get()
      case .unix(let path):
        try await refuseLiveSocket(path)
        return try await bootstrap.bind(
          unixDomainSocketPath: path, cleanupExistingSocketFile: true
        ).get()
      }
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

/// Minds what goes wrong while connections are taken.
///
/// Without descriptors the kernel says again and again that there is a connection to take, and to
/// try again at once would keep a processor busy with nothing else.
private final class AcceptHandler: ChannelInboundHandler {
  typealias InboundIn = Channel

  /// Until connections are taken again.
  private static let pause: TimeAmount = .milliseconds(200)
  /// Told again no sooner than after this.
  private static let silence: TimeAmount = .seconds(60)

  private let table: ConnectionTable
  private let logger: Logger
  private var toldAt: NIODeadline?

  init(table: ConnectionTable, logger: Logger) {
    self.table = table
    self.logger = logger
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? IOError else { return context.fireErrorCaught(error) }
    let now = NIODeadline.now()
    if toldAt.map({ $0 + Self.silence <= now }) ?? true {
      toldAt = now
      logger.tell(
        .httpFull,
        """
        HTTP connections cannot be taken; the one that does nothing for the longest is closed. \
        Raise the limit of descriptors (ulimit -n), or find out who holds them
        """, .keyed([.error: "\(error.reasonWithoutCall)"]))
    }
    table.makeRoom()
    let channel = context.channel
    channel.setOption(.autoRead, value: false).whenComplete { _ in
      channel.eventLoop.scheduleTask(in: Self.pause) {
        channel.setOption(.autoRead, value: true).whenComplete { _ in }
      }
    }
  }
}
