/// Rules about refreshes that fail or are late, and about replicas and Redis.
extension AlertRule {
  static let refreshOverdue = AlertRule(
    "WeChatTokenRefreshOverdue", .warning, lasting: "0s",
    // By when each sample was taken: else a scrape a minute would seem to be overdue itself.
    """
    min by (\(deployment), account) (
      timestamp(wechat_token_refresh_due_timestamp_seconds)
        - (wechat_token_refresh_due_timestamp_seconds > 0)
        - clamp_min(
            wechat_token_expiration_timestamp_seconds
              - wechat_token_refresh_due_timestamp_seconds, 0
          ) / 2
    ) > 0
    """,
    summary: "The next token of account {{ $labels.account }} of {{ $labels.job }} is overdue",
    meaning: Words(
      """
      Half of the time between the planned refresh and the moment when clients stop trusting the \
      token is over, usually 30 s of 60, and no replica has seen the next one.
      """,
      "从计划的刷新到客户端不再信任该 token，时间已过一半（一般是 60 秒中的 30 秒），还没有副本看到新 token。"),
    cause: Words(
      "WeChat or Redis fails, nobody leads, or the leader is stuck.",
      "微信或 Redis 出错，没有主控，或主控卡住。"),
    look: Words(
      "Which other alert fires; else the conditions and the log of the leader.",
      "还有哪些告警；若没有，查看主控的状况与日志。"),
    remedy: Words(
      "Follow that entry. If nothing else is told, stop the leader: another replica takes over.",
      "按相应条目处理。若没有其他提示，停掉主控，另一个副本会接替。"))

  static let foreignRefresh = AlertRule(
    "WeChatTokenForeignRefresh", .warning, lasting: "1m",
    """
    max by (\(deployment), account) (wechat_token_condition{condition="foreign_refresh"}) >= 3
    """,
    summary: "Somebody else fetches tokens of account {{ $labels.account }} of {{ $labels.job }}",
    meaning: Words(
      """
      Two tokens died before their time within six hours: another party fetches with the same \
      AppSecret. Each is replaced as soon as it is known, and applications may have met it.
      """,
      "六小时内有两个 token 提前失效：有别的程序用同一个 AppSecret 在获取。失效一经发现立即换新，但应用可能已经碰到。"),
    cause: Words(
      """
      An SDK's own cache, a test system, the old controller, or a second deployment with another \
      Redis or keyPrefix.
      """,
      "SDK 自带缓存、测试系统、旧的中控，或使用另一个 Redis 或 keyPrefix 的第二套部署。"),
    look: Words(
      "`foreign_refresh`: how often and when last; who has the AppSecret.",
      "`foreign_refresh`：次数与最近一次的时间；谁有这个 AppSecret。"),
    remedy: Words(
      """
      Let it read the keys in Redis, or set `WCH_API=stable_token`. The alert ends six hours \
      after the last but one such death.
      """,
      "让它改读 Redis 中的键，或设 `WCH_API=stable_token`。倒数第二次失效六小时后告警结束。"))

  static let refreshFailing = AlertRule(
    "WeChatTokenRefreshFailing", .warning, lasting: "2m",
    """
    max by (\(deployment), account) (wechat_token_consecutive_failures) > 0
      unless on (\(deployment), account)
      max by (\(deployment), account) (
        wechat_token_condition{
          condition="refresh_failing",errcode=~"\(codes([.credentials]))",account!~"\(tickets)"
        }
        or
        wechat_token_condition{
          condition="refresh_failing",errcode=~"\(codes([.address, .quota]))"
        }
      ) > 0
    """,
    summary: "WeChat gives {{ $labels.job }} no token for account {{ $labels.account }}",
    meaning: Words(
      "Each attempt fails for two minutes. The margin is three: then applications notice.",
      "两分钟来每次尝试都失败。余量只有三分钟，之后应用会受影响。"),
    cause: Words(
      """
      WeChat cannot be reached, or refuses something else than credentials, address and quota, \
      which have alerts of their own. Not counted by number: what only people can mend is asked \
      for once in five minutes, so that three failures are a quarter of an hour.
      """,
      """
      微信无法访问，或拒绝的不是凭证、地址与配额（这三种有单独的告警）。不按次数告警：只有人能处理的错误每五分钟才\
      重试一次，三次失败已是一刻钟。
      """),
    look: Words(
      "`wechat_token_upstream_requests_total` by errcode, and the page.",
      "按 errcode 查看 `wechat_token_upstream_requests_total`，以及页面。"),
    remedy: Words("Follow the entry of the errcode.", "按错误码的条目处理。"))

  static let replicaDown = AlertRule(
    "WeChatTokenReplicaDown", .warning, lasting: "5m",
    """
    up == 0 and on (job, instance) last_over_time(wechat_token_build_info[\(memory)])
    """,
    summary: "{{ $labels.instance }} of {{ $labels.job }} cannot be scraped",
    meaning: Words(
      "One replica less: with none beside it nobody keeps the token.", "少了一个副本：若没有其他副本，token 将无人维护。"
    ),
    cause: Words("It crashed, was stopped, or is cut off.", "崩溃、被停止或断网。"),
    look: Words("Its log and its machine.", "其日志与所在机器。"),
    remedy: Words("Start it again.", "重新启动。"))

  static let twoLeaders = AlertRule(
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

  static let redisDown = AlertRule(
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

  static let reportsUnheard = AlertRule(
    "WeChatTokenReportsUnheard", .warning, lasting: "1m",
    """
    min by (\(deployment)) (
      wechat_token_redis_connection_up{connection="reports"}
        and on (\(deployment), instance) wechat_token_leader_status == 1
    ) == 0
    """,
    summary: "The leader of {{ $labels.job }} does not hear applications' reports",
    meaning: Words(
      """
      The leader cannot wait for reports of dead tokens. It looks for them once a second instead: \
      they are served later, and Redis is asked more often.
      """,
      "主控无法等待应用上报失效的 token，改为每秒查看一次：处理会晚一些，Redis 的请求也更多。"),
    cause: Words(
      "Redis or a proxy refuses BLPOP, or one connection more.", "Redis 或代理拒绝 BLPOP，或拒绝再多一个连接。"),
    look: Words(
      "`connection_lame` and `redis.connections` in the leader's `/v1/status`.",
      "主控 `/v1/status` 中的 `connection_lame` 与 `redis.connections`。"),
    remedy: Words(
      "Grant what `wch-sidecar acl` prints; raise `maxclients`, or the proxy's limit.",
      "授予 `wch-sidecar acl` 打印的权限；调大 `maxclients` 或代理的上限。"))
}
