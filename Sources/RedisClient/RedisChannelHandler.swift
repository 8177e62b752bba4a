import NIOCore
import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// One connection's end of the pipeline: writes commands, and gives replies to whom they belong.
///
/// Redis answers in order, so a reply belongs to the oldest exchange that lacks one. The first
/// failure is the end: nothing is read or written after it, and every exchange fails with it.
final class RedisChannelHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private struct Exchange {
    let count: Int
    var replies: [RedisReply] = []
    let completed: (Result<[RedisReply], RedisFailure>) -> Void
  }

  private let parser: ReplyParser
  private let tlsName: String?
  private var exchanges = CircularBuffer<Exchange>()
  private var context: ChannelHandlerContext?
  /// When a byte was last written or read.
  private var usedAt = ContinuousClock.now
  private var silenceTimer: Scheduled<Void>? = nil
  private(set) var failure: RedisFailure? = nil

  /// Called once, before the exchanges in flight fail.
  var onFailure: ((RedisFailure) -> Void)? = nil
  /// Set when the connection is subscribed: then nothing that the server sends is an answer.
  private var onPush: ((RedisReply) -> Void)? = nil

  /// A shorter silence is none: whoever closes a connection then does not do so for its silence.
  private static let shortestSilence: Duration = .milliseconds(900)
  /// `PING`, as it goes over the wire; it is answered also on a subscribed connection.
  private static let ping = ByteBuffer(string: "*1\r\n$4\r\nPING\r\n")

  /// - Parameter tlsName: what the server's certificate must name, for the words of a refusal.
  init(limits: ReplyLimits, tlsName: String?) {
    parser = ReplyParser(limits: limits)
    self.tlsName = tlsName
  }

  /// What the server has shown so far; nil also without TLS.
  var tlsCertificate: NIOSSLCertificate? {
    let tls = try? context?.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
    return tls?.peerCertificate
  }

  /// Writes commands that get `count` replies together; all at once, in one write.
  func send(
    _ commands: ByteBuffer, count: Int,
    completed: @escaping (Result<[RedisReply], RedisFailure>) -> Void
  ) {
    guard failure == nil, let context else {
      completed(.failure(failure ?? .connectionLost(reason: "it was never open")))
      return
    }
    exchanges.append(Exchange(count: count, completed: completed))
    usedAt = .now
    context.writeAndFlush(wrapOutboundOut(commands), promise: nil)
  }

  /// Writes a command after which every reply goes to `onPush`, until the connection ends.
  func subscribe(_ command: ByteBuffer, onPush: @escaping (RedisReply) -> Void) {
    guard failure == nil, let context else { return }
    self.onPush = onPush
    usedAt = .now
    context.writeAndFlush(wrapOutboundOut(command), promise: nil)
  }

  /// Sends a PING whenever nothing was written or read for so long; nil ends that.
  ///
  /// While a reply is awaited none is sent: a blocked pop is no silence.
  func keepAlive(every interval: Duration?) {
    silenceTimer?.cancel()
    silenceTimer = nil
    guard failure == nil, let context, let interval else { return }
    let wait = exchanges.isEmpty ? interval - usedAt.duration(to: .now) : interval
    silenceTimer = context.eventLoop.assumeIsolated().scheduleTask(
      in: TimeAmount(max(.zero, wait))
    ) { [self] in
      if exchanges.isEmpty, usedAt.duration(to: .now) >= interval { sendPing() }
      keepAlive(every: interval)
    }
  }

  private func sendPing() {
    guard onPush != nil else { return send(Self.ping, count: 1) { _ in } }
    usedAt = .now
    context?.writeAndFlush(wrapOutboundOut(Self.ping), promise: nil)
  }

  /// Ends the connection: it is never used again.
  func fail(_ failure: RedisFailure) {
    guard self.failure == nil else { return }
    self.failure = failure
    silenceTimer?.cancel()
    onFailure?(failure)
    onFailure = nil
    onPush = nil
    let orphans = exchanges
    exchanges.removeAll()
    for exchange in orphans {
      // A refusal that came before the end, such as "max number of clients reached", says more.
      let refusal = exchange.replies.first?.refusal.map(RedisFailure.refusedByServer)
      exchange.completed(.failure(refusal ?? failure))
    }
    context?.close(promise: nil)
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) {
    fail(.connectionLost(reason: "it was closed"))
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard failure == nil else { return }
    usedAt = .now
    let buffer = unwrapInboundIn(data)
    do throws(ReplyError) {
      try parser.feed(buffer.readableBytesUInt8Span) { receive($0) }
    } catch {
      fail(.badReply(error))
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    fail(
      RedisFailure(channelError: error, tlsName: tlsName, tlsCertificate: { tlsCertificate }))
  }

  func channelInactive(context: ChannelHandlerContext) {
    let silence = usedAt.duration(to: .now)
    fail(
      exchanges.isEmpty && silence >= Self.shortestSilence
        ? .closedWhenSilent(silence) : .connectionLost(reason: "the server closed it"))
    context.fireChannelInactive()
  }

  private func receive(_ reply: RedisReply) {
    guard failure == nil else { return }
    if let onPush { return onPush(reply) }
    guard !exchanges.isEmpty else {
      return fail(reply.refusal.map(RedisFailure.refusedByServer) ?? .unmatchedReply)
    }
    exchanges[exchanges.startIndex].replies.append(reply)
    let oldest = exchanges[exchanges.startIndex]
    guard oldest.replies.count == oldest.count else { return }
    exchanges.removeFirst()
    oldest.completed(.success(oldest.replies))
  }
}

extension RedisFailure {
  /// Names what NIO or NIOSSL report.
  ///
  /// - Parameters:
  ///   - tlsName: what the server's certificate must name.
  ///   - tlsCertificate: the certificate that the server showed, to say more about a refusal.
  init(
    channelError error: any Error, tlsName: String?,
    tlsCertificate: () -> NIOSSLCertificate? = { nil }
  ) {
    switch error {
    case let error as IOError: self = .connectionLost(reason: error.reasonWithoutCall)
    case let error as RedisFailure: self = error
    default:
      self =
        RedisTLSFailure(error, expectedName: tlsName, certificate: tlsCertificate)
        .map(RedisFailure.tls)
        ?? .connectionLost(reason: "\(error)")
    }
  }
}

extension IOError {
  /// What the operating system says, without the system call's name and its parameters.
  package var reasonWithoutCall: String {
    switch errnoCode {
    case ECONNREFUSED: "connection refused"
    case ECONNRESET: "connection reset by the other side"
    case ENOENT: "no such file"
    case EACCES: "permission denied"
    case EHOSTUNREACH: "no route to the host"
    case ENETUNREACH: "network unreachable"
    case ETIMEDOUT: "timed out"
    case EPIPE: "broken pipe"
    case EMFILE: "too many open files in this process (ulimit -n)"
    case ENFILE: "too many open files on this machine"
    case let code: "errno \(code)"
    }
  }
}
