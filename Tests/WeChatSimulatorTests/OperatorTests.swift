import Testing
import WeChatSimulator

@Suite("Operators and other environments as the model plays them") struct OperatorTests {
  /// The app's AppSecret is `s1` on the bench; this asks with another.
  private func code(_ bench: inout ModelBench, secret: String, at time: Milliseconds) -> Int {
    bench.get(
      "/cgi-bin/token",
      [("grant_type", "client_credential"), ("appid", "wx1"), ("secret", secret)], token: nil,
      at: time
    ).code
  }

  @Test("a new AppSecret takes the place of the old one, and live tokens live on")
  func resetsSecret() {
    var bench = ModelBench()
    let (token, stable) = (bench.token(at: 0).token, bench.stable(at: 0).token)
    bench.schedule(.resetSecret("s2", killsTokens: false), at: 1000)
    #expect(code(&bench, secret: "s2", at: 999) == 40125)
    #expect(code(&bench, secret: "s1", at: 1000) == 40125)
    #expect(bench.judge(token, at: 1000).isLive)
    #expect(bench.judge(stable, at: 1000).isLive)
    #expect(code(&bench, secret: "s2", at: 1000) == 0)
  }

  @Test("a new AppSecret may kill all live tokens, those in their grace included")
  func resetsSecretAndKills() {
    var bench = ModelBench()
    let tokens = [
      bench.token(at: 0).token, bench.token(at: 1).token, bench.stable(at: 0).token,
      bench.stable(force: true, at: 1).token,
    ]
    for token in tokens { #expect(bench.judge(token, at: 999).isLive) }
    bench.schedule(.resetSecret("s2", killsTokens: true), at: 1000)
    for token in tokens { #expect(bench.judge(token, at: 1000) == .dead(40001)) }
    #expect(code(&bench, secret: "s2", at: 1000) == 0)
  }

  @Test("the current token may die early, and no other with it")
  func killsCurrentToken() {
    var bench = ModelBench()
    let (old, token) = (bench.token(at: 0).token, bench.token(at: 1).token)
    let stable = bench.stable(at: 2).token
    bench.schedule(.killCurrentToken(.legacy), at: 1000)
    #expect(bench.judge(token, at: 999).isLive)
    #expect(bench.judge(token, at: 1000) == .dead(40001))
    #expect(bench.judge(old, at: 1000).isLive)
    #expect(bench.judge(stable, at: 1000).isLive)
    bench.schedule(.killCurrentToken(.stable), at: 2000)
    #expect(bench.judge(stable, at: 2000) == .dead(40001))
    // A plain call brings a new one, since there is none to repeat.
    let next = bench.stable(at: 2001).token
    #expect(next != stable)
    #expect(bench.judge(next, at: 2001).isLive)
  }

  @Test("the administrator is asked, refuses, and gives in while it runs")
  func confirms() {
    var bench = ModelBench()
    let answers: [(AppSettings.AdministratorConfirmation, Int)] = [
      (.pending, 89503), (.refusedForAnHour, 89507), (.refusedForADay, 89506), (.notNeeded, 0),
    ]
    #expect(bench.token(at: 0).code == 0)
    for (index, (confirmation, code)) in answers.enumerated() {
      let time = Milliseconds(index + 1) * 60_000
      bench.schedule(.confirmation(confirmation), at: time)
      #expect(bench.token(at: time).code == code)
      #expect(bench.stable(at: time).code == code)
    }
  }

  @Test("an edited list of addresses acts late, and so does switching it off")
  func editsAddressesLate() {
    var bench = ModelBench()
    bench.schedule(.allowAddresses(["10.0.0.1"]), at: 600_000)
    bench.schedule(.allowAddresses(nil), at: 660_000)
    #expect(bench.token(at: 599_999).code == 0)
    #expect(bench.token(at: 600_000).code == 40164)
    #expect(bench.token(at: 659_999).code == 40164)
    #expect(bench.token(at: 660_000).code == 0)
  }

  @Test("events happen in the order of their times, whatever the order they were scheduled in")
  func ordersEvents() {
    var bench = ModelBench()
    bench.schedule(.accountState(.ok), at: 3000)
    bench.schedule(.accountState(.frozen), at: 1000)
    bench.schedule(.accountState(.punished), at: 2000)
    #expect(bench.token(at: 1999).code == 50007)
    #expect(bench.token(at: 2999).code == 50004)
    #expect(bench.token(at: 3000).code == 0)
  }

  @Test("another environment's force replaces the stable token, by the rules that hold for all")
  func playsForeignForce() throws {
    var bench = ModelBench { $0.dailyForceQuota = 2 }
    let mine = bench.stable(at: 0).token
    let plain = bench.token(at: 0).token
    bench.schedule(.foreignForce, at: 1000)
    bench.model.settle(at: ModelBench.start + 1000)
    let foreign = try #require(bench.model.newestToken(of: "wx1", kind: .stable))
    #expect(foreign != mine)
    #expect(bench.judge(mine, at: 300_999).isLive)
    #expect(bench.judge(mine, at: 301_000) == .dead(40001))
    #expect(bench.judge(plain, at: 301_000).isLive)
    #expect(bench.stable(at: 301_000).token == foreign)
    // Its force counts: the second of the day is the last.
    #expect(bench.stable(force: true, at: 301_000).minted)
    #expect(bench.stable(force: true, at: 331_000).code == 45009)
  }

  @Test("a force soon after another environment's brings the token of that one")
  func sharesForceSpacing() {
    var bench = ModelBench()
    _ = bench.stable(at: 0)
    bench.schedule(.foreignForce, at: 1000)
    let soon = bench.stable(force: true, at: 30_999)
    #expect(soon.minted == false)
    #expect(soon.token == bench.model.newestToken(of: "wx1", kind: .stable))
    #expect(bench.stable(force: true, at: 31_000).minted)
  }

  @Test("a day's quota that others use up is used up till midnight, and only of that path")
  func exhaustsQuota() {
    var bench = ModelBench()
    let token = bench.token(at: 0).token
    bench.schedule(.exhaustQuota(path: "/cgi-bin/token"), at: 1000)
    bench.schedule(.foreignToken, at: 2000)
    #expect(bench.token(at: 999).code == 0)
    let current = bench.model.newestToken(of: "wx1", kind: .legacy)
    #expect(bench.token(at: 1000).code == 45009)
    #expect(bench.stable(at: 1000).code == 0)
    // The others have no quota left either.
    #expect(bench.token(at: 2000).code == 45009)
    #expect(bench.model.newestToken(of: "wx1", kind: .legacy) == current)
    #expect(current != token)
    #expect(bench.token(at: 63_999_999).code == 45009)
    #expect(bench.token(at: 64_000_000).code == 0)
  }

  @Test("another environment's fetches count against the quota")
  func countsForeignFetches() {
    var bench = ModelBench { $0.dailyTokenQuota = 2 }
    bench.schedule(.foreignToken, at: 0)
    #expect(bench.token(at: 1).code == 0)
    #expect(bench.token(at: 2).code == 45009)
  }

  @Test("a minute's quota that others use up is back with the next minute")
  func exhaustsMinute() {
    var bench = ModelBench()
    bench.schedule(.exhaustMinute(path: "/cgi-bin/stable_token"), at: 1000)
    #expect(bench.stable(at: 999).code == 0)
    let refused = bench.stable(at: 1000)
    #expect(refused.code == 45011)
    #expect(
      refused.json["errmsg"]?.string
        == "api minute-quota reach limit mustslower retry next minute")
    #expect(bench.token(at: 1000).code == 0)
    // It is 20 s past the minute.
    #expect(bench.stable(at: 39_999).code == 45011)
    #expect(bench.stable(at: 40_000).code == 0)
  }
}
