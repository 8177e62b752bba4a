package import Dialing
import FoundationEssentials
package import Logging
package import NIOCore
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
  /// What must not be withdrawn when the request is written; nil for one that nobody withdraws.
  package var permit: SendPermit?
  /// For the whole call, from the look-up of the name to the last byte.
  package var timeout: Duration

  package init(
    account: AccountName, appID: String, appSecret: Secret, api: API, forceRefresh: Bool = false,
    notAfter: ContinuousClock.Instant, permit: SendPermit? = nil, timeout: Duration
  ) {
    self.account = account
    self.appID = appID
    self.appSecret = appSecret
    self.api = api
    self.forceRefresh = forceRefresh
    self.notAfter = notAfter
    self.permit = permit
    self.timeout = timeout
  }
}

/// What is known about a call besides its outcome; fit for logs and metrics.
package struct CallFacts: Hashable, Sendable {
  /// The host that was asked, with its port when that isn't the usual one.
  package var host: String
  /// Its place in the list of hosts.
  var hostIndex = 0
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

  /// One base URL and how it is reached.
  private struct Host {
    var base: BaseURL
    var proxy: OutboundProxy?
    var tls: ClientTLS?
  }

  /// Calls at a time when nobody says otherwise.
  package static let usualConcurrency = 64
  /// Out of descriptors, the next try within a call comes after this.
  private static let descriptorPause: Duration = .milliseconds(100)
  /// The other family of addresses is there when it connects within this.
  private static let familyTrial: Duration = .seconds(1)

  private let hosts: [Host]
  private let family: Dialer.Family
  private let caller: OutboundCaller
  private let limiter: CallLimiter
  private let logger: Logger
  /// The host that is asked next, as an index.
  private let current = Mutex(0)
  /// Over which family each account asks; written by calls.
  private let families = Mutex(AddressFamilies())
  /// What the last answer that told it said; written by calls, read by the status.
  private let lastSkew = Mutex<Duration?>(nil)

  /// A client for those base URLs, the preferred first.
  ///
  /// - Parameters:
  ///   - hosts: such as `https://api.weixin.qq.com`, at least one; settings have checked them.
  ///   - concurrency: so many calls are under way at a time; the others wait for their turn.
  ///   - proxies: which of them are reached through a proxy.
  ///   - extraCertificates: authorities that are trusted besides the system's.
  ///   - dialer: the process's, which looks the hosts' names up.
  ///   - family: over which of their addresses they are asked; with `any`, the other family is
  ///     tried when WeChat refuses the address of one.
  package init(
    hosts: [String], concurrency: Int = usualConcurrency, proxies: ProxyRules = .none,
    extraCertificates: [NIOSSLCertificate] = [], dialer: Dialer = Dialer(),
    family: Dialer.Family = .any, logger: Logger, eventLoopGroup: any EventLoopGroup
  ) {
    precondition(!hosts.isEmpty, "At least one host is needed")
    self.logger = logger
    self.family = family
    caller = OutboundCaller(dialer: dialer, eventLoopGroup: eventLoopGroup)
    limiter = CallLimiter(limit: concurrency)
    let tls = ClientTLS { try SystemAuthorities.configuration(beside: extraCertificates) }
    self.hosts = hosts.map { url in
      let base = BaseURL(url)
      return Host(
        base: base,
        proxy: proxies.proxy(forHost: base.host, port: base.port, isHTTPS: base.isHTTPS),
        tls: base.isHTTPS ? tls : nil)
    }
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
          method: "GET", path: "/cgi-bin/token",
          query: [
            ("grant_type", "client_credential"), ("appid", request.appID),
            ("secret", request.appSecret.revealed),
          ])
      case .stableToken:
        Call(
          method: "POST", path: "/cgi-bin/stable_token",
          body: Self.stableBody(request))
      }
    var (reply, facts) = await attempt(
      call, for: request.account, notAfter: request.notAfter, permit: request.permit,
      timeout: request.timeout)
    let outcome: FetchOutcome =
      switch reply {
      case .answered(let answer, let sentAt):
        await judged(
          FetchClassifier.classify(
            status: answer.status, body: answer.body, sentAt: sentAt, age: answer.age),
          answer, facts, for: request)
      case .notSent(let failure): .knownFailure(failure)
      case .lost(let failure): .unknown(failure)
      }
    if facts.clockSkew == nil { facts.clockSkew = Self.skew(of: outcome, facts.duration) }
    remember(facts)
    return (outcome, facts)
  }

  /// Asks WeChat for the quota of the endpoint with that token: proves the token, mints nothing.
  package func probe(
    _ token: AccessToken, of account: AccountName = .unnamed, quotaOf api: WeChatRequest.API,
    notAfter: ContinuousClock.Instant, timeout: Duration
  ) async -> (outcome: ProbeOutcome, facts: CallFacts) {
    let call = Call(
      method: "POST", path: "/cgi-bin/openapi/quota/get",
      query: [("access_token", token.revealed)],
      body: #"{"cgi_path":"/cgi-bin/\#(api.rawValue)"}"#)
    let (reply, facts) = await attempt(call, for: account, notAfter: notAfter, timeout: timeout)
    let outcome: ProbeOutcome =
      switch reply {
      case .answered(let answer, _): Self.judge(status: answer.status, body: answer.body)
      case .notSent(let failure), .lost(let failure): .unclear(failure)
      }
    remember(facts)
    return (outcome, facts)
  }

  private func remember(_ facts: CallFacts) {
    if let skew = facts.clockSkew { lastSkew.withLock { $0 = skew } }
  }

  /// Ends the client: a call lives as long as its caller waits, so that there is nothing to end.
  package func shutdown() async {}

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
    var method: String
    var path: String
    var query: [(String, String)] = []
    var body: String?
  }

  private enum Reply {
    case answered(OutboundAnswer, sentAt: Moment)
    /// Nothing went out: WeChat cannot have minted.
    case notSent(FetchFailure)
    /// The head was written, and no whole answer came.
    case lost(FetchFailure)
  }

  private func attempt(
    _ call: Call, for account: AccountName, notAfter: ContinuousClock.Instant,
    permit: SendPermit? = nil, timeout: Duration
  ) async -> (Reply, CallFacts) {
    let start = ContinuousClock.now
    let index = current.withLock { $0 }
    let host = hosts[index]
    let gate = SendGate(notAfter: notAfter, permit: permit, timeout: timeout)
    var facts = CallFacts(
      host: host.base.authority, hostIndex: index, endpoint: call.path, duration: .zero)
    let way = AddressFamilies.Way(account: account, host: index)
    let result = await send(call, to: host, way, gate: gate, deadline: start + timeout)
    let passage = gate.close()
    facts.duration = ContinuousClock.now - start
    let reply: Reply
    switch (result, passage) {
    case (.success(let answer), .sent(let sentAt)):
      facts.status = answer.status
      facts.clockSkew = Self.skew(of: answer, duration: facts.duration)
      // Where one JSON object is whole, nothing is missing that counts, however its connection
      // ended; a gateway's error is one with or without the end of its page.
      if let flaw = answer.flaw, answer.status < 500, WeChatAnswer(answer.body) == nil {
        reply = .lost(lost(facts, flaw))
      } else {
        reply = .answered(answer, sentAt: sentAt)
      }
    case (.success, .notSent), (.success, .tooLate):
      // An answer to a request that was never written is not one of WeChat's.
      reply = .lost(FetchFailure(.transient, reason: "An answer came before the request was sent"))
    case (.failure(let failure), .sent): reply = .lost(lost(facts, failure))
    case (.failure, .tooLate):
      reply = .notSent(
        FetchFailure(.transient, reason: "The request was not sent: its time was over"))
    case (.failure(let failure), .notSent):
      reply = .notSent(
        FetchFailure(
          .transient, reason: "\(facts.host) was not reached: \(failure)", isTransport: true,
          // Descriptors may be there again at any moment, and nobody says when.
          retriesSoon: failure.isOutOfDescriptors))
    }
    if Self.isHostAtFault(reply) { moveOn(from: index) }
    return (reply, facts)
  }

  private func lost(_ facts: CallFacts, _ failure: OutboundFailure) -> FetchFailure {
    FetchFailure(
      .transient, reason: "\(facts.host) was asked, but no whole answer came: \(failure)",
      isTransport: true)
  }

  /// Waits for its turn, and makes the call.
  private func send(
    _ call: Call, to host: Host, _ way: AddressFamilies.Way, gate: SendGate,
    deadline: ContinuousClock.Instant
  ) async -> Result<OutboundAnswer, OutboundFailure> {
    guard await limiter.enter(before: deadline, on: caller.eventLoopGroup.next()) else {
      return .failure(
        Task.isCancelled
          ? .cancelled : .timedOut("while other calls were under way (WCH_API_CONCURRENCY)"))
    }
    defer { limiter.leave() }
    var request = OutboundRequest(
      destination: .host(host.base.host, port: host.base.port), proxy: host.proxy, tls: host.tls,
      method: call.method, target: host.base.path + call.path + Self.encode(call.query),
      authority: host.base.authority,
      fields: [
        ("accept", "application/json"), ("accept-encoding", "identity"),
        // In `token` mode an answer out of a cache is no answer.
        ("cache-control", "no-cache, no-store"), ("pragma", "no-cache"),
        ("user-agent", "wch-sidecar"),
      ])
    if let body = call.body {
      request.fields.append(("content-type", "application/json"))
      request.body = Array(body.utf8)
    }
    request.family = family == .any ? families.withLock { $0.family(way) } : family
    while true {
      do throws(OutboundFailure) {
        return .success(
          try await caller.answer(
            to: request, gate: gate, longestBody: Self.maxBody, deadline: deadline))
      } catch {
        if case .dial = error, !error.isOutOfDescriptors, request.family != family {
          // Nothing was sent: what was preferred is not there any more.
          families.withLock { $0.failed(way) }
          request.family = family
          continue
        }
        guard error.isOutOfDescriptors, .now + Self.descriptorPause < deadline, !Task.isCancelled
        else { return .failure(error) }
        try? await Task.sleep(for: Self.descriptorPause)
      }
    }
  }

  // MARK: Families of addresses

  /// The outcome, and what follows from it for the family that is asked next.
  private func judged(
    _ outcome: FetchOutcome, _ answer: OutboundAnswer, _ facts: CallFacts,
    for request: WeChatRequest
  ) async -> FetchOutcome {
    let way = AddressFamilies.Way(account: request.account, host: facts.hostIndex)
    let host = hosts[facts.hostIndex]
    guard family == .any, host.proxy == nil, let over = answer.remote?.family else {
      return outcome
    }
    guard case .knownFailure(let failure) = outcome, failure.code == Backoff.addressRefused,
      let address = failure.egressAddress
    else {
      if case .works(let refused)? = families.withLock({ $0.accepted(way, over: over) }) {
        logger.tell(
          .addressFamily,
          "WeChat refused this machine's address, and takes the one of the other family",
          .keyed([
            .account: "\(request.account)", .wechatEgress: "\(refused)", .reason: "\(over.name)",
          ]))
      }
      return outcome
    }
    let isFirst = families.withLock { $0.family(way) } != over
    let hasOther = isFirst ? await reaches(host, over: over.other) : true
    let finding = families.withLock {
      $0.refused(way, over: over, address: address, hasOther: hasOther)
    }
    switch finding {
    case .tryOther:
      return .knownFailure(
        failure.saying("this was over \(over.name); \(over.other.name) is tried next", soon: true))
    case .bothRefused(let refused):
      return .knownFailure(
        failure.saying(
          "\(address) over \(over.name) is refused, and so was \(refused) over \(over.other.name)"))
    case .works, nil: return outcome
    }
  }

  /// Whether the host has an address of that family that can be reached from here.
  private func reaches(_ host: Host, over family: Dialer.Family) async -> Bool {
    let trial = try? await caller.dialer.connect(
      host: host.base.host, port: host.base.port, family: family,
      deadline: .now + Self.familyTrial, on: caller.eventLoopGroup.next()
    ) { $0 }
    trial?.channel.close(promise: nil)
    return trial?.address.family == family
  }

  /// Whether another host may do better.
  private static func isHostAtFault(_ reply: Reply) -> Bool {
    switch reply {
    case .answered(let answer, _):
      answer.status >= 500
        || WeChatAnswer(answer.body).map { $0.errorCode == .whole(Int64(WeChatError.systemError)) }
          ?? true
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

  private static func skew(of answer: OutboundAnswer, duration: Duration) -> Duration? {
    // A cache's `Date` is that of the answer that it kept.
    guard answer.age == .zero, let date = answer["date"], let server = HTTPDate.second(of: date)
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

extension OutboundAnswer {
  /// How old caches on the way say that it is (RFC 9111 section 5.1).
  fileprivate var age: Duration {
    let ages = fields.filter { $0.name == "age" }.compactMap { field -> Int64? in
      guard !field.value.isEmpty, field.value.utf8.allSatisfy({ (0x30...0x39).contains($0) })
      else { return nil }
      // What is too long for a number is older than any token.
      return min(Int64(field.value) ?? .max, Self.oldest)
    }
    return .seconds(ages.max() ?? 0)
  }

  /// Seconds beyond which one is as old as another: RFC 9111 section 1.2.2.
  private static let oldest: Int64 = 1 << 31
}

extension SocketAddress {
  /// The family of addresses; nil for a path, or for IPv4 in the form of IPv6.
  fileprivate var family: Dialer.Family? {
    switch self {
    case .v4: .ipv4
    case .v6: .ipv6
    case .unixDomainSocket: nil
    }
  }
}

extension FetchFailure {
  /// The same with more words, and with a next attempt at once when that goes another way.
  fileprivate func saying(_ words: String, soon: Bool = false) -> FetchFailure {
    FetchFailure(
      category, code: code, reason: "\(reason); \(words)", requestID: requestID,
      egressAddress: egressAddress, isTransport: isTransport, holdOff: holdOff,
      retriesSoon: soon)
  }
}
