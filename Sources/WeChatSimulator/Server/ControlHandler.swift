import NIOCore
import NIOHTTP1

/// Serves one connection of the control API.
///
/// `@unchecked Sendable`: all state is touched on the channel's event loop only, which the checker
/// cannot see.
final class ControlHandler: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let control: Control
  private var collector = RequestCollector()
  private var keepsAlive = true

  init(control: Control) { self.control = control }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let part = unwrapInboundIn(data)
    if case .head(let head) = part { keepsAlive = head.isKeepAlive }
    guard let request = collector.take(part, clientAddress: "", isEncrypted: false) else { return }
    let (channel, control, keepsAlive) = (context.channel, control, keepsAlive)
    // The pipeline holds the next request back until this one is answered.
    channel.eventLoop.makeFutureWithTask { await control.answer(request) }
      .whenSuccess { status, json in
        Self.write(status, json, keepsAlive: keepsAlive, to: channel)
      }
  }

  private static func write(_ status: Int, _ json: JSON, keepsAlive: Bool, to channel: any Channel)
  {
    let body = ByteBuffer(string: json.compact + "\n")
    let headers: HTTPHeaders = [
      "Content-Type": "application/json", "Content-Length": "\(body.readableBytes)",
      "Connection": keepsAlive ? "keep-alive" : "close",
    ]
    let head = HTTPResponseHead(
      version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: headers)
    channel.write(HTTPServerResponsePart.head(head), promise: nil)
    channel.write(HTTPServerResponsePart.body(.byteBuffer(body)), promise: nil)
    channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
      if !keepsAlive { channel.close(promise: nil) }
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }
}
