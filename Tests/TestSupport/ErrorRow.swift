package import WeChatSimulator

/// One row of the table of everything that may come in place of a token
/// (WeChat.md#answers-by-class), written down apart from the program's own.
package struct ErrorRow: Sendable, CustomStringConvertible {
  /// What makes fetches fail, until it is mended.
  package enum Cause: Sendable {
    /// Each request meets the fault.
    case fault(Fault)
    /// Each request meets the fault, and takes longer than a call may.
    case timeout(Fault)
    /// WeChat refuses by itself, for what its operators or the account's owner did.
    case account(@Sendable (inout AppSettings) -> Void)
    /// WeChat is not reached at all.
    case way(Way)
  }

  /// What is wrong on the way to WeChat: never the matter of one account alone.
  package enum Way: Hashable, Sendable, CaseIterable {
    case hostDown, unknownName, noTLS
  }

  /// When it is tried again.
  package enum Patience: Hashable, Sendable, CaseIterable {
    /// Nothing was minted: 0.5 s, doubling to 30 s.
    case known
    /// It may have minted, so that the token may be dying: 1 s, doubling to 30 s.
    case unknown
    /// In the next minute.
    case nextMinute
    /// Only people can mend it: 5 min.
    case people
    /// WeChat's administrator said no: an hour or a day.
    case refusedForAnHour, refusedForADay
    /// The day's quota is used up: a quarter of an hour, until somebody resets it.
    case quota

    /// Whether the log says it as an error, and not as a warning.
    package var isAlarm: Bool { self != .known && self != .unknown }

    /// How long the wait after so many failures in a row may be.
    package func wait(after failures: Int) -> ClosedRange<Duration> {
      switch self {
      case .known: Self.doubling(from: .milliseconds(500), failures, least: .milliseconds(500))
      case .unknown: Self.doubling(from: .seconds(1), failures, least: .seconds(1))
      case .nextMinute: .seconds(60) ... .seconds(60)
      case .people: .seconds(300) ... .seconds(300)
      case .refusedForAnHour: .seconds(3600) ... .seconds(3600)
      case .refusedForADay: .seconds(86_400) ... .seconds(86_400)
      case .quota: .seconds(900) ... .seconds(900)
      }
    }

    /// Doubling to 30 s, ± 20 %.
    private static func doubling(
      from first: Duration, _ failures: Int, least: Duration
    ) -> ClosedRange<Duration> {
      let middle = min(.seconds(30), first * (1 << min(failures - 1, 10)))
      return max(least, middle * 8 / 10)...max(least, middle * 12 / 10)
    }
  }

  /// What is in the row, in a word: fit for the name of an account.
  package let name: String
  package let cause: Cause
  /// The errcode that WeChat answers; nil when it answers none.
  package let code: Int?
  package let patience: Patience
  /// What the log must say of it.
  package let says: String

  package var description: String { name }

  private init(
    _ name: String, _ cause: Cause, _ patience: Patience, code: Int? = nil, says: String
  ) {
    self.name = name
    self.cause = cause
    self.code = code
    self.patience = patience
    self.says = says
  }

  /// A refusal by errcode, which comes by itself when the account's state makes it.
  private static func code(
    _ code: Int, _ patience: Patience, says: String,
    _ change: (@Sendable (inout AppSettings) -> Void)? = nil
  ) -> ErrorRow {
    ErrorRow(
      "e\(code)", change.map { .account($0) } ?? .fault(.errorCode(code)), patience, code: code,
      says: says)
  }

  /// An answer after which nobody knows whether a token was minted.
  private static func doubtful(
    _ name: String, _ fault: Fault, code: Int? = nil, says: String
  ) -> ErrorRow {
    ErrorRow(name, .fault(fault), .unknown, code: code, says: says)
  }

  /// A body in place of WeChat's, after the mint.
  private static func body(_ name: String, _ body: String, says: String) -> ErrorRow {
    doubtful(name, .body(body), says: says)
  }

  /// All rows.
  package static let all = codes + answers + bodies + losses + ways

  // MARK: WeChat's own codes

  private static let codes = [
    ErrorRow(
      "busy", .fault(.errorCode(-1)), .unknown, code: -1, says: "WeChat's system is busy"),
    code(40001, .people, says: "the AppSecret is wrong"),
    code(40002, .people, says: "the grant type was refused"),
    code(40013, .people, says: "the AppID is wrong"),
    code(40125, .people, says: "the AppSecret is wrong or was reset") { $0.secret = "another" },
    code(40164, .people, says: "add it on mp.weixin.qq.com") {
      $0.allowedAddresses = ["10.1.2.3"]
    },
    code(40243, .people, says: "the AppSecret is frozen") { $0.secretState = .frozen },
    code(41002, .people, says: "the AppID is missing"),
    code(41004, .people, says: "the AppSecret is missing"),
    code(42001, .people, says: "a token expired where none was sent"),
    code(43002, .people, says: "the request must be a POST"),
    code(43003, .people, says: "the request must use https"),
    code(44002, .people, says: "without its body"),
    code(45009, .quota, says: "the day's calls are used up") { $0.dailyTokenQuota = 0 },
    code(45011, .nextMinute, says: "the next minute is waited for") { $0.minuteQuota = 0 },
    code(45035, .people, says: "not on the account's IP list"),
    code(47001, .people, says: "body was not understood"),
    code(48004, .people, says: "breaks WeChat's rules") { $0.accountState = .irregular },
    code(48017, .people, says: "do not pin addresses"),
    code(50002, .people, says: "the account is limited") { $0.accountState = .limited },
    code(50004, .people, says: "may not use access tokens") { $0.accountState = .punished },
    code(50007, .people, says: "the account is frozen") { $0.accountState = .frozen },
    code(61004, .people, says: "this address is not registered"),
    code(61024, .people, says: "a component token") { $0.accountType = .component },
    code(89501, .people, says: "does not explain it"),
    code(89503, .people, says: "must confirm this address") { $0.confirmation = .pending },
    code(89506, .refusedForADay, says: "after a day") { $0.confirmation = .refusedForADay },
    code(89507, .refusedForAnHour, says: "after an hour") {
      $0.confirmation = .refusedForAnHour
    },
    // A code that nobody has told us of.
    code(99999, .people, says: "not known here"),
  ]

  // MARK: Answers that are none of WeChat's

  private static let answers = [
    doubtful("status403", .status(403), says: "status 403"),
    doubtful("status404", .status(404), says: "status 404"),
    doubtful("status429", .status(429), says: "status 429"),
    doubtful("status500", .status(500), says: "status 500"),
    doubtful("status502", .status(502), says: "status 502"),
    doubtful("status503", .status(503), says: "status 503"),
    doubtful("status504", .status(504), says: "status 504"),
    doubtful("status504minted", .status(504, afterMint: true), says: "status 504"),
    doubtful(
      "redirect", Fault(commits: false, effect: .redirect("http://127.0.0.1:1/")),
      says: "status 302"),
    doubtful("html", .html, says: "no JSON object"),
    doubtful("htmlMinted", Fault(commits: true, effect: .html), says: "no JSON object"),
    doubtful("truncated", .truncatedBody, says: "no whole answer came"),
    doubtful("empty", .emptyBody, says: "an empty body"),
  ]

  // MARK: Answers that tell no token to be published

  private static let bodies = [
    body("halfJSON", "{", says: "no JSON object"),
    body("array", "[]", says: "no JSON object"),
    body("nothing", "{}", says: "neither a token nor an errcode"),
    body("zeroCode", #"{"errcode":0,"errmsg":"ok"}"#, says: "neither a token nor an errcode"),
    body("wordCode", #"{"errcode":"x"}"#, says: "errcode that is no number"),
    doubtful(
      "codeAndToken", .body(#"{"errcode":40013,"access_token":"a","expires_in":7200}"#),
      code: 40013, says: "a token in one"),
    body(
      "emptyToken", #"{"access_token":"","expires_in":7200}"#,
      says: "neither a token nor an errcode"),
    body("blankToken", #"{"access_token":"a b","expires_in":7200}"#, says: "has blanks"),
    body(
      "longToken",
      #"{"access_token":"\#(String(repeating: "a", count: 2049))","expires_in":7200}"#,
      says: "longer than 2048 bytes"),
    body("longBody", String(repeating: " ", count: 70_000), says: "longer than 65536 bytes"),
    body("noLife", #"{"access_token":"a"}"#, says: "no expires_in"),
    body("zeroLife", #"{"access_token":"a","expires_in":0}"#, says: "expires_in is 0"),
    body("negativeLife", #"{"access_token":"a","expires_in":-5}"#, says: "is negative"),
    body("absurdLife", #"{"access_token":"a","expires_in":99999999}"#, says: "over 30 days"),
    body("wordLife", #"{"access_token":"a","expires_in":"soon"}"#, says: "is no number"),
  ]

  // MARK: Answers that never come

  private static let losses = [
    doubtful("dropBeforeMint", .dropBeforeMint, says: "no whole answer came"),
    doubtful("dropAfterMint", .mintThenDrop, says: "no whole answer came"),
    doubtful("resetBeforeMint", .resetBeforeMint, says: "no whole answer came"),
    doubtful("resetAfterMint", .mintThenReset, says: "no whole answer came"),
    ErrorRow(
      "heldBeforeMint", .timeout(.holdBeforeMint), .unknown, says: "no whole answer came"),
    ErrorRow("heldAfterMint", .timeout(.mintThenHold), .unknown, says: "no whole answer came"),
    ErrorRow(
      "slow", .timeout(.slowLoris(interval: 1000)), .unknown, says: "no whole answer came"),
  ]

  // MARK: Ways that lead nowhere

  private static let ways = [
    ErrorRow("hostDown", .way(.hostDown), .known, says: "was not reached"),
    ErrorRow("unknownName", .way(.unknownName), .known, says: "was not reached"),
    ErrorRow("noTLS", .way(.noTLS), .known, says: "was not reached: TLS failed"),
  ]
}
