import Glibc
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Sidecar

@Suite("The gate in a connection to WeChat") struct SendGateTests {
  @Test("what the kernel cannot deliver within the call's time is dropped, also by the close")
  func forgetsUnsent() async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    let end = group.any().makePromise(of: (any Error)?.self)
    let listener = try await ServerBootstrap(group: group)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(EndOfConnection(end))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let channel = try await OutboundCaller.forgettingUnsent(
      after: .milliseconds(4321), ClientBootstrap(group: group)
    )
    .connect(to: try #require(listener.localAddress)).get()
    try await channel.writeAndFlush(ByteBuffer(string: "GET / HTTP/1.1\r\n"))

    let timeout = try await channel.getOption(.tcpOption(.init(rawValue: TCP_USER_TIMEOUT))).get()
    #expect(timeout == 4321)
    try await channel.close()
    // A close that lingers ends the connection in order, and what was sent is delivered some time.
    #expect((try await end.futureResult.get() as? IOError)?.errnoCode == ECONNRESET)
    try await listener.close()
  }

  @Test("one head passes a gate, and none after its time or its end")
  func passesOnce() {
    let gate = SendGate(notAfter: .now + .seconds(60), timeout: .seconds(1))
    #expect(gate.pass())
    #expect(!gate.pass())
    guard case .sent = gate.close() else {
      Issue.record("the head did not pass")
      return
    }
    let late = SendGate(notAfter: .now - .milliseconds(1), timeout: .seconds(1))
    #expect(!late.pass())
    #expect(late.close() == .tooLate)
    let closed = SendGate(notAfter: .now + .seconds(60), timeout: .seconds(1))
    #expect(closed.close() == .notSent)
    #expect(!closed.pass())
  }

  @Test("a permit that is withdrawn lets no head pass, and calls back none that has")
  func withdraws() {
    let permit = SendPermit()
    let sent = SendGate(notAfter: .now + .seconds(60), permit: permit, timeout: .seconds(1))
    let open = SendGate(notAfter: .now + .seconds(60), permit: permit, timeout: .seconds(1))
    #expect(sent.pass())
    permit.withdraw()
    #expect(!open.pass())
    #expect(open.close() == .tooLate)
    guard case .sent = sent.close() else {
      Issue.record("the head had passed")
      return
    }
  }

  @Test("calls beyond the limit wait in order, and go without a place when their time is over")
  func limits() async throws {
    let limiter = CallLimiter(limit: 1)
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    #expect(await limiter.enter(before: .now + patience, on: loop))
    #expect(await !limiter.enter(before: .now + .milliseconds(5), on: loop))
    let cancelled = Task { await limiter.enter(before: .now + patience, on: loop) }
    cancelled.cancel()
    #expect(await !cancelled.value)
    async let next = limiter.enter(before: .now + patience, on: loop)
    limiter.leave()
    #expect(await next)
    limiter.leave()
    #expect(await limiter.enter(before: .now, on: loop))
  }
}

extension SendGateTests {
  @Test("calls that can wait leave half of the places, and come after all others")
  func patientCalls() async {
    let limiter = CallLimiter(limit: 2)
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    func enter(canWait: Bool, within limit: Duration = .milliseconds(5)) async -> Bool {
      await limiter.enter(before: .now + limit, canWait: canWait, on: loop)
    }
    #expect(await enter(canWait: true))
    #expect(await !enter(canWait: true))
    #expect(await enter(canWait: false))
    async let patient = enter(canWait: true, within: patience)
    async let next = enter(canWait: false, within: patience)
    limiter.leave()
    #expect(await next)
    limiter.leave()
    limiter.leave()
    #expect(await patient)
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
