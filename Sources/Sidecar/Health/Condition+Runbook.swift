extension Condition.Kind {
  /// Whether a whole replica can have it, and not only an account.
  package var isOfReplica: Bool {
    switch self {
    case .noToken, .tokenLapsing, .tokenUnseen, .refreshFailing, .reportHeld, .foreignRefresh,
      .fileUnwritten, .hookFailing:
      false
    case .foreignApp, .newerLayout, .noLeader, .lockEndless, .sharedName, .replicaSilent,
      .accountsDiffer, .redisAway, .primaryUnknown, .slotsUnserved, .redisLogin, .redisWrites,
      .redisMemory,
      .redisPermission,
      .redisKeyType, .redisScripts, .outputForbidden, .outputUnreached, .redisStep,
      .connectionLame, .loopStalled,
      .clockOff, .secretUnusable,
      .certificateUnusable, .settingsStale:
      true
    }
  }

  /// What usually leads to it, for the runbook.
  package var usualCause: Words {
    switch self {
    case .noToken:
      Words(
        """
        Never alone: WeChat refuses or cannot be reached, Redis takes no writes, or nobody \
        leads. The condition beside it says which. For the first seconds of a new deployment it \
        is normal.
        """,
        "不会单独出现：微信拒绝或无法访问、Redis 不可写、或没有主控副本；旁边的状况会指明。新部署的最初几秒属正常。")
    case .tokenLapsing:
      Words(
        "Refreshes have failed since three minutes before the token's end.",
        "从 token 到期前三分钟起，刷新一直失败。")
    case .tokenUnseen:
      Words(
        "This replica's connection to Redis is away, or Redis answers it too late.",
        "本副本到 Redis 的连接断开，或 Redis 响应过慢。")
    case .refreshFailing:
      Words(
        """
        With an errcode: WeChat refuses, and the errcode's entry below says why. Without one: \
        WeChat cannot be reached, or something between answers in its place (a proxy, a login \
        page, a gateway that is overloaded).
        """,
        "有错误码时是微信拒绝，见下文该错误码的条目；没有错误码时是无法访问微信，或中间环节（代理、登录页、过载的网关）代答。")
    case .reportHeld:
      Words(
        """
        Reports within 30 s of the last fetch, more than 20 an hour (`stable_token`: 20 a day), \
        or the day's budget of calls is used up. An application that reports each error 40001, \
        though it sent an old token, is the commonest.
        """,
        """
        距上次获取不足 30 秒、每小时超过 20 次（`stable_token` 为每天 20 次），或当日调用额度用尽。最常见的是应用用旧\
        token 得到 40001 后不断报告。
        """)
    case .foreignRefresh:
      Words(
        """
        Another program fetches with the same AppSecret: an SDK with a cache of its own, a test \
        system, a developer's laptop, the controller that was to be replaced, or a second \
        deployment with another keyPrefix.
        """,
        "另有程序使用同一 AppSecret：自带缓存的 SDK、测试系统、开发者的电脑、本应停掉的旧中控，或使用另一 keyPrefix 的第二套部署。")
    case .foreignApp:
      Words(
        "Two deployments with different AppIDs share a Redis and a keyPrefix.",
        "两套不同 AppID 的部署共用同一个 Redis 和 keyPrefix。")
    case .newerLayout:
      Words(
        "An upgrade is under way, or was taken back.", "正在升级，或升级后又回退。")
    case .noLeader:
      Words(
        """
        No replica can write to Redis, all have just been started, or one that led was killed \
        less than a lease ago.
        """,
        "没有副本能写 Redis、所有副本刚刚启动，或主控被杀还不到一个租期。")
    case .lockEndless:
      Words(
        "Somebody set the key by hand, or restored it from a dump without its time limit.",
        "有人手工写入该键，或从备份恢复时丢了过期时间。")
    case .sharedName:
      Words(
        "WCH_INSTANCE is the same on several replicas, in a template for instance.",
        "多个副本的 WCH_INSTANCE 相同，例如写在了模板里。")
    case .replicaSilent:
      Words(
        "It was killed without a word (SIGKILL, memory, a lost machine), or is paused or cut off.",
        "被强制结束（SIGKILL、内存不足、机器丢失），或被暂停、断网。")
    case .accountsDiffer:
      Words("A roll-out under way, or one that stopped half way.", "配置发布正在进行，或中途停止。")
    case .redisAway:
      Words(
        "Redis is restarted or gone, its name does not resolve, or a firewall drops packets.",
        "Redis 重启或已停、域名解析失败，或防火墙丢包。")
    case .primaryUnknown:
      Words(
        """
        The sentinels are down or cut off, ask for a password of their own, or watch the primary \
        under another name than the URL's master.
        """,
        "哨兵已停或网络不通、哨兵要求自己的密码，或哨兵监控的主节点名称与 URL 中的 master 不同。")
    case .slotsUnserved:
      Words(
        """
        A reshard was interrupted, or a primary and all of its replicas are lost and their slots \
        were given to nobody.
        """,
        "槽位迁移中断，或某个主节点及其全部从节点丢失，其槽位无人接管。")
    case .redisLogin:
      Words(
        "The password was rotated at one end only, or the Redis user does not exist.",
        "只有一端更换了密码，或 Redis 用户不存在。")
    case .redisWrites:
      Words(
        """
        A fail-over made this server a replica (READONLY), it has too few replicas \
        (min-replicas-to-write), or it cannot save to its disk (MISCONF).
        """,
        "故障切换使该节点成为从节点（READONLY）、从节点不足（min-replicas-to-write），或无法落盘（MISCONF）。")
    case .redisMemory:
      Words(
        "maxmemory is reached under noeviction, by this or another user of the Redis.",
        "在 noeviction 下达到 maxmemory，可能由同一 Redis 的其他用户造成。")
    case .redisPermission:
      Words(
        "The user's ACL lacks a command, a key pattern or a channel, after an upgrade perhaps.",
        "用户 ACL 缺少命令、键模式或频道，常见于升级之后。")
    case .redisKeyType:
      Words(
        "Another program uses a key of this name, in another way.",
        "另有程序以其他方式使用同名的键。")
    case .redisScripts:
      Words(
        """
        EVAL or a command that scripts call was renamed or switched off, or a proxy before Redis \
        does not take scripts.
        """,
        "EVAL 或脚本调用的命令被改名或禁用，或 Redis 前的代理不支持脚本。")
    case .outputForbidden:
      Words(
        "`outputs` names a layout whose keys the user's ACL lacks, or one node's ACL differs.",
        "`outputs` 中某布局的键不在该用户的 ACL 之内，或某个节点的 ACL 与其他节点不同。")
    case .outputUnreached:
      Words(
        """
        Of a cluster, the node of that slot is away or cut off from the leader, while the token's \
        answers.
        """,
        "集群中负责该槽位的节点下线，或与主控之间的网络不通，而 token 所在的节点正常。")
    case .redisStep:
      Words(
        "Redis is overloaded or loads its data, a command was renamed, or a proxy interferes.",
        "Redis 过载或正在加载数据、命令被改名，或代理干预。")
    case .connectionLame:
      Words(
        "A proxy ends idle or blocking connections, or the user may not BLPOP or SUBSCRIBE.",
        "代理会断开空闲或阻塞的连接，或用户无权执行 BLPOP、SUBSCRIBE。")
    case .loopStalled:
      Words(
        "The machine is frozen or starved of processor time, or it is our mistake.",
        "机器冻结或 CPU 严重不足，或是本程序的缺陷。")
    case .clockOff: Words("NTP does not run, or a virtual machine was resumed.", "NTP 未运行，或虚拟机刚恢复。")
    case .secretUnusable:
      Words(
        "A mounted secret was removed, is empty, or may not be read by this user.",
        "挂载的密钥被移除、为空，或本用户无权读取。")
    case .certificateUnusable:
      Words(
        """
        Certificate and key do not belong together, or only one of them was renewed so far; a \
        volume with the authorities' file was changed or is gone.
        """,
        "证书与私钥不匹配，或目前只更新了其中一个；或者挂载 CA 文件的卷被修改或已不在。")
    case .settingsStale:
      Words("The file was edited and has a mistake.", "配置文件被修改且有错误。")
    case .fileUnwritten:
      Words(
        """
        The directory is not mounted yet or belongs to another user, the disk is full or \
        read-only, or the network behind it hangs.
        """,
        "目录尚未挂载或属于其他用户、磁盘已满或只读，或其后的网络存储挂起。")
    case .hookFailing:
      Words(
        """
        What it writes to is down, refuses it or does not answer in time; a path or a right has \
        changed; or it takes longer than ten seconds.
        """,
        "它要写入的服务停止、拒绝或未及时响应；路径或权限发生变化；或执行超过十秒。")
    }
  }

  /// What to look at, for the runbook.
  package var whatToLookAt: Words {
    switch self {
    case .noToken, .tokenLapsing:
      Words(
        """
        `wch-sidecar status` or the page of any replica: the cause, the last answer, the next \
        attempt. `redis-cli PTTL WCH_access_token`.
        """,
        "任一副本的页面或 `wch-sidecar status`：原因、最近的应答、下次尝试。`redis-cli PTTL WCH_access_token`。")
    case .tokenUnseen, .redisAway, .redisLogin, .connectionLame, .redisStep:
      Words(
        """
        `redis.connections` in `/v1/status`: which one, since when, with what error; then \
        `wch-sidecar check --connect` with the same settings.
        """,
        "`/v1/status` 的 `redis.connections`：哪条连接、从何时、什么错误；再用同样的配置运行 `wch-sidecar check --connect`。")
    case .primaryUnknown:
      Words(
        """
        `redis.sentinels` in `/v1/status`: what each one said; `wch-sidecar check --connect`; \
        `redis-cli -p 26379 SENTINEL MASTERS`.
        """,
        "`/v1/status` 的 `redis.sentinels`：每个哨兵的应答；`wch-sidecar check --connect`；`SENTINEL MASTERS`。"
      )
    case .slotsUnserved:
      Words(
        """
        The slots in the reason beside it, and `redis.nodes` in `/v1/status`; then \
        `redis-cli --cluster check HOST:PORT`, and `wch-sidecar check --connect`.
        """,
        """
        旁边原因里的槽位、`/v1/status` 的 `redis.nodes`；再运行 \
        `redis-cli --cluster check HOST:PORT` 与 `wch-sidecar check --connect`。
        """
      )
    case .refreshFailing:
      Words(
        """
        The errcode, WeChat's request id (`rid`, good for seven days at WeChat's \
        `openapi/rid/get`) and the address that WeChat saw.
        """,
        "错误码、微信的请求编号（`rid`，七天内可用微信 `openapi/rid/get` 查询）、微信看到的出口地址。")
    case .reportHeld:
      Words(
        "`wechat_token_refresh_requests_total` by outcome, and the applications' logs.",
        "按 outcome 查看 `wechat_token_refresh_requests_total`，以及应用日志。")
    case .foreignRefresh:
      Words(
        """
        When the tokens died: a pattern (each two hours, at deployments) betrays who it is. The \
        quota that WeChat's console shows counts the stranger's fetches, too.
        """,
        "token 失效的时间规律（每两小时、每次发布时）可暴露来源；微信后台的调用额度也会计入对方的获取。")
    case .foreignApp, .newerLayout, .lockEndless, .redisKeyType:
      Words(
        "`redis-cli GET WCH_leader`, `TYPE` and `PTTL` of the key that is named, `CLIENT LIST`.",
        "`redis-cli GET WCH_leader`、所示键的 `TYPE` 与 `PTTL`、`CLIENT LIST`。")
    case .noLeader, .replicaSilent, .sharedName, .accountsDiffer:
      Words(
        "The fleet on the page, and each replica's log and settings (`wch-sidecar check`).",
        "页面中的副本列表，以及各副本的日志与配置（`wch-sidecar check`）。")
    case .redisScripts:
      Words(
        "`wch-sidecar check --connect`, and `redis-cli EVAL \"return 1\" 1 WCH_leader`.",
        "`wch-sidecar check --connect`，以及 `redis-cli EVAL \"return 1\" 1 WCH_leader`。")
    case .redisWrites, .redisMemory, .redisPermission, .outputForbidden:
      Words(
        "Redis's `INFO replication`, `INFO memory`, `INFO persistence` and `ACL LOG`.",
        "Redis 的 `INFO replication`、`INFO memory`、`INFO persistence` 与 `ACL LOG`。")
    case .outputUnreached:
      Words(
        "Its reason, with the key; `wch-sidecar check --connect`.",
        "其原因与键名；`wch-sidecar check --connect`。")
    case .loopStalled:
      Words(
        "The load of the machine, and the last lines of the log.", "机器负载与日志的最后几行。")
    case .clockOff:
      Words("`timedatectl` on this machine.", "本机的 `timedatectl`。")
    case .fileUnwritten:
      Words(
        """
        The reason beside it; `df` and `ls -ld` of the directory, as the daemon sees it (a unit's \
        `ReadWritePaths`, a container's mounts); `wechat_token_file_writes_total`.
        """,
        """
        旁边的原因；从本程序的视角查看该目录的 `df` 与 `ls -ld`（systemd 单元的 `ReadWritePaths`、容器的挂载）；\
        `wechat_token_file_writes_total`。
        """)
    case .hookFailing:
      Words(
        """
        What it printed: the log has it, under `hook.output`, without the token. \
        `wechat_token_hook_runs_total` by result.
        """,
        "它的输出：见日志的 `hook.output`（已隐去 token）。按 result 查看 `wechat_token_hook_runs_total`。")
    case .secretUnusable, .certificateUnusable, .settingsStale:
      Words(
        "The file that is named: whether it is there, who may read it, what it holds.",
        "所示文件：是否存在、谁可读、内容是什么。")
    }
  }
}
