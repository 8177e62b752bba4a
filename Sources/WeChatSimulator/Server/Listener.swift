import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// One listening socket and the connections that it accepted.
final class Listener: Sendable {
  let port: Int
  private let server: any Channel
  private let connections: Connections

  private init(server: any Channel, connections: Connections) {
    self.server = server
    self.connections = connections
    port = server.localAddress?.port ?? 0
  }

  static func start<Handler: ChannelInboundHandler & Sendable>(
    address: String, port: Int, tls: NIOSSLContext?,
    handler: @escaping @Sendable () -> Handler
  ) async throws -> Listener where Handler.InboundIn == HTTPServerRequestPart {
    let connections = Connections()
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        connections.add(channel)
        return channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
          try pipeline.configureHTTPServerPipeline()
          try pipeline.addHandler(handler())
        }
      }
      .bind(host: address, port: port).get()
    return Listener(server: server, connections: connections)
  }

  func stop() async {
    try? await server.close().get()
    for channel in connections.all { try? await channel.close().get() }
  }
}

/// The open connections of a listener.
private final class Connections: Sendable {
  /// By identity; a channel leaves when it closes.
  private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

  var all: [any Channel] { channels.withLock { Array($0.values) } }

  func add(_ channel: any Channel) {
    let id = ObjectIdentifier(channel)
    channels.withLock { $0[id] = channel }
    channel.closeFuture.whenComplete { [self] _ in channels.withLock { $0[id] = nil } }
  }
}
