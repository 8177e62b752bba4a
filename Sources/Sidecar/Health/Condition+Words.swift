extension Condition.Kind {
  /// What is wrong, as a headline and as the log's message.
  package var title: Words {
    switch self {
    case .noToken: Words("There is no live token", "没有可用的 token")
    case .tokenLapsing:
      Words("The token is about to end and no new one is there", "token 即将到期，新的还没有取到")
    case .tokenUnseen:
      Words("The token was not seen in Redis lately", "最近没有在 Redis 里看到 token")
    case .refreshFailing:
      Words("WeChat gave no token; what Redis has stays", "微信没有给出新 token，Redis 中的保持不变")
    case .reportHeld:
      Words("A report that the token is dead waits for a limit", "有应用报告 token 失效，因限频而推迟处理")
    case .foreignRefresh:
      Words("Tokens die before their time: somebody else fetches them", "token 提前失效：有别的程序在刷新")
    case .foreignApp:
      Words("Keys in this Redis belong to another AppID", "这个 Redis 里的键属于另一个 AppID")
    case .newerLayout:
      Words(
        "A newer version of wch-sidecar wrote the records", "记录由更新版本的 wch-sidecar 写入")
    case .noLeader: Words("No replica leads", "没有主控副本")
    case .lockEndless:
      Words("The lock is held without a time limit, and not by a replica", "锁没有过期时间，且持有者不是副本")
    case .sharedName:
      Words("Another live replica has the same name", "另有一个运行中的副本使用同一个名字")
    case .replicaSilent: Words("A replica is silent", "有一个副本不再报到")
    case .accountsDiffer:
      Words("The leader keeps other accounts than this replica", "主控副本的帐号配置与本副本不同")
    case .redisAway: Words("Redis cannot be reached", "无法连接 Redis")
    case .primaryUnknown:
      Words("The sentinels do not say where the primary is", "哨兵没有给出主节点的地址")
    case .slotsUnserved:
      Words("Slots of the Redis Cluster are not served", "Redis Cluster 有槽位无法使用")
    case .redisLogin: Words("Redis refuses the user or the password", "Redis 拒绝用户名或密码")
    case .redisWrites: Words("Redis takes no writes", "Redis 拒绝写入")
    case .redisMemory: Words("Redis's memory is used up", "Redis 内存已满")
    case .redisPermission: Words("Redis forbids what the daemon needs", "Redis 权限不足")
    case .redisKeyType: Words("A key in Redis holds another type", "Redis 中的键类型不对")
    case .redisScripts:
      Words("Redis runs no scripts, without which nobody can lead", "Redis 不执行脚本，无法产生主控副本")
    case .outputForbidden:
      Words(
        "Redis forbids a key beside the token's own", "Redis 不允许写入 token 之外的某个键")
    case .outputUnreached:
      Words(
        "A key in another slot than the token cannot be reached", "与 token 不同槽位的键无法访问")
    case .redisStep: Words("Steps at Redis fail", "Redis 操作失败")
    case .connectionLame:
      Words(
        "A connection to Redis stays away, though Redis answers on another one",
        "有一条 Redis 连接断开，其他连接正常")
    case .loopStalled: Words("The keeper's loop does nothing", "主循环停滞")
    case .clockOff:
      Words("This machine's clock and WeChat's differ", "本机时钟与微信时钟不一致")
    case .secretUnusable: Words("A secret's file cannot be used", "密钥文件无法使用")
    case .certificateUnusable:
      Words("A certificate's files cannot be used", "证书文件无法使用")
    case .settingsStale:
      Words("Changed settings are not in effect", "修改后的配置尚未生效")
    case .fileUnwritten: Words("The token's file cannot be written", "token 文件无法写入")
    case .hookFailing: Words("A program that takes the token fails", "接收 token 的程序执行失败")
    }
  }

  /// What it means for applications.
  package var meaning: Words {
    switch self {
    case .noToken:
      Words(
        """
        Redis has no live token of the account; applications cannot call WeChat until there is \
        one.
        """,
        "Redis 中没有该帐号的有效 token，应用在此期间无法调用微信接口。")
    case .tokenLapsing:
      Words(
        """
        Clients trust the token no longer; the key ends soon, and applications are without one \
        then.
        """,
        "客户端已不再信任该 token；键很快过期，届时应用将没有 token。")
    case .tokenUnseen:
      Words(
        "This replica cannot tell whether Redis still has the token; /readyz says 503 meanwhile.",
        "本副本无法确认 Redis 是否仍有该 token；其间 /readyz 返回 503。")
    case .refreshFailing:
      Words(
        "Each attempt to fetch a token fails. The one in Redis serves until it ends.",
        "每次取 token 都失败。Redis 中的 token 在到期前仍可用。")
    case .reportHeld:
      Words(
        """
        An application reported a dead token; the fetch waits, since too many were asked for \
        lately.
        """,
        "应用报告 token 已失效；由于近期请求过多，刷新被推迟。")
    case .foreignRefresh:
      Words(
        "Each fetch elsewhere kills the token here within five minutes; it is replaced at once.",
        "别处每取一次，这里的 token 五分钟内失效；本程序会立即换新。")
    case .foreignApp:
      Words(
        "The keys are left alone: two deployments would overwrite each other's tokens.",
        "这些键不会被改动：否则两套部署会互相覆盖 token。")
    case .newerLayout:
      Words(
        "This older replica follows and does not lead; tokens are kept by the newer ones.",
        "本副本版本较旧，只跟随、不当主控；token 由新版本副本维护。")
    case .noLeader:
      Words(
        "Nobody fetches until a replica leads. What Redis has serves until it ends.",
        "选出主控之前没有副本取 token；Redis 中的 token 在到期前可用。")
    case .lockEndless:
      Words(
        "Nobody can lead, and the token will end.", "没有副本能成为主控，token 终将过期。")
    case .sharedName:
      Words(
        "Log, lock and status do not tell the two apart.", "日志、锁与状态无法区分这两个副本。")
    case .replicaSilent:
      Words(
        "It ended, was paused or cut off. With another replica alive applications notice nothing.",
        "该副本已退出、暂停或断网。只要还有副本，应用不受影响。")
    case .accountsDiffer:
      Words(
        "An account that only one of them has is kept only while that one leads.",
        "只有一方配置的帐号，仅在该方任主控时才会被维护。")
    case .redisAway, .redisLogin:
      Words(
        "Nobody fetches meanwhile; applications that reach Redis keep what it has until it ends.",
        "其间没有副本取 token；能连上 Redis 的应用可用到现有 token 到期。")
    case .primaryUnknown:
      Words(
        """
        Connections to Redis that stand go on; none is made anew, and no fail-over is followed, \
        until a sentinel answers.
        """,
        "已有的 Redis 连接继续使用；在哨兵应答之前不会新建连接，也无法跟随故障切换。")
    case .slotsUnserved:
      Words(
        "Without the lock's slot nobody leads, without an account's its token is not refreshed.",
        "锁所在的槽位不可用则无人主控，帐号所在的槽位不可用则其 token 不再刷新。")
    case .redisWrites, .redisMemory, .redisPermission, .redisKeyType, .redisStep:
      Words(
        "What cannot be stored is not fetched; the token in Redis serves until it ends.",
        "写不进去就不会去取；Redis 中的 token 在到期前可用。")
    case .redisScripts:
      Words(
        """
        This replica only reads: what others publish is served here, and without others there is \
        no token.
        """,
        "本副本只能读取：其他副本发布的 token 仍可使用；没有其他副本时就没有 token。")
    case .outputForbidden:
      Words(
        "That key is left out, and who reads it finds nothing new there; all else is published.",
        "该键被跳过，读取它的程序得不到新内容；其余内容照常发布。")
    case .outputUnreached:
      Words(
        "What it holds is as old as when it was last reached; the token is published and renewed.",
        "该键停留在上次可访问时的内容；token 照常发布和刷新。")
    case .connectionLame:
      Words(
        "What came over it is noticed some seconds later.", "经该连接的通知会晚几秒才被发现。")
    case .loopStalled:
      Words(
        "This replica does nothing; /livez says 503, so that it is started again.",
        "本副本已停止工作；/livez 返回 503，编排系统会重启它。")
    case .clockOff:
      Words(
        "Tokens live by Redis's clock, so nothing breaks; times in logs and pages are wrong.",
        "token 寿命以 Redis 时钟为准，不受影响；日志与页面中的时间不准。")
    case .secretUnusable:
      Words(
        "Its last good value stays in use, and is lost with the next start.",
        "沿用上一次的有效值，但下次启动时会丢失。")
    case .certificateUnusable:
      Words(
        """
        Of the HTTP interface and of WeChat's authorities what was read before stays in use; a \
        restart would fail, and with Redis's files each new connection does.
        """,
        "HTTP 证书与微信的 CA 沿用之前读到的内容；但重启会失败，若是 Redis 的文件，则每个新连接都会失败。")
    case .settingsStale:
      Words(
        "The settings of before stay in use.", "继续使用之前的配置。")
    case .fileUnwritten:
      Words(
        """
        Whoever reads the file keeps the last token, which dies within five minutes of the next \
        one's birth. Redis and everything else have the new one.
        """,
        "读取该文件的程序只有旧 token，新 token 产生五分钟内旧的就会失效。Redis 与其他途径都是新的。")
    case .hookFailing:
      Words(
        """
        What the program keeps up to date has the last token, which dies within five minutes of \
        the next one's birth. Redis and everything else have the new one.
        """,
        "由该程序更新的地方只有旧 token，新 token 产生五分钟内旧的就会失效。Redis 与其他途径都是新的。")
    }
  }

  /// What to do about it.
  package var remedy: Words {
    switch self {
    case .noToken, .tokenLapsing:
      Words(
        "Mend what it comes from, named beside it; a token is fetched within moments then.",
        "排除旁边列出的原因，随后会立即取到 token。")
    case .tokenUnseen:
      Words(
        "Look why Redis does not answer this replica.", "检查 Redis 为何不响应本副本。")
    case .refreshFailing:
      Words(
        """
        Look at the code and reason beside it; after mending it outside, `wch-sidecar refresh \
        --force` asks at once.
        """,
        "查看旁边的错误码与原因；在外部修复后，用 `wch-sidecar refresh --force` 立即重试。")
    case .reportHeld:
      Words(
        "Nothing, unless it repeats: find which application reports again and again, and why.",
        "一般无需处理；若反复出现，查明是哪个应用在不断报告以及原因。")
    case .foreignRefresh:
      Words(
        """
        Find what else uses this AppID's secret (an SDK's own cache, a test system, the old \
        controller) and let it read the keys in Redis, or set api to stable_token.
        """,
        "找出还有谁在用该 AppSecret（SDK 自带缓存、测试系统、旧的中控），让它改读 Redis 中的键，或把 api 设为 stable_token。")
    case .foreignApp:
      Words(
        """
        Give each AppID its own keyPrefix or its own Redis, or stop the other deployment and \
        wait until its token has expired.
        """,
        "为每个 AppID 使用单独的 keyPrefix 或单独的 Redis；或停掉另一套部署并等其 token 过期。")
    case .newerLayout:
      Words("Finish the upgrade of all replicas.", "把所有副本升级完。")
    case .noLeader:
      Words(
        "Look whether any replica can reach Redis and write; their logs say what keeps them.",
        "检查是否有副本能连接并写入 Redis；其日志会说明原因。")
    case .lockEndless:
      Words(
        "Find out what writes the key WCH_leader (with your keyPrefix), and delete it.",
        "查明是谁写入了键 WCH_leader（带你的 keyPrefix），并将其删除。")
    case .sharedName:
      Words(
        "Give each replica its own WCH_INSTANCE, or none.", "为每个副本设置不同的 WCH_INSTANCE，或都不设置。")
    case .replicaSilent:
      Words(
        "Nothing if it was stopped on purpose; otherwise look at its machine and its log.",
        "若是主动停止则无需处理；否则检查其所在机器与日志。")
    case .accountsDiffer:
      Words(
        "Give all replicas the same accounts: each takes them from file or directory by itself.",
        "让所有副本使用相同的帐号：各副本会自行从配置文件或目录读取，无需重启。")
    case .redisAway:
      Words(
        """
        Look whether Redis runs, whether its name resolves, and whether the network lets this \
        host through; `wch-sidecar check --connect` tries each step.
        """,
        "检查 Redis 是否运行、域名能否解析、网络是否放行；`wch-sidecar check --connect` 会逐步检查。")
    case .primaryUnknown:
      Words(
        """
        Look at the reason beside it: start the sentinels, correct master= or their own password \
        (redisSentinelPasswordFile), or let this host reach their port.
        """,
        "查看旁边的原因：启动哨兵、更正 master= 或哨兵自己的密码（redisSentinelPasswordFile），或让本机能访问其端口。")
    case .slotsUnserved:
      Words(
        """
        `redis-cli --cluster check HOST:PORT` shows which; `redis-cli --cluster fix HOST:PORT` \
        ends an open move and gives lost slots a node.
        """,
        "用 `redis-cli --cluster check HOST:PORT` 查看，用 `redis-cli --cluster fix HOST:PORT` 修复。"
      )
    case .redisLogin:
      Words(
        """
        Correct user and password (redisUrl, redisPasswordFile), or the user at Redis; a \
        changed file is read again by itself.
        """,
        "更正用户名与密码（redisUrl、redisPasswordFile），或 Redis 上的用户；文件修改后会自动重新读取。")
    case .redisWrites:
      Words(
        "Lead the name to the primary; if it is the primary, look at its replicas and its disk.",
        "让域名指向主节点；若已是主节点，检查其从节点与磁盘。")
    case .redisMemory:
      Words(
        "Free memory or raise maxmemory; use a Redis of its own with noeviction.",
        "释放内存或调大 maxmemory；建议使用单独的、noeviction 的 Redis。")
    case .redisPermission:
      Words(
        "Grant what is missing: `wch-sidecar acl` prints all that is needed.",
        "补上缺少的权限：`wch-sidecar acl` 会打印所需的全部规则。")
    case .redisKeyType:
      Words(
        "Find out what writes the key that is named, and delete it or use another keyPrefix.",
        "查明是谁写入了该键，删除它或换一个 keyPrefix。")
    case .redisScripts:
      Words(
        """
        Use a Redis that runs EVAL and the commands in scripts, and undo rename-command there; \
        `wch-sidecar check --connect` names what is missing.
        """,
        "请使用支持 EVAL 及脚本内命令的 Redis，并撤销 rename-command；`wch-sidecar check --connect` 会指出缺少什么。")
    case .outputForbidden:
      Words(
        """
        Grant the key: `wch-sidecar acl` prints the rule; or take the layout that has it out of \
        `outputs`. It is tried again each minute.
        """,
        "授予该键的权限：`wch-sidecar acl` 会打印规则；或从 `outputs` 中去掉该布局。每分钟自动重试。")
    case .outputUnreached:
      Words(
        """
        Look at the node that serves its slot: `redis-cli --cluster check HOST:PORT`. It is mended \
        with the next look at it.
        """,
        "检查负责该槽位的节点：`redis-cli --cluster check HOST:PORT`。恢复后下一次检查时自动修复。")
    case .redisStep:
      Words(
        """
        Look at Redis's log and load, and how long its answers take to this host (`redis-cli \
        --latency`).
        """,
        "查看 Redis 的日志与负载，以及从本机到 Redis 的延迟（`redis-cli --latency`）。")
    case .connectionLame:
      Words(
        """
        Look at what lies between, a proxy's limits above all, and at the rights of the Redis \
        user.
        """,
        "检查中间环节（尤其是代理的限制）以及 Redis 用户的权限。")
    case .loopStalled:
      Words(
        "Start it again if nothing does, and report it with its log.", "若未自动重启请手动重启，并附日志报告。")
    case .clockOff:
      Words("Let NTP set this machine's clock.", "为本机启用 NTP 校时。")
    case .secretUnusable:
      Words("Put the secret back into the file.", "把密钥放回该文件。")
    case .certificateUnusable:
      Words(
        "Put back what the file that is named should hold: certificates in PEM, or their key.",
        "在所示文件中放回应有的内容：PEM 格式的证书（链），或与之匹配的私钥。")
    case .settingsStale:
      Words(
        """
        Restart where it says so; otherwise mend what is named, which is noticed within moments \
        or at SIGHUP: until then a restart would fail.
        """,
        "若提示需要重启，请重启；否则修正所列问题（会自动重新读取，也可发送 SIGHUP），在此之前重启会失败。")
    case .fileUnwritten:
      Words(
        """
        Mend the directory, the disk or the right that is named; it is tried again by itself, \
        within a minute.
        """,
        "修复所示的目录、磁盘或权限；一分钟内会自动重试。")
    case .hookFailing:
      Words(
        """
        Read what it printed, and mend that; it is run again by itself, within a minute. By hand: \
        `wch-sidecar token --reveal | PROGRAM`.
        """,
        "查看它的输出并修复；一分钟内会自动重试。手工执行：`wch-sidecar token --reveal | 程序`。")
    }
  }
}
