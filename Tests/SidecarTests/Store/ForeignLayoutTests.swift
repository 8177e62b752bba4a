import Sidecar
import Testing
import TokenCore

/// The keys and bytes of other software, as each writes them itself.
@Suite struct ForeignLayoutTests {
  private static let token = AccessToken("TOK_ABC")
  private static let end = RedisTime(milliseconds: 1_700_007_200_500)

  /// What is written for an account, as `key = value`.
  private static func written(
    _ name: String, _ kind: CredentialID.Kind = .accessToken, api: API = .token,
    prefix: String? = nil, placeholder: String = ""
  ) throws -> [String] {
    let layout = try #require(ForeignLayout.all.first { $0.name == name })
    let choice = ForeignLayout.Choice(
      layout: layout,
      subject: .init(
        appID: "wxapp", api: api, prefix: prefix ?? layout.usualPrefix ?? "",
        placeholder: placeholder))
    return choice.outputs(of: kind).map { output in
      guard case .other(let key) = output.key else { return "our own" }
      return key + " = " + output.text(of: token, end: end, lifetime: .seconds(7200))
    }
  }

  @Test(arguments: [
    (
      "wechatpy",
      [
        "wechatpy:wxapp_access_token = \"TOK_ABC\"",
        "wechatpy:wxapp_access_token_expires_at = 1700007200",
      ]
    ),
    ("wxjava-mp", ["wx:access_token:wxapp = TOK_ABC"]),
    ("wxjava-miniapp", ["wa:access_token:wxapp = TOK_ABC"]),
    ("wxjava-channel", ["wh:access_token:wxapp = TOK_ABC"]),
    ("silenceper", ["gowechat_officialaccount__access_token_wxapp = TOK_ABC"]),
    ("silenceper-miniprogram", ["gowechat_miniprogram__access_token_wxapp = TOK_ABC"]),
    ("silenceper-2.0", ["gowechat_officialaccount__access_token_wxapp = \"TOK_ABC\""]),
    ("easywechat", ["easywechat:wch.wxapp = s:7:\"TOK_ABC\";"]),
    (
      "easywechat-6",
      [
        "easywechat:official_account.access_token.wxapp.word.0 = s:7:\"TOK_ABC\";",
        "easywechat:mini_app.access_token.wxapp.word.0 = s:7:\"TOK_ABC\";",
      ]
    ),
    // The digest of `wxappword`.
    (
      "powerwechat",
      [
        "powerwechat.access_token.32d9e65a680ce63e5db2abc914f98a21"
          + " = {\"access_token\":\"TOK_ABC\",\"expires_in\":7200}"
      ]
    ),
  ])
  func `an access token is written as its software writes it`(
    _ name: String, _ expected: [String]
  ) throws {
    #expect(try Self.written(name, placeholder: "word") == expected)
  }

  @Test(arguments: [
    (
      "wechatpy",
      [
        "wechatpy:wxapp_jsapi_ticket = \"TOK_ABC\"",
        "wechatpy:wxapp_jsapi_ticket_expires_at = 1700007200",
      ]
    ),
    ("wxjava-mp", ["wx:ticket:key:wxapp:jsapi = TOK_ABC"]),
    ("silenceper", ["gowechat_officialaccount__jsapi_ticket_wxapp = TOK_ABC"]),
    ("easywechat-6", ["easywechat:official_account.jsapi_ticket.wxapp = s:7:\"TOK_ABC\";"]),
  ])
  func `a ticket is written where it is known`(_ name: String, _ expected: [String]) throws {
    #expect(try Self.written(name, .jsapiTicket, placeholder: "word") == expected)
  }

  @Test func `stable tokens have keys of their own where the software has`() throws {
    #expect(
      try Self.written("silenceper", api: .stableToken)
        == ["gowechat_officialaccount__stable_access_token_wxapp = TOK_ABC"])
    #expect(
      try Self.written("easywechat-6", api: .stableToken, prefix: "", placeholder: "word").first
        == "official_account.access_token.wxapp.word.1 = s:7:\"TOK_ABC\";")
  }

  @Test func `what JSON minds is escaped`() {
    let spelling = Spelling([.text("\""), .jsonToken, .text("\"")])
    #expect(spelling.text(of: AccessToken("a\"b\\c"), lifetime: .zero) == #""a\"b\\c""#)
  }
}
