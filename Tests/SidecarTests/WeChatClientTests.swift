import Glibc
import Logging
import NIOPosix
import Sidecar
import Synchronization
import TestSupport
import Testing
import TokenCore
import WeChatSimulator

/// How many addresses were given out.
private let addresses = Atomic<Int>(0)

/// An address of 127.0.0.0/8 for one server alone: a port that is free for a while, because its
/// host is down, isn't taken by the server of another test.
func nextLoopbackAddress() -> String {
  let number = addresses.add(1, ordering: .relaxed).newValue
  return "127.\(20 + getpid() % 200).\(number / 250).\(1 + number % 250)"
}

/// A simulated WeChat on sockets and a client for it.
struct WeChatBench {
  static let appID = "wx0123456789abcdef"
  static let secret = "0123456789abcdef0123456789abcdef"

  let simulator: Simulator
  let server: SimulatorServer
  let client: WeChatClient

  /// Runs the body with a bench and takes it down again, whatever happens.
  static func run(
    hosts: Int = 1, extraHosts: [String] = [], prepare: (inout AppSettings) -> Void = { _ in },
    _ body: (WeChatBench) async throws -> Void
  ) async throws {
    let simulator = Simulator(seed: 7)
    var app = AppSettings(appID: appID, secret: secret)
    prepare(&app)
    simulator.register(app)
    let server = try await SimulatorServer.start(
      simulator, hosts: hosts, address: nextLoopbackAddress())
    let client = WeChatClient(
      hosts: (extraHosts + server.urls).map { BaseURL($0)! }, logger: Logger(label: "test"),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
    let bench = WeChatBench(simulator: simulator, server: server, client: client)
    do {
      try await body(bench)
    } catch {
      await bench.stop()
      throw error
    }
    await bench.stop()
  }

  /// Address and port of an API host.
  func authority(of host: Int) -> String {
    String(server.urls[host].dropFirst("http://".count))
  }

  private func stop() async {
    await client.shutdown()
    await server.stop()
  }

  func fetch(
    _ api: API = .token, appID: String = appID, secret: String = secret,
    force: Bool = false, notAfter: Duration = patience, timeout: Duration = patience
  ) async -> FetchOutcome {
    await client.fetch(
      WeChatRequest(
        account: .unnamed,
        .token(appID: appID, appSecret: Secret(secret), isForced: force),
        api: api,
        notAfter: .now + notAfter, timeout: timeout)
    ).outcome
  }
}

extension FetchOutcome {
  var fetched: FetchedToken? {
    if case .token(let token) = self { token } else { nil }
  }

  var known: FetchFailure? {
    if case .knownFailure(let failure) = self { failure } else { nil }
  }

  var unknown: FetchFailure? {
    if case .unknown(let failure) = self { failure } else { nil }
  }
}

@Suite("WeChat client") struct WeChatClientTests {
  @Test("a fetch brings the token that WeChat minted, with its life from the sending on")
  func fetches() async throws {
    try await WeChatBench.run { bench in
      let before = MonotonicClock.now()
      let fetched = try #require(await bench.fetch().fetched)
      #expect(fetched.lifetime == .seconds(7200))
      #expect(before <= fetched.sentAt && fetched.sentAt <= MonotonicClock.now())
      #expect(fetched.token.revealed == bench.simulator.newestToken(of: WeChatBench.appID))
      #expect(bench.simulator.judge(fetched.token.revealed).isLive)
      #expect(bench.simulator.audit.requests(to: .token) == 1)
    }
  }

  @Test("stable_token hands out the same token again, and another one by force")
  func fetchesStable() async throws {
    try await WeChatBench.run { bench in
      let first = try #require(await bench.fetch(.stableToken).fetched)
      #expect(await bench.fetch(.stableToken).fetched?.token == first.token)
      let forced = try #require(await bench.fetch(.stableToken, force: true).fetched)
      #expect(forced.token != first.token)
      #expect(bench.simulator.audit.mints().count == 2)
      #expect(bench.simulator.audit.events.allSatisfy { !$0.hasSecretInURL })
    }
  }

  /// The fields of every request: no cache may answer it, and no coding is wanted.
  private static let always: Set = [
    "host", "accept", "accept-encoding", "cache-control", "pragma", "user-agent", "connection",
  ]

