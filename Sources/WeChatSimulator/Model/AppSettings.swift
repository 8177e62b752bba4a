/// What is known of an app and how the simulated WeChat treats it; every property may be changed
/// while it runs.
public struct AppSettings: Sendable {
  /// The kinds of account, as far as they differ for tokens.
  public enum AccountType: String, Hashable, Sendable, CaseIterable {
    case officialAccount, miniProgram, testAccount, component
  }

  /// Whether the AppSecret works.
  public enum SecretState: String, Hashable, Sendable, CaseIterable { case active, frozen }

  /// What WeChat thinks of the account.
  public enum AccountState: String, Hashable, Sendable, CaseIterable {
    case ok
    /// 50007
    case frozen
    /// 50004
    case punished
    /// 50002
    case limited
    /// 48004
    case irregular
  }

  /// The administrator's answer to a request from a new address.
  public enum AdministratorConfirmation: String, Hashable, Sendable, CaseIterable {
    case notNeeded
    /// 89503
    case pending
    /// 89507
    case refusedForAnHour
    /// 89506
    case refusedForADay
  }

  public var appID: String
  public var secret: String
  public var accountType: AccountType = .officialAccount
  public var secretState: SecretState = .active
  public var accountState: AccountState = .ok
  public var confirmation: AdministratorConfirmation = .notNeeded
  /// The addresses that may call the credential endpoints (else 40164); nil when the list is
  /// switched off.
  ///
  /// As with WeChat's own list, a token fetched from one of them may be used from anywhere.
  public var allowedAddresses: [String]?
  /// How the paths begin that the account has no permission for (48001), such as
  /// `/cgi-bin/message/mass/`, besides those that are for accounts of another type.
  public var unauthorizedPaths: [String] = []

  /// The life of a new token in milliseconds; the answer's `expires_in` is its whole seconds.
  public var life: Milliseconds = 7_200_000
  /// When set, each token's life is drawn from here up to `life`.
  public var shortestLife: Milliseconds?
  /// How long a replaced token goes on working, at most to its natural end.
  public var grace: Milliseconds = 300_000
  /// How long before its end a stable token is replaced by a plain call; at most half of its life.
  public var stableRenewal: Milliseconds = 300_000
  /// How many replaced tokens are kept in their grace at once; what WeChat does is unconfirmed.
  public var maxOldTokens = 1
  /// The least time between two forced refreshes; a sooner one returns the current token.
  public var forceSpacing: Milliseconds = 30_000

  /// `/cgi-bin/token` a day; 200 for test accounts.
  public var dailyTokenQuota = 2000
  /// `/cgi-bin/stable_token` a day.
  public var dailyStableQuota = 500_000
  /// Forced refreshes a day.
  public var dailyForceQuota = 20
  /// Calls of one path in a minute.
  public var minuteQuota = 10_000
  /// `get_api_domain_ip` and `getcallbackip` a day.
  public var dailyAddressQuota = 1000
  /// `getticket` a day; the real figure is unconfirmed.
  public var dailyTicketQuota = 100_000
  /// `clear_quota` a month.
  public var monthlyClears = 10
  /// `openapi/quota/clear` a month.
  public var monthlyPathClears = 50
  /// How many calls `quota/get` lags behind.
  public var quotaLag = 0

  /// Whether a ticket's `expires_in` counts down; WeChat's stays 7200.
  public var ticketCountsDown = false
  /// Whether tickets change on a grid of two hours instead of two hours after their mint.
  public var ticketsOnGrid = false
  /// How long a ticket goes on signing pages after its two hours, in milliseconds; an hour was
  /// observed, and nothing is documented.
  public var ticketOverlap: Milliseconds = 3_600_000

  /// How long a new token may be unknown to some of the business servers.
  public var propagationDelay: Milliseconds = 0
  /// The share of calls (0 to 1) that meet such a server within the delay.
  public var propagationShare = 0.0
  /// The share of calls (0 to 1) for which a replaced token goes on working after its grace.
  public var revivalShare = 0.0
  /// How many of the next calls with a good token are answered 40001 all the same.
  public var spuriousRefusals = 0
  /// The code of an expired token: 42001, or 40014 as WeCom often says.
  public var expiredCode = 42001

  /// An app in good order with WeChat's own figures.
  public init(appID: String, secret: String) {
    self.appID = appID
    self.secret = secret
  }
}
