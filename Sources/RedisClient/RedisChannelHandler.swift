import NIOCore
import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// One connection's end of the pipeline: writes commands, and gives replies to whom they belong.
///
/// It does what `Exchanges` decides. The first failure is the end: nothing is read or written after
/// it, and every exchange fails with it.
final class RedisChannelHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  typealias Completion = (Result<[RedisReply], RedisFailure>) -> Void

  /// A closure that is itself a generic parameter would be wrapped anew at each turn.
  private struct Owner {
    let completed: Completion
  }

  private let parser: ReplyParser
  private let tlsName: String?
  private let reporter: RedisTLSFailure.Reporter?
  private var exchanges = Exchanges<Owner>(at: .now)
  private var context: ChannelHandlerContext?
  private var silenceTimer: Scheduled<Void>? = nil

  /// Called once, before the exchanges in flight fail.
  var onFailure: ((RedisFailure) -> Void)? = nil
  /// Set when the connection is subscribed.
  private var onPush: ((RedisReply) -> Void)? = nil

  /// `PING`, as it goes over the wire; it is answered also on a subscribed connection.
  private static let ping = ByteBuffer(string: "*1\r\n$4\r\nPING\r\n")

  /// - Parameters:
  ///   - tlsName: what the server's certificate must name, for the words of a refusal.
  ///   - reporter: who gave that name; nil when it is the URL's.
  init(limits: ReplyLimits, tlsName: String?, reporter: RedisTLSFailure.Reporter?) {
    parser = ReplyParser(limits: limits)
    self.tlsName = tlsName
    self.reporter = reporter
  }

  /// What the server has shown so far; nil also without TLS.
  var tlsCertificate: NIOSSLCertificate? {
    let tls = try? context?.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
    return tls?.peerCertificate
  }

  /// Writes commands that get `count` replies together; all at once, in one write.
  func send(_ commands: ByteBuffer, count: Int, completed: @escaping Completion) {
    guard let context else {
      return completed(
        .failure(exchanges.failure ?? .connectionLost(reason: "it was never open")))
    }
    if let failure = exchanges.sent(Owner(completed: completed), count: count, at: .now) {
      return completed(.failure(failure))
    }
    context.writeAndFlush(wrapOutboundOut(commands), promise: nil)
  }

  /// Writes a command after which every reply goes to `onPush`, until the connection ends.
  func subscribe(_ command: ByteBuffer, onPush: @escaping (RedisReply) -> Void) {
    guard let context, exchanges.sentUnanswered(subscribing: true, at: .now) else { return }
    self.onPush = onPush
    context.writeAndFlush(wrapOutboundOut(command), promise: nil)
  }

  /// Sends a PING whenever nothing was written or read for so long; nil ends that.
  func keepAlive(every interval: Duration?) {
    exchanges.keepAlive(every: interval)
    watchSilence()
  }

  private func watchSilence() {
    silenceTimer?.cancel()
    silenceTimer = nil
    guard let context, let left = exchanges.silenceLeft(at: .now) else { return }
    silenceTimer = context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(left)) {
      [self] in
      if exchanges.isDeaf(at: .now) { return fail(.unresponsive) }
      if exchanges.isTooSilent(at: .now) { sendPing() }
      watchSilence()
    }
  }

  private func sendPing() {
    guard exchanges.isSubscribed else { return send(Self.ping, count: 1) { _ in } }
    guard exchanges.sentUnanswered(subscribing: false, at: .now) else { return }
    context?.writeAndFlush(wrapOutboundOut(Self.ping), promise: nil)
  }

  /// Ends the connection: it is never used again.
  func fail(_ failure: RedisFailure) {
    guard let orphans = exchanges.failed(failure) else { return }
    silenceTimer?.cancel()
    onFailure?(failure)
    onFailure = nil
    onPush = nil
    for (owner, failure) in orphans { owner.completed(.failure(failure)) }
    context?.close(promise: nil)
  }

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) {
    fail(.connectionLost(reason: "it was closed"))
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard exchanges.bytesCame(at: .now) else { return }
    let buffer = unwrapInboundIn(data)
    do throws(ReplyError) {
      try parser.feed(buffer.readableBytesUInt8Span) { receive($0) }
    } catch {
      fail(.badReply(error))
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    let failure = RedisFailure(
      channelError: error, tlsName: tlsName, tlsCertificate: { tlsCertificate })
    guard let reporter, case .tls(.wrongHostName(let expected)) = failure else {
      return fail(failure)
    }
    fail(.tls(.wrongReportedName(expected: expected, by: reporter)))
  }

  func channelInactive(context: ChannelHandlerContext) {
    fail(exchanges.closedByServer(at: .now))
    context.fireChannelInactive()
  }

  private func receive(_ reply: RedisReply) {
    switch exchanges.received(reply) {
    case .nothing: break
    case .complete(let owner, let replies): owner.completed(.success(replies))
    case .push(let reply): onPush?(reply)
    case .fail(let failure): fail(failure)
    }
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
