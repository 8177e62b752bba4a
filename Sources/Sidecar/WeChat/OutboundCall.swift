import Dialing
import NIOCore
import NIOPosix
import NIOSSL
import RedisClient
import TokenCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A request and where it goes.
struct OutboundRequest: Sendable {
  enum Destination: Hashable, Sendable {
    case host(String, port: Int)
    case unix(String)
  }

  var destination: Destination
  /// Over which addresses the host is reached, when it is reached directly.
  var family = Dialer.Family.any
  var proxy: OutboundProxy?
  /// Nil for HTTP in clear.
  var tls: ClientTLS?
  /// The one certificate that is trusted, whoever signed it; nil for what `tls` says.
  var pinned: NIOSSLCertificate?
  var method: String
  /// Path and query.
  var target: String
  /// The field `Host`.
  var authority: String
  var fields: [(name: String, value: String)] = []
  var body: [UInt8]?

  /// Head and body as they are sent.
  var bytes: [UInt8] {
    var head = "\(method) \(target) HTTP/1.1\r\nhost: \(authority)\r\n"
    for (name, value) in fields { head += "\(name): \(value)\r\n" }
    if let body { head += "content-length: \(body.count)\r\n" }
    return Array((head + "connection: close\r\n\r\n").utf8) + (body ?? [])
  }
}

/// What came back.
struct OutboundAnswer: Sendable {
  var status: Int
  /// Names in lower case.
  var fields: [(name: String, value: String)]
  /// Decoded.
  var body: [UInt8]
  /// Why the answer did not end as its head announced; nil when it did.
  var flaw: OutboundFailure?
  /// Where the answer came from; nil for a Unix socket.
  var remote: SocketAddress?

  /// The first value of a field.
  subscript(name: String) -> String? { fields.first { $0.name == name }?.value }
}

/// Why there is no whole answer.
enum OutboundFailure: Error {
  /// No connection stands.
  case dial(DialFailure)
  /// The proxy did not let us through, in words.
  case tunnel(String)
  /// No TLS: the system's authorities or the other side's certificate.
  case tls(any Error)
  case noAuthorities(SystemAuthorities.Missing)
  /// The gate was shut: too late, or no longer wanted.
  case refused
  /// The time was over while this was waited for.
  case timedOut(String)
  case io(any Error)
  /// The other side closed the connection before this came.
  case closed(String)
  /// The answer cannot be taken, in words.
  case malformed(String)
  case cancelled
}

/// Makes HTTP calls, each on a connection of its own.
///
/// AsyncHTTPClient was here before. Its `CONNECT` has no port in `Host` and hides the proxy's
/// status, its look-ups can be neither bounded nor chosen, and what is whole as JSON is lost when
/// its connection ends badly. What is left out: redirects, reuse of connections, bodies that
/// stream.
struct OutboundCaller: Sendable {
  let dialer: Dialer
  let eventLoopGroup: any EventLoopGroup

  /// Makes one call.
  ///
  /// - Parameters:
  ///   - gate: passed just before the head is written; nil when nobody minds.
  ///   - longestBody: of the answer, also when it is decoded.
  ///   - deadline: for the whole call.
  /// - Throws: when no head of an answer has come; an answer with a flaw is returned.
  func answer(
    to request: OutboundRequest, gate: SendGate? = nil, longestBody: Int,
    deadline: ContinuousClock.Instant
  ) async throws(OutboundFailure) -> OutboundAnswer {
    let context = try await request.tls?.context()
    let loop = eventLoopGroup.next()
    let channel = try await connect(request, gate: gate, deadline: deadline, on: loop)
    // The loop may be of a group that ends: then its futures fail.
    let talk = loop.flatSubmit { () -> EventLoopFuture<OutboundTalk.Handle> in
      loop.makeCompletedFuture {
        let promise = loop.makePromise(of: OutboundAnswer.self)
        let handler = OutboundTalk(
          request: request, context: context, gate: gate, longestBody: longestBody,
          deadline: deadline, result: promise)
        do {
          try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
          // It was closed in the meantime.
          promise.fail(error)
          throw error
        }
        return handler.handle
      }
    }
    do {
      let handle = try await talk.get()
      let result = try await withTaskCancellationHandler {
        try await handle.result.get()
      } onCancel: {
        handle.cancel()
      }
      return try Self.decoded(result, longestBody: longestBody).get()
    } catch let failure as OutboundFailure {
      throw failure
    } catch {
      channel.close(promise: nil)
      throw .io(error)
    }
  }

  private func connect(
    _ request: OutboundRequest, gate: SendGate?, deadline: ContinuousClock.Instant,
    on loop: any EventLoop
  ) async throws(OutboundFailure) -> any Channel {
    let timeout = gate?.timeout
    let configure: @Sendable (ClientBootstrap) -> ClientBootstrap = { bootstrap in
      Self.forgettingUnsent(after: timeout, bootstrap)
        // Nothing is read before there is somebody to read it.
        .channelOption(.autoRead, value: false)
    }
    do {
      if let proxy = request.proxy {
        do throws(DialFailure) {
          return try await dialer.connect(
            host: proxy.host, port: proxy.port, deadline: deadline, on: loop,
            configure: configure
          ).channel
        } catch {
          guard !OutboundFailure.dial(error).isOutOfDescriptors else { throw error }
          throw OutboundFailure.tunnel("the proxy \(proxy) was not reached: \(error.sentence)")
        }
      }
      switch request.destination {
      case .host(let host, let port):
        return try await dialer.connect(
          host: host, port: port, family: request.family, deadline: deadline, on: loop,
          configure: configure
        ).channel
      case .unix(let path):
        return try await ClientBootstrap(group: loop).channelOption(.autoRead, value: false)
          .connectTimeout(.init(max(.zero, ContinuousClock.now.duration(to: deadline))))
          .connect(unixDomainSocketPath: path).get()
      }
    } catch let failure as DialFailure {
      throw .dial(failure)
    } catch let failure as OutboundFailure {
      throw failure
    } catch {
      throw .io(error)
    }
  }

