import TokenCore

/// What to do about what is wrong: every condition, errcode, alert and problem, in both languages.
///
/// It is made from the tables of the code, so that nothing can be shown without an entry; the page
/// of the daemon and the document of the repository are two ways to write it down.
package struct Runbook: Sendable {
  /// What is written of one thing.
  package struct Entry: Hashable, Sendable {
    /// Stable: pages, logs and problem documents lead here.
    package let anchor: String
    package let title: Words
    /// Each with its name: what it means, where it comes from, what to look at, what to do.
    package let parts: [Part]
  }

  package struct Part: Hashable, Sendable {
    package let name: Words
    package let text: Words
  }

  package struct Section: Hashable, Sendable {
    package let anchor: String
    package let title: Words
    package let introduction: Words
    package let entries: [Entry]
  }

  package static let title = Words("Runbook", "运维手册")
  package static let introduction = Words(
    """
    What wch-sidecar tells, and what to do about it. The page, the log, `/v1/status` and the \
    problem documents lead here; every replica serves this text at `/runbook`.
    """,
    "wch-sidecar 会报告的内容以及处理方法。页面、日志、`/v1/status` 与错误文档都链接到这里；每个副本都在 `/runbook` 提供本文。")

  package static let sections: [Section] = [
    Section(
      anchor: "conditions", title: Words("Conditions", "状况"),
      introduction: Words(
        """
        What is wrong, by the id that log, page, metrics (`wechat_token_condition`) and \
        `/v1/status` give it.
        """,
        "出了什么问题，按日志、页面、指标（`wechat_token_condition`）与 `/v1/status` 中的编号排列。"),
      entries: Condition.Kind.allCases.map(entry)),
    Section(
      anchor: "errcodes", title: Words("WeChat's errcodes", "微信错误码"),
      introduction: Words(
        "What WeChat answers when it gives no token. Another code: look into WeChat's own list.",
        "微信不给 token 时的应答。不在此列的错误码请查微信的全局返回码。"),
      entries: WeChatError.table.map(entry)),
    Section(
      anchor: "ticket-errcodes", title: Words("WeChat's errcodes for tickets", "获取 ticket 的错误码"),
      introduction: Words(
        "What WeChat answers when it gives no ticket; other codes mean what they mean for tokens.",
        "微信不给 ticket 时的应答；其他错误码与获取 token 时相同。"),
      entries: WeChatError.ticketTable.map(entry)),
    Section(
      anchor: "wecom-errcodes", title: Words("WeCom's errcodes", "企业微信错误码"),
      introduction: Words(
        """
        What WeCom answers when it gives no token, or no ticket. Another code: look into WeCom's \
        own list, to which its message leads.
        """,
        "企业微信不给 token 或 ticket 时的应答。不在此列的请查企业微信的全局错误码。"),
      entries: (WeChatError.corpTable + WeChatError.corpTicketTable).map(entry)),
    Section(
      anchor: "alerts", title: Words("Alerts", "告警"),
      introduction: Words(
        "The rules of `deploy/monitoring/alerts.yaml`.",
        "`deploy/monitoring/alerts.yaml` 中的规则。"),
      entries: AlertRule.table.map(entry)),
    Section(
      anchor: "problems", title: Words("Problems", "请求问题"),
      introduction: Words(
        "Why the HTTP interface refuses a request: the `type` of the problem document.",
        "HTTP 接口为何拒绝请求：错误文档中的 `type`。"),
      entries: Problem.allCases.map(entry)),
  ]

  // MARK: Entries

  private static let meaning = Words("Meaning", "含义")
  private static let cause = Words("Usual cause", "常见原因")
  private static let look = Words("Look at", "查看")
  private static let remedy = Words("Do", "处理")

  private static func entry(_ kind: Condition.Kind) -> Entry {
    Entry(
      anchor: kind.rawValue, title: kind.title,
      parts: [
        Part(name: meaning, text: kind.meaning), Part(name: cause, text: kind.usualCause),
        Part(name: look, text: kind.whatToLookAt), Part(name: remedy, text: kind.remedy),
      ])
  }

  private static func entry(_ error: WeChatError) -> Entry {
    Entry(
      anchor: error.anchor,
      title: Words(
        "\(error.code): \(error.words.english)", "\(error.code)：\(error.words.chinese)"),
      parts: [
        error.more.map { Part(name: remedy, text: $0) },
        Part(
          name: Words("Meanwhile", "其间"),
          text: error.holdOff == nil ? error.category.conduct : holding),
      ].compactMap(\.self))
  }

  private static func entry(_ rule: AlertRule) -> Entry {
    Entry(
      anchor: rule.name, title: Words(rule.name, rule.name),
      parts: [
        Part(name: meaning, text: rule.meaning), Part(name: cause, text: rule.cause),
        Part(name: look, text: rule.look), Part(name: remedy, text: rule.remedy),
      ])
  }

  private static func entry(_ problem: Problem) -> Entry {
    let code = problem.code
    return Entry(
      anchor: problem.rawValue,
      title: Words("\(problem.title.english) (\(code))", "\(problem.title.chinese)（\(code)）"),
      parts: [
        Part(name: meaning, text: problem.cause), Part(name: look, text: problem.look),
        Part(name: remedy, text: problem.remedy),
      ])
  }

  private static let holding = Words(
    "The daemon waits as long as WeChat says. `wch-sidecar refresh --force` does not shorten it.",
    "本程序按微信要求的时间等待；`wch-sidecar refresh --force` 不会缩短。")
}

extension FetchFailure.Class {
  /// What the daemon does until it is mended.
  fileprivate var conduct: Words {
    switch self {
    case .transient:
      Words(
        "It is asked again after a second at first, and every half minute at last.",
        "一秒后重试，间隔逐步加到半分钟。")
    case .rate: Words("It is asked again after a minute.", "一分钟后重试。")
    case .quota: Words("It is asked again every 15 minutes.", "每 15 分钟重试一次。")
    case .operator, .configuration:
      Words(
        """
        It is asked again every five minutes, for this account only, and at once when a secret \
        changes.
        """,
        "每五分钟重试一次，只影响该帐号；密钥变化时立即重试。")
    }
  }
}
