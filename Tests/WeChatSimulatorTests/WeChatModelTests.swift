import Testing
import WeChatSimulator

/// Calls on a model, by hand and at any time.
struct ModelBench {
  static let appID = "wx1"
  static let secret = "s1"
  static let start: Milliseconds = 1_700_000_000_000
  var model: WeChatModel

  init(seed: UInt64 = 1, _ change: (inout AppSettings) -> Void = { _ in }) {
    model = WeChatModel(seed: seed)
    var app = AppSettings(appID: Self.appID, secret: Self.secret)
    change(&app)
    model.register(app)
  }

  mutating func token(at time: Milliseconds) -> SimulatedAnswer {
    model.answer(
      SimulatedRequest(
        path: "/cgi-bin/token",
        query: [("grant_type", "client_credential"), ("appid", "wx1"), ("secret", "s1")]),
      at: Self.start + time)
  }

  mutating func stable(force: Bool = false, at time: Milliseconds) -> SimulatedAnswer {
    post(
      "/cgi-bin/stable_token",
      #"{"grant_type":"client_credential","appid":"wx1","secret":"s1","force_refresh":\#(force)}"#,
      at: time)
  }

  mutating func post(
    _ path: String, _ body: String, token: String? = nil, at time: Milliseconds
  ) -> SimulatedAnswer {
    model.answer(
      SimulatedRequest(
        method: "POST", path: path, query: token.map { [("access_token", $0)] } ?? [],
        body: Array(body.utf8)), at: Self.start + time)
  }

  mutating func get(
    _ path: String, _ items: [(name: String, value: String)] = [], token: String?,
    at time: Milliseconds
  ) -> SimulatedAnswer {
    model.answer(
      SimulatedRequest(path: path, query: items + (token.map { [("access_token", $0)] } ?? [])),
      at: Self.start + time)
  }

  mutating func schedule(_ event: OperatorEvent, at time: Milliseconds) {
    model.schedule(event, for: Self.appID, at: Self.start + time)
  }

  mutating func judge(_ token: String?, at time: Milliseconds) -> Verdict {
    model.judge(token ?? "", at: Self.start + time)
  }
}

@Suite("The model of WeChat") struct WeChatModelTests {
  @Test("each call of token mints, and the token before dies after its grace")
  func mintsAndReplaces() {
    var bench = ModelBench()
    let first = bench.token(at: 0)
    let second = bench.token(at: 1000)
    #expect(first.token != second.token)
    #expect(first.json["errcode"] == nil)
    #expect(first.json["expires_in"]?.integer == 7200)
    #expect(bench.judge(first.token, at: 300_999).isLive)
    #expect(bench.judge(first.token, at: 301_000) == .dead(40001))
    #expect(bench.judge(second.token, at: 1000 + 7_199_999).isLive)
    #expect(bench.judge(second.token, at: 1000 + 7_200_000) == .dead(42001))
  }

  @Test("a replaced token lives no longer than its own life")
  func capsGrace() {
    var bench = ModelBench { $0.life = 2000 }
    let first = bench.token(at: 0)
    _ = bench.token(at: 1500)
    #expect(bench.judge(first.token, at: 1999).isLive)
    #expect(bench.judge(first.token, at: 2000) == .dead(42001))
  }

  @Test("a third fetch ends the first token at once, unless more old ones are kept")
  func evicts() {
    var strict = ModelBench()
    let first = strict.token(at: 0)
    _ = strict.token(at: 1)
    #expect(strict.judge(first.token, at: 2).isLive)
    _ = strict.token(at: 2)
    #expect(strict.judge(first.token, at: 2) == .dead(40001))
    var lenient = ModelBench { $0.maxOldTokens = 2 }
    let kept = lenient.token(at: 0)
    _ = lenient.token(at: 1)
    _ = lenient.token(at: 2)
    #expect(lenient.judge(kept.token, at: 3).isLive)
  }

  @Test("stable_token keeps its token until five minutes before its end, counting down")
  func keepsStable() {
    var bench = ModelBench()
    let first = bench.stable(at: 0)
    let again = bench.stable(at: 6_899_999)
    #expect(again.token == first.token)
    #expect(again.json["expires_in"]?.integer == 300)
    let next = bench.stable(at: 6_900_000)
    #expect(next.token != first.token)
    #expect(next.json["expires_in"]?.integer == 7200)
    #expect(bench.judge(first.token, at: 7_199_999).isLive)
    #expect(bench.judge(first.token, at: 7_200_000) == .dead(42001))
  }

  @Test("force needs 30 s and is counted; two of them end a leaked token at once")
  func forces() {
    var bench = ModelBench()
    let leaked = bench.stable(at: 0)
    let second = bench.stable(force: true, at: 1000)
    #expect(second.token != leaked.token)
    #expect(bench.judge(leaked.token, at: 1001).isLive)
    #expect(bench.stable(force: true, at: 30_999).token == second.token)
    #expect(bench.stable(force: true, at: 31_000).token != second.token)
    #expect(bench.judge(leaked.token, at: 31_000) == .dead(40001))
    for index in 2..<20 {
      #expect(bench.stable(force: true, at: 31_000 + Int64(index) * 30_000).code == 0)
    }
    #expect(bench.stable(force: true, at: 900_000).code == 45009)
    #expect(bench.stable(at: 900_001).code == 0)
  }

