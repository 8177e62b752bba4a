package import TokenCore

/// What an errcode of the credential endpoints means: one row of a table of codes.
///
/// Tickets and WeCom have tables of their own (`WeChatError+Others.swift`).
package struct WeChatError: Hashable, Sendable {
  package let code: Int
  /// What to do about it.
  package let category: FetchFailure.Class
  /// What it means and what to do, in one line.
  package let words: Words
  /// What else helps, for the runbook.
  package let more: Words?
  /// How long WeChat itself says to hold off.
  package let holdOff: Duration?

  /// What its entry in the runbook is called.
  private let prefix: String

  init(
    _ code: Int, _ category: FetchFailure.Class, _ english: String, _ chinese: String,
    more: Words? = nil, holdOff: Duration? = nil, of prefix: String = ""
  ) {
    self.code = code
    self.prefix = prefix
    self.category = category
    words = Words(english, chinese)
    self.more = more
    self.holdOff = holdOff
  }

  /// What it means and what to do, for logs.
  package var advice: String { words.english }

  /// Where the runbook tells more.
  package var anchor: String { "\(prefix)errcode-\(code)" }

  /// The codes that mean "this token is dead" when it is used: replaced, of no use, expired.
  package static let deadTokenCodes: Set = [40001, 40014, 42001]

  /// WeChat's own trouble: the token may have been minted all the same.
  package static let systemError = -1
  /// WeChat, or WeCom, does not accept this machine's address; another one may be accepted.
  package static let addressRefusals: Set = [40164, 60020]

  /// What WeChat refuses, where only people can mend it and who does differs.
  package enum Refusal: Hashable, Sendable {
    /// AppID or AppSecret.
    case credentials
    /// The address that it is called from.
    case address
    /// The day's calls are used up.
    case quota
  }

  /// What the code refuses of these; nil when it is another matter.
  package var refusal: Refusal? {
    switch code {
    case 40001, 40013, 40091, 40125, 40243: .credentials
    case 40164, 45035, 60020, 61004, 89503, 89506, 89507: .address
    case 45009: .quota
    default: nil
    }
  }

  // MARK: What helps in several cases

  private static let editsOfAddresses = Words(
    """
    On mp.weixin.qq.com: development, basic configuration, IP list. The address in the message is \
    the one that WeChat saw, that of a NAT gateway or a proxy perhaps; give egress a fixed one. An \
    edited list counts after some minutes; then `wch-sidecar refresh --force` asks at once.
    """,
    """
    在 mp.weixin.qq.com 的“开发—基本配置—IP 白名单”中添加。消息里的地址是微信实际看到的，可能是 NAT 网关或代理的\
    地址；请使用固定出口。修改后几分钟生效，随后用 `wch-sidecar refresh --force` 立即重试。
    """)
  private static let secrets = Words(
    """
    Compare the AppID with the console's; reset the AppSecret there if it is lost, and write it \
    into the secret's file: it is read again and WeChat asked at once, without a restart. Any \
    other program with the old secret fails from then on.
    """,
    """
    与后台核对 AppID；若 AppSecret 遗失，在后台重置并写入密钥文件：会自动重新读取并立即重试，无需重启。\
    其他仍用旧密钥的程序从此会失败。
    """)
  static let requests = Words(
    """
    The daemon sends this request as WeChat documents it, so something changed it on its way, or \
    apiUrl leads to something else than WeChat: look at apiUrl, apiProxy and what lies between.
    """,
    "本程序按微信文档发送请求，因此是途中被改动，或 apiUrl 指向了别处：检查 apiUrl、apiProxy 与中间环节。")
  private static let accountState = Words(
    """
    Only the account's administrator can mend this, on mp.weixin.qq.com, where the notices say \
    what WeChat objects to. Afterwards `wch-sidecar refresh --force` asks at once.
    """,
    "只能由帐号管理员在 mp.weixin.qq.com 处理，通知中心说明了原因。处理后用 `wch-sidecar refresh --force` 立即重试。")
  private static let confirmation = Words(
    """
    WeChat sends the administrator a message with each new address; it has to be confirmed there. \
    Repeated refusals may block the address for long.
    """,
    "对每个新地址，微信会向管理员发送确认消息，须由其确认。多次被拒可能导致该地址长期被封。")

  /// Every code that the credential endpoints are known to answer (WeChat.md#answers-by-class).
  package static let table: [WeChatError] = [
    WeChatError(
      systemError, .transient, "WeChat's system is busy; it is asked again",
      "微信系统繁忙，会自动重试",
      more: Words(
        """
        Nothing to do for some minutes. Such an answer may have minted a token all the same, so \
        that the old one ends; the daemon counts with that. If it lasts, give apiUrl a second \
        host, such as `https://api2.weixin.qq.com`.
        """,
        """
        几分钟内无需处理。这种应答也可能已经换了 token，旧的会随之失效，本程序已考虑在内。若持续，可在 apiUrl 中加上\
        第二个域名，例如 `https://api2.weixin.qq.com`。
        """)),
    WeChatError(
      40001, .configuration, "the AppSecret is wrong; correct it", "AppSecret 错误，请更正",
      more: secrets),
    WeChatError(
      40002, .configuration, "the grant type was refused; the endpoint's URL may be wrong",
      "grant_type 被拒绝，接口地址可能有误", more: requests),
    WeChatError(
      40013, .configuration, "the AppID is wrong; correct it", "AppID 错误，请更正",
      more: Words(
        """
        It begins with `wx` and has 18 characters; `gh_…` is the account's original ID and no \
        AppID, `ww…` a WeCom corp's.
        """, "AppID 以 `wx` 开头，共 18 个字符；`gh_…` 是原始 ID，`ww…` 是企业微信的 corpid，都不是 AppID。")),
    WeChatError(
      40125, .configuration, "the AppSecret is wrong or was reset; correct it",
      "AppSecret 错误或已被重置，请更正", more: secrets),
    WeChatError(
      40164, .operator,
      "this address is not on the account's IP list; add it on mp.weixin.qq.com",
      "本机出口地址不在 IP 白名单中，请在 mp.weixin.qq.com 添加", more: editsOfAddresses),
    WeChatError(
      40243, .operator, "the AppSecret is frozen; unfreeze it on mp.weixin.qq.com",
      "AppSecret 已被冻结，请在 mp.weixin.qq.com 解冻",
      more: Words(
        "Somebody froze it in the console; unfreezing counts after some ten minutes.",
        "有人在后台冻结了它；解冻约十分钟后生效。")),
    WeChatError(
      41002, .configuration, "the AppID is missing; set it", "缺少 AppID，请设置", more: requests),
    WeChatError(
      41004, .configuration, "the AppSecret is missing; set it", "缺少 AppSecret，请设置",
      more: requests),
    WeChatError(
      42001, .configuration, "a token expired where none was sent; the URL may be wrong",
      "未发送 token 却答复过期，接口地址可能有误", more: requests),
    WeChatError(
      43002, .configuration, "the request must be a POST; the endpoint's URL may be wrong",
      "要求使用 POST，接口地址可能有误", more: requests),
    WeChatError(
      43003, .configuration, "the request must use https; correct the endpoint's URL",
      "要求使用 https，请更正接口地址", more: requests),
    WeChatError(
      44002, .configuration, "the request came without its body; look for a proxy's fault",
      "请求正文丢失，请检查代理", more: requests),
    WeChatError(
      45009, .quota, "the day's calls are used up; wait for the reset or clear the quota",
      "当日调用次数已用尽，请等待重置或清零",
      more: Words(
        """
        Two thousand calls a day with `token`: 20 refreshes a day need a hundredth of it, so look \
        for who else fetches (`foreign_refresh`). WeChat does not document when the count is \
        reset; midnight in Beijing is assumed. Sooner: the console's reset, or \
        `POST https://api.weixin.qq.com/cgi-bin/clear_quota/v2` with `appid` and `appsecret` \
        (`POST /cgi-bin/clear_quota?access_token=…` with `{"appid":"…"}` while a token lives): \
        ten times a month together. `stable_token` has a count of its own, 500,000 a day: with \
        `WCH_API=stable_token` tokens come at once. Afterwards `wch-sidecar refresh --force`.
        """,
        """
        `token` 每天两千次，本程序每天约 20 次，只占百分之一，因此要查还有谁在获取（`foreign_refresh`）。微信没有\
        说明何时重置，按北京时间零点估计。要提前恢复：在后台清零，或\
        `POST https://api.weixin.qq.com/cgi-bin/clear_quota/v2`，带 `appid` 与 `appsecret`\
        （token 有效时也可 `POST /cgi-bin/clear_quota?access_token=…`，正文 `{"appid":"…"}`），每月合计十次。\
        `stable_token` 另计，每天 50 万次：设 `WCH_API=stable_token` 可立即取到。之后执行\
        `wch-sidecar refresh --force`。
        """)),
    WeChatError(
      45011, .rate, "too many calls in this minute; the next minute is waited for",
      "本分钟调用过多，下一分钟再试",
      more: Words(
        "Nothing, unless it repeats: then somebody else calls with this AppID.",
        "一般无需处理；若反复出现，说明另有程序在用该 AppID 调用。")),
    WeChatError(
      45035, .operator, "this address is not on the account's IP list; add it",
      "本机出口地址不在 IP 白名单中，请添加", more: editsOfAddresses),
    WeChatError(
      47001, .configuration, "the request's body was not understood; look for a proxy",
      "请求正文无法解析，请检查代理", more: requests),
    WeChatError(
      48004, .operator, "the account breaks WeChat's rules; see mp.weixin.qq.com",
      "帐号违规，接口被封禁，请查看 mp.weixin.qq.com", more: accountState),
    WeChatError(
      48017, .operator, "this address was retired by WeChat; do not pin addresses",
      "该接入地址已被微信停用，请不要固定 IP",
      more: Words(
        "Remove WeChat's addresses from /etc/hosts and from apiUrl, and use the name.",
        "从 /etc/hosts 与 apiUrl 中去掉微信的 IP，改用域名。")),
    WeChatError(
      50002, .operator, "the account is limited; see mp.weixin.qq.com",
      "帐号受限，请查看 mp.weixin.qq.com", more: accountState),
    WeChatError(
      50004, .operator, "the account may not use access tokens; see mp.weixin.qq.com",
      "帐号被禁止使用 access_token，请查看 mp.weixin.qq.com", more: accountState),
    WeChatError(
      50007, .operator, "the account is frozen; see mp.weixin.qq.com",
      "帐号已冻结，请查看 mp.weixin.qq.com", more: accountState),
    WeChatError(
      61004, .operator, "this address is not registered; add it to the IP list",
      "出口地址未登记，请加入 IP 白名单", more: editsOfAddresses),
    WeChatError(
      61024, .configuration, "the AppID is a third-party platform's; it needs a component token",
      "该 AppID 属于第三方平台，需要 component_access_token",
      more: Words(
        "Give the AppID of an Official Account or a Mini Program; platforms are not kept here.",
        "请使用公众号或小程序的 AppID；本程序不维护第三方平台的凭证。")),
    WeChatError(
      89501, .operator, "WeChat lists this code and does not explain it; see mp.weixin.qq.com",
      "微信列出了此码但未说明含义，请查看 mp.weixin.qq.com", more: accountState),
    WeChatError(
      89503, .operator, "the account's administrator must confirm this address in WeChat",
      "须由管理员在微信中确认该地址", more: confirmation),
    WeChatError(
      89506, .operator, "the administrator refused this address; it may ask again after a day",
      "管理员拒绝了该地址，一天后可再次请求", more: confirmation, holdOff: .seconds(86_400)),
    WeChatError(
      89507, .operator, "the administrator refused this address; it may ask again after an hour",
      "管理员拒绝了该地址，一小时后可再次请求", more: confirmation, holdOff: .seconds(3600)),
  ]

  /// Every row that there is, by what was asked for; where a table has none of a code, the one that
  /// stands behind it counts.
  private static let rows: [Question: [Int: WeChatError]] = {
    func byCode(_ table: [WeChatError]) -> [Int: WeChatError] {
      Dictionary(uniqueKeysWithValues: table.map { ($0.code, $0) })
    }
    let (token, corp) = (byCode(table), byCode(corpTable))
    return [
      .token: token, .corpToken: corp,
      .ticket: byCode(ticketTable).merging(token) { own, _ in own },
      .corpTicket: byCode(corpTicketTable).merging(corp) { own, _ in own },
    ]
  }()

  /// The row of a code.
  ///
  /// A code without one is taken as an operator's matter: it is a refusal, so nothing was minted,
  /// and asking often would not help.
  package static func row(_ code: Int, to question: Question = .token) -> WeChatError {
    rows[question]?[code]
      ?? WeChatError(
        code, .operator, "this code is not known here; see \(question.speaker)'s list",
        "此码不在本程序的表中，请查微信的全局返回码")
  }

  /// Where the runbook tells more of a code; nil of one that has no entry.
  package static func anchor(of code: Int, to question: Question = .token) -> String? {
    rows[question]?[code]?.anchor
  }

  /// Whether the code is known to refuse the credentials, the address or the account.
  ///
  /// A code without a row may be one that only the endpoint of a probe has, and says nothing
  /// about fetches.
  package static func isRefusal(_ code: Int, to question: Question = .token) -> Bool {
    switch rows[question]?[code]?.category {
    case .operator, .configuration: true
    case .transient, .rate, .quota, nil: false
    }
  }
}
