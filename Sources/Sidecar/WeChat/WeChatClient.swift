import AsyncHTTPClient
package import Dialing
import FoundationEssentials
package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
package import NIOSSL
import RedisClient
import Synchronization
package import TokenCore

/// One fetch that is to be made.
package struct WeChatRequest: Sendable {
  /// Which of the two endpoints to ask.
  package enum API: String, Hashable, Sendable, CaseIterable {
    /// `GET /cgi-bin/token`: mints a token with each call.
    case token
    /// `POST /cgi-bin/stable_token`: hands out the same token until it is near its end.
    case stableToken = "stable_token"
  }

  package var account: AccountName
  package var appID: String
  package var appSecret: Secret
  package var api: API
  /// Whether `stable_token` is to replace a live token (20 a day, 30 s apart).
  package var forceRefresh: Bool
  /// The request must not be written later than this: the lease is over by then.
  package var notAfter: ContinuousClock.Instant
  /// For the whole call, from the look-up of the name to the last byte.
  package var timeout: Duration

  package init(
    account: AccountName, appID: String, appSecret: Secret, api: API, forceRefresh: Bool = false,
    notAfter: ContinuousClock.Instant, timeout: Duration
  ) {
    self.account = account
    self.appID = appID
    self.appSecret = appSecret
    self.api = api
    self.forceRefresh = forceRefresh
    self.notAfter = notAfter
    self.timeout = timeout
  }
}

/// What is known about a call besides its outcome; fit for logs and metrics.
package struct CallFacts: Hashable, Sendable {
  /// The host that was asked, with its port when that isn't the usual one.
  package var host: String
  /// The path, without a query.
  package var endpoint: String
  /// The status of the answer; nil when none came.
  package var status: Int?
  /// From the start of the call to its end.
  package var duration: Duration
  /// How far WeChat's clock is ahead of ours by `Date`, else by the request id, exact to a second
  /// or so; nil without either.
  package var clockSkew: Duration?
}

/// What a probe of a token found.
package enum ProbeOutcome: Hashable, Sendable {
  /// The token works. The figures are those of the endpoint that was asked about.
  case alive(dailyLimit: Int?, remaining: Int?)
  /// WeChat refused the token with 40001, 40014 or 42001.
  case dead(code: Int, requestID: String?)
  /// Anything else: nothing is known about the token.
  case unclear(FetchFailure)
}

