import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport

/// A server that says bytes, whatever they are, and ends its connections in a way of its own.
final class RawServer: Sendable {
  /// What ends the connection once everything was said.
  enum End: String, CaseIterable, Sendable {
    case close, reset
    /// The connection stays.
    case never
    /// TLS has no farewell.
    case cut
  }

  /// What is waited for, and what is said then.
  struct Step: Sendable {
    enum Cue: Sendable {
      /// The empty line behind the head of a request.
      case head
      case bytes(Int)
    }
    var cue: Cue
    var reply: [UInt8]

    /// Answers the head of a request.
    static func head(_ text: String) -> Step { Step(cue: .head, reply: Array(text.utf8)) }
  }

  let port: Int
  private let channel: any Channel
  private let said: Said

  private final class Said: Sendable {
    /// Protects what the event loops of several connections write.
    let texts = Mutex<[String]>([])
    let bytes = Mutex<[[UInt8]]>([])
  }

  /// What clients said before each step, as text.
  var heard: [String] { said.texts.withLock { $0 } }
  var heardBytes: [[UInt8]] { said.bytes.withLock { $0 } }

  private init(_ channel: any Channel, _ said: Said) {
    self.channel = channel
    self.said = said
    port = channel.localAddress?.port ?? 0
  }

  static func run<Result>(
    _ steps: [Step], end: End = .close, encrypted: Bool = false, address: String = "127.0.0.1",
    port: Int = 0, _ body: (RawServer) async throws -> Result
  ) async throws -> Result {
    let said = Said()
    let context = encrypted ? try Self.context() : nil
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let cutter = Cutter()
          let pipeline = channel.pipeline.syncOperations
          try pipeline.addHandler(cutter)
          if let context { try pipeline.addHandler(NIOSSLServerHandler(context: context)) }
          try pipeline.addHandler(Speaker(steps, end, said, cutter))
        }
      }
      .bind(host: address, port: port).get()
    let server = RawServer(channel, said)
    do {
      let result = try await body(server)
      try? await channel.close().get()
      return result
    } catch {
      try? await channel.close().get()
      throw error
    }
  }

  private static func context() throws -> NIOSSLContext {
    try NIOSSLContext(
      configuration: .makeServerConfiguration(
        certificateChain: NIOSSLCertificate.fromPEMBytes(Array(FixedCertificates.localhost.utf8))
          .map { .certificate($0) },
        privateKey: .privateKey(
          try NIOSSLPrivateKey(bytes: Array(FixedCertificates.localhostKey.utf8), format: .pem))))
  }

  /// Next to the socket: closes it without asking TLS.
  private final class Cutter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private var context: ChannelHandlerContext?
    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }
    func cut() { context?.close(promise: nil) }
  }

  private final class Speaker: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private var steps: [Step]
    private let end: End
    private let said: Said
    private let cutter: Cutter
    private var input: [UInt8] = []

    init(_ steps: [Step], _ end: End, _ said: Said, _ cutter: Cutter) {
      self.steps = steps
      self.end = end
      self.said = said
      self.cutter = cutter
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      input += unwrapInboundIn(data).readableBytesView
      while let step = steps.first, isDue(step.cue) {
        steps.removeFirst()
        let input = input
        said.bytes.withLock { $0.append(input) }
        said.texts.withLock { $0.append(String(decoding: input, as: UTF8.self)) }
        self.input = []
        let isLast = steps.isEmpty
        let speaker = NIOLoopBound(self, eventLoop: context.eventLoop)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: step.reply))).whenComplete { _ in
          if isLast { speaker.value.finish(bound.value) }
        }
      }
    }

    private func isDue(_ cue: Step.Cue) -> Bool {
      switch cue {
      case .head: input.suffix(4) == [13, 10, 13, 10]
      case .bytes(let count): input.count >= count
      }
    }

    private func finish(_ context: ChannelHandlerContext) {
      switch end {
      case .close: context.close(promise: nil)
      case .reset:
        _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(
          linger(l_onoff: 1, l_linger: 0))
        cutter.cut()
      case .cut: cutter.cut()
      case .never: break
      }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }
  }
}