  /// Lets nothing of a call reach WeChat long after the call.
  ///
  /// A closed socket's unacknowledged bytes are sent again by the kernel for up to 100 s, so that a
  /// request may arrive later than a doubt is over, and end a token that looks settled. With
  /// no time to linger, `close` drops them with a reset; the user time-out covers the seconds in
  /// which TLS waits for its farewell. An answer was read whole before the connection is closed: a
  /// reset takes nothing away from it.
  static func forgettingUnsent(
    after timeout: Duration?, _ bootstrap: ClientBootstrap
  ) -> ClientBootstrap {
    guard let timeout else { return bootstrap }
    let lingering = bootstrap.channelInitializer { channel in
      // What a socket cannot do is no reason not to ask WeChat.
      _ = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
      return channel.eventLoop.makeSucceededVoidFuture()
    }
    #if os(Linux)
      return lingering.channelOption(
        .tcpOption(.init(rawValue: TCP_USER_TIMEOUT)),
        value: Int(clamping: max(1, timeout.wholeMilliseconds)))
    #else
      return lingering
    #endif
  }

  /// The answer without its codings; what was cut is decoded as far as it goes.
  private static func decoded(
    _ answer: OutboundAnswer, longestBody: Int
  ) -> Result<OutboundAnswer, OutboundFailure> {
    var answer = answer
    func codings(_ name: String) -> [String] {
      answer.fields.filter { $0.name == name }.flatMap { $0.value.split(separator: ",") }
        .map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
        .filter { !["identity", "chunked", ""].contains($0) }
    }
    let all = codings("content-encoding") + codings("transfer-encoding")
    // Each costs time on the keeper's thread, and nobody needs a third.
    guard all.count <= 2 else {
      answer.body = []
      answer.flaw = .malformed("the answer is coded again and again")
      return .success(answer)
    }
    do throws(Inflate.Problem) {
      for coding in all.reversed() {
        let output: Inflate.Output
        switch coding {
        case "gzip", "x-gzip": output = try Inflate.gzip(answer.body, limit: longestBody)
        case "deflate": output = try Inflate.deflate(answer.body, limit: longestBody)
        default:
          answer.body = []
          answer.flaw = .malformed(
            "the answer is coded in a way that was not asked for and is not known")
          return .success(answer)
        }
        answer.body = output.bytes
        if !output.isWhole, answer.flaw == nil {
          answer.flaw = .malformed("the answer, coded as \(coding), was cut short")
        }
      }
    } catch {
      answer.body = []
      answer.flaw = .malformed("the answer, coded though that was not asked for, \(error)")
    }
    return .success(answer)
  }
}

extension OutboundFailure: CustomStringConvertible {
  /// What went wrong on the way, with no URL and no secret.
  var description: String {
    switch self {
    case .dial(let failure): failure.sentence
    case .tunnel(let words), .malformed(let words), .closed(let words): words
    case .tls(let error): "TLS failed: \(Self.describeTLS(error))"
    case .noAuthorities(let missing): "TLS failed: \(missing)"
    case .refused: "the request was not sent"
    case .timedOut(let what): "the time was over \(what)"
    case .io(let error): Self.describe(error)
    case .cancelled: "the call was cancelled"
    }
  }

  /// Whether this machine had no descriptor left for a connection.
  var isOutOfDescriptors: Bool {
    func isIt(_ error: any Error) -> Bool {
      guard let error = error as? IOError else { return false }
      return error.errnoCode == EMFILE || error.errnoCode == ENFILE
    }
    return switch self {
    case .dial(.unreachable(let attempts)): attempts.contains { isIt($0.error) }
    case .io(let error): isIt(error)
    case .dial, .tunnel, .tls, .noAuthorities, .refused, .timedOut, .closed, .malformed,
      .cancelled:
      false
    }
  }

  static func describe(_ error: any Error) -> String {
    switch error {
    case let error as IOError: error.reasonWithoutCall
    case is CancellationError: "the call was cancelled"
    case ChannelError.connectTimeout: "the time was over while connecting"
    default: "\(type(of: error))"
    }
  }

  /// What TLS refused, and what may be done about it.
  private static func describeTLS(_ error: any Error) -> String {
    switch error {
    case let error as NIOSSLExtraError where error == .failedToValidateHostname:
      return "the certificate is another host's"
    case NIOSSLError.unableToValidateCertificate:
      return "the certificate is another host's"
    default:
      let text = "\(error)"
      // BoringSSL says only that the verification failed, and not what.
      if text.contains("CERTIFICATE_VERIFY_FAILED") {
        return "the certificate was not verified: its authority is not trusted here"
          + " (WCH_API_CA_FILE adds one), or it has expired, or this machine's clock is wrong"
      }
      return text.contains("WRONG_VERSION_NUMBER") ? "the other side speaks no TLS" : text
    }
  }
}

extension DialFailure {
  /// What went wrong, and what it was that took long.
  fileprivate var sentence: String {
    switch self {
    case .notResolved(_, let reason): "its name was not resolved: \(reason)"
    case .lookUpTimedOut: "looking its name up took too long"
    case .unreachable(let attempts):
      attempts.isEmpty
        ? "no address answered"
        : attempts.map { "\(OutboundFailure.describe($0.error)) (\($0.address))" }
          .joined(separator: ", ")
    case .connectTimedOut(let addresses):
      "the time was over while connecting to \(addresses.joined(separator: ", "))"
    case .cancelled: "the call was cancelled"
    }
  }
}
