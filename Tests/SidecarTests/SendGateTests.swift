import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import Sidecar

@Suite("The gate in a connection to WeChat") struct SendGateTests {
  @Test("what the kernel cannot deliver within the call's time is dropped, also by the close")
  func forgetsUnsent() async throws {
    let gates = SendGates()
    let gate = SendGate(notAfter: .now + .seconds(60), timeout: .milliseconds(4321))
    let group = MultiThreadedEventLoopGroup.singleton
    let end = group.any().makePromise(of: (any Error)?.self)
    let listener = try await ServerBootstrap(group: group)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(EndOfConnection(end))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let channel = try await ClientBootstrap(group: group)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(HTTPRequestEncoder())
        }.flatMap { gates.install(in: channel) }
      }
      .connect(to: try #require(listener.localAddress)).get()
    let head = HTTPRequestHead(
      version: .http1_1, method: .GET, uri: "/", headers: [SendGates.mark: gates.add(gate)])
    try await channel.writeAndFlush(HTTPClientRequestPart.head(head))

    let timeout = try await channel.getOption(.tcpOption(.init(rawValue: TCP_USER_TIMEOUT))).get()
    #expect(timeout == 4321)
    guard case .sent = gate.close() else {
      Issue.record("the head did not pass")
      return
    }
    try await channel.close()
    // A close that lingers ends the connection in order, and what was sent is delivered some time.
    #expect((try await end.futureResult.get() as? IOError)?.errnoCode == ECONNRESET)
    try await listener.close()
  }
}

/// How a connection ends, as its other end sees it: with an error, or in order.
private final class EndOfConnection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let end: EventLoopPromise<(any Error)?>

  init(_ end: EventLoopPromise<(any Error)?>) { self.end = end }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { end.succeed(error) }

  func channelInactive(context: ChannelHandlerContext) { end.succeed(nil) }
}
