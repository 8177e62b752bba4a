import Foundation
import Testing
import TokenCore

@testable import Sidecar

@Suite struct StatusPageTests {
  private static let now = Timestamp(second: 1_700_000_060)

  /// A snapshot of accounts of these names, all with a live token.
  private func snapshot(_ names: [String] = ["shop"]) throws -> StatusSnapshot {
    let accounts = try names.map { name in
      StatusSnapshot.Account(
        name: try #require(CredentialID(name)), hasToken: true, expiresAt: 1_700_007_080,
        remainingSeconds: 7020, phase: "holding", fetchedBy: "host-1",
        life: .init(
          bornAt: Timestamp(second: 1_700_000_000), refreshAt: Timestamp(second: 1_700_007_020),
          trustedUntil: Timestamp(second: 1_700_007_080),
          endsAt: Timestamp(second: 1_700_007_200), seenAt: Self.now),
        appID: "wx0123…abcdef", api: .token)
    }
    return StatusSnapshot(
      instance: "host-1", version: "1.2.3", startedAt: Timestamp(second: 1_700_000_000),
      now: Self.now, role: .leader, leader: "host-1", epoch: 4, ticks: 42,
      redis: StatusSnapshot.Redis(isConnected: true, runID: "run"), accounts: accounts)
  }

  private func condition(
    _ kind: Condition.Kind, _ severity: Condition.Severity, _ account: String? = nil,
    code: Int? = nil, reason: String? = nil, cause: Condition.Kind? = nil
  ) -> Condition {
    var facts = Condition.Facts()
    facts.code = code
    facts.reason = reason
    facts.cause = cause
    return Condition(
      kind, severity, account: account.flatMap { CredentialID($0) },
      since: Timestamp(second: 1_699_998_980), facts: facts)
  }

