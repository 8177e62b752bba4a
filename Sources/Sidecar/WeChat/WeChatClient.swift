package import Dialing
package import Logging
package import NIOCore
package import NIOSSL
import RedisClient
import Synchronization
package import TokenCore

/// What is known about a call besides its outcome; fit for logs and metrics.
package struct CallFacts: Hashable, Sendable {
  /// The host that was asked, with its port when that isn't the usual one.
  package var host: String
  /// The same as it was given.
  var base: BaseURL
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
  struct Host {
    var base: BaseURL
    var proxy: OutboundProxy?
    var tls: ClientTLS?
  }

  /// Calls at a time when nobody says otherwise.
  package static let usualConcurrency = 64
  /// Out of descriptors, the next try within a call comes after this.
  static let descriptorPause: Duration = .milliseconds(100)
  /// The other family of addresses is there when it connects within this.
  static let familyTrial: Duration = .seconds(1)

  /// The hosts of requests that name none.
  let hosts: [BaseURL]
  let proxies: ProxyRules
  let tls: ClientTLS
  let family: Dialer.Family
  let caller: OutboundCaller
  let limiter: CallLimiter
  let logger: Logger
  /// Which host of a list each account asks next, where it is not the first; written by calls.
  ///
  /// Accounts with the same list learn from each other, and nothing from others.
  let orders = Mutex<[[BaseURL]: HostOrder]>([:])
  /// Over which family each account asks; written by calls.
  let families = Mutex(AddressFamilies())
  /// What the last answer that told it said; written by calls, read by the status.
  let lastSkew = Mutex<Duration?>(nil)

  /// A client for those base URLs, the preferred first.
  ///
  /// - Parameters:
  ///   - hosts: such as `https://api.weixin.qq.com`, at least one; a request may name others.
  ///   - concurrency: so many calls are under way at a time; the others wait for their turn.
  ///   - proxies: which of them are reached through a proxy.
  ///   - extraCertificates: authorities that are trusted besides the system's.
  ///   - dialer: the process's, which looks the hosts' names up.
  ///   - family: over which of their addresses they are asked; with `any`, the other family is
  ///     tried when WeChat refuses the address of one.
  package init(
    hosts: [BaseURL], concurrency: Int = usualConcurrency, proxies: ProxyRules = .none,
    extraCertificates: [NIOSSLCertificate] = [], dialer: Dialer = Dialer(),
    family: Dialer.Family = .any, logger: Logger, eventLoopGroup: any EventLoopGroup
  ) {
    precondition(!hosts.isEmpty, "At least one host is needed")
    self.logger = logger
    self.family = family
    caller = OutboundCaller(dialer: dialer, eventLoopGroup: eventLoopGroup)
    limiter = CallLimiter(limit: concurrency)
    tls = ClientTLS { try SystemAuthorities.configuration(beside: extraCertificates) }
    self.hosts = hosts
    self.proxies = proxies
  }

  /// How that host is reached.
  func host(_ base: BaseURL) -> Host {
    Host(
      base: base,
      proxy: proxies.proxy(forHost: base.host, port: base.port, isHTTPS: base.isHTTPS),
      tls: base.isHTTPS ? tls : nil)
  }

  /// How far WeChat's clock is ahead of this machine's, by the last answer that told; exact to a
  /// second or so, nil before the first.
  package var clockSkew: Duration? { lastSkew.withLock { $0 } }

  /// Makes one attempt to fetch a token or a ticket; the outcome says it all.
  package func fetch(_ request: WeChatRequest) async -> (outcome: FetchOutcome, facts: CallFacts) {
    var (reply, facts) = await attempt(
      request.call, for: request.account, among: request.hosts ?? hosts,
      notAfter: request.notAfter, permit: request.permit, timeout: request.timeout)
    let outcome: FetchOutcome =
      switch reply {
      case .answered(let answer, let sentAt):
        await judged(
          FetchClassifier.classify(
            status: answer.status, body: answer.body, sentAt: sentAt, age: answer.age,
            to: request.question),
          answer, facts, for: request)
      case .notSent(let failure): .knownFailure(failure)
      case .lost(let failure): .unknown(failure)
      }
    if facts.clockSkew == nil { facts.clockSkew = Self.skew(of: outcome, facts.duration) }
    remember(facts)
    return (outcome, facts)
  }

  /// Proves a token: WeChat is asked for the quota of the endpoint, which mints nothing, and WeCom,
  /// which has no such call, for the addresses of its API, which costs none of what the account may
  /// call for itself.
  package func probe(
    _ token: AccessToken, of account: AccountName = .unnamed, from api: API,
    hosts: [BaseURL]? = nil, notAfter: ContinuousClock.Instant, timeout: Duration
  ) async -> (outcome: ProbeOutcome, facts: CallFacts) {
    let proof = [("access_token", token.revealed)]
    let call =
      api.isWeCom
      ? Call(method: "GET", path: "/cgi-bin/get_api_domain_ip", query: proof, canWait: true)
      : Call(
        method: "POST", path: "/cgi-bin/openapi/quota/get", query: proof,
        body: #"{"cgi_path":"/cgi-bin/\#(api.rawValue)"}"#, canWait: true)
    let (reply, facts) = await attempt(
      call, for: account, among: hosts ?? self.hosts, notAfter: notAfter, timeout: timeout)
    let outcome: ProbeOutcome =
      switch reply {
      case .answered(let answer, _):
        Self.judge(
          status: answer.status, body: answer.body,
          to: Question(isWeCom: api.isWeCom, .accessToken))
      case .notSent(let failure), .lost(let failure): .unclear(failure)
      }
    remember(facts)
    return (outcome, facts)
  }

  func remember(_ facts: CallFacts) {
    if let skew = facts.clockSkew { lastSkew.withLock { $0 = skew } }
  }

  /// Ends the client: a call lives as long as its caller waits, so that there is nothing to end.
  package func shutdown() async {}

  static func judge(status: Int, body: [UInt8], to question: Question) -> ProbeOutcome {
    guard status < 500, let answer = WeChatAnswer(body), case .whole(let code) = answer.errorCode
    else {
      return .unclear(
        FetchFailure(
          .transient,
          reason:
            "\(question.speaker)'s answer to the probe, status \(status), was not understood"))
    }
    if code == 0 {
      return .alive(
        dailyLimit: answer.quota?.dailyLimit.count, remaining: answer.quota?.remaining.count)
    }
    let failure = FetchClassifier.failure(
      Int(clamping: code), message: answer.message, to: question)
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
