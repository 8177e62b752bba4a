import NIOCore
import NIOSSL
import NIOTLS
import RedisClient

/// One connection's whole talk: through the proxy, into TLS, the request, the answer, the end.
///
/// It is the last handler of the pipeline, and everything about a call happens on its loop.
final class OutboundTalk: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// What others hold of it.
  struct Handle: Sendable {
    let result: EventLoopFuture<OutboundAnswer>
    fileprivate let talk: NIOLoopBound<OutboundTalk>
    fileprivate let loop: any EventLoop

    /// Ends the call, if it has not ended.
    func cancel() {
      loop.execute { talk.value.fail(.cancelled) }
    }
  }

  private enum Stage {
    /// Followed by `securing`, `answering` or `over`.
    case tunnelling(ProxyTunnel)
    /// TLS shakes hands. Followed by `answering`, `over`.
    case securing
    /// The request was written. Followed by `over`.
    case answering(ResponseParser)
    case over
  }

  private let request: OutboundRequest
  private let tls: NIOSSLContext?
  private let gate: SendGate?
  private let longestBody: Int
  private let deadline: ContinuousClock.Instant
  private let result: EventLoopPromise<OutboundAnswer>
  private var stage = Stage.securing
  private var context: ChannelHandlerContext?
  private var alarm: Scheduled<Void>?
  private var isConcluded = false

  init(
    request: OutboundRequest, context: NIOSSLContext?, gate: SendGate?, longestBody: Int,
    deadline: ContinuousClock.Instant, result: EventLoopPromise<OutboundAnswer>
  ) {
    self.request = request
    tls = context
    self.gate = gate
    self.longestBody = longestBody
    self.deadline = deadline
    self.result = result
  }

  /// To be asked for on the loop.
  var handle: Handle {
    let loop = result.futureResult.eventLoop
    return Handle(
      result: result.futureResult, talk: NIOLoopBound(self, eventLoop: loop), loop: loop)
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    let left = ContinuousClock.now.duration(to: deadline)
    let talk = NIOLoopBound(self, eventLoop: context.eventLoop)
    alarm = context.eventLoop.scheduleTask(in: .init(max(.zero, left))) {
      talk.value.timeIsOver()
    }
    guard context.channel.isActive else { return fail(.closed("the connection was lost")) }
    if let proxy = request.proxy,
      case .host(let host, let port) = request.destination
    {
      let tunnel = ProxyTunnel(proxy, host: host, port: port)
      stage = .tunnelling(tunnel)
      write(tunnel.opening, context)
    } else {
      secure(context)
    }
    // Now that there is somebody to read it; of a channel that is closed nothing is read.
    context.channel.setOption(.autoRead, value: true).whenFailure { _ in }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    fail(.closed("the connection was lost"))
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let bytes = Array(unwrapInboundIn(data).readableBytesView)
    switch stage {
    case .tunnelling(var tunnel):
      do throws(OutboundFailure) {
        let step = try tunnel.receive(bytes)
        stage = .tunnelling(tunnel)
        switch step {
        case .send(let bytes): write(bytes, context)
        case .wait: break
        case .open: secure(context)
        }
      } catch {
        fail(error)
      }
    case .securing, .over: break
    case .answering(var parser):
      do throws(ResponseParser.Problem) {
        stage = .over
        try parser.feed(bytes)
        stage = .answering(parser)
        if parser.isComplete { finish(parser, flaw: nil) }
      } catch {
        stage = .answering(parser)
        finish(parser, flaw: .malformed(error.description))
      }
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case TLSUserEvent.handshakeCompleted = event, case .securing = stage { ask(context) }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // After the farewell's absence the end of the connection comes by itself.
    if case NIOSSLError.uncleanShutdown = error { return end(isClean: false) }
    switch stage {
    case .securing: fail(.tls(error))
    case .tunnelling: fail(.io(error))
    case .answering(let parser):
      finish(
        parser, flaw: error is NIOSSLError || error is BoringSSLError ? .tls(error) : .io(error))
    case .over: break
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    end(isClean: true)
    context.fireChannelInactive()
  }

  // MARK: Steps

  private func secure(_ context: ChannelHandlerContext) {
    stage = .securing
    guard let tls else { return ask(context) }
    var name: String?
    // An address has no place in SNI; its certificate is compared with the connection's own.
    if case .host(let host, _) = request.destination, IPAddress.v4(host) == nil,
      IPAddress.v6(host) == nil
    {
      name = host
    }
    do {
      let handler =
        if let pinned = request.pinned {
          try NIOSSLClientHandler(context: tls, serverHostname: name) { presented, promise in
            promise.succeed(presented.first == pinned ? .certificateVerified : .failed)
          }
        } else if let name {
          try NamedPeer.handler(context: tls, name: name)
        } else {
          try NIOSSLClientHandler(context: tls, serverHostname: nil)
        }
      try context.pipeline.syncOperations.addHandler(handler, position: .before(self))
    } catch {
      fail(.tls(error))
    }
  }

  private func ask(_ context: ChannelHandlerContext) {
    guard gate?.pass() ?? true else { return fail(.refused) }
    stage = .answering(ResponseParser(longestBody: longestBody))
    write(request.bytes, context)
  }

  private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
    // What cannot be written is told by the end of the connection.
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
  }

  private func timeIsOver() {
    switch stage {
    case .tunnelling: fail(.timedOut("while the proxy was waited for"))
    case .securing: fail(.timedOut("in the handshake of TLS"))
    case .answering(let parser):
      finish(
        parser,
        flaw: .timedOut(
          parser.hasBegun ? "in the middle of the answer" : "while the answer was waited for"))
    case .over: break
    }
  }

  /// The connection is over.
  private func end(isClean: Bool) {
    switch stage {
    case .tunnelling: fail(.tunnel("the proxy closed the connection"))
    case .securing: fail(.closed("the connection was closed in the handshake of TLS"))
    case .answering(var parser):
      // Without TLS's farewell, what ends with the connection may have been cut by anybody.
      if isClean { parser.end() }
      finish(
        parser,
        flaw: parser.isComplete
          ? nil
          : .closed(
            parser.hasBegun
              ? "the connection was closed in the middle of the answer"
              : "the connection was closed without an answer"))
    case .over: break
    }
  }

  private func finish(_ parser: ResponseParser, flaw: OutboundFailure?) {
    guard parser.isHeadComplete else {
      return fail(flaw ?? .closed("the connection was closed without an answer"))
    }
    conclude(
      .success(
        OutboundAnswer(
          status: parser.status, fields: parser.fields, body: parser.body, flaw: flaw,
          remote: context?.channel.remoteAddress)))
  }

  private func fail(_ failure: OutboundFailure) {
    // Whoever gives up in the middle of an answer may have all of it that counts.
    if case .answering(let parser) = stage, parser.isHeadComplete, case .cancelled = failure {
      return finish(parser, flaw: failure)
    }
    conclude(.failure(failure))
  }

  private func conclude(_ outcome: Result<OutboundAnswer, OutboundFailure>) {
    guard !isConcluded else { return }
    isConcluded = true
    stage = .over
    alarm?.cancel()
    result.completeWith(outcome.mapError { $0 as any Error })
    context?.close(promise: nil)
  }
}
