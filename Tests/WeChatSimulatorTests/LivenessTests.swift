import Testing
import WeChatSimulator

@Suite("Calls with a token as the model plays them") struct LivenessTests {
  private static let addressCalls = ["/cgi-bin/get_api_domain_ip", "/cgi-bin/getcallbackip"]

  @Test("both address calls prove a token alive, and have a daily limit each")
  func tellsAddresses() throws {
    var bench = ModelBench { $0.life = 864_000_000 }
    let token = try #require(bench.token(at: 0).token)
    for path in Self.addressCalls {
      for _ in 0..<999 { #expect(bench.get(path, token: token, at: 1).code == 0) }
      let last = bench.get(path, token: token, at: 2)
      #expect(last.json["errcode"] == nil)
      #expect(last.json["ip_list"]?.array?.isEmpty == false)
      #expect(bench.get(path, token: token, at: 3).code == 45009)
    }
    // 22:13:20 UTC is 06:13:20 in China: the day there ends 17 h 46 min 40 s later.
    for path in Self.addressCalls {
      #expect(bench.get(path, token: token, at: 63_999_999).code == 45009)
    }
    for path in Self.addressCalls {
      #expect(bench.get(path, token: token, at: 64_000_000).code == 0)
    }
  }

  @Test("every call needs a token", arguments: addressCalls + ["/cgi-bin/anything"])
  func needsTokens(path: String) {
    var bench = ModelBench()
    let missing = bench.get(path, token: nil, at: 0)
    #expect(missing.code == 41001)
    #expect(missing.json["errmsg"]?.string?.hasPrefix("access_token missing rid: ") == true)
    #expect(bench.get(path, token: "x", at: 0).code == 40001)
  }

  @Test("an expired token is told 42001, or 40014 where that is set")
  func tellsExpiry() {
    for (code, path) in [(42001, "/cgi-bin/anything"), (40014, Self.addressCalls[0])] {
      var bench = ModelBench { $0.expiredCode = code }
      let token = bench.token(at: 0).token
      #expect(bench.get(path, token: token, at: 7_199_999).code == 0)
      #expect(bench.get(path, token: token, at: 7_200_000).code == code)
    }
  }

  @Test(
    "an API that is for accounts of another type is told 48001, and the token is none the worse",
    arguments: [
      (AppSettings.AccountType.officialAccount, "/cgi-bin/menu/create", "/wxa/getwxacode"),
      (.testAccount, "/cgi-bin/user/info", "/wxa/business/getuserphonenumber"),
      (.miniProgram, "/wxa/getwxacode", "/cgi-bin/menu/create"),
      (.miniProgram, "/datacube/getweanalysisappiddailyvisittrend", "/datacube/getusersummary"),
    ])
  func judgesAccountTypes(
    type: AppSettings.AccountType, ownPath: String, foreignPath: String
  ) {
    var bench = ModelBench { $0.accountType = type }
    let token = bench.token(at: 0).token
    #expect(bench.get(ownPath, token: token, at: 1).code == 0)
    let refused = bench.get(foreignPath, token: token, at: 1)
    #expect(refused.code == 48001)
    #expect(refused.json["errmsg"]?.string?.hasPrefix("api unauthorized, rid: ") == true)
    #expect(bench.judge(token, at: 1).isLive)
    for path in Self.addressCalls { #expect(bench.get(path, token: token, at: 1).code == 0) }
    // A dead token comes first.
    #expect(bench.get(foreignPath, token: token, at: 7_200_000).code == 42001)
  }

  @Test("an account may lack the permission for more APIs")
  func judgesPermissions() {
    var bench = ModelBench { $0.unauthorizedPaths = ["/cgi-bin/message/mass/"] }
    let token = bench.token(at: 0).token
    #expect(bench.get("/cgi-bin/message/mass/send", token: token, at: 1).code == 48001)
    #expect(bench.get("/cgi-bin/message/custom/send", token: token, at: 1).code == 0)
  }

  @Test("the list of addresses is for fetching tokens, which may then be used from anywhere")
  func usesTokensFromAnywhere() throws {
    var bench = ModelBench()
    let token = try #require(bench.token(at: 0).token)
    bench.schedule(.allowAddresses(["10.0.0.1"]), at: 1)
    #expect(bench.token(at: 1).code == 40164)
    #expect(bench.stable(at: 1).code == 40164)
    #expect(bench.get("/cgi-bin/anything", token: token, at: 1).code == 0)
    let allowed = bench.model.answer(
      SimulatedRequest(
        path: "/cgi-bin/token",
        query: [("grant_type", "client_credential"), ("appid", "wx1"), ("secret", "s1")],
        clientAddress: "10.0.0.1"), at: ModelBench.start + 2)
    #expect(allowed.code == 0)
  }
}
