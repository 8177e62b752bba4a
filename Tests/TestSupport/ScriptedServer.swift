import Glibc
package import NIOCore
import NIOPosix
import Synchronization

/// A server of raw bytes: when a request's head has come, it sends what it was given for it.
package final class ScriptedServer: Sendable {
  /// What is sent, and what becomes of the connection then.
  package struct Script: Sendable {
    package enum Ending: Sendable { case closed, halfClosed, reset, kept }
    let pieces: [[UInt8]]
    let ending: Ending

    package init(pieces: [[UInt8]], ending: Ending) {
      self.pieces = pieces
      self.ending = ending
    }
  }

  package let port: Int
  private let channel: any Channel

  /// Begins to listen on a port of 127.0.0.1.
  ///
  /// - Parameter script: what answers a request, by its first line.
  package static func start(
    group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
    script: @escaping @Sendable (_ requestLine: String) -> Script
  ) async throws -> ScriptedServer {
    let channel = try await ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Answerer(script: script))
        }
      }
      .bind(host: "127.0.0.1", port: FreePort.pick()).get()
    return ScriptedServer(channel: channel)
  }

  private init(channel: any Channel) {
    self.channel = channel
    port = channel.localAddress?.port ?? 0
  }

  /// Ends listening; connections end with their clients.
  package func stop() async { try? await channel.close() }

  private final class Answerer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private static let headEnd = Array("\r\n\r\n".utf8)
    private let script: @Sendable (String) -> Script
    private var received = ByteBuffer()
    private var hasAnswered = false

    init(script: @escaping @Sendable (String) -> Script) { self.script = script }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      var part = unwrapInboundIn(data)
      guard !hasAnswered else { return }
      received.writeBuffer(&part)
      guard received.readableBytesView.firstRange(of: Self.headEnd) != nil else { return }
      hasAnswered = true
      let line = received.readableBytesView.prefix { $0 != UInt8(ascii: "\r") }
      let script = script(String(decoding: line, as: UTF8.self))
      for piece in script.pieces {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: piece)), promise: nil)
      }
      let done = context.eventLoop.makePromise(of: Void.self)
      context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: done)
      let channel = context.channel
      done.futureResult.whenComplete { _ in Self.end(channel, script.ending) }
    }

    private static func end(_ channel: any Channel, _ ending: Script.Ending) {
      switch ending {
      case .closed: channel.close(promise: nil)
      case .halfClosed: channel.close(mode: .output, promise: nil)
      case .reset:
        let none = linger(l_onoff: 1, l_linger: 0)
        let sockets = channel as? any SocketOptionProvider
        sockets?.setSoLinger(none).whenComplete { _ in channel.close(promise: nil) }
      case .kept: break
      }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      // Who sends no more has gone.
      if case ChannelEvent.inputClosed = event { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }
  }
}
