import NIOCore
import NIOPosix
import Synchronization

/// A proxy that knows `CONNECT` and at most one password.
package final class ConnectProxy: Sendable {
  /// On 127.0.0.1.
  package let port: Int
  private let channel: any Channel
  private let seen: Seen

  private final class Seen: Sendable {
    /// Protects what the event loops of several connections write.
    let targets = Mutex<[String]>([])
    let heads = Mutex<[String]>([])
  }

  /// Where the clients wanted to go, and went.
  package var targets: [String] { seen.targets.withLock { $0 } }

  /// The heads of all requests, those that were refused included.
  package var heads: [String] { seen.heads.withLock { $0 } }

  private init(channel: any Channel, seen: Seen) {
    self.channel = channel
    self.seen = seen
    port = channel.localAddress?.port ?? 0
  }

  /// Starts to listen.
  ///
  /// - Parameter authorization: the `Proxy-Authorization` that is asked for; nil lets everybody.
  package static func start(authorization: String? = nil) async throws -> ConnectProxy {
    let seen = Seen()
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            Tunnel(seen: seen, authorization: authorization))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    return ConnectProxy(channel: channel, seen: seen)
  }

  /// Stops to listen; tunnels go on.
  package func stop() async { try? await channel.close().get() }

  /// Reads one request head, connects, then passes bytes both ways.
  private final class Tunnel: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let seen: Seen
    private let authorization: String?
    private var head = ""
    private var peer: (any Channel)?

    init(seen: Seen, authorization: String?) {
      self.seen = seen
      self.authorization = authorization
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let buffer = unwrapInboundIn(data)
      if let peer {
        peer.writeAndFlush(buffer, promise: nil)
        return
      }
      head += String(buffer: buffer)
      guard head.hasSuffix("\r\n\r\n") else { return }
      let words = head.split(separator: " ")
      seen.heads.withLock { $0.append(head) }
      let isAllowed = authorization.map { head.contains(": \($0)\r\n") } ?? true
      guard words.first == "CONNECT", isAllowed else {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        context.channel.writeAndFlush(ByteBuffer(string: refusal), promise: nil)
        return
      }
      let target = String(words[1])
      seen.targets.withLock { $0.append(target) }
      let client = context.channel
      let parts = target.split(separator: ":")
      let loop = NIOLoopBound(self, eventLoop: context.eventLoop)
      ClientBootstrap(group: context.eventLoop)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(Back(client: client))
          }
        }
        .connect(host: String(parts[0]), port: Int(parts[1]) ?? 0)
        .whenSuccess { peer in
          loop.value.peer = peer
          client.writeAndFlush(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"), promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { peer?.close(promise: nil) }
  }

  private final class Back: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let client: any Channel
    init(client: any Channel) { self.client = client }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      client.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }
    func channelInactive(context: ChannelHandlerContext) { client.close(promise: nil) }
  }
}