  @Test("concurrent calls each have their own gate, and no field is sent without need")
  func carriesNoMark() async throws {
    try await WeChatBench.run { bench in
      async let first = bench.fetch()
      async let late = bench.fetch(notAfter: .milliseconds(-1))
      async let second = bench.fetch(.stableToken)
      #expect(await first.fetched != nil)
      #expect(await late.known != nil)
      #expect(await second.fetched != nil)
      #expect(
        bench.simulator.audit.events.map { Set($0.headerNames) }.sorted { $0.count < $1.count } == [
          Self.always, Self.always.union(["content-type", "content-length"]),
        ])
    }
  }

  @Test("an AppSecret with unusual characters arrives as it is")
  func escapes() async throws {
    let secret = #"a&b=c d+e%f"g/ü"#
    try await WeChatBench.run(prepare: { $0.secret = secret }) { bench in
      #expect(await bench.fetch(secret: secret).fetched != nil)
      #expect(await bench.fetch(.stableToken, secret: secret).fetched != nil)
    }
  }

  @Test("a request whose time is over is not sent")
  func refusesToSendLate() async throws {
    try await WeChatBench.run { bench in
      let failure = try #require(await bench.fetch(notAfter: .milliseconds(-1)).known)
      #expect(failure.category == .transient)
      #expect(!failure.isTransport)
      #expect(failure.reason == "The request was not sent: its time was over")
      #expect(bench.simulator.audit.count == 0)
    }
  }

  @Test("a refused connection is a known failure, and the next attempt asks the next host")
  func asksTheNextHost() async throws {
    try await WeChatBench.run(hosts: 2) { bench in
      await bench.server.takeDown(host: 0)
      let failure = try #require(await bench.fetch().known)
      #expect(failure.category == .transient)
      #expect(failure.isTransport)
      #expect(await bench.fetch().fetched != nil)
      #expect(await bench.fetch().fetched != nil, "the host that works is kept")
      #expect(bench.simulator.audit.requests(to: .token) == 2)
      try await bench.server.bringUp(host: 0)
      await bench.server.takeDown(host: 1)
      let second = await bench.fetch()
      #expect(second.known != nil, "the host that is down cannot answer: \(second)")
      #expect(await bench.fetch().fetched != nil)
    }
  }

  @Test("a name that does not resolve is a known failure")
  func reportsUnresolvedName() async throws {
    try await WeChatBench.run(extraHosts: ["http://wechat.invalid"]) { bench in
      let failure = try #require(await bench.fetch().known)
      #expect(failure.isTransport)
      #expect(failure.reason.hasPrefix("wechat.invalid was not reached: "))
    }
  }

