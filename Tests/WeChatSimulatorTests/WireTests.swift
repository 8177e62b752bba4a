import Testing
import WeChatSimulator

@Suite("Messages, checks and token texts of the model") struct WireTests {
  private func message(_ suffix: MessageSuffix, appID: String = "wx9", secret: String = "s")
    -> String
  {
    var bench = ModelBench()
    bench.model.messageSuffix = suffix
    let refused = bench.get(
      "/cgi-bin/token",
      [("grant_type", "client_credential"), ("appid", appID), ("secret", secret)], token: nil, at: 0
    )
    return refused.json["errmsg"]?.string ?? ""
  }

  @Test("error messages end as they did in the years of WeChat")
  func writesSuffixes() {
    #expect(
      message(.requestID).wholeMatch(of: /invalid appid rid: 6553f100-[0-9a-f]{8}-[0-9a-f]{8}/)
        != nil)
    #expect(
      message(.requestIDAfterComma)
        .wholeMatch(of: /invalid appid, rid: 6553f100-[0-9a-f]{8}-[0-9a-f]{8}/) != nil)
    #expect(message(.hint).wholeMatch(of: /invalid appid hint: \[[0-9a-f]{14}\]/) != nil)
    #expect(
      message(.hints).wholeMatch(of: /invalid appid hints: \[ req_id: [0-9a-f]{14} \]/) != nil)
    // One of the messages that have a comma anyway.
    #expect(message(.requestID, appID: "wx1").hasPrefix("invalid appsecret, rid: 6553f100-"))
  }

  @Test("the first check that fails is told, in the order that is set")
  func checksInOrder() {
    var bench = ModelBench {
      $0.allowedAddresses = []
      $0.secretState = .frozen
      $0.dailyTokenQuota = 0
    }
    func code(_ checks: [CredentialCheck], appID: String = "wx1") -> Int {
      bench.model.checks = checks
      return bench.get(
        "/cgi-bin/token", [("grant_type", "x"), ("appid", appID), ("secret", "wrong")], token: nil,
        at: 0
      ).code
    }
    let usual = CredentialCheck.defaultOrder
    #expect(code(usual) == 40002)
    #expect(code(usual, appID: "") == 41002)
    #expect(code(usual.filter { $0 != .grantType }) == 40164)
    #expect(code(usual.filter { $0 != .grantType }, appID: "wx9") == 40013)
    #expect(code([.secret, .address, .secretState]) == 40125)
    #expect(code([.secretState, .secret, .address]) == 40243)
    #expect(code([.address, .secretState, .secret]) == 40164)
    #expect(code([.dailyQuota, .secret]) == 45009)
    #expect(code(usual.reversed()) == 45009)
    #expect(code([]) == 0)
  }

  @Test("a token is NN_ and base64url, 136 to 157 characters, and never the same")
  func writesTokens() throws {
    var bench = ModelBench(seed: 5) { $0.dailyTokenQuota = 10_000 }
    var texts: Set<String> = []
    for _ in 0..<2000 {
      let text = try #require(bench.token(at: 0).token)
      #expect(text.wholeMatch(of: /[0-9]{2}_[A-Za-z0-9_-]+/) != nil)
      texts.insert(text)
    }
    #expect(texts.count == 2000)
    #expect(Set(texts.map(\.utf8.count)) == Set(136...157))
    #expect(Set(texts.map { $0.prefix(3) }).count == 1)
  }

  @Test("the number at a token's beginning grows over the days")
  func growsPrefix() throws {
    var bench = ModelBench()
    let month: Milliseconds = 30 * 86_400_000
    let numbers = try (0..<4).map { index -> Int in
      let token = try #require(bench.token(at: Int64(index) * month).token)
      return try #require(Int(token.prefix(2)))
    }
    #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $1 == $0 + 1 })
  }

  @Test("tokens may be as long as they may become", arguments: [136, 512])
  func writesLongTokens(length: Int) {
    var bench = ModelBench()
    bench.model.tokenLength = length
    let tokens = (0..<10).map { bench.token(at: $0).token ?? "" }
    #expect(tokens.allSatisfy { $0.utf8.count == length })
    #expect(Set(tokens).count == 10)
    #expect(bench.get("/cgi-bin/anything", token: tokens[9], at: 10).code == 0)
  }

  @Test("each token's life is drawn from the range, and is what its answer says")
  func drawsLives() throws {
    var bench = ModelBench(seed: 11) {
      $0.shortestLife = 60_000
      $0.life = 120_000
      $0.grace = 0
    }
    var lives: Set<Int64> = []
    for index in 0..<200 {
      let start = Milliseconds(index) * 200_000
      let answer = bench.token(at: start)
      let seconds = try #require(answer.json["expires_in"]?.integer)
      #expect((60...120).contains(seconds))
      lives.insert(seconds)
      #expect(bench.judge(answer.token, at: start + seconds * 1000 - 1).isLive)
      #expect(bench.judge(answer.token, at: start + seconds * 1000 + 999) == .dead(42001))
    }
    #expect(lives.count > 20)
    // The shortest above the longest leaves one life only.
    var fixed = ModelBench {
      $0.shortestLife = 500_000
      $0.life = 120_000
    }
    #expect(fixed.token(at: 0).json["expires_in"]?.integer == 120)
  }
}