/// Calls WeChat's endpoints: one HTTP attempt a call, and the truth about whether it was sent.
package final class WeChatClient: Sendable {
  /// Bytes of an answer that are read; WeChat's are a few hundred.
  static let maxBody = 64 * 1024

  /// One base URL and the client that reaches it.
  private struct Host {
    var base: BaseURL
    var client: HTTPClient
  }

  private let hosts: [Host]
  /// The clients in use: one that goes directly, one through the proxy.
  private let clients: [HTTPClient]
  private let gates: SendGates
  private let logger: Logger
  /// The host that is asked next, as an index.
  private let current = Mutex(0)
  /// What the last answer that told it said; written by calls, read by the status.
  private let lastSkew = Mutex<Duration?>(nil)

  /// A client for those base URLs, the preferred first.
  ///
  /// - Parameters:
  ///   - hosts: such as `https://api.weixin.qq.com`, at least one; settings have checked them.
  ///   - proxies: which of them are reached through a proxy.
  ///   - extraCertificates: authorities that are trusted besides the system's.
  ///   - dialer: the process's, which looks the hosts' names up.
  ///   - family: over which of their addresses they are asked.
  package init(
    hosts: [String], family: Dialer.Family = .any, proxies: ProxyRules = .none,
    extraCertificates: [NIOSSLCertificate] = [], dialer: Dialer = Dialer(), logger: Logger,
    eventLoopGroup: any EventLoopGroup
  ) {
    precondition(!hosts.isEmpty, "At least one host is needed")
    self.logger = logger
    let gates = SendGates()
    self.gates = gates
    var clients: [OutboundProxy?: HTTPClient] = [:]
    self.hosts = hosts.map { url in
      let base = BaseURL(url)
      let proxy = proxies.proxy(forHost: base.host, port: base.port, isHTTPS: base.isHTTPS)
      if let client = clients[proxy] { return Host(base: base, client: client) }
      let client = HTTPClient(
        eventLoopGroupProvider: .shared(eventLoopGroup),
        configuration: Self.configuration(proxy, extraCertificates, gates))
      clients[proxy] = client
      return Host(base: base, client: client)
    }
    self.clients = Array(clients.values)
  }

  private static func configuration(
    _ proxy: OutboundProxy?, _ extraCertificates: [NIOSSLCertificate], _ gates: SendGates
  ) -> HTTPClient.Configuration {
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.additionalTrustRoots = extraCertificates.isEmpty ? [] : [.certificates(extraCertificates)]
    var configuration = HTTPClient.Configuration(
      tlsConfiguration: tls, redirectConfiguration: .disallow, proxy: proxy?.configuration,
      http1_1ConnectionDebugInitializer: { gates.install(in: $0) })
    configuration.httpVersion = .http1Only
    // One attempt a call, on a connection of its own: a reused one may be half dead.
    configuration.maximumUsesPerConnection = 1
    configuration.connectionPool.retryConnectionEstablishment = false
    // A span would carry the URL and with it the secret.
    configuration.tracing.tracer = nil
    return configuration
  }

  /// How far WeChat's clock is ahead of this machine's, by the last answer that told; exact to a
  /// second or so, nil before the first.
  package var clockSkew: Duration? { lastSkew.withLock { $0 } }

  /// Makes one attempt to fetch a token; the outcome says it all.
  package func fetch(_ request: WeChatRequest) async -> (outcome: FetchOutcome, facts: CallFacts) {
    let call =
      switch request.api {
      case .token:
        Call(
          method: .GET, path: "/cgi-bin/token",
          query: [
            ("grant_type", "client_credential"), ("appid", request.appID),
            ("secret", request.appSecret.revealed),
          ])
      case .stableToken:
        Call(
          method: .POST, path: "/cgi-bin/stable_token",
          body: Self.stableBody(request))
      }
    var (reply, facts) = await attempt(
      call, notAfter: request.notAfter, timeout: request.timeout)
    let outcome: FetchOutcome =
      switch reply {
      case .answered(let status, let body, let sentAt):
        FetchClassifier.classify(status: status, body: body, sentAt: sentAt)
      case .notSent(let failure): .knownFailure(failure)
      case .lost(let failure): .unknown(failure)
      }
    if facts.clockSkew == nil { facts.clockSkew = Self.skew(of: outcome, facts.duration) }
    remember(facts)
    return (outcome, facts)
  }

  /// Asks WeChat for the quota of the endpoint with that token: proves the token, mints nothing.
  package func probe(
    _ token: AccessToken, quotaOf api: WeChatRequest.API, notAfter: ContinuousClock.Instant,
    timeout: Duration
  ) async -> (outcome: ProbeOutcome, facts: CallFacts) {
    let call = Call(
      method: .POST, path: "/cgi-bin/openapi/quota/get",
      query: [("access_token", token.revealed)],
      body: #"{"cgi_path":"/cgi-bin/\#(api.rawValue)"}"#)
    let (reply, facts) = await attempt(call, notAfter: notAfter, timeout: timeout)
    let outcome: ProbeOutcome =
      switch reply {
      case .answered(let status, let body, _): Self.judge(status: status, body: body)
      case .notSent(let failure), .lost(let failure): .unclear(failure)
      }
    remember(facts)
    return (outcome, facts)
  }

  private func remember(_ facts: CallFacts) {
    if let skew = facts.clockSkew { lastSkew.withLock { $0 = skew } }
  }

  /// Ends the client; calls under way fail.
  package func shutdown() async {
    for client in clients {
      do {
        try await client.shutdown()
      } catch {
        logger.debug("The WeChat client was shut down twice")
      }
    }
  }

  private static func stableBody(_ request: WeChatRequest) -> String {
    struct Body: Encodable {
      let grant_type = "client_credential"
      let appid: String
      let secret: String
      let force_refresh: Bool
    }
    let body = Body(
      appid: request.appID, secret: request.appSecret.revealed,
      force_refresh: request.forceRefresh)
    // Three strings and a truth value always have a JSON form.
    return (try? JSONEncoder().encode(body)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  private static func judge(status: Int, body: [UInt8]) -> ProbeOutcome {
    guard status < 500, let answer = WeChatAnswer(body), case .whole(let code) = answer.errorCode
    else {
      return .unclear(
        FetchFailure(
          .transient, reason: "WeChat's answer to the probe, status \(status), was not understood"))
    }
    if code == 0 {
      return .alive(
        dailyLimit: answer.quota?.dailyLimit.count, remaining: answer.quota?.remaining.count)
    }
    let failure = FetchClassifier.failure(Int(clamping: code), message: answer.message)
    guard WeChatError.deadTokenCodes.contains(Int(clamping: code)) else { return .unclear(failure) }
    return .dead(code: Int(clamping: code), requestID: failure.requestID)
  }
}

extension WeChatAnswer.Number {
  /// The number when it is one that can count calls.
  fileprivate var count: Int? {
    if case .whole(let count) = self, count >= 0 { Int(exactly: count) } else { nil }
  }
}

// MARK: - One attempt

extension WeChatClient {
  private struct Call {
    var method: HTTPMethod
    var path: String
    var query: [(String, String)] = []
    var body: String?
  }

  private enum Reply {
    case answered(status: Int, body: [UInt8], sentAt: Moment)
    /// Nothing went out: WeChat cannot have minted.
    case notSent(FetchFailure)
    /// The head was written, and no whole answer came.
    case lost(FetchFailure)
  }

  private func attempt(
    _ call: Call, notAfter: ContinuousClock.Instant, timeout: Duration
  ) async -> (Reply, CallFacts) {
    let start = ContinuousClock.now
    let index = current.withLock { $0 }
    let host = hosts[index]
    let gate = SendGate(notAfter: notAfter, timeout: timeout)
    let mark = gates.add(gate)
    defer { gates.remove(mark) }
    var facts = CallFacts(host: host.base.authority, endpoint: call.path, duration: .zero)
    let result = await send(call, to: host, mark: mark, timeout: timeout)
    let passage = gate.close()
    facts.duration = ContinuousClock.now - start
    let reply: Reply
    switch (result, passage) {
    case (.success(let response), .sent(let sentAt)):
      facts.status = Int(response.status.code)
      facts.clockSkew = Self.skew(of: response, duration: facts.duration)
      reply = .answered(
        status: Int(response.status.code),
        body: response.body.map { Array($0.readableBytesView) } ?? [],
        sentAt: sentAt)
    case (.success, .notSent), (.success, .tooLate):
      // An answer to a request that was never written is not one of WeChat's.
      reply = .lost(FetchFailure(.transient, reason: "An answer came before the request was sent"))
    case (.failure(let error), .sent):
      let reason = "\(facts.host) was asked, but no whole answer came: \(describe(error))"
      reply = .lost(FetchFailure(.transient, reason: reason, isTransport: true))
    case (.failure, .tooLate):
      reply = .notSent(
        FetchFailure(.transient, reason: "The request was not sent: its time was over"))
    case (.failure(let error), .notSent):
      let reason = "\(facts.host) was not reached: \(describe(error))"
      reply = .notSent(FetchFailure(.transient, reason: reason, isTransport: true))
    }
    if Self.isHostAtFault(reply) { moveOn(from: index) }
    return (reply, facts)
  }

  private func send(_ call: Call, to host: Host, mark: String, timeout: Duration) async
    -> Result<HTTPClient.Response, any Error>
  {
    let deadline = NIODeadline.now() + .nanoseconds(timeout.wholeNanoseconds)
    do {
      var request = try HTTPClient.Request(
        url: host.base.url + call.path + Self.encode(call.query), method: call.method)
      request.headers.add(name: SendGates.mark, value: mark)
      request.headers.add(name: "accept", value: "application/json")
      request.headers.add(name: "user-agent", value: "wch-sidecar")
      if let body = call.body {
        request.headers.add(name: "content-type", value: "application/json")
        request.body = .string(body)
      }
      let task = host.client.execute(
        request: request,
        delegate: ResponseAccumulator(request: request, maxBodySize: Self.maxBody),
        deadline: deadline)
      return .success(
        try await withTaskCancellationHandler {
          try await task.get()
        } onCancel: {
          task.cancel()
        })
    } catch {
      return .failure(error)
    }
  }

  /// Whether another host may do better.
  private static func isHostAtFault(_ reply: Reply) -> Bool {
    switch reply {
    case .answered(let status, let body, _):
      status >= 500
        || WeChatAnswer(body).map { $0.errorCode == .whole(Int64(WeChatError.systemError)) } ?? true
    case .notSent(let failure), .lost(let failure): failure.isTransport
    }
  }

  /// Lets the next attempt ask the next host, unless another call has seen to it.
  private func moveOn(from index: Int) {
    current.withLock { current in
      if current == index { current = (index + 1) % hosts.count }
    }
  }

  /// `?name=value&…` with everything but the unreserved characters escaped.
  private static func encode(_ query: [(String, String)]) -> String {
    guard !query.isEmpty else { return "" }
    return "?" + query.map { "\($0)=\(escape($1))" }.joined(separator: "&")
  }

  private static func escape(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var escaped: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        escaped.append(byte)
      default: escaped += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: escaped, as: UTF8.self)
  }

  private static func skew(of response: HTTPClient.Response, duration: Duration) -> Duration? {
    guard let date = response.headers.first(name: "date"), let server = HTTPDate.second(of: date)
    else { return nil }
    return skew(ofSecond: server, duration)
  }

  /// A request id begins with the second of WeChat's clock.
  private static func skew(of outcome: FetchOutcome, _ duration: Duration) -> Duration? {
    switch outcome {
    case .token: nil
    case .knownFailure(let failure), .unknown(let failure):
      failure.requestID.flatMap { ErrorMessage.second(ofRequestID: $0) }
        .map { skew(ofSecond: $0, duration) }
    }
  }

  private static func skew(ofSecond server: Int64, _ duration: Duration) -> Duration {
    // The answer was written about the middle of the call, and the second has lost its fraction.
    let ours = Date().timeIntervalSince1970 - duration.inSeconds / 2
    return .milliseconds(Int64((Double(server) + 0.5 - ours) * 1000))
  }
}

/// The parts of a base URL.
struct BaseURL: Hashable {
  /// As it is dialled: see ``URLHost``.
  let host: String
  let port: Int
  let isHTTPS: Bool
  /// Without a slash at its end; mostly empty.
  let path: String

  /// In the usual spelling, without a slash at its end.
  var url: String { "\(isHTTPS ? "https" : "http")://\(authority)\(path)" }

  init(_ text: String) {
    let isHTTPS = !text.lowercased().hasPrefix("http://")
    let rest = text.firstRange(of: "://").map { text[$0.upperBound...] } ?? text[...]
    let whole = rest.prefix { $0 != "/" }
    // A user name before an @ has no place in a log.
    let authority = whole.lastIndex(of: "@").map { whole[$0...].dropFirst() } ?? whole
    let afterAddress = authority.hasPrefix("[") ? authority.firstIndex(of: "]") : nil
    let colon = authority[(afterAddress ?? authority.startIndex)...].firstIndex(of: ":")
    let host = authority[..<(colon ?? authority.endIndex)]
    self.isHTTPS = isHTTPS
    // Settings have checked it; what is no host is not reached, and says so.
    self.host = URLHost(host)?.name ?? String(host)
    port =
      colon.flatMap { Int(authority[$0...].dropFirst()) } ?? Self.usualPort(isHTTPS: isHTTPS)
    path = String(rest[whole.endIndex...].reversed().drop { $0 == "/" }.reversed())
  }

  private static func usualPort(isHTTPS: Bool) -> Int { isHTTPS ? 443 : 80 }

  /// Host and port, without the port that is usual.
  var authority: String {
    let shown = URLHost.inURL(host)
    return port == Self.usualPort(isHTTPS: isHTTPS) ? shown : "\(shown):\(port)"
  }
}

/// What went wrong on the way, with no URL and no secret.
private func describe(_ error: any Error) -> String {
  switch error {
  case let error as HTTPClientError: error.shortDescription
  case let error as NIOConnectionError:
    error.connectionErrors.first.map { "\(describe($0.error))" }
      ?? (error.dnsAError ?? error.dnsAAAAError).map { "its name was not resolved: \($0)" }
      ?? "no address answered"
  case let error as IOError: error.reasonWithoutCall
  case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
    "TLS failed: \(describeTLS(error))"
  case is ResponseAccumulator.ResponseTooBigError:
    "the answer was longer than \(WeChatClient.maxBody) bytes"
  case is CancellationError: "the call was cancelled"
  default: "\(type(of: error))"
  }
}

/// What TLS refused, and what may be done about it.
private func describeTLS(_ error: any Error) -> String {
  switch error {
  case let error as NIOSSLExtraError where error == .failedToValidateHostname:
    return "the certificate is another host's"
  case NIOSSLError.unableToValidateCertificate:
    return "the certificate is another host's"
  default:
    let text = "\(error)"
    // BoringSSL says only that the verification failed, and the HTTP client does not show what.
    guard text.contains("CERTIFICATE_VERIFY_FAILED") else { return text }
    return "the certificate was not verified: its authority is not trusted here"
      + " (WCH_API_CA_FILE adds one), or it has expired, or this machine's clock is wrong"
  }
}
