import NIOCore
import NIOPosix

/// An answer of the daemon's HTTP interface.
package struct HTTPAnswer: Sendable {
  package let status: Int
  /// The head as it came, status line included.
  package let head: String
  package let body: String
}

/// One request a connection, over a Unix socket: enough to read a status page.
package enum PlainHTTP {
  /// Answers are small; more than this is not one.
  private static let longestAnswer = 1 << 20

  /// Asks and reads to the end of the connection.
  package static func ask(
    socket: String, method: String = "GET", path: String, headers: [String: String] = [:],
    body: String = "", within limit: Duration = .seconds(5)
  ) async throws -> HTTPAnswer {
    let answered = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: String.self)
    let channel: any Channel
    do {
      channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connectTimeout(.seconds(5))
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(
              Collector(answered: answered, limit: longestAnswer))
          }
        }
        .connect(unixDomainSocketPath: socket).get()
    } catch {
      answered.fail(error)
      throw error
    }
    let timeout = channel.eventLoop.scheduleTask(in: TimeAmount(limit)) {
      answered.fail(TimedOut("an answer to \(method) \(path)", within: limit))
    }
    defer {
      timeout.cancel()
      channel.close(promise: nil)
    }
    let request =
      "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
      + headers.map { "\($0.key): \($0.value)\r\n" }.joined()
      + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    try await channel.writeAndFlush(ByteBuffer(string: request)).get()
    return try parse(try await answered.futureResult.get())
  }

  /// Reads an answer that came whole.
  package static func parse(_ text: String) throws -> HTTPAnswer {
    guard let end = text.firstRange(of: "\r\n\r\n") else {
      throw SidecarProcess.Failure("not an HTTP answer: \(text.prefix(200))")
    }
    let head = String(text[..<end.lowerBound])
    let words = head.prefix { $0 != "\r\n" }.split(separator: " ")
    guard words.count >= 2, let status = Int(words[1]) else {
      throw SidecarProcess.Failure("not an HTTP answer: \(head)")
    }
    return HTTPAnswer(status: status, head: head, body: String(text[end.upperBound...]))
  }

  private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let answered: EventLoopPromise<String>
    private let limit: Int
    private var received = ByteBuffer()

    init(answered: EventLoopPromise<String>, limit: Int) {
      self.answered = answered
      self.limit = limit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      var part = unwrapInboundIn(data)
      received.writeBuffer(&part)
      if received.readableBytes > limit { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      answered.fail(error)
      context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
      answered.succeed(String(decoding: received.readableBytesView, as: UTF8.self))
    }
  }
}
