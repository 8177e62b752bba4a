import TokenCore

/// What tickets and WeCom answer otherwise than `token` and `stable_token`.
extension WeChatError {
  /// The entry of a ticket's code, which another row of the table before has for tokens.
  private static let ofTicket = "ticket-"
  private static let ofWeCom = "wecom-"
  private static let ofWeComTicket = "wecom-ticket-"

  /// A token that the ticket was asked with is reported like an application's: once.
  private static let deadSource = Words(
    """
    Nothing: it counts as one report of the access token, which is fetched anew when it is the \
    current one, and the ticket is asked for with that.
    """,
    "无需处理：这相当于应用对 access_token 的一次失效报告；若是当前 token 会重新获取，再用新的去取 ticket。")

  private static func dead(_ code: Int, of prefix: String) -> WeChatError {
    WeChatError(
      code, .transient, "the access token that it was asked with is refused; another one follows",
      "用来获取 ticket 的 access_token 被拒绝，换新后重试", more: deadSource, of: prefix)
  }

  private static let corpConsole = Words(
    """
    In WeCom's admin console (work.weixin.qq.com): the corp id is under My Company, the secret \
    with the app; each app has its own. Write a new one into the secret's file: it is read again \
    and WeCom asked at once.
    """,
    """
    在企业微信管理后台（work.weixin.qq.com）：企业 ID 在“我的企业”，Secret 在各自的应用里。把新的 Secret 写入密钥\
    文件，会自动重新读取并立即重试。
    """)

  private static let corpLimits = Words(
    """
    Nothing, unless it lasts: a corporation may call one API 10,000 times a minute and 150,000 \
    times an hour, and ask for tickets 400 times an hour (100 times with one app's token). Beyond \
    it WeCom blocks for a minute, or an hour; the daemon needs a few calls an hour, so look for \
    who else asks.
    """,
    """
    一般无需处理：同一企业每个接口每分钟 1 万次、每小时 15 万次，ticket 每小时 400 次（每应用 100 次），超出后封一分钟\
    或一小时。本程序每小时只需几次；若持续，请查还有谁在调用。
    """)

  /// What only a request for a ticket is answered (WeChat.md#tickets).
  package static let ticketTable: [WeChatError] = [
    dead(40001, of: ofTicket),
    dead(40014, of: ofTicket),
    WeChatError(
      40097, .configuration, "the kind of ticket was refused; the endpoint's URL may be wrong",
      "ticket 类型被拒绝，接口地址可能有误", more: requests, of: ofTicket),
    WeChatError(
      41001, .configuration, "the access token is missing; look for a proxy's fault",
      "缺少 access_token，请检查代理", more: requests, of: ofTicket),
    dead(42001, of: ofTicket),
    WeChatError(
      45009, .quota, "the day's calls for tickets are used up; wait for the reset",
      "当日获取 ticket 的次数已用尽，请等待重置",
      more: Words(
        """
        WeChat does not say how many it allows; the daemon asks some 100 times a day for each \
        ticket. Look for who else calls `getticket` with this account, and let it read the key in \
        Redis. The old ticket goes on working for a while.
        """,
        """
        微信未公布限额；本程序每个 ticket 每天约 100 次。请查还有谁在调用 `getticket`，让它改读 Redis 中的键。旧 ticket \
        还能用一段时间。
        """), of: ofTicket),
    WeChatError(
      48001, .operator, "the account has no right to such tickets; take them out of `tickets`",
      "帐号没有获取该 ticket 的权限，请从 `tickets` 中去掉",
      more: Words(
        """
        Tickets of pages belong to Official Accounts; look on mp.weixin.qq.com which rights the \
        account has, or take the ticket out of `tickets`.
        """,
        "页面用的 ticket 属于公众号；请在 mp.weixin.qq.com 查看接口权限，或从 `tickets` 中去掉。"), of: ofTicket),
  ]

  /// What WeCom's `gettoken` is known to answer, and every other call of WeCom
  /// (WeChat.md#wecom).
  package static let corpTable: [WeChatError] = [
    WeChatError(
      systemError, .transient, "WeCom's system is busy; it is asked again",
      "企业微信系统繁忙，会自动重试",
      more: Words("Nothing to do for some minutes.", "几分钟内无需处理。"), of: ofWeCom),
    WeChatError(
      40001, .configuration, "the app's secret is wrong; correct it", "应用的 Secret 错误，请更正",
      more: corpConsole, of: ofWeCom),
    WeChatError(
      40013, .configuration, "the corp id is wrong; correct it", "企业 ID 错误，请更正",
      more: corpConsole, of: ofWeCom),
    WeChatError(
      40091, .configuration, "the secret is another corporation's; correct it or the corp id",
      "Secret 属于另一个企业，请更正 Secret 或企业 ID", more: corpConsole, of: ofWeCom),
    WeChatError(
      41002, .configuration, "the corp id is missing; set it", "缺少企业 ID，请设置",
      more: requests, of: ofWeCom),
    WeChatError(
      41004, .configuration, "the app's secret is missing; set it", "缺少应用的 Secret，请设置",
      more: requests, of: ofWeCom),
    WeChatError(
      45009, .rate, "too many calls; WeCom blocks for a minute or an hour, and is asked again",
      "调用过多，企业微信会封禁一分钟或一小时，随后重试", more: corpLimits, of: ofWeCom),
    WeChatError(
      45033, .rate, "too many calls at a time; the next minute is waited for",
      "并发调用过多，下一分钟再试", more: corpLimits, of: ofWeCom),
    WeChatError(
      60020, .operator, "this address is not among the app's trusted ones; add it in the console",
      "本机出口地址不在应用的可信 IP 中，请在管理后台添加",
      more: Words(
        """
        In WeCom's admin console, with the app: trusted IPs of the company. The address in the \
        message is the one that WeCom saw, that of a NAT gateway or a proxy perhaps; give egress a \
        fixed one. Then `wch-sidecar refresh --force` asks at once.
        """,
        """
        在企业微信管理后台该应用的“企业可信 IP”中添加。消息里的地址是企业微信实际看到的，可能是 NAT 网关或代理的地址；\
        请使用固定出口。随后用 `wch-sidecar refresh --force` 立即重试。
        """), of: ofWeCom),
    WeChatError(
      301002, .operator, "the app may not do this; look at its rights in the console",
      "应用没有权限，请在管理后台查看", more: corpConsole, of: ofWeCom),
  ]

  /// What only a request for one of WeCom's tickets is answered.
  package static let corpTicketTable: [WeChatError] = [
    dead(40001, of: ofWeComTicket),
    dead(40014, of: ofWeComTicket),
    WeChatError(
      41001, .configuration, "the access token is missing; look for a proxy's fault",
      "缺少 access_token，请检查代理", more: requests, of: ofWeComTicket),
    dead(42001, of: ofWeComTicket),
  ]

  /// Every row of every table.
  package static let all = table + ticketTable + corpTable + corpTicketTable
}
