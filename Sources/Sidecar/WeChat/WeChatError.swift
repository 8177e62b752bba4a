package import TokenCore

/// What an errcode of the credential endpoints means: one row of the table of codes.
package struct WeChatError: Hashable, Sendable {
  package let code: Int
  /// What to do about it.
  package let category: FetchFailure.Class
  /// What it means and what to do, in words.
  package let advice: String
  /// How long WeChat itself says to hold off.
  package let holdOff: Duration?

  private init(
    _ code: Int, _ category: FetchFailure.Class, _ advice: String, holdOff: Duration? = nil
  ) {
    self.code = code
    self.category = category
    self.advice = advice
    self.holdOff = holdOff
  }

  /// The codes that mean "this token is dead" when it is used: replaced, of no use, expired.
  package static let deadTokenCodes: Set = [40001, 40014, 42001]

  /// WeChat's own trouble: the token may have been minted all the same.
  package static let systemError = -1

  /// Every code that the credential endpoints are known to answer (DESIGN section 5.5).
  package static let table: [WeChatError] = [
    WeChatError(systemError, .transient, "WeChat's system is busy; it is asked again"),
    WeChatError(40001, .configuration, "the AppSecret is wrong; correct it"),
    WeChatError(
      40002, .configuration, "the grant type was refused; the endpoint's URL may be wrong"),
    WeChatError(40013, .configuration, "the AppID is wrong; correct it"),
    WeChatError(40125, .configuration, "the AppSecret is wrong or was reset; correct it"),
    WeChatError(
      40164, .operator, "this address is not on the account's IP list; add it on mp.weixin.qq.com"),
    WeChatError(40243, .operator, "the AppSecret is frozen; unfreeze it on mp.weixin.qq.com"),
    WeChatError(41002, .configuration, "the AppID is missing; set it"),
    WeChatError(41004, .configuration, "the AppSecret is missing; set it"),
    WeChatError(
      42001, .configuration, "a token expired where none was sent; the URL may be wrong"),
    WeChatError(
      43002, .configuration, "the request must be a POST; the endpoint's URL may be wrong"),
    WeChatError(43003, .configuration, "the request must use https; correct the endpoint's URL"),
    WeChatError(
      44002, .configuration, "the request came without its body; look for a proxy's fault"),
    WeChatError(
      45009, .quota, "the day's calls are used up; wait for the reset or clear the quota"),
    WeChatError(45011, .rate, "too many calls in this minute; the next minute is waited for"),
    WeChatError(45035, .operator, "this address is not on the account's IP list; add it"),
    WeChatError(47001, .configuration, "the request's body was not understood; look for a proxy"),
    WeChatError(48004, .operator, "the account breaks WeChat's rules; see mp.weixin.qq.com"),
    WeChatError(48017, .operator, "this address was retired by WeChat; do not pin addresses"),
    WeChatError(50002, .operator, "the account is limited; see mp.weixin.qq.com"),
    WeChatError(50004, .operator, "the account may not use access tokens; see mp.weixin.qq.com"),
    WeChatError(50007, .operator, "the account is frozen; see mp.weixin.qq.com"),
    WeChatError(61004, .operator, "this address is not registered; add it to the IP list"),
    WeChatError(
      61024, .configuration, "the AppID is a third-party platform's; it needs a component token"),
    WeChatError(
      89501, .operator, "WeChat lists this code and does not explain it; see mp.weixin.qq.com"),
    WeChatError(
      89503, .operator, "the account's administrator must confirm this address in WeChat"),
    WeChatError(
      89506, .operator, "the administrator refused this address; it may ask again after a day",
      holdOff: .seconds(86_400)),
    WeChatError(
      89507, .operator, "the administrator refused this address; it may ask again after an hour",
      holdOff: .seconds(3600)),
  ]

  /// The codes by number.
  private static let byCode = Dictionary(uniqueKeysWithValues: table.map { ($0.code, $0) })

  /// The row of a code.
  ///
  /// A code without one is taken as an operator's matter: it is a refusal, so nothing was minted,
  /// and asking often would not help.
  package static func row(_ code: Int) -> WeChatError {
    byCode[code] ?? WeChatError(code, .operator, "this code is not known here; see WeChat's list")
  }

  /// Whether the code is known to refuse the credentials, the address or the account.
  ///
  /// A code without a row may be one that only the endpoint of a probe has, and says nothing
  /// about fetches.
  package static func isRefusal(_ code: Int) -> Bool {
    switch byCode[code]?.category {
    case .operator, .configuration: true
    case .transient, .rate, .quota, nil: false
    }
  }
}
