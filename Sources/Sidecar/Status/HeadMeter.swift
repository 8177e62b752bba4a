import Logging
import NIOCore
import NIOHTTP1
import NIOSSL

/// Counts what a client sends without a part of a request coming of it.
///
/// The parser bounds a head's fields, but neither its first line nor what stands between chunks.
final class HeadMeter: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  /// More was sent than a head may have.
  struct TooLong: Error {}

  /// The request's line and all fields together, in bytes.
  static let limit = 32 * 1024

  private var count = 0
  /// Bytes of the first line, as far as it has come.
  private var lineLength = 0
  private var hasLine = false
  private var isOver = false

  /// Whether it is the first line that is longer than is taken.
  var isLineTooLong: Bool { lineLength > StatusRequest.longestTarget }

  /// A part was read: what comes next begins anew.
  func reset() {
    count = 0
    lineLength = 0
    hasLine = false
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isOver else { return }
    let bytes = unwrapInboundIn(data)
    count += bytes.readableBytes
    if !hasLine {
      let end = bytes.readableBytesView.firstIndex(of: UInt8(ascii: "\n"))
      lineLength += (end ?? bytes.writerIndex) - bytes.readerIndex
      hasLine = end != nil
    }
    guard count <= Self.limit else {
      isOver = true
      context.fireErrorCaught(TooLong())
      return
    }
    context.fireChannelRead(data)
  }
}
