import Sidecar
import Testing
import TokenCore

@Suite struct HealthReportTests {
  private static let start = Timestamp(second: 1_800_000_000)

  private static func report(_ conditions: [Condition]) -> HealthReport {
    HealthReport(version: "1.2.3", startedAt: start, accounts: "0a1b", conditions: conditions)
  }

  private static func failing(_ account: CredentialID, code: Int = 40164) -> Condition {
    var facts = Condition.Facts()
    facts.code = code
    facts.reason = "WeChat answered with errcode \(code)"
    facts.address = "203.0.113.9"
    facts.count = 3
    facts.lastAt = Timestamp(second: start.second + 60)
    facts.nextAt = Timestamp(second: start.second + 360)
    return Condition(.refreshFailing, .error, account: account, since: start, facts: facts)
  }

  private static func account(_ number: Int) -> CredentialID {
    CredentialID("account-\(number)") ?? .unnamed
  }

  @Test("what a replica says is heard by another one as it was said")
  func roundTrip() {
    var lame = Condition.Facts()
    lame.subject = "reports"
    let conditions = [
      Self.failing(.unnamed),
      Condition(.clockOff, .warning, since: Self.start),
      Condition(.connectionLame, .warning, since: Self.start, facts: lame),
    ]
    let report = Self.report(conditions)
    let heard = HealthReport(encoded: report.encoded)
    #expect(heard?.version == "1.2.3")
    #expect(heard?.accounts == "0a1b")
    #expect(heard?.startedAt == Self.start)
    #expect(Set(heard?.conditions ?? []) == Set(conditions))
  }

  @Test("accounts with one trouble stand together: 250 with a refused address take few bytes")
  func grouped() throws {
    let accounts = (0..<250).map(Self.account)
    let text = Self.report(accounts.map { Self.failing($0) }).encoded
    #expect(text.utf8.count < HealthReport.longest / 2)
    let heard = try #require(HealthReport(encoded: text))
    #expect(Set(heard.conditions.compactMap(\.account)) == Set(accounts))
    #expect(heard.omitted == 0)
  }

  @Test("however much is wrong a report is short, has the worst, and says how much it omits")
  func bounded() throws {
    var conditions = (0..<1000).map { Self.failing(Self.account($0), code: 40000 + $0) }
    conditions.append(
      Condition(.noToken, .critical, account: Self.account(1), since: Self.start))
    let text = Self.report(conditions).encoded
    #expect(text.utf8.count <= HealthReport.longest)
    let heard = try #require(HealthReport(encoded: text))
    #expect(heard.conditions.contains { $0.kind == .noToken })
    #expect(heard.omitted == conditions.count - heard.conditions.count)
  }

  @Test(
    "what is no report is not heard",
    arguments: [
      "", "{", "null", "[]", "{}",
      #"{"v":2,"version":"1","started_at":0,"accounts":"","conditions":[]}"#,
      #"{"v":1,"version":1,"started_at":0,"accounts":"","conditions":[]}"#,
    ])
  func strange(text: String) {
    #expect(HealthReport(encoded: text) == nil)
  }

  @Test("kinds, severities and accounts that are unknown here are left out")
  func newer() throws {
    let text = """
      {"v":1,"version":"9","started_at":0,"accounts":"","conditions":[
      {"id":"of_the_future","severity":"error","since":0},
      {"id":"clock_off","severity":"grave","since":0},
      {"id":"no_token","severity":"critical","since":0,"accounts":["a b","shop"]}]}
      """
    let heard = try #require(HealthReport(encoded: text))
    #expect(heard.conditions.map(\.kind) == [.noToken])
    #expect(heard.conditions.map { $0.account?.description } == ["shop"])
  }

  @Test("the order of accounts does not tell sets of them apart, and AppIDs do")
  func digests() {
    let (one, two) = (Self.account(1), Self.account(2))
    #expect(
      AccountMarks([(one, "wx1"), (two, "wx2")]).digest
        == AccountMarks([(two, "wx2"), (one, "wx1")]).digest)
    #expect(
      AccountMarks([(one, "wx1"), (two, "wx2")]).digest
        != AccountMarks([(one, "wx2"), (two, "wx1")]).digest)
    #expect(
      AccountMarks([(one, "wx1")]).digest != AccountMarks([(one, "wx1"), (two, "wx2")]).digest)
  }
}
