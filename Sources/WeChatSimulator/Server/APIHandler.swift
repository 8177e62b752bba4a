import NIOCore
import NIOHTTP1

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Serves one connection of an API host.
///
/// `@unchecked Sendable`: all state is touched on the channel's event loop only; deliveries come
/// from other threads and are moved there first. The checker cannot see the confinement.
final class APIHandler: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let simulator: Simulator
  private let isEncrypted: Bool
  private var collector = RequestCollector()
  /// The app of the request that is being answered, for the count of those under way.
  private var underway: String?
  private var keepsAlive = true

  init(simulator: Simulator, isEncrypted: Bool) {
    self.simulator = simulator
    self.isEncrypted = isEncrypted
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let part = unwrapInboundIn(data)
    if case .head(let head) = part { keepsAlive = head.isKeepAlive }
    let address = context.remoteAddress?.ipAddress ?? "127.0.0.1"
    guard
      let request = collector.take(part, clientAddress: address, isEncrypted: isEncrypted)
    else { return }
    let appID = Self.appID(of: request)
    underway = Endpoint.credentials.covers(request.path) ? appID : nil
    let parallel = simulator.began(appID: underway)
    let channel = context.channel
    simulator.handle(request, appID: appID, parallel: parallel) { delivery in
      channel.eventLoop.execute { self.deliver(delivery, on: channel) }
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    finish()
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  private func finish() {
    simulator.ended(appID: underway)
    underway = nil
  }

  private func deliver(_ delivery: Delivery, on channel: any Channel) {
    guard channel.isActive else { return }
    guard delivery.delay == 0 else {
      var punctual = delivery
      punctual.delay = 0
      channel.eventLoop.assumeIsolated().scheduleTask(
        in: .milliseconds(Int64(delivery.delay))
      ) { [punctual] in self.deliver(punctual, on: channel) }
      return
    }
    guard delivery.ending == .answered else {
      finish()
      cut(channel, byReset: delivery.ending == .reset)
      return
    }
    var headers = HTTPHeaders()
    if let date = delivery.date { headers.add(name: "Date", value: date) }
    headers.add(name: "Content-Type", value: delivery.contentType)
    if let location = delivery.location { headers.add(name: "Location", value: location) }
    headers.add(name: "Content-Length", value: "\(delivery.body.count)")
    let isWhole = delivery.sentBytes == nil
    headers.add(name: "Connection", value: keepsAlive && isWhole ? "keep-alive" : "close")
    let head = HTTPResponseHead(
      version: .http1_1, status: HTTPResponseStatus(statusCode: delivery.status), headers: headers)
    channel.writeAndFlush(HTTPServerResponsePart.head(head), promise: nil)
    let sent = delivery.body.prefix(delivery.sentBytes ?? delivery.body.count)
    if let interval = delivery.dripInterval {
      drip(sent, every: .milliseconds(Int64(interval)), on: channel)
      return
    }
    write(sent, on: channel)
    end(isWhole: isWhole, on: channel)
  }

  /// Closes the connection without an answer; a linger of no time makes the kernel send a reset.
  private func cut(_ channel: any Channel, byReset: Bool) {
    guard byReset, let socket = channel as? any SocketOptionProvider else {
      return channel.close(promise: nil)
    }
    socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in
      channel.close(promise: nil)
    }
  }

  private func drip(_ bytes: ArraySlice<UInt8>, every interval: TimeAmount, on channel: any Channel)
  {
    guard channel.isActive else { return }
    guard !bytes.isEmpty else { return end(isWhole: true, on: channel) }
    write(bytes.prefix(1), on: channel)
    channel.eventLoop.assumeIsolated().scheduleTask(in: interval) {
      self.drip(bytes.dropFirst(), every: interval, on: channel)
    }
  }

  private func write(_ bytes: ArraySlice<UInt8>, on channel: any Channel) {
    guard !bytes.isEmpty else { return }
    let part = HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: bytes)))
    channel.writeAndFlush(part, promise: nil)
  }

  private func end(isWhole: Bool, on channel: any Channel) {
    // Ended before the caller can see the last byte: its next request is not parallel to this one.
    finish()
    guard isWhole else {
      channel.close(promise: nil)
      return
    }
    let closes = !keepsAlive
    channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in
      if closes { channel.close(promise: nil) }
    }
  }

  /// The app that a request for a credential names.
  private static func appID(of request: SimulatedRequest) -> String? {
    for name in ["appid", "corpid"] {
      let item = request.item(name)
      if !item.isEmpty { return item }
    }
    return JSON(parsing: request.body)?["appid"]?.string
  }
}