  @Test("the two endpoints leave each other's tokens alone")
  func isolates() {
    var bench = ModelBench()
    let legacy = bench.token(at: 0)
    _ = bench.stable(at: 1)
    let forced = bench.stable(force: true, at: 40_000)
    #expect(bench.judge(legacy.token, at: 1_000_000).isLive)
    _ = bench.token(at: 1_000_000)
    // Long after the grace in which a replaced token would go on working.
    #expect(bench.judge(forced.token, at: 5_000_000).isLive)
    #expect(bench.stable(at: 5_000_000).token == forced.token)
  }

  @Test("error bodies have WeChat's wire form")
  func writesErrors() {
    var bench = ModelBench { $0.allowedAddresses = [] }
    let refused = bench.token(at: 0)
    let message = refused.json["errmsg"]?.string ?? ""
    #expect(
      message.hasPrefix(
        "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist rid: 6553f100-"))
    #expect(refused.json.compact.hasPrefix(#"{"errcode":40164,"errmsg":"invalid ip "#))
    bench.model.messageSuffix = .hints
    #expect(bench.token(at: 0).json["errmsg"]?.string?.contains("hints: [ req_id: ") == true)
  }

  @Test("stable_token judges method and body first")
  func checksStableBodies() {
    var bench = ModelBench()
    let path = "/cgi-bin/stable_token"
    #expect(bench.get(path, token: "", at: 0).code == 43002)
    #expect(bench.post(path, "", at: 0).code == 44002)
    #expect(bench.post(path, "appid=wx1&secret=s1", at: 0).code == 41002)
    #expect(bench.post(path, "{", at: 0).code == 47001)
    #expect(bench.post(path, #"{"appid":"wx1"}"#, at: 0).code == 40002)
    #expect(
      bench.post(path, #"{"grant_type":"client_credential","appid":"wx1"}"#, at: 0).code == 41004)
  }

  @Test("the day's quota ends calls until it is cleared or the next day begins in China")
  func countsDays() throws {
    var bench = ModelBench { $0.dailyTokenQuota = 3 }
    let tokens = (0..<3).map { bench.token(at: Int64($0)) }
    #expect(bench.token(at: 4).code == 45009)
    let newest = try #require(tokens.last?.token)
    let quota = bench.post(
      "/cgi-bin/openapi/quota/get", #"{"cgi_path":"/cgi-bin/token"}"#, token: newest, at: 5)
    #expect(quota.json["quota"]?["remain"]?.integer == 0)
    #expect(bench.post("/cgi-bin/clear_quota", "{}", token: newest, at: 6).code == 0)
    #expect(bench.token(at: 7).code == 0)
    for time in 8..<10 { #expect(bench.token(at: Int64(time)).code == 0) }
    #expect(bench.token(at: 10).code == 45009)
    // 22:13:20 UTC is 06:13:20 in China: the day there ends 17 h 46 min 40 s later.
    #expect(bench.token(at: 63_999_999).code == 45009)
    #expect(bench.token(at: 64_000_000).code == 0)
  }

  @Test("a foreign fetch replaces the token, and a scheduled one does so at its time")
  func playsForeignParties() {
    var bench = ModelBench { $0.grace = 0 }
    let mine = bench.token(at: 0)
    bench.model.schedule(.foreignToken, for: ModelBench.appID, at: ModelBench.start + 500)
    #expect(bench.judge(mine.token, at: 499).isLive)
    #expect(bench.judge(mine.token, at: 500) == .dead(40001))
  }

  @Test("faults of propagation change the answers and not the truth")
  func playsPropagation() throws {
    var bench = ModelBench {
      $0.spuriousRefusals = 1
      $0.propagationDelay = 100
      $0.propagationShare = 1
      $0.revivalShare = 1
      $0.maxOldTokens = 0
    }
    let token = try #require(bench.token(at: 0).token)
    #expect(bench.get("/cgi-bin/anything", token: token, at: 200).code == 40001)
    #expect(bench.get("/cgi-bin/anything", token: token, at: 200).code == 0)
    let next = try #require(bench.token(at: 300).token)
    #expect(bench.get("/cgi-bin/anything", token: next, at: 399).code == 40001)
    #expect(bench.get("/cgi-bin/anything", token: next, at: 400).code == 0)
    #expect(bench.judge(token, at: 400) == .dead(40001))
    #expect(bench.get("/cgi-bin/anything", token: token, at: 400).code == 0)
  }

  @Test("the same seed and the same calls bring the same bytes")
  func isDeterministic() {
    func run() -> [String] {
      var bench = ModelBench(seed: 42) { $0.shortestLife = 60_000 }
      return (0..<50).map { bench.token(at: $0 * 1000).json.compact }
    }
    #expect(run() == run())
  }
}
