import Logging
import NIOCore
import NIOHTTP1
import NIOSSL

/// One client's connection: its requests one after the other, each within its time.
///
/// On its event loop only. Nothing is read while an answer is under way, so that what a client
/// sends ahead waits in the kernel; and nothing that a client does or leaves undone keeps its
/// connection for longer than the limits below.
final class StatusConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// How long each part of a request may take, and so a connection keep its place.
  enum Limit {
    /// From the connection to the end of the first head, TLS included.
    static let firstHead: TimeAmount = .seconds(10)
    /// From one answer to the end of the next head.
    static let nextHead: TimeAmount = .seconds(60)
    /// From a head to the end of its body.
    static let body: TimeAmount = .seconds(10)
    /// From the first byte of an answer to its last, as far as the kernel takes them.
    static let answer: TimeAmount = .seconds(30)
    /// A refresh has a limit of its own; this is for the case that it misses it.
    static let wait: TimeAmount = .seconds(15)
    /// From the last answer until the connection is closed whatever the client still sends.
    static let linger: TimeAmount = .seconds(2)
  }

  private enum Phase {
    /// No request is under way. Can become: receiving, waiting, answering, closed.
    case idle
    /// The body of this request is read. Can become: waiting, answering, closed.
    case receiving(StatusRequest, body: ByteBuffer)
    /// The answer is being made. Can become: answering, closed.
    case waiting(Task<Void, Never>)
    /// The answer is being written. Can become: idle, lingering, closed.
    case answering
    /// The last answer was written: what still comes is thrown away, since a connection that is
    /// closed with unread bytes takes its answer with it. Can become: closed.
    case lingering
    case closed
  }

  /// Requests that a client may have sent ahead in what was read at once; more is no client.
  private static let mostPartsAhead = 256
  /// Requests sent ahead that are answered in one go; then others have their turn.
  private static let mostAtOnce = 2

  /// Whether the client is on this host: on loopback or a Unix socket.
  private(set) var isLocal = false
  /// When the connection last got on: was made, read a head, or began or finished an answer.
  private(set) var progressedAt: NIODeadline = .now()
  /// Whether the answer being written is one of the long ones.
  private(set) var isWritingPage = false
  /// Where it stands in the table.
  var place = 0

  private let responder: StatusResponder
  private unowned let table: ConnectionTable
  private let executor: LoopExecutor
  private let head: HeadMeter
  private var phase = Phase.idle
  private var parts = CircularBuffer<HTTPServerRequestPart>()
  private var isFirst = true
  private var isProcessing = false
  private var hasInputEnded = false
  private var isEnding = false
  private var channel: (any Channel)?
  private var context: ChannelHandlerContext?
  private var isUnix = false

  init(
    responder: StatusResponder, table: ConnectionTable, executor: LoopExecutor, head: HeadMeter
  ) {
    self.responder = responder
    self.table = table
    self.executor = executor
    self.head = head
  }

  // MARK: What others ask

  /// Whether it may be closed to make room: not while it waits for a refresh, of which there are
  /// few.
  var mayMakeRoom: Bool { if case .waiting = phase { false } else { true } }

  /// Closes it at once.
  func drop() {
    if case .closed = phase { return }
    let channel = channel
    end()
    // Below TLS, which would wait for a farewell from those that are not waited for any more, and
    // hold the descriptor as long.
    let tls = try? channel?.pipeline.syncOperations.context(
      handlerType: NIOSSLServerHandler.self)
    if let tls { tls.close(promise: nil) } else { channel?.close(promise: nil) }
  }

  /// Closes it, if its time is over.
  func check(_ now: NIODeadline) {
    let limit: TimeAmount
    switch phase {
    case .idle: limit = isFirst ? Limit.firstHead : Limit.nextHead
    case .receiving: limit = Limit.body
    case .waiting: limit = Limit.wait
    case .answering: limit = Limit.answer
    case .lingering: limit = Limit.linger
    case .closed: return
    }
    guard progressedAt + limit <= now else { return }
    if case .receiving(let request, _) = phase {
      return answer(
        .problem(.requestTimeout, "The body did not arrive within \(Self.seconds(limit)) s."),
        to: request, closes: true)
    }
    drop()
  }

  /// Ends it in order: nothing new is taken, and what is under way is answered, soon.
  func shutDown() {
    isEnding = true
    switch phase {
    case .idle, .receiving, .lingering: drop()
    case .waiting(let task): task.cancel()
    case .answering, .closed: break
    }
  }

  private static func seconds(_ amount: TimeAmount) -> Int64 { amount.nanoseconds / 1_000_000_000 }

  // MARK: The channel

  func channelActive(context: ChannelHandlerContext) {
    let ends = [context.localAddress, context.remoteAddress]
    isUnix = ends[0]?.protocol == .unix
    isLocal = isUnix || ends.allSatisfy { $0.map(Self.isLoopback) == true }
    table.add(self)
    context.fireChannelActive()
    context.read()
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    channel = context.channel
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    end()
    self.context = nil
    channel = nil
  }

  func channelInactive(context: ChannelHandlerContext) {
    end()
    context.fireChannelInactive()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case ChannelEvent.inputClosed? = event as? ChannelEvent else {
      context.fireUserInboundEventTriggered(event)
      return
    }
    // A client may have said all it wants to and still listen.
    hasInputEnded = true
    switch phase {
    case .idle where parts.isEmpty, .receiving, .lingering: drop()
    case .idle, .waiting, .answering, .closed: break
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let refusal = refusal(of: error) else { return drop() }
    switch phase {
    case .idle, .receiving:
      // What was sent ahead of it is not answered: what comes after a mistake has no meaning.
      parts.removeAll()
      answer(refusal, to: nil, closes: true)
    case .waiting, .answering: isEnding = true
    case .lingering, .closed: break
    }
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch phase {
    case .lingering, .closed: return
    case .idle, .receiving, .waiting, .answering: break
    }
    head.reset()
    parts.append(unwrapInboundIn(data))
    // Only the end of the input is read without being asked for, and then all at once.
    guard parts.count <= Self.mostPartsAhead else { return drop() }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    process(Self.mostAtOnce)
    switch phase {
    case .idle, .receiving, .lingering:
      if parts.isEmpty, !hasInputEnded { context.read() }
    case .waiting, .answering, .closed: break
    }
    context.fireChannelReadComplete()
  }

  private static func isLoopback(_ address: SocketAddress) -> Bool {
    guard let text = address.ipAddress else { return false }
    return text == "::1" || text.hasPrefix("127.") || text.hasPrefix("::ffff:127.")
  }

  private func end() {
    if case .closed = phase { return }
    if case .waiting(let task) = phase { task.cancel() }
    phase = .closed
    parts.removeAll()
    isWritingPage = false
    table.remove(self)
  }

  // MARK: Requests

  /// Takes what has arrived, as far as nothing else is under way.
  private func process(_ most: Int) {
    guard !isProcessing else { return }
    isProcessing = true
    defer { isProcessing = false }
    var heads = 0
    while !parts.isEmpty {
      switch (phase, parts[parts.startIndex]) {
      case (.idle, .head(let head)):
        guard heads < most else {
          // One connection's thousand requests must not keep the others waiting.
          table.queue(self)
          return
        }
        heads += 1
        parts.removeFirst()
        begin(head)
      case (.idle, _):
        // The body of a request that was answered by its head.
        parts.removeFirst()
      case (.receiving(let request, var body), .body(var more)):
        parts.removeFirst()
        phase = .closed
        body.writeBuffer(&more)
        phase = .receiving(request, body: body)
        if body.readableBytes > StatusResponder.bodyLimit {
          answer(StatusResponder.bodyTooLong, to: request, closes: true)
        }
      case (.receiving(let request, let body), .end):
        parts.removeFirst()
        ask(request, body)
      case (.receiving, .head), (.waiting, _), (.answering, _):
        return
      case (.lingering, _), (.closed, _):
        parts.removeAll()
      }
    }
  }

  /// Goes on with what was sent ahead, or reads on.
  func proceed() {
    process(Self.mostAtOnce)
    guard parts.isEmpty else { return }
    switch phase {
    case .idle, .receiving:
      if hasInputEnded || isEnding { drop() } else { context?.read() }
    case .waiting, .answering, .lingering, .closed: break
    }
  }

  private func begin(_ head: HTTPRequestHead) {
    progressedAt = .now()
    isFirst = false
    let request: StatusRequest
    do throws(RequestProblem) {
      request = try StatusRequest(head, isLocal: isLocal, isUnix: isUnix)
    } catch {
      return answer(.problem(error.problem, error.detail), to: nil, closes: true)
    }
    switch responder.judge(request) {
    case .answer(let response):
      // What is refused may have a body of any length on its way.
      answer(response, to: request, closes: request.hasBody && response.status.code >= 400)
    case .page(let response):
      guard table.admitPage() else { return answer(StatusResponder.tooManyPages, to: request) }
      isWritingPage = true
      answer(response, to: request)
    case .body:
      if request.expectsContinue {
        context?.writeAndFlush(
          wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))),
          promise: nil)
      }
      phase = .receiving(request, body: ByteBuffer())
    }
  }

  /// Hands a request to refresh to the keeper, and waits.
  private func ask(_ request: StatusRequest, _ body: ByteBuffer) {
    let wanted: RefreshRequest
    do throws(RefreshBodyProblem) {
      wanted = try RefreshBody.request(Array(body.readableBytesView))
    } catch {
      return answer(.problem(.badBody, error.reason, at: .refresh), to: request)
    }
    progressedAt = .now()
    let asking = NIOLoopBound(self, eventLoop: executor.eventLoop)
    phase = .waiting(
      Task(executorPreference: executor) { [responder, executor] in
        let response = await responder.refresh(wanted)
        executor.eventLoop.execute { asking.value.waited(response, for: request) }
      })
  }

  private func waited(_ response: StatusResponse, for request: StatusRequest) {
    guard case .waiting = phase else { return }
    answer(response, to: request)
    proceed()
  }

  // MARK: Answers

  /// - Parameter request: what is answered; nil when it was not understood.
  private func answer(_ response: StatusResponse, to request: StatusRequest?, closes: Bool = false)
  {
    guard let context else { return }
    responder.count(request, response.status)
    progressedAt = .now()
    phase = .answering
    let closes = closes || isEnding || !(request?.keepsAlive ?? false)
    var headers = response.headers
    headers.add(name: "Content-Length", value: "\(response.body.readableBytes)")
    if closes {
      headers.replaceOrAdd(name: "Connection", value: "close")
    } else if request?.version == .http1_0 {
      headers.replaceOrAdd(name: "Connection", value: "keep-alive")
    }
    context.write(
      wrapOutboundOut(
        .head(HTTPResponseHead(version: .http1_1, status: response.status, headers: headers))),
      promise: nil)
    if request?.method != .HEAD, response.body.readableBytes > 0 {
      context.write(wrapOutboundOut(.body(.byteBuffer(response.body))), promise: nil)
    }
    let written = context.eventLoop.makePromise(of: Void.self)
    let answering = NIOLoopBound(self, eventLoop: context.eventLoop)
    written.futureResult.whenComplete { result in
      answering.value.answered(result, closes: closes)
    }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
  }

  private func answered(_ result: Result<Void, any Error>, closes: Bool) {
    guard case .answering = phase else { return }
    isWritingPage = false
    progressedAt = .now()
    guard case .success = result else { return drop() }
    guard !closes, !isEnding else { return linger() }
    phase = .idle
    // Who is being served goes on by itself.
    if !isProcessing { proceed() }
  }

  private func linger() {
    guard let channel, !hasInputEnded, !isEnding else { return drop() }
    phase = .lingering
    parts.removeAll()
    channel.close(mode: .output, promise: nil)
    context?.read()
  }

  /// The answer to what the parser does not take; nil when nobody is there to read one.
  private func refusal(of error: any Error) -> StatusResponse? {
    switch error {
    case is HeadMeter.TooLong, HTTPParserError.headerOverflow:
      head.isLineTooLong
        ? .problem(.targetTooLong, "The request's line is longer than is taken.")
        : .problem(
          .headersTooLong, "The request's headers are longer than is taken.")
    case HTTPParserError.invalidVersion:
      .problem(.unknownVersion, "HTTP/1.0 and HTTP/1.1 are spoken here.")
    case is HTTPParserError, is NIOHTTPDecoderError:
      .problem(.badRequest, "The request is not HTTP as RFC 9112 has it.")
    default: nil
    }
  }
}
