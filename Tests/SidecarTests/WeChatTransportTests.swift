import Logging
import NIOPosix
import NIOSSL
import Sidecar
import TestSupport
import Testing
import TokenCore
import WeChatSimulator

@Suite("Ways to WeChat") struct WeChatTransportTests {
  private static func request(timeout: Duration = patience) -> WeChatRequest {
    WeChatRequest(
      account: .unnamed,
      .token(appID: WeChatBench.appID, appSecret: Secret(WeChatBench.secret), isForced: false),
      api: .token, notAfter: .now + patience, timeout: timeout)
  }

  /// Fetches once from a simulator that speaks TLS with that certificate.
  private func fetch(
    certificate: String, key: String, trusting authority: String?
  ) async throws -> (outcome: FetchOutcome, requests: Int) {
    let simulator = Simulator()
    simulator.register(AppSettings(appID: WeChatBench.appID, secret: WeChatBench.secret))
    let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8))
    let server = try await SimulatorServer.start(
      simulator,
      tls: .makeServerConfiguration(
        certificateChain: chain.map { .certificate($0) },
        privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem))))
    let client = WeChatClient(
      hosts: [BaseURL("https://localhost:\(server.ports[0])")!],
      extraCertificates: try authority.map { try NIOSSLCertificate.fromPEMBytes(Array($0.utf8)) }
        ?? [],
      logger: Logger(label: "test"), eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
    let outcome = await client.fetch(Self.request()).outcome
    await client.shutdown()
    await server.stop()
    return (outcome, simulator.audit.count)
  }

  @Test("an authority of one's own is trusted besides the system's")
  func trustsExtraAuthority() async throws {
    let result = try await fetch(
      certificate: FixedCertificates.localhost, key: FixedCertificates.localhostKey,
      trusting: FixedCertificates.authority)
    #expect(result.outcome.fetched != nil)
  }

  @Test(
    "a certificate that does not prove the host is a known failure, and the secret stays here",
    arguments: Fraud.allCases)
  func refusesCertificates(fraud: Fraud) async throws {
    let (certificate, key) = fraud.certificate
    let result = try await fetch(
      certificate: certificate, key: key,
      trusting: fraud.authority)
    let failure = try #require(result.outcome.known)
    #expect(failure.isTransport)
    #expect(failure.reason.contains("TLS failed: \(fraud.name)"), "\(failure.reason)")
    #expect(result.requests == 0)
  }

  /// What is wrong with a certificate.
  enum Fraud: CaseIterable {
    case unknownAuthority, otherName, addressAlone, expired

    /// What is trusted.
    var authority: String? {
      switch self {
      case .unknownAuthority: nil
      case .otherName, .expired: FixedCertificates.authority
      case .addressAlone: FixedCertificates.address
      }
    }

    var certificate: (chain: String, key: String) {
      switch self {
      case .unknownAuthority: (FixedCertificates.localhost, FixedCertificates.localhostKey)
      case .otherName: (FixedCertificates.otherName, FixedCertificates.otherNameKey)
      case .addressAlone: (FixedCertificates.address, FixedCertificates.addressKey)
      case .expired: (FixedCertificates.expired, FixedCertificates.expiredKey)
      }
    }

    /// How the failure names it; what was not verified cannot be told apart.
    var name: String {
      switch self {
      case .otherName, .addressAlone: "the certificate is another host's"
      case .unknownAuthority, .expired:
        "the certificate was not verified: its authority is not trusted here"
          + " (WCH_API_CA_FILE adds one), or it has expired, or this machine's clock is wrong"
      }
    }
  }

  @Test("calls go through a CONNECT proxy with its password, and only the proxy is asked")
  func usesProxy() async throws {
    try await WeChatBench.run { bench in
      let proxy = try await ConnectProxy.start(authorization: "Basic dTpwQDE=")
      let client = WeChatClient(
        hosts: [BaseURL(bench.server.url)!],
        proxies: try ProxyRules(
          setting: "http://u:p%401@127.0.0.1:\(proxy.port)", environment: [:]),
        logger: Logger(label: "test"), eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
      let fetched = await client.fetch(Self.request()).outcome.fetched
      #expect(fetched != nil)
      #expect(proxy.targets == [bench.authority(of: 0)])
      await client.shutdown()
      await proxy.stop()
    }
  }

  @Test("a proxy that refuses is a known failure: nothing reached WeChat")
  func reportsRefusingProxy() async throws {
    try await WeChatBench.run { bench in
      let proxy = try await ConnectProxy.start(authorization: "Basic other")
      let client = WeChatClient(
        hosts: [BaseURL(bench.server.url)!],
        proxies: try ProxyRules(
          setting: "http://u:secret@127.0.0.1:\(proxy.port)", environment: [:]),
        logger: Logger(label: "test"), eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
      let failure = try #require(await client.fetch(Self.request()).outcome.known)
      #expect(failure.isTransport)
      #expect(!failure.reason.contains("secret"))
      #expect(bench.simulator.audit.count == 0)
      await client.shutdown()
      await proxy.stop()
    }
  }

  @Test("a host that refuses is asked again at once by the next call, and works when it is back")
  func asksAgain() async throws {
    try await WeChatBench.run { bench in
      await bench.server.takeDown()
      for _ in 0..<3 { #expect(await bench.fetch().known?.isTransport == true) }
      try await bench.server.bringUp()
      #expect(await bench.fetch().fetched != nil)
    }
  }

  @Test(
    "a host that answers nonsense is left for the next one, but a refusal keeps it",
    arguments: [
      (Fault.status(502), true), (.html, true), (.errorCode(-1), true), (.mintThenDrop, true),
      (.errorCode(40164), false), (.errorCode(45009), false),
    ])
  func leavesBadHosts(fault: Fault, isLeft: Bool) async throws {
    try await WeChatBench.run(hosts: 2) { bench in
      func host() async -> String { await bench.client.fetch(Self.request()).facts.host }
      let hosts = [0, 1].map { bench.authority(of: $0) }
      #expect(await host() == hosts[0])
      bench.simulator.setFault(fault)
      #expect(await host() == hosts[0])
      #expect(await host() == hosts[isLeft ? 1 : 0])
    }
  }

  @Test(
    "whatever goes wrong, a known failure means that nothing was minted, and a token is live",
    arguments: [1, 2, 3, 4] as [UInt64])
  func tellsTheTruth(seed: UInt64) async throws {
    let faults: [Fault?] = [
      nil, .mintThenDrop, .dropBeforeMint, .mintThenReset, .resetBeforeMint, .truncatedBody,
      .emptyBody, .html, .status(502), .status(502, afterMint: true), .errorCode(-1),
      .errorCode(40164), .errorCode(45009), .body("{"), .mintThenHold, .holdBeforeMint,
    ]
    var generator = SeededGenerator(seed: seed)
    try await WeChatBench.run { bench in
      var innocent: Set<String> = []
      for number in 0..<40 {
        // An app for each call: a request may arrive after its caller has given up.
        let appID = "wx\(number)"
        bench.simulator.register(AppSettings(appID: appID, secret: WeChatBench.secret))
        if let fault = faults.randomElement(using: &generator) ?? nil {
          bench.simulator.setFault(fault, appID: appID)
        }
        let isLate = Int.random(in: 0..<8, using: &generator) == 0
        let outcome = await bench.fetch(
          appID: appID, notAfter: isLate ? .zero : .seconds(30), timeout: .milliseconds(300))
        switch outcome {
        case .token(let fetched):
          #expect(bench.simulator.newestToken(of: appID) == fetched.token.revealed)
          #expect(bench.simulator.judge(fetched.token.revealed).isLive)
        case .knownFailure: innocent.insert(appID)
        case .unknown(let failure): #expect(failure.category == .transient)
        }
      }
      bench.simulator.releaseHeld()
      let guilty = Set(bench.simulator.audit.mints().compactMap(\.appID))
      #expect(innocent.isDisjoint(with: guilty), "\(innocent.intersection(guilty))")
      #expect(!innocent.isEmpty)
    }
  }

  @Test("without Date the skew comes from the request id")
  func readsSkewFromRequestID() async throws {
    try await WeChatBench.run(prepare: { $0.secretState = .frozen }) { bench in
      bench.simulator.configure {
        $0.skew = -600_000
        $0.sendsDate = false
      }
      let skew = try #require(await bench.client.fetch(Self.request()).facts.clockSkew)
      // The id is read when the answer is, which a busy machine may do late.
      #expect(.seconds(-630) < skew && skew < .seconds(-590))
    }
  }

  @Test("a hundred calls at once each get their own answer")
  func fetchesConcurrently() async throws {
    try await WeChatBench.run(prepare: { $0.maxOldTokens = 1000 }) { bench in
      let tokens = await withTaskGroup(of: AccessToken?.self) { group in
        for _ in 0..<100 { group.addTask { await bench.fetch().fetched?.token } }
        return await group.reduce(into: Set<AccessToken>()) { tokens, token in
          if let token { tokens.insert(token) }
        }
      }
      #expect(tokens.count == 100)
      #expect(bench.simulator.audit.mints().count == 100)
    }
  }
}

@Suite("Rules for proxies") struct ProxyRulesTests {
  @Test(
    "a proxy's URL is read, and shown without its password",
    arguments: [
      ("http://proxy", "http://proxy:80"), ("proxy:3128", "http://proxy:3128"),
      ("http://u:p@proxy:3128/", "http://***@proxy:3128"), ("http://[::1]:8", "http://[::1]:8"),
      ("socks5://proxy", "socks5://proxy:1080"), ("HTTP://proxy", "http://proxy:80"),
      ("http://u:p%40:x@proxy", "http://***@proxy:80"),
    ])
  func reads(url: String, shown: String) throws {
    #expect(try OutboundProxy(url: url).description == shown)
  }

  @Test(
    "a URL that cannot be used is refused with what would be right",
    arguments: [
      "https://proxy", "http://", "http://proxy:0", "http://proxy:x", "socks5://u:p@proxy",
      "http://u:%zz@proxy", "http://u:%4@proxy", "http://:80",
    ])
  func refuses(url: String) {
    #expect(throws: ProxyProblem.self) { try OutboundProxy(url: url) }
  }

  @Test(
    "NO_PROXY names hosts, domains and ports",
    arguments: [
      ("api.weixin.qq.com", 443, true), ("api2.weixin.qq.com", 443, true),
      ("weixin.qq.com.example", 443, true), ("a.internal", 443, false), ("internal", 443, false),
      ("notinternal", 443, true), ("host", 8443, false), ("host", 443, true),
      ("b.stars", 443, false),
    ])
  func followsExceptions(host: String, port: Int, isProxied: Bool) throws {
    let rules = try ProxyRules(
      setting: nil,
      environment: ["HTTPS_PROXY": "proxy:1", "NO_PROXY": ".Internal, host:8443,*.stars"])
    #expect((rules.proxy(forHost: host, port: port, isHTTPS: true) != nil) == isProxied)
    #expect(rules.proxy(forHost: host, port: port, isHTTPS: false) == nil)
  }

  @Test("WCH_API_PROXY comes before the environment, for all hosts, and may switch it off")
  func prefersSetting() throws {
    let environment = ["https_proxy": "env:1", "no_proxy": "*"]
    let set = try ProxyRules(setting: "mine:2", environment: environment)
    #expect(set.proxy(forHost: "x", port: 80, isHTTPS: false)?.host == "mine")
    #expect(try ProxyRules(setting: "off", environment: environment).proxy == nil)
    let unset = try ProxyRules(setting: nil, environment: environment)
    #expect(unset.proxy?.host == "env")
    #expect(unset.proxy(forHost: "x", port: 443, isHTTPS: true) == nil)
  }
}