  @Test("TLS against a server that speaks none is a known failure")
  func reportsFailedTLS() async throws {
    let simulator = Simulator()
    let server = try await SimulatorServer.start(simulator)
    let client = WeChatClient(
      hosts: [BaseURL(server.url.replacing("http://", with: "https://"))!],
      logger: Logger(label: "test"),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
    let request = WeChatRequest(
      account: .unnamed,
      .token(appID: "wx1", appSecret: Secret("secret"), isForced: false),
      api: .token,
      notAfter: .now + patience, timeout: patience)
    let failure = await client.fetch(request).outcome.known
    #expect(failure?.isTransport == true)
    await client.shutdown()
    await server.stop()
  }

  @Test(
    "an answer that is lost after the request was written leaves the outcome unknown",
    arguments: [
      Fault.mintThenDrop, .dropBeforeMint, .mintThenReset, .resetBeforeMint, .truncatedBody,
      .slowLoris(interval: 100),
      .mintThenHold, .holdBeforeMint,
    ])
  func losesAnswers(fault: Fault) async throws {
    try await WeChatBench.run { bench in
      for api in [API.token, .stableToken] {
        bench.simulator.setFault(fault)
        // Long enough for a connection on a busy machine, too short for an answer that never ends.
        let isEndless = [.mintThenHold, .holdBeforeMint, .slowLoris(interval: 100)].contains(fault)
        let outcome = await bench.fetch(api, timeout: isEndless ? .seconds(4) : patience)
        let failure = try #require(outcome.unknown, "\(outcome)")
        #expect(failure.category == .transient)
        #expect(failure.isTransport)
        #expect(await bench.fetch(api).fetched != nil)
      }
      #expect(bench.simulator.audit.mints().count == (fault.commits ? 3 : 3 - 1))
    }
  }

  @Test(
    "an answer that cannot be trusted leaves the outcome unknown",
    arguments: [
      (Fault.emptyBody, "an empty body"), (.html, "no JSON object"), (.status(502), "status 502"),
      (.status(500, afterMint: true), "status 500"), (.status(504), "status 504"),
      (.errorCode(-1), "errcode -1"),
      (Fault(commits: false, effect: .redirect("http://127.0.0.1:1/")), "status 302"),
      (.body("[]"), "no JSON object"), (.body("{}"), "neither a token nor an errcode"),
      (.body(#"{"errcode":0,"errmsg":"ok"}"#), "neither a token nor an errcode"),
      (.body(#"{"errcode":"x"}"#), "errcode that is no number"),
      (.body(#"{"errcode":40013,"access_token":"a","expires_in":7200}"#), "a token in one"),
      (.body(#"{"access_token":"","expires_in":7200}"#), "neither a token nor an errcode"),
      (.body(#"{"access_token":"a"}"#), "no expires_in"),
      (.body(#"{"access_token":"a","expires_in":null}"#), "no expires_in"),
      (.body(#"{"access_token":"a","expires_in":0}"#), "expires_in is 0"),
      (.body(#"{"access_token":"a","expires_in":-5}"#), "expires_in is negative"),
      (.body(#"{"access_token":"a","expires_in":2592001}"#), "over 30 days"),
      (.body(#"{"access_token":"a","expires_in":"soon"}"#), "expires_in is no number"),
      (.body(#"{"access_token":"a\nb","expires_in":7200}"#), "control bytes"),
      (
        .body(#"{"access_token":"\#(String(repeating: "a", count: 2049))","expires_in":7200}"#),
        "longer than 2048 bytes"
      ),
      (.body(String(repeating: " ", count: 70_000)), "longer than 65536 bytes"),
    ])
  func distrusts(fault: Fault, reason: String) async throws {
    try await WeChatBench.run { bench in
      bench.simulator.setFault(fault)
      let failure = try #require(await bench.fetch().unknown)
      #expect(failure.category == .transient)
      #expect(failure.reason.contains(reason), "\(failure.reason)")
      #expect(!failure.reason.contains(WeChatBench.secret))
      #expect(bench.simulator.audit.count == 1, "there was one attempt")
    }
  }

  @Test(
    "numbers may come as strings, and an errcode of 0 beside a token is success",
    arguments: [
      #"{"access_token":"a","expires_in":"7200"}"#,
      #"{"errcode":0,"errmsg":"ok","access_token":"a","expires_in":7200}"#,
      #"{"errcode":"0","access_token":"a","expires_in":7200.0}"#,
      #"{"errcode":null,"access_token":"a","expires_in":7200,"more":[{}]}"#,
    ])
  func readsLeniently(body: String) async throws {
    try await WeChatBench.run { bench in
      bench.simulator.setFault(.body(body))
      let fetched = try #require(await bench.fetch().fetched)
      #expect(fetched.token == AccessToken("a"))
      #expect(fetched.lifetime == .seconds(7200))
    }
  }

  @Test("a call that is cancelled ends at once, and nothing is written after its end")
  func cancels() async throws {
    try await WeChatBench.run { bench in
      bench.simulator.setFault(.mintThenHold)
      let call = Task { await bench.fetch() }
      try await bench.simulator.waitUntilHeld()
      call.cancel()
      #expect(await call.value.unknown?.isTransport == true)
    }
  }

  @Test("the skew of WeChat's clock is read from Date")
  func readsSkew() async throws {
    try await WeChatBench.run { bench in
      bench.simulator.configure { $0.skew = 90_000 }
      let facts = await bench.client.fetch(
        WeChatRequest(
          account: .unnamed,
          .token(appID: WeChatBench.appID, appSecret: Secret(WeChatBench.secret), isForced: false),
          api: .token, notAfter: .now + patience, timeout: patience)
      ).facts
      let skew = try #require(facts.clockSkew)
      #expect(.seconds(80) < skew && skew < .seconds(100))
      #expect(facts.status == 200)
      #expect(facts.endpoint == "/cgi-bin/token")
      #expect(facts.host == bench.authority(of: 0))
    }
  }
}
