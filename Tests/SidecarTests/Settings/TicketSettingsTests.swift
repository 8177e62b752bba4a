import Testing
import TokenCore

@testable import Sidecar

@Suite("Settings of tickets and of WeCom") struct TicketSettingsTests {
  private static let corp = [
    "WCH_APPID": "ww0123456789abcdef", "WCH_APPSECRET": "s3cr3t-s3cr3t", "WCH_API": "gettoken",
  ]

  private func problems(
    _ settings: [String: String], _ base: [String: String] = leastEnvironment
  ) -> [String] {
    settingsProblems([], base.merging(settings) { $1 })
  }

  private func file(_ accounts: String) -> FakeFiles {
    FakeFiles(["/c.json5": "{ accounts: { \(accounts) } }"])
  }

  @Test("an account has its token, and each ticket once")
  func lists() throws {
    let settings = try loadSettings(
      ["--tickets", "wx_card, jsapi,jsapi"], leastEnvironment)
    #expect(
      settings.accounts[0].credentials.map(\.description) == [
        "default", "default/jsapi_ticket", "default/wx_card_ticket",
      ])
    #expect(Set(settings.credentials.keys) == Set(settings.accounts[0].credentials))
    let ticket = try #require(settings.credentials[CredentialID(.unnamed, .jsapiTicket)])
    #expect(ticket.fetch == .reads(.ticket))
    #expect(ticket.source == .unnamed)
    #expect(ticket.probe == nil)
    #expect(settings.credentials[.unnamed]?.source == nil)
    #expect(
      settings.effective.first { $0.name == "tickets" }?.value == "jsapi,wx_card")
  }

  @Test("the file has lists, also of addresses, and a text with commas is one, too")
  func readsFile() throws {
    let settings = try loadSettings(
      [], ["WCH_CONFIG": "/c.json5"],
      files: file(
        """
        shop: { appid: "wx1", appsecret: "a", tickets: ["jsapi", "wx_card"] },
        corp: { appid: "ww1", appsecret: "b", api: "gettoken", tickets: "agent_config",
          apiUrl: ["https://qyapi.weixin.qq.com", "https://relay.example:8443"] },
        plain: { appid: "wx2", appsecret: "c", tickets: [] },
        """))
    let credentials = settings.accounts.flatMap(\.credentials).map(\.description)
    #expect(
      credentials == [
        "corp", "corp/agent_config_ticket", "plain", "shop", "shop/jsapi_ticket",
        "shop/wx_card_ticket",
      ])
    #expect(
      settings.accounts.map { $0.urls.map(\.text) } == [
        ["https://qyapi.weixin.qq.com", "https://relay.example:8443"],
        ["https://api.weixin.qq.com"], ["https://api.weixin.qq.com"],
      ])
    #expect(settings.apiURLs.count == 3)
    #expect(settings.describe().contains("accounts.corp.apiUrl"))
  }

  @Test("WeCom's token is read and not renewed, and asked for at WeCom")
  func corporation() throws {
    let settings = try loadSettings([], Self.corp)
    #expect(settings.accounts[0].urls.map(\.text) == ["https://qyapi.weixin.qq.com"])
    #expect(settings.credentials[.unnamed]?.fetch == .reads(.weComToken))
    #expect(settings.credentials[.unnamed]?.probe == .seconds(300))
    #expect(
      settings.effective.first { $0.name == "apiUrl" }?.value == "https://qyapi.weixin.qq.com")
    #expect(settings.warnings.isEmpty)
  }

  @Test("apps of a corporation share the corp id")
  func sharedCorporation() throws {
    let settings = try loadSettings(
      [], ["WCH_CONFIG": "/c.json5", "WCH_API": "gettoken"],
      files: file(
        """
        hr: { appid: "ww1", appsecret: "a" }, sales: { appid: "ww1", appsecret: "b" }
        """))
    #expect(settings.accounts.count == 2)
  }

  @Test(
    "what cannot be is refused at start, with what is near",
    arguments: [
      ("jsapo", "environment variable WCH_TICKETS: `jsapo` is no ticket; the nearest known one is"),
      ("wx_crad", "the nearest known one is wx_card"),
      (
        "agent_config",
        "`agent_config` is no ticket of the api token, which has jsapi and wx_card"
      ),
      ("jsapi,,wx_card", "`` is no ticket"),
    ])
  func refuses(tickets: String, problem: String) {
    let found = problems(["WCH_TICKETS": tickets])
    #expect(found.count == 1)
    #expect(found.first?.contains(problem) == true, "\(found)")
  }

  @Test("what an account cannot have is told together with all else")
  func refusesTogether() {
    #expect(
      problems(["WCH_TICKETS": "wx_card"], Self.corp).first?.contains(
        "`wx_card` is no ticket of the api gettoken, which has jsapi and agent_config") == true)
    let found = problems(["WCH_TICKETS": "jsapo,wx_crad", "WCH_LEASE": "15"])
    #expect(found.count == 3, "\(found)")
    #expect(
      settingsProblems(
        [], ["WCH_TICKETS": "jsapi", "WCH_CONFIG": "/c.json5"],
        files: file(#"shop: { appid: "wx1", appsecret: "a" }"#)
      ).first?.contains("is for the unnamed account") == true)
  }

  @Test("one service is not asked at the other's address")
  func refusesOtherHosts() {
    let wrong = problems(["WCH_API_URL": "https://api2.weixin.qq.com"], Self.corp)
    #expect(wrong.first?.contains("not WeCom's") == true, "\(wrong)")
    let other = problems(["WCH_API_URL": "https://qyapi.weixin.qq.com"])
    #expect(other.first?.contains("not WeChat's") == true, "\(other)")
    let mixed = settingsProblems(
      [], ["WCH_CONFIG": "/c.json5"],
      files: file(
        """
        shop: { appid: "wx1", appsecret: "a", apiUrl: ["https://ä.example"] },
        corp: { appid: "wx1", appsecret: "b", apiUrl: "nonsense" },
        """))
    #expect(mixed.contains { $0.contains("accounts.corp.apiUrl: `nonsense` is not") }, "\(mixed)")
    #expect(mixed.contains { $0.contains("accounts.shop.apiUrl") }, "\(mixed)")
  }

  @Test("a corp id is told from an AppID")
  func judgesIDs() throws {
    #expect(problems(["WCH_APPID": "ww1"]).first?.contains("api gettoken") == true)
    let settings = try loadSettings([], Self.corp.merging(["WCH_APPID": "corp"]) { $1 })
    #expect(settings.warnings.first?.message.contains("does not begin with ww") == true)
  }

  @Test("what Redis alone tells is of tickets, too")
  func readsForRedis() throws {
    let settings = try RedisSettings.load(
      arguments: [],
      environment: ["WCH_APPID": "wx1", "WCH_TICKETS": "wx_card,jsapi"])
    #expect(
      settings.accounts.keys.sorted().map(\.description) == [
        "default", "default/jsapi_ticket", "default/wx_card_ticket",
      ])
  }
}
