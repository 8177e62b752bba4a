import Testing
import WeChatSimulator

/// Calls of WeCom apps on a model, by hand and at any time.
private struct CorpBench {
  static let start: Milliseconds = 1_700_002_800_000
  var model = WeChatModel()

  /// Corporations and secrets, each an app.
  init(
    _ apps: [(corpID: String, secret: String)] = [("corp", "s")],
    _ change: (inout CorpApp) -> Void = { _ in }
  ) {
    for (corpID, secret) in apps {
      var app = CorpApp(corpID: corpID, secret: secret)
      change(&app)
      model.register(app)
    }
  }

  mutating func token(
    _ corpID: String = "corp", _ secret: String = "s", at time: Milliseconds
  ) -> SimulatedAnswer {
    model.answer(
      SimulatedRequest(
        path: "/cgi-bin/gettoken", query: [("corpid", corpID), ("corpsecret", secret)]),
      at: Self.start + time)
  }

  mutating func call(
    _ path: String, _ token: String?, from address: String = "127.0.0.1", at time: Milliseconds
  ) -> SimulatedAnswer {
    model.answer(
      SimulatedRequest(
        path: path, query: [("access_token", token ?? "")], clientAddress: address),
      at: Self.start + time)
  }
}

@Suite("WeCom as the model plays it") struct WeComTests {
  private let corpTicket = "/cgi-bin/get_jsapi_ticket"
  private let appTicket = "/cgi-bin/ticket/get"

  @Test("a token is repeated inside its life, counting down, and there is no overlap")
  func repeats() {
    var bench = CorpBench()
    let first = bench.token(at: 0)
    #expect(first.json["errcode"]?.integer == 0)
    #expect(first.minted)
    let again = bench.token(at: 60_000)
    #expect(again.token == first.token)
    #expect(again.minted == false)
    #expect(again.json["expires_in"]?.integer == 7140)
    #expect(bench.token(at: 7_199_999).token == first.token)
    let next = bench.token(at: 7_200_000)
    #expect(next.token != first.token)
    #expect(bench.call("/cgi-bin/user/get", first.token, at: 7_200_000).code == 42001)
    #expect(bench.call("/cgi-bin/user/get", next.token, at: 7_200_000).code == 0)
  }

  @Test("expires_in may stay the same when a token is repeated, though the end does not move")
  func staysConstant() {
    var bench = CorpBench { $0.whenRepeated = .constant }
    let first = bench.token(at: 0)
    let again = bench.token(at: 7_199_999)
    #expect(again.token == first.token)
    #expect(again.json["expires_in"]?.integer == 7200)
    #expect(bench.call("/cgi-bin/user/get", first.token, at: 7_200_000).code == 42001)
  }

  @Test("a repeated token may be renewed: its life begins again")
  func renews() {
    var bench = CorpBench { $0.whenRepeated = .renews }
    let first = bench.token(at: 0)
    let again = bench.token(at: 3_600_000)
    #expect(again.token == first.token)
    #expect(again.json["expires_in"]?.integer == 7200)
    #expect(bench.call("/cgi-bin/user/get", first.token, at: 10_799_999).code == 0)
    #expect(bench.call("/cgi-bin/user/get", first.token, at: 10_800_000).code == 42001)
  }

  @Test("an expired token may be told 40014, and a killed one always is")
  func tellsDeath() throws {
    var bench = CorpBench { $0.expiredCode = 40014 }
    let first = bench.token(at: 0)
    #expect(bench.call("/cgi-bin/user/get", first.token, at: 7_200_000).code == 40014)
    var early = CorpBench()
    let killed = early.token(at: 0)
    let id = try #require(early.model.corpApps.keys.first)
    early.model.scheduleKill(of: id, at: CorpBench.start + 1000)
    #expect(early.call("/cgi-bin/user/get", killed.token, at: 999).code == 0)
    #expect(early.call("/cgi-bin/user/get", killed.token, at: 1000).code == 40014)
    let next = early.token(at: 1000)
    #expect(next.token != killed.token)
    early.model.killToken(of: id, at: CorpBench.start + 2000)
    #expect(early.call("/cgi-bin/user/get", next.token, at: 2000).code == 40014)
  }

  @Test("each app of a corporation has a token of its own")
  func separatesApps() {
    var bench = CorpBench([("corp", "a"), ("corp", "b")])
    let (first, second) = (bench.token("corp", "a", at: 0), bench.token("corp", "b", at: 0))
    #expect(first.token != second.token)
    bench.model.killToken(of: CorpApp.ID(corpID: "corp", secret: "a"), at: CorpBench.start + 1)
    #expect(bench.call("/cgi-bin/user/get", second.token, at: 1).code == 0)
  }

