/// An alert for Prometheus: `deploy/monitoring/alerts.yaml` and the runbook's entry come from it.
package struct AlertRule: Hashable, Sendable {
  /// How fast somebody has to come.
  package enum Severity: String, Hashable, Sendable {
    /// Applications are without a token, or will be: wake somebody.
    case critical
    /// By day.
    case warning
  }

  package let name: String
  /// In Prometheus's language.
  package let expression: String
  /// For how long it must be so.
  package let lasting: String
  package let severity: Severity
  /// One line with the alert's labels, as Prometheus fills it in.
  package let summary: String
  /// The anchor in the runbook; may have a label in it.
  package let anchor: String
  let meaning: Words
  let cause: Words
  let look: Words
  let remedy: Words

  init(
    _ name: String, _ severity: Severity, lasting: String, _ expression: String, summary: String,
    anchor: String? = nil, meaning: Words, cause: Words, look: Words, remedy: Words
  ) {
    self.name = name
    self.severity = severity
    self.lasting = lasting
    self.expression = expression
    self.summary = summary
    self.anchor = anchor ?? name
    self.meaning = meaning
    self.cause = cause
    self.look = look
    self.remedy = remedy
  }

  /// The document that `runbook_url` leads into, as the repository has it.
  package static let runbook = "Sources/Sidecar/Sidecar.docc/Runbook.md"

  // Replicas of one deployment are told from others' by job and namespace; a label that a
  // Prometheus does not have is none in the result.
  static let deployment = "job, namespace"

  /// Every alert, worst first.
  package static let table: [AlertRule] = [
    absent, gone, noToken, lapsing, noLeader, credentialsRefused, addressRefused, quotaUsedUp,
    refreshOverdue, refreshFailing, outputFailing, foreignRefresh, twoLeaders, redisDown,
    reportsUnheard, replicaDown, condition,
  ]

  /// Conditions that have an alert of their own, which waits no longer.
  package static let toldApart: [Condition.Kind] = [
    .noToken, .tokenLapsing, .refreshFailing, .foreignRefresh, .noLeader, .redisAway,
    .fileUnwritten, .hookFailing,
  ]

  // What is gone is missed for so long: whoever took it down on purpose silences the alert, and one
  // that ended by itself while tokens run out would be a lie.
  static let memory = "1d"

  /// The errcodes by which WeChat refuses that, as a pattern.
  static func codes(_ refusals: Set<WeChatError.Refusal>) -> String {
    // A ticket's codes mean the token that it was asked with.
    Set(
      (WeChatError.table + WeChatError.corpTable)
        .filter { $0.refusal.map(refusals.contains) ?? false }.map(\.code)
    ).sorted().map(String.init).joined(separator: "|")
  }

  /// The accounts' tickets, as labels name them: what WeChat refuses of one is its token, not the
  /// AppSecret.
  static let tickets = ".+/.+"

  static let absent = AlertRule(
    "WeChatTokenAbsent", .critical, lasting: "2m", "absent(wechat_token_build_info)",
    summary: "No replica of wch-sidecar is scraped at all",
    meaning: Words(
      "Prometheus has no series of any deployment: nobody keeps tokens, or nobody sees it.",
      "Prometheus 中没有任何部署的数据：没有副本在维护 token，或没有被抓取。"),
    cause: Words(
      "All replicas are gone, or the scrape configuration lost them.", "所有副本都已停止，或抓取配置丢失。"),
    look: Words(
      "Whether replicas run, and Prometheus's targets.", "副本是否在运行，以及 Prometheus 的 targets。"),
    remedy: Words(
      """
      Start two replicas; a token in Redis serves until it ends. Other rules are silent while \
      this one fires: without series there is nothing to judge.
      """,
      "启动两个副本；Redis 中的 token 可用到到期。此告警期间其他规则不会触发，因为没有数据可判断。"))

  static let gone = AlertRule(
    "WeChatTokenDeploymentGone", .critical, lasting: "2m",
    """
    group by (\(deployment)) (last_over_time(wechat_token_build_info[\(memory)]))
      unless group by (\(deployment)) (wechat_token_build_info)
    """,
    summary: "All replicas of {{ $labels.job }} are gone",
    meaning: Words(
      "A deployment that was there within a day has no replica left; others still have some.",
      "一天内还在的某套部署已没有任何副本；其他部署仍在。"),
    cause: Words(
      "It was scaled to nothing, or its replicas crash or cannot be reached.",
      "被缩容到零，或副本崩溃、无法访问。"),
    look: Words(
      "The replicas of the job that is named, and their last log lines.", "所示 job 的副本及其最后的日志。"),
    remedy: Words(
      """
      Start two replicas. If it was taken down on purpose, silence the alert: it ends by itself \
      after a day.
      """,
      "启动两个副本。若是主动下线，请静默此告警；一天后它会自行消失。"))

  static let noToken = AlertRule(
    "WeChatTokenMissing", .critical, lasting: "1m",
    "max by (\(deployment), account) (wechat_token_valid) == 0",
    summary: "Account {{ $labels.account }} of {{ $labels.job }} has no live token",
    meaning: Words(
      "No replica knows a live token of the account: applications cannot call WeChat.",
      "没有任何副本知道该帐号的有效 token：应用无法调用微信。"),
    cause: Words(
      "What the condition `no_token` names as its cause.", "见状况 `no_token` 所示的原因。"),
    look: Words(
      "The page of any replica, or `wch-sidecar status`.", "任一副本的页面，或 `wch-sidecar status`。"),
    remedy: Words(
      "Follow the entry of the cause: `refresh_failing`, `redis_away`, `no_leader` …",
      "按原因的条目处理：`refresh_failing`、`redis_away`、`no_leader` 等。"))

  static let lapsing = AlertRule(
    "WeChatTokenLapsing", .critical, lasting: "15s",
    """
    (max by (\(deployment), account) (wechat_token_expiration_timestamp_seconds) > 0) - time() < 0
    """,
    summary:
      "Clients of account {{ $labels.account }} of {{ $labels.job }} trust its token no longer",
    meaning: Words(
      "Within two minutes the key ends, and no new token is there.", "键将在两分钟内到期，新 token 还没有取到。"),
    cause: Words(
      "Refreshes have failed for a minute or more, or nobody made any.",
      "刷新已失败一分钟以上，或没有副本在刷新。"),
    look: Words(
      "The condition `refresh_failing` on the page, with its errcode.",
      "页面上的状况 `refresh_failing` 及其错误码。"),
    remedy: Words(
      "Follow the entry of the errcode; once mended, `wch-sidecar refresh --force`.",
      "按错误码的条目处理；修复后执行 `wch-sidecar refresh --force`。"))

  static let noLeader = AlertRule(
    "WeChatTokenNoLeader", .critical, lasting: "1m",
    "sum by (\(deployment)) (wechat_token_leader_status) == 0",
    summary: "No replica of {{ $labels.job }} leads",
    meaning: Words(
      "Replicas run and none leads: nobody fetches, and the token will end.",
      "副本在运行但没有主控：没有副本取 token，token 终将过期。"),
    cause: Words(
      "Redis cannot be reached or written to, or the lock is held by something else.",
      "Redis 无法访问或写入，或锁被其他程序占用。"),
    look: Words(
      "The conditions of any replica; `redis-cli GET WCH_leader`.",
      "任一副本的状况；`redis-cli GET WCH_leader`。"),
    remedy: Words(
      "Follow the entry of the condition beside `no_leader`.", "按 `no_leader` 旁边的状况的条目处理。"))

  static let condition = AlertRule(
    "WeChatTokenCondition", .warning, lasting: "5m",
    """
    max by (\(deployment), condition, account) (
      wechat_token_condition{condition!~"\(toldApart.map(\.rawValue).joined(separator: "|"))"}
    ) >= 3
    """,
    summary: "{{ $labels.job }}: {{ $labels.condition }} {{ $labels.account }}",
    anchor: "{{ $labels.condition }}",
    meaning: Words(
      """
      Something that somebody has to mend, and that has no alert of its own, lasts for five \
      minutes; the label says what.
      """,
      "没有单独告警、需要人处理的状况已持续五分钟；标签指明是哪种。"),
    cause: Words("See the entry of the condition.", "见该状况的条目。"),
    look: Words(
      "The entry of the condition, and the page, which has it with its facts.",
      "该状况的条目，以及带有详情的页面。"),
    remedy: Words("See the entry of the condition.", "见该状况的条目。"))

  static let credentialsRefused = AlertRule(
    "WeChatTokenCredentialsRefused", .critical, lasting: "30s",
    """
    max by (\(deployment), account, errcode) (
      wechat_token_condition{
        condition="refresh_failing",errcode=~"\(codes([.credentials]))",account!~"\(tickets)"
      }
    ) > 0
    """,
    summary: "{{ $labels.job }}: WeChat refuses the credentials of account "
      + "{{ $labels.account }} ({{ $labels.errcode }})",
    meaning: Words(
      """
      No new token is to be had with this AppID and AppSecret. The one in Redis serves until it \
      ends, within three minutes if this is about its regular refresh.
      """,
      "用这个 AppID 与 AppSecret 取不到新 token。Redis 中的可用到到期；若是定期刷新失败，只剩不到三分钟。"),
    cause: Words(
      "The AppSecret was reset or frozen in WeChat's console, or a wrong one was deployed.",
      "AppSecret 在微信后台被重置或冻结，或部署了错误的值。"),
    look: Words(
      "The entry of the errcode; `refresh_failing` on the page, with WeChat's words.",
      "错误码的条目；页面上的 `refresh_failing` 及微信的原话。"),
    remedy: Words(
      """
      Write the right AppSecret into the secret's file: it is read again, and WeChat asked at \
      once. After unfreezing it, `wch-sidecar refresh --force`.
      """,
      "把正确的 AppSecret 写入密钥文件：会自动重新读取并立即重试。若是解冻，随后执行 `wch-sidecar refresh --force`。"))

  static let addressRefused = AlertRule(
    "WeChatTokenAddressRefused", .critical, lasting: "30s",
    """
    max by (\(deployment), account, errcode) (
      wechat_token_condition{condition="refresh_failing",errcode=~"\(codes([.address]))"}
    ) > 0
    """,
    summary: "{{ $labels.job }}: WeChat refuses its address for account "
      + "{{ $labels.account }} ({{ $labels.errcode }})",
    meaning: Words(
      """
      WeChat gives tokens to listed addresses only, and this one is not among them. The token in \
      Redis serves until it ends.
      """,
      "微信只给白名单中的地址发 token，而这个地址不在其中。Redis 中的 token 在到期前可用。"),
    cause: Words(
      "The leader moved to another host or egress, or the account's IP list was edited.",
      "主控换了主机或出口地址，或 IP 白名单被修改。"),
    look: Words(
      """
      The address that WeChat saw, with `refresh_failing` on the page; on other hosts, whether \
      replicas there are listed.
      """,
      "页面上 `refresh_failing` 所示的、微信看到的地址；其他主机上的副本是否在白名单中。"),
    remedy: Words(
      """
      Put the address on the IP list (mp.weixin.qq.com), then `wch-sidecar refresh --force`. \
      Sooner: stop the leader, where another replica's address is listed.
      """,
      """
      把该地址加入 IP 白名单（mp.weixin.qq.com），随后执行 `wch-sidecar refresh --force`。更快的办法：若另一个副本的\
      地址在白名单中，停掉主控。
      """))

  static let quotaUsedUp = AlertRule(
    "WeChatTokenQuotaUsedUp", .critical, lasting: "30s",
    """
    max by (\(deployment), account) (
      wechat_token_condition{condition="refresh_failing",errcode="\(codes([.quota]))"}
    ) > 0
    """,
    summary: "{{ $labels.job }}: the day's calls of account {{ $labels.account }} are used up",
    meaning: Words(
      """
      WeChat gives no token until the count is reset (45009). The one in Redis serves until it \
      ends.
      """,
      "微信在次数重置之前不再给 token（45009）。Redis 中的 token 在到期前可用。"),
    cause: Words(
      """
      Somebody else fetches with the same AppSecret: twenty refreshes a day need a hundredth of \
      it.
      """,
      "有别的程序用同一个 AppSecret 在获取：每天二十次刷新只占百分之一。"),
    look: Words(
      "`foreign_refresh`, and who calls `/cgi-bin/token` besides.",
      "`foreign_refresh`，以及还有谁在调用 `/cgi-bin/token`。"),
    remedy: Words(
      """
      Reset the count in the console or by `clear_quota`, as the entry of 45009 has it, then \
      `wch-sidecar refresh --force`; or set `WCH_API=stable_token`, which has a count of its own.
      """,
      """
      按 45009 的条目在后台清零或调用 `clear_quota`，随后执行 `wch-sidecar refresh --force`；或设\
      `WCH_API=stable_token`，它另计次数。
      """))

  // MARK: The file of rules

  /// The rules as Prometheus reads them.
  package static var file: String {
    var lines = [
      "# Alerts for wch-sidecar, for Prometheus's rule_files. Written from the code, as the",
      "# runbook is. runbook_url leads into this repository: put the address where you keep it",
      "# before it; every replica serves the same at /runbook.",
      "groups:", "  - name: wch-sidecar", "    rules:",
    ]
    for rule in table {
      lines += ["      - alert: \(rule.name)", "        expr: |"]
      lines += rule.expression.split(separator: "\n").map { "          \($0)" }
      lines += [
        "        for: \(rule.lasting)", "        labels:",
        "          severity: \(rule.severity.rawValue)", "        annotations:",
        "          summary: \"\(rule.summary)\"",
        "          runbook_url: \"\(runbook)#\(rule.anchor)\"",
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