  /// Takes the token of an account away, and says why.
  private func kill(_ name: String, in snapshot: inout StatusSnapshot) throws {
    let place = try #require(
      snapshot.accounts.firstIndex { $0.name.description == name })
    snapshot.accounts[place].hasToken = false
    snapshot.accounts[place].life = nil
    snapshot.accounts[place].remainingSeconds = nil
    let reason = "WeChat answered with errcode 40125: the AppSecret is wrong or was reset"
    snapshot.conditions += [
      condition(
        .noToken, .critical, name, code: 40125, reason: reason, cause: .refreshFailing),
      condition(.refreshFailing, .error, name, code: 40125, reason: reason),
    ]
    snapshot.conditions.sort(by: Condition.isTold)
  }

  private func page(
    _ snapshot: StatusSnapshot, _ language: Language = .english, isReady: Bool = true
  ) -> String {
    StatusPage(snapshot: snapshot, language: language, isReady: isReady).document
  }

  /// The text of the element with that id or tag, without markup.
  private func text(of mark: String, in page: String) throws -> String {
    let start = try #require(page.firstRange(of: mark), "\(mark) is not there").upperBound
    let open = try #require(page[start...].firstIndex(of: ">"))
    let rest = page[page.index(after: open)...]
    return String(rest.prefix { $0 != "<" })
  }

  /// What there is to read of a page, without markup, sheet and script.
  private func words(of page: String) -> String {
    let body = page.firstRange(of: "<body").map { page[$0.lowerBound...] } ?? page[...]
    let end = body.firstRange(of: "<script")?.lowerBound ?? body.endIndex
    return String(body[..<end].replacing(/<[^>]*>/, with: " "))
  }

  // MARK: Verdict

  @Test func `the verdict comes first and says in words that all is well`() throws {
    let one = page(try snapshot())
    #expect(try text(of: "id=\"headline\"", in: one) == "The token is alive")
    #expect(try text(of: "<title", in: one) == "✓ The token is alive · host-1")
    let twelve = page(try snapshot((1...12).map { "a\($0)" }), .chinese)
    #expect(try text(of: "id=\"headline\"", in: twelve) == "全部 12 个帐号的 token 均有效")
    let verdict = try #require(twelve.firstRange(of: "id=\"verdict\""))
    let accounts = try #require(twelve.firstRange(of: "id=\"accounts\""))
    #expect(verdict.lowerBound < accounts.lowerBound)
  }

  @Test func `a dead account is the verdict, with since when, why and what to do`() throws {
    var snapshot = try snapshot(["a", "b", "live", "z"])
    try kill("live", in: &snapshot)
    let english = page(snapshot, isReady: false)
    #expect(
      try text(of: "id=\"headline\"", in: english) == "1 of 4 accounts has no token: live")
    #expect(try text(of: "<title", in: english).hasPrefix("✕ 1 of 4 accounts has no token"))
    #expect(english.contains("class=\"verdict critical\""))
    for part in [
      "21:56:20 UTC", ">18 min<", "40125", "reset the AppSecret there if it is lost",
      "/runbook?lang=en#errcode-40125", "This replica is not ready (/readyz 503).",
      "3 of 4 accounts have a live token",
    ] {
      #expect(english.contains(part), "\(part)")
    }
    let chinese = page(snapshot, .chinese, isReady: false)
    #expect(
      try text(of: "id=\"headline\"", in: chinese) == "4 个帐号中有 1 个没有 token：live")
    #expect(chinese.contains("微信返回 errcode 40125：AppSecret 错误或已被重置"))
    #expect(!chinese.contains("WeChat answered with errcode"))
  }

  @Test func `a replica that is ready without some of its accounts names them`() throws {
    var snapshot = try snapshot(["a", "b", "live", "z"])
    try kill("live", in: &snapshot)
    let names = try ["live", "z"].map { try #require(AccountName($0)) }
    for (language, sentence) in [
      (Language.english, "This replica is ready (/readyz 200), but degraded: without live, z."),
      (.chinese, "本副本就绪（/readyz 200），但处于降级状态（degraded）：缺 live、z。"),
    ] {
      let page = StatusPage(
        snapshot: snapshot, language: language, isReady: true, degraded: names
      ).document
      #expect(page.contains(sentence))
      #expect(!self.page(snapshot, language, isReady: false).contains("degraded"))
    }
  }

  @Test func `the sign in the tab changes with the verdict`() throws {
    var snapshot = try snapshot()
    let well = try #require(page(snapshot).firstMatch(of: /id="icon" href="([^"]+)"/)).1
    try kill("shop", in: &snapshot)
    let dead = page(snapshot)
    #expect(try #require(dead.firstMatch(of: /id="icon" href="([^"]+)"/)).1 != well)
    #expect(try text(of: "id=\"headline\"", in: dead) == "There is no live token")
  }

  @Test func `accounts that fail for one reason are one cause, and several causes are told apart`()
    throws
  {
    var snapshot = try snapshot((1...9).map { "a\($0)" })
    for name in ["a1", "a2", "a3"] { try kill(name, in: &snapshot) }
    let verdict = Verdict(snapshot, PageText(language: .english, now: Self.now))
    #expect(verdict.headline == "3 of 9 accounts have no token")
    #expect(verdict.groups.count == 1)
    #expect(verdict.groups[0].accounts.map(\.description) == ["a1", "a2", "a3"])
    #expect(verdict.groups[0].kinds == [.noToken, .refreshFailing])
    #expect(verdict.others.isEmpty)
    snapshot.conditions.append(condition(.noToken, .critical, "a4", cause: .redisAway))
    snapshot.conditions.append(condition(.redisAway, .error))
    let more = Verdict(snapshot, PageText(language: .english, now: Self.now))
    #expect(more.groups.count == 2)
    #expect(more.others.map(\.first.kind) == [.redisAway])
  }

  @Test(arguments: Condition.Kind.allCases)
  func `every condition is on the page with its name, meaning and remedy`(kind: Condition.Kind)
    throws
  {
    for language in Language.allCases {
      var snapshot = try snapshot()
      snapshot.conditions = [condition(kind, .warning, reason: "because")]
      let page = page(snapshot, language)
      #expect(page.contains("<code>\(kind.rawValue)</code>"))
      #expect(page.contains(HTML(kind.title(language)).markup))
      #expect(page.contains("/runbook?lang=\(language.rawValue)#\(kind.rawValue)"))
      #expect(kind == .noToken || page.contains(HTML(kind.meaning(language)).markup))
      snapshot.conditions.append(condition(.clockOff, .notice, reason: "beside"))
      #expect(self.page(snapshot, language).contains("<code>clock_off</code>"))
    }
  }

  @Test func `a replica that has just started says so, and cries no alarm`() throws {
    var snapshot = try snapshot()
    snapshot.accounts[0].hasToken = false
    snapshot.accounts[0].life = nil
    let page = page(snapshot, isReady: false)
    #expect(try text(of: "id=\"headline\"", in: page) == "Starting: 1 account not looked at yet")
    #expect(page.contains("class=\"verdict calm\""))
    #expect(page.contains("not looked at yet</p>"))
  }

  // MARK: Accounts

  @Test func `the failing accounts come first, the worst before the others`() throws {
    var snapshot = try snapshot(["a", "b", "c", "d"])
    snapshot.conditions = [condition(.refreshFailing, .warning, "d", reason: "html")]
    try kill("c", in: &snapshot)
    let names = page(snapshot).matches(of: /<h3>([a-d])<\/h3>/).map { String($0.1) }
    #expect(names == ["c", "d", "a", "b"])
  }

  @Test func `a token that clients trust no longer is not called alive`() throws {
    var snapshot = try snapshot()
    snapshot.accounts[0].remainingSeconds = -4
    snapshot.conditions = [condition(.tokenLapsing, .error, "shop")]
    let page = page(snapshot)
    #expect(page.contains("ends soon</p>"))
    #expect(!page.contains("alive</p>"))
  }

  @Test func `the bar of life is a meter with a name, numbers and words`() throws {
    let page = page(try snapshot())
    for part in [
      "role=\"meter\"", "aria-valuemax=\"7200\"", "aria-valuenow=\"7140\"",
      "aria-label=\"Life left of shop\"", "aria-valuetext=\"1 h 59 min of 2 h\"",
      "class=\"left\" width=\"991\"", "class=\"margin\" width=\"16\"", "class=\"tick\" x=\"25\"",
    ] {
      #expect(page.contains(part), "\(part)")
    }
  }

  @Test func `many accounts can be searched, and their page stays within bounds`() throws {
    let names = (1...250).map { "store-\($0)" }
    let page = page(try snapshot(names))
    #expect(page.contains("<input id=\"filter\""))
    #expect(page.contains("<label for=\"filter\">"))
    // It is sent anew every ten seconds to whoever has it open.
    #expect(page.utf8.count < 384 * 1024)
    #expect(!self.page(try snapshot()).contains("id=\"filter\""))
  }

  // MARK: Languages

  @Test func `a page has one language, and leads to the other`() throws {
    var snapshot = try snapshot(["a", "b"])
    try kill("a", in: &snapshot)
    snapshot.others = [
      .init(instance: "host-2", isLeader: false, age: .seconds(3), report: nil)
    ]
    let english = page(snapshot)
    #expect(english.contains("<html lang=\"en\""))
    // The link to the other language has its own name.
    let han: ClosedRange<Unicode.Scalar> = "\u{4E00}"..."\u{9FFF}"
    let read = words(of: english).replacing("中文", with: "")
    #expect(!read.unicodeScalars.contains(where: han.contains))
    let chinese = page(snapshot, .chinese)
    #expect(chinese.contains("<html lang=\"zh-CN\""))
    for word in ["Accounts", "Replicas", "Timeline", "Started", "leader", "since "] {
      #expect(!words(of: chinese).contains(word), "\(word)")
    }
    #expect(english.contains("href=\"?lang=zh\""))
    #expect(chinese.contains("href=\"?lang=en\""))
  }

  @Test(
    arguments: [
      (nil, [], Language.english), (nil, ["zh-CN,zh;q=0.9,en;q=0.8"], .chinese),
      (nil, ["en-GB, zh;q=0.5"], .english), (nil, ["de, zh-Hant;q=0.3"], .chinese),
      (nil, ["en;q=0.2", "zh;q=0.7"], .chinese), (nil, ["zh;q=0, en"], .english),
      (nil, ["*"], .english), (nil, ["zh;q=nonsense"], .english), ("zh", ["en"], .chinese),
      ("zh-CN", ["en"], .chinese), ("en", ["zh"], .english), ("fr", ["zh"], .chinese),
      ("", ["zh"], .chinese),
    ] as [(String?, [String], Language)])
  func `the language is the one asked for, else the reader's, else English`(
    parameter: String?, accepted: [String], expected: Language
  ) {
    #expect(Language.chosen(parameter: parameter, accepted: accepted) == expected)
  }

  // MARK: Without script, and safety

  @Test func `without its script the page has all there is, with times in UTC`() throws {
    var snapshot = try snapshot()
    snapshot.timeline = [
      .init(.good, Words("This replica leads", "本副本成为主控"), at: Self.now)
    ]
    let page = page(snapshot)
    for part in [
      "22:13:20 UTC", "All times are in UTC", "wx0123…abcdef", "This replica leads",
      "Figures of this replica", "<dd>42</dd>", "host-1 leads.",
    ] {
      #expect(page.contains(part), "\(part)")
    }
    #expect(!page.contains("http-equiv"))
  }

  @Test func `nothing that others say becomes markup`() throws {
    let nasty = "<script>alert('x')</script>&\""
    var snapshot = try snapshot()
    snapshot.instance = nasty
    snapshot.leader = nasty
    snapshot.version = nasty
    snapshot.redis = .init(isConnected: false, lastError: nasty, endpoint: nasty)
    snapshot.accounts[0].fetchedBy = nasty
    snapshot.accounts[0].appID = nasty
    snapshot.accounts[0].refreshesFailed = 1
    snapshot.accounts[0].lastFailure = .init(code: 1, reason: nasty, requestID: nasty, at: Self.now)
    var facts = Condition.Facts()
    facts.reason = nasty
    facts.requestID = nasty
    facts.address = nasty
    facts.subject = nasty
    snapshot.conditions = [
      Condition(.refreshFailing, .error, since: Self.now, facts: facts, observer: nasty)
    ]
    snapshot.others = [.init(instance: nasty, isLeader: true, age: .seconds(30), report: nil)]
    snapshot.timeline = [
      .init(.error, Words(nasty, nasty), detail: Words(nasty, nasty), at: Self.now)
    ]
    for language in Language.allCases {
      let page = page(snapshot, language)
      #expect(page.contains("&lt;script&gt;alert"))
      // The page's own, and no other.
      #expect(page.matches(of: /<script/).count == 1)
      #expect(!page.contains("alert('x')"))
    }
  }

  @Test func `only the page's own style and script may run`() throws {
    let policy = PageAssets.policy
    for directive in [
      "default-src 'none'", "style-src 'sha256-", "script-src 'sha256-", "connect-src 'self'",
      "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
    ] {
      #expect(policy.contains(directive), "\(directive)")
    }
    #expect(!policy.contains("unsafe"))
    let page = page(try snapshot())
    // Attributes that the policy forbids would be without effect.
    #expect(page.firstMatch(of: /<[^>]* (style|on[a-z]+)=/) == nil)
  }

  // MARK: Fleet

  @Test func `a leader that died is not called one beside its successor`() throws {
    var snapshot = try snapshot()
    snapshot.others = [
      .init(instance: "host-2", isLeader: true, age: .seconds(14), report: nil),
      .init(instance: "host-3", isLeader: false, age: .seconds(31), report: nil),
    ]
    let page = page(snapshot)
    #expect(page.matches(of: />leader</).count == 1)
    #expect(page.contains(">silent<"))
    #expect(page.contains("says nothing of what it sees"))
  }
}
