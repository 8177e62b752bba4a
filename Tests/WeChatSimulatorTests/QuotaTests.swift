import Testing
import WeChatSimulator

@Suite("Quotas as the model plays them") struct QuotaTests {
  private let tokenPath = "/cgi-bin/token"

  private func quota(
    _ bench: inout ModelBench, of path: String, _ token: String, at time: Milliseconds
  ) -> SimulatedAnswer {
    bench.post(
      "/cgi-bin/openapi/quota/get", #"{"cgi_path":"\#(path)"}"#, token: token, at: time)
  }

  private func clearAll(_ bench: inout ModelBench, at time: Milliseconds) -> Int {
    bench.post("/cgi-bin/clear_quota/v2", #"{"appid":"wx1","appsecret":"s1"}"#, at: time).code
  }

  @Test("a test account has 200 tokens a day, another 2000")
  func limitsTestAccounts() throws {
    for (type, limit) in [(AppSettings.AccountType.testAccount, 200), (.officialAccount, 2000)] {
      var bench = ModelBench { $0.accountType = type }
      for _ in 1..<limit { #expect(bench.token(at: 0).code == 0) }
      let token = try #require(bench.token(at: 0).token)
      let refused = bench.token(at: 0)
      #expect(refused.code == 45009)
      #expect(
        refused.json["errmsg"]?.string?.hasPrefix(
          "reach max api daily quota limit, could get access_token by getStableAccessToken, ")
          == true)
      let figures = quota(&bench, of: tokenPath, token, at: 0).json["quota"]
      #expect(figures?["daily_limit"]?.integer == Int64(limit))
      #expect(figures?["remain"]?.integer == 0)
    }
  }

  @Test("quotas are cleared ten times in a month of China's calendar")
  func limitsClears() {
    var bench = ModelBench { $0.dailyTokenQuota = 1 }
    for time in 0..<10 {
      #expect(bench.token(at: Int64(time)).code == 0)
      #expect(bench.token(at: Int64(time)).code == 45009)
      #expect(clearAll(&bench, at: Int64(time)) == 0)
    }
    let refused = bench.post(
      "/cgi-bin/clear_quota/v2", #"{"appid":"wx1","appsecret":"s1"}"#, at: 10)
    #expect(refused.code == 48006)
    // The first of December begins in China at 16:00 UTC on the last of November.
    #expect(clearAll(&bench, at: 1_359_999_999) == 48006)
    #expect(clearAll(&bench, at: 1_360_000_000) == 0)
  }

  @Test("clear_quota and its second version share their credits and clear forced refreshes, too")
  func sharesClears() throws {
    var bench = ModelBench {
      $0.monthlyClears = 2
      $0.dailyForceQuota = 1
    }
    let token = try #require(bench.stable(at: 0).token)
    let forced = try #require(bench.stable(force: true, at: 1).token)
    #expect(bench.stable(force: true, at: 30_001).code == 45009)
    #expect(bench.post("/cgi-bin/clear_quota", "{}", token: token, at: 30_001).code == 0)
    #expect(bench.stable(force: true, at: 30_001).token != forced)
    #expect(clearAll(&bench, at: 30_002) == 0)
    let live = bench.stable(at: 30_003).token
    #expect(bench.post("/cgi-bin/clear_quota", "{}", token: live, at: 30_003).code == 48006)
  }

  @Test("the second version takes AppID and AppSecret from the body or the query, and no token")
  func clearsWithSecret() {
    var bench = ModelBench { $0.dailyTokenQuota = 1 }
    let path = "/cgi-bin/clear_quota/v2"
    func clear(_ query: [(name: String, value: String)], method: String = "POST") -> Int {
      bench.model.answer(
        SimulatedRequest(method: method, path: path, query: query), at: ModelBench.start
      ).code
    }
    #expect(bench.token(at: 0).code == 0)
    #expect(clear([("appid", "wx1"), ("appsecret", "s1")]) == 0)
    #expect(bench.token(at: 0).code == 0)
    #expect(clearAll(&bench, at: 0) == 0)
    #expect(bench.token(at: 0).code == 0)
    #expect(clear([("appid", "wx1"), ("appsecret", "s1")], method: "GET") == 43002)
    #expect(clear([("appsecret", "s1")]) == 41002)
    #expect(clear([("appid", "wx1")]) == 41004)
    #expect(clear([("appid", "wx9"), ("appsecret", "s1")]) == 40013)
    #expect(clear([("appid", "wx1"), ("appsecret", "x")]) == 40125)
    #expect(bench.token(at: 0).code == 45009)
  }

  @Test("quota/clear clears one path, so many times a month")
  func clearsPaths() throws {
    var bench = ModelBench {
      $0.dailyTokenQuota = 1
      $0.dailyAddressQuota = 1
      $0.monthlyPathClears = 2
    }
    let token = try #require(bench.token(at: 0).token)
    let addresses = "/cgi-bin/getcallbackip"
    #expect(bench.get(addresses, token: token, at: 0).code == 0)
    func clear(_ path: String) -> Int {
      bench.post(
        "/cgi-bin/openapi/quota/clear", #"{"cgi_path":"\#(path)"}"#, token: token, at: 0
      ).code
    }
    #expect(clear(addresses) == 0)
    #expect(bench.get(addresses, token: token, at: 0).code == 0)
    #expect(bench.get(addresses, token: token, at: 0).code == 45009)
    #expect(bench.token(at: 0).code == 45009)
    #expect(clear("token") == 76003)
    #expect(clear(tokenPath) == 0)
    #expect(bench.token(at: 0).code == 0)
    #expect(clear(tokenPath) == 48006)
  }

  @Test("quota/get may lag behind the calls")
  func lags() throws {
    var bench = ModelBench { $0.quotaLag = 3 }
    for _ in 0..<2 { _ = bench.token(at: 0) }
    let token = try #require(bench.token(at: 0).token)
    let early = quota(&bench, of: tokenPath, token, at: 0).json["quota"]
    #expect(early?["used"]?.integer == 0)
    _ = bench.token(at: 0)
    let newest = try #require(bench.token(at: 0).token)
    let late = quota(&bench, of: tokenPath, newest, at: 0).json["quota"]
    #expect(late?["used"]?.integer == 2)
    #expect(late?["remain"]?.integer == 1998)
  }

  @Test("quota/get tells bad paths apart, and those of other accounts")
  func judgesPaths() throws {
    var bench = ModelBench()
    let token = try #require(bench.token(at: 0).token)
    #expect(
      quota(&bench, of: "https://api.weixin.qq.com/cgi-bin/token", token, at: 0).code == 76003)
    #expect(quota(&bench, of: "cgi-bin/token", token, at: 0).code == 76003)
    #expect(quota(&bench, of: "", token, at: 0).code == 76003)
    #expect(quota(&bench, of: "/nothing/here", token, at: 0).code == 76021)
    #expect(quota(&bench, of: "/wxa/getwxacode", token, at: 0).code == 76022)
    #expect(quota(&bench, of: "/sns/userinfo", token, at: 0).code == 76022)
    #expect(quota(&bench, of: "/cgi-bin/menu/create", token, at: 0).code == 0)
    var program = ModelBench { $0.accountType = .miniProgram }
    let other = try #require(program.token(at: 0).token)
    #expect(quota(&program, of: "/wxa/getwxacode", other, at: 0).code == 0)
    #expect(quota(&program, of: "/cgi-bin/menu/create", other, at: 0).code == 76022)
    let path = "/cgi-bin/openapi/quota/get"
    #expect(bench.post(path, "", token: token, at: 0).code == 44002)
    #expect(bench.post(path, "{", token: token, at: 0).code == 47001)
    #expect(bench.get(path, token: token, at: 0).code == 43002)
  }

  @Test("a request id can be asked about for seven days, by the account whose request it was")
  func remembersRequests() throws {
    var bench = ModelBench { $0.life = 864_000_000 }
    var other = AppSettings(appID: "wx2", secret: "s2")
    other.life = 864_000_000
    bench.model.register(other)
    let token = try #require(bench.token(at: 0).token)
    let othersToken = try #require(
      bench.model.answer(
        SimulatedRequest(
          path: "/cgi-bin/token",
          query: [("grant_type", "client_credential"), ("appid", "wx2"), ("secret", "s2")]),
        at: ModelBench.start
      ).token)
    bench.schedule(.accountState(.punished), at: 1000)
    let message = try #require(bench.token(at: 1000).json["errmsg"]?.string)
    let rid = try #require(message.split(separator: " ").last)
    func ask(_ rid: some StringProtocol, _ token: String, at time: Milliseconds) -> SimulatedAnswer
    {
      bench.post("/cgi-bin/openapi/rid/get", #"{"rid":"\#(rid)"}"#, token: token, at: time)
    }
    let found = ask(rid, token, at: 2000).json["request"]
    #expect(found?["client_ip"]?.string == "127.0.0.1")
    #expect(found?["invoke_time"]?.integer == (ModelBench.start + 1000) / 1000)
    #expect(found?["request_url"]?.string == "/cgi-bin/token")
    #expect(found?["response_body"]?.string?.hasPrefix(#"{"errcode":50004,"#) == true)
    #expect(ask("x", token, at: 2000).code == 76003)
    #expect(ask("00000000-00000000-00000000", token, at: 2000).code == 76001)
    #expect(ask(rid, othersToken, at: 2000).code == 76002)
    #expect(ask(rid, token, at: 1000 + 604_800_000).code == 0)
    #expect(ask(rid, token, at: 1001 + 604_800_000).code == 76001)
  }
}
