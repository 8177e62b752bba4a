import NIOCore
import NIOPosix
import TestSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A server of one's own on a free port of 127.0.0.1, which answers with what a test tells it.
///
/// It answers every read with the next of its answers; the handshake is the first read.
final class HostileServer: Sendable {
  enum Answer: Sendable {
    case bytes(String)
    /// The bytes, and then the end of the connection.
    case lastBytes(String)
    /// The bytes one by one, a few milliseconds apart.
    case drip(String)
    /// The bytes again and again, until the client has gone.
    case endless(String)
    /// Ends its own direction, and goes on reading.
    case halfClose
    /// Ends the connection with a reset.
    case reset
    case silence
  }

  /// What a real server answers to the handshake: `INFO` refused, `PING` granted.
  static let handshake = Answer.bytes("-NOPERM no\r\n+PONG\r\n")

  let port: Int
  private let channel: any Channel

  /// - Parameter greeting: sent when a client connects, before it says anything.
  init(greeting: Answer = .silence, _ answers: [Answer] = []) async throws {
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            Answering(greeting: greeting, answers: answers))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    guard let port = channel.localAddress?.port else {
      throw TimedOut("a port of the server", within: patience)
    }
    self.port = port
  }

  func stop() async { try? await channel.close() }

  private final class Answering: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let greeting: Answer
    private var answers: [Answer]

    init(greeting: Answer, answers: [Answer]) {
      self.greeting = greeting
      self.answers = answers.reversed()
    }

    func channelActive(context: ChannelHandlerContext) { perform(greeting, context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      if let answer = answers.popLast() { perform(answer, context) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }

    private func perform(_ answer: Answer, _ context: ChannelHandlerContext) {
      switch answer {
      case .bytes(let text): write(text, context)
      case .lastBytes(let text):
        write(text, context)
        context.close(promise: nil)
      case .drip(let text): drip(Array(text.utf8)[...], context)
      case .endless(let text):
        guard context.channel.isActive else { return }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)))
          .assumeIsolated().whenSuccess { [self] in
            // As a new task: a write that succeeds at once would nest the next in itself.
            context.eventLoop.assumeIsolated().execute { [self] in perform(answer, context) }
          }
      case .halfClose: context.close(mode: .output, promise: nil)
      case .reset:
        // Lingering for no time at all makes the close a reset.
        _ = (context.channel as? any SocketOptionProvider)?
          .setSoLinger(linger(l_onoff: 1, l_linger: 0))
        context.close(promise: nil)
      case .silence: break
      }
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

    private func drip(_ bytes: ArraySlice<UInt8>, _ context: ChannelHandlerContext) {
      guard let first = bytes.first, context.channel.isActive else { return }
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: [first])), promise: nil)
      context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(5)) { [self] in
        drip(bytes.dropFirst(), context)
      }
    }
  }
}
