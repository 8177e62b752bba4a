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

  private init(
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
  private static let deployment = "job, namespace"

  /// Every alert, worst first.
  package static let table: [AlertRule] = [
    absent, gone, noToken, lapsing, noLeader, condition, refreshFailing, replicaDown, twoLeaders,
    redisDown,
  ]

  private static let absent = AlertRule(
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

  private static let gone = AlertRule(
    "WeChatTokenDeploymentGone", .critical, lasting: "2m",
    """
    group by (\(deployment)) (last_over_time(wechat_token_build_info[1h]))
      unless group by (\(deployment)) (wechat_token_build_info)
    """,
    summary: "All replicas of {{ $labels.job }} are gone",
    meaning: Words(
      "A deployment that was there within the hour has no replica left; others still have some.",
      "一小时内还在的某套部署已没有任何副本；其他部署仍在。"),
    cause: Words(
      "It was scaled to nothing, or its replicas crash or cannot be reached.",
      "被缩容到零，或副本崩溃、无法访问。"),
    look: Words(
      "The replicas of the job that is named, and their last log lines.", "所示 job 的副本及其最后的日志。"),
    remedy: Words(
      "Start two replicas. If it was taken down on purpose, the alert ends within the hour.",
      "启动两个副本。若是主动下线，告警会在一小时内消失。"))

  private static let noToken = AlertRule(
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

  private static let lapsing = AlertRule(
    "WeChatTokenLapsing", .critical, lasting: "15s",
    """
    (max by (\(deployment), account) (wechat_token_expiration_timestamp_seconds) > 0) - time() < 0
    """,
    summary:
      "Clients of account {{ $labels.account }} of {{ $labels.job }} trust its token no longer",
    meaning: Words(
      "Within two minutes the key ends, and no new token is there.", "键将在两分钟内到期，新 token 还没有取到。"),
    cause: Words(
      "Refreshes have failed for three minutes or more.", "刷新已失败三分钟以上。"),
    look: Words(
      "The condition `refresh_failing` on the page, with its errcode.",
      "页面上的状况 `refresh_failing` 及其错误码。"),
    remedy: Words(
      "Follow the entry of the errcode; once mended, `wch-sidecar refresh --force`.",
      "按错误码的条目处理；修复后执行 `wch-sidecar refresh --force`。"))

  private static let noLeader = AlertRule(
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

  private static let condition = AlertRule(
    "WeChatTokenCondition", .warning, lasting: "5m",
    "max by (\(deployment), condition, account) (wechat_token_condition) >= 3",
    summary: "{{ $labels.job }}: {{ $labels.condition }} {{ $labels.account }}",
    anchor: "{{ $labels.condition }}",
    meaning: Words(
      "Something that somebody has to mend lasts for five minutes; the label says what.",
      "需要人处理的状况已持续五分钟；标签指明是哪种。"),
    cause: Words("See the entry of the condition.", "见该状况的条目。"),
    look: Words(
      "The entry of the condition, and the page, which has it with its facts.",
      "该状况的条目，以及带有详情的页面。"),
    remedy: Words("See the entry of the condition.", "见该状况的条目。"))

  private static let refreshFailing = AlertRule(
    "WeChatTokenRefreshFailing", .warning, lasting: "2m",
    "max by (\(deployment), account) (wechat_token_consecutive_failures) > 0",
    summary: "WeChat gives {{ $labels.job }} no token for account {{ $labels.account }}",
    meaning: Words(
      "Each attempt fails for two minutes. The margin is three: then applications notice.",
      "两分钟来每次尝试都失败。余量只有三分钟，之后应用会受影响。"),
    cause: Words(
      """
      WeChat refuses or cannot be reached. Not counted by number: what only people can mend is \
      asked for once in five minutes, so that three failures are a quarter of an hour.
      """,
      "微信拒绝或无法访问。不按次数告警：只有人能处理的错误每五分钟才重试一次，三次失败已是一刻钟。"),
    look: Words(
      "`wechat_token_upstream_requests_total` by errcode, and the page.",
      "按 errcode 查看 `wechat_token_upstream_requests_total`，以及页面。"),
    remedy: Words("Follow the entry of the errcode.", "按错误码的条目处理。"))

  private static let replicaDown = AlertRule(
    "WeChatTokenReplicaDown", .warning, lasting: "5m",
    """
    up == 0 and on (job, instance) last_over_time(wechat_token_build_info[1h])
    """,
    summary: "{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
    meaning: Words(
      "One replica less: with none beside it nobody keeps the token.", "少了一个副本：若没有其他副本，token 将无人维护。"
    ),
    cause: Words("It crashed, was stopped, or is cut off.", "崩溃、被停止或断网。"),
    look: Words("Its log and its machine.", "其日志与所在机器。"),
    remedy: Words("Start it again.", "重新启动。"))

  private static let twoLeaders = AlertRule(
    "WeChatTokenTwoLeaders", .warning, lasting: "1m",
    "sum by (\(deployment)) (wechat_token_leader_status) > 1",
    summary: "More than one replica of {{ $labels.job }} leads",
    meaning: Words(
      "Two replicas of one job lead for longer than any hand-over takes.",
      "同一 job 有两个主控，持续时间超过任何一次交接。"),
    cause: Words(
      "They have different Redis servers, databases or keyPrefixes, or Redis forked.",
      "它们使用不同的 Redis、库或 keyPrefix，或 Redis 发生脑裂。"),
    look: Words(
      "`redis.run_id` and `leader` in each replica's `/v1/status`.",
      "各副本 `/v1/status` 中的 `redis.run_id` 与 `leader`。"),
    remedy: Words(
      "Give all replicas the same settings; two deployments need two jobs.",
      "让所有副本使用相同配置；两套部署应使用两个 job。"))

  private static let redisDown = AlertRule(
    "WeChatTokenRedisDown", .warning, lasting: "1m", "wechat_token_redis_up == 0",
    summary: "{{ $labels.instance }} of {{ $labels.job }} has no Redis",
    meaning: Words(
      "This replica cannot lead; with all of them so, nobody fetches.",
      "该副本无法当主控；若全部如此，则没有副本取 token。"),
    cause: Words("See `redis_away` and `redis_login`.", "见 `redis_away` 与 `redis_login`。"),
    look: Words(
      "`redis.connections` in its `/v1/status`.", "其 `/v1/status` 中的 `redis.connections`。"),
    remedy: Words(
      "Follow the entry of the condition that the replica shows.", "按该副本显示的状况的条目处理。"))

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