  @Test("wrong credentials are told apart, in WeCom's own form")
  func judgesCredentials() {
    var bench = CorpBench([("corp", "s"), ("other", "o")])
    #expect(bench.token("", at: 0).code == 41002)
    #expect(bench.token("corp", "", at: 0).code == 41004)
    #expect(bench.token("nobody", at: 0).code == 40013)
    #expect(bench.token("corp", "x", at: 0).code == 40001)
    let foreign = bench.token("corp", "o", at: 0)
    #expect(foreign.code == 40091)
    let message = foreign.json["errmsg"]?.string ?? ""
    #expect(message.hasPrefix("secret is invalid, hint: [1700002800"))
    #expect(
      message.hasSuffix(
        ", from ip: 127.0.0.1, more info at "
          + "https://open.work.weixin.qq.com/devtool/query?e=40091"))
    #expect(bench.call("/cgi-bin/user/get", "", at: 0).code == 41001)
  }

  @Test("business calls come from trusted addresses only, once there is a list")
  func trustsAddresses() {
    var bench = CorpBench { $0.trustedAddresses = ["10.0.0.1"] }
    let token = bench.token(at: 0).token
    #expect(bench.call("/cgi-bin/user/get", token, at: 0).code == 60020)
    #expect(bench.call("/cgi-bin/user/get", token, from: "10.0.0.1", at: 0).code == 0)
  }

  @Test("an app gets a hundred tickets of a kind in an hour")
  func limitsTicketsOfApp() {
    var bench = CorpBench()
    let token = bench.token(at: 0).token
    let first = bench.call(appTicket, token, at: 0).json["ticket"]?.string
    #expect(first != nil)
    for _ in 1..<100 {
      #expect(bench.call(appTicket, token, at: 1).json["ticket"]?.string == first)
    }
    #expect(bench.call(appTicket, token, at: 3_599_999).code == 45009)
    #expect(bench.call(corpTicket, token, at: 3_599_999).code == 0)
    #expect(bench.call(appTicket, token, at: 3_600_000).code == 0)
  }

  @Test("all apps of a corporation together get four hundred tickets of a kind in an hour")
  func limitsTicketsOfCorporation() {
    let secrets = (0..<5).map { "s\($0)" }
    var bench = CorpBench(secrets.map { ("corp", $0) } + [("other", "o")])
    let tokens = secrets.map { bench.token("corp", $0, at: 0).token }
    for token in tokens.prefix(4) {
      for _ in 0..<100 { #expect(bench.call(corpTicket, token, at: 1).code == 0) }
    }
    #expect(bench.call(corpTicket, tokens[4], at: 3_599_999).code == 45009)
    #expect(bench.call(appTicket, tokens[4], at: 3_599_999).code == 0)
    let other = bench.token("other", "o", at: 3_599_999).token
    #expect(bench.call(corpTicket, other, at: 3_599_999).code == 0)
    #expect(bench.call(corpTicket, tokens[4], at: 3_600_000).code == 0)
  }

  @Test("too many calls in a minute block the corporation's API for sixty seconds")
  func blocksForAMinute() {
    var bench = CorpBench([("corp", "a"), ("corp", "b"), ("other", "o")]) { $0.minuteQuota = 3 }
    let token = bench.token("corp", "a", at: 0).token
    #expect(bench.token("corp", "b", at: 1).code == 0)
    #expect(bench.token("corp", "a", at: 2).code == 0)
    let blocked = bench.token("corp", "a", at: 3)
    #expect(blocked.code == 45009)
    #expect(blocked.json["errmsg"]?.string?.hasPrefix("api freq out of limit, hint: ") == true)
    #expect(bench.token("corp", "b", at: 60_002).code == 45009)
    #expect(bench.token("other", "o", at: 60_002).code == 0)
    #expect(bench.call("/cgi-bin/user/get", token, at: 60_002).code == 0)
    #expect(bench.token("corp", "b", at: 60_003).code == 0)
  }

  @Test("too many calls in an hour block the corporation's API for sixty minutes")
  func blocksForAnHour() {
    var bench = CorpBench { $0.hourlyQuota = 3 }
    let token = bench.token(at: 0).token
    for time in 0..<3 {
      #expect(bench.call("/cgi-bin/user/get", token, at: Int64(time)).code == 0)
    }
    #expect(bench.call("/cgi-bin/user/get", token, at: 3).code == 45009)
    #expect(bench.call("/cgi-bin/user/get", token, at: 3_600_002).code == 45009)
    #expect(bench.call("/cgi-bin/department/list", token, at: 3_600_002).code == 0)
    #expect(bench.call("/cgi-bin/user/get", token, at: 3_600_003).code == 0)
  }
}
