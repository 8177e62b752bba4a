import NIOPosix
import RedisClient
import TokenCore

/// What Redis is, and whether it does what the daemon needs.
extension Inspection {
  func inspectRedis(_ report: inout Report) async -> [AccountName: AccessToken] {
    let group = MultiThreadedEventLoopGroup.singleton
    if let sentinels = redis.sentinels {
      tell(await sentinels.look(by: .now + redis.connectTimeout, on: group.next()), &report)
    }
    var redis = redis
    // A server that hangs up on some of what is asked is met again at once.
    redis.backoff = Backoff(initial: .milliseconds(10), cap: .milliseconds(100))
    let client = RedisClient(
      configuration: redis, eventLoopGroup: group,
      home: KeyLayout(prefix: settings.redis.keyPrefix).leader, logger: logger)
    return await withTaskGroup { tasks in
      tasks.addTask { await client.run() }
      let tokens = await inspectRedis(client, &report)
      tasks.cancelAll()
      return tokens
    }
  }

  /// What the sentinels say, one by one.
  private func tell(_ sight: SentinelSight, _ report: inout Report) {
    for voice in sight.voices {
      let grade: Finding.Grade =
        switch voice.answer {
        case .names(_, _, isDown: false)?: .good
        case .names?, nil, .doesNotKnow?, .failed?: .doubtful
        }
      report.add(grade, "sentinel \(voice.sentinel)", voice.said)
    }
    switch sight.outcome {
    case .success(let address): report.add(.good, "primary", "\(address), as the sentinels say")
    case .failure(let failure): report.add(.bad, "primary", "\(failure)")
    }
  }

  private func inspectRedis(
    _ client: RedisClient, _ report: inout Report
  ) async -> [AccountName: AccessToken] {
    let questions = RedisQuestions(
      client: client, limit: max(Self.redisLimit, redis.connectTimeout + .seconds(1)))
    let subject = "redis \(redis.endpoint)"
    var tokens: [AccountName: AccessToken] = [:]
    do throws(RedisError) {
      // The first call pays for the connection; the second shows the latency.
      _ = try await questions.ask("PING")
      let start = ContinuousClock.now
      _ = try await questions.ask("PING")
      let latency = start.duration(to: .now)
      report.add(.good, subject, "answers within \(latency.inMilliseconds) ms")
      try await inspectClock(questions, &report)
      try await inspectServer(questions, &report)
      for account in accounts {
        let key = KeyLayout(prefix: settings.redis.keyPrefix).accessToken(account.name)
        let reply = try await questions.ask("GET", key, isAboutKey: true)
        let isOurs = try await inspectRecord(of: account, questions, &report)
        if let token = reply.text {
          if isOurs { tokens[account.name] = AccessToken(token) }
          report.add(
            isOurs ? .good : .bad, key,
            isOurs ? "holds a token" : "holds a token that is not this AppID's")
        } else if let refusal = reply.refusal {
          report.add(.bad, key, "cannot be read: \(refusal)")
        } else {
          report.add(.doubtful, key, "holds no token yet")
        }
        try await inspectTickets(of: account, questions, &report)
      }
      try await inspectLock(questions, &report)
      try await inspectScripts(questions, &report)
      // Last: it subscribes, and nothing can be asked on that connection afterwards.
      try await inspectPermissions(questions, &report)
    } catch {
      report.isUnreachable = true
      report.add(.bad, subject, "\(error)")
    }
    return tokens
  }

  private func inspectClock(
    _ questions: RedisQuestions, _ report: inout Report
  ) async throws(RedisError) {
    let start = ContinuousClock.now
    let time = (try await questions.ask("TIME").elements ?? []).compactMap(\.number)
    // The answer was made half of its way ago.
    let age = start.duration(to: .now).inSeconds / 2
    guard time.count == 2 else {
      return report.add(.open, "clock", "Redis does not tell its time outside of scripts")
    }
    let redis = Double(time[0]) + Double(time[1]) / 1_000_000 + age
    tellClock("clock", "Redis", redis - Double(Timestamp.now.milliseconds) / 1000, &report)
  }

  private func inspectServer(
    _ questions: RedisQuestions, _ report: inout Report
  ) async throws(RedisError) {
    if let view = redis.cluster {
      return await inspectCluster(view, questions.client, limit: questions.limit, &report)
    }
    if let text = try await questions.ask("INFO").text {
      let saves = try await questions.ask("CONFIG", "GET", "save")
      inspect(ServerInformation(text), saves: saves.elements?.last?.text, &report)
      return
    }
    report.add(
      .doubtful, "INFO",
      "refused; version, topology, persistence, eviction and min-replicas-to-write are unknown")
    if let role = try await questions.ask("ROLE").elements?.first?.text {
      tell(role: role, &report)
    }
  }

  private func tell(role: String, of subject: String = "role", _ report: inout Report) {
    report.add(
      role == "master" ? .good : .bad, subject,
      role == "master" ? "primary" : "\(role): writes are refused here; name the primary")
  }

  /// - Parameters:
  ///   - saves: when snapshots are made; nil when Redis does not tell.
  ///   - node: of a cluster, which one that is.
  func inspect(
    _ information: ServerInformation, saves: String?, of node: String? = nil,
    _ report: inout Report
  ) {
    func subject(_ name: String) -> String { node.map { "\($0) \(name)" } ?? name }
    report.add(.good, subject("version"), information["redis_version"] ?? "unknown")
    tell(role: information["role"] ?? "unknown", of: subject("role"), &report)
    if node == nil {
      let (grade, topology) = topology(information)
      report.add(grade, "topology", topology)
    }
    let policy = information["maxmemory_policy"] ?? "unknown"
    let evicts = information.evictingPolicy != nil
    report.add(
      evicts ? .doubtful : .good, subject("maxmemory-policy"),
      evicts
        ? "\(policy): Redis may evict the lock and the token; use noeviction" : policy)
    if information.isFull {
      report.add(
        .doubtful, subject("maxmemory"),
        "reached, and nothing may be evicted: raise it, or remove keys")
    }
    report.add(.good, subject("persistence"), persistence(information, saves: saves))
    let (guarded, words) = replicaGuard(information)
    report.add(guarded, subject("min-replicas-to-write"), words)
  }

  private func topology(_ information: ServerInformation) -> (Finding.Grade, String) {
    let replicas =
      switch information.replicas {
      case 0: "no replicas"
      case 1: "one replica"
      case let count: "\(count) replicas"
      }
    switch information["redis_mode"] {
    case "sentinel": return (.bad, "this is a sentinel: write redis-sentinel:// with master=")
    case "cluster":
      return (
        .bad,
        "this is one node of a Redis Cluster, with \(replicas): write redis-cluster:// in its URL"
      )
    default:
      return (.good, (redis.sentinels == nil ? "one server" : "behind sentinels") + ", \(replicas)")
    }
  }

  /// Whether a primary that is cut off from its replicas goes on taking writes.
  private func replicaGuard(_ information: ServerInformation) -> (Finding.Grade, String) {
    let version = information.unguardedVersion
    if information.replicas > 0, let version {
      return (
        .doubtful,
        """
        scripts of \(version) do not heed it: a primary that is cut off takes tokens that a \
        fail-over loses; use Redis 6.2.14, or 7.0 and later
        """
      )
    }
    // It is shown only where it is set.
    if let good = information["min_slaves_good_slaves"] {
      return (.good, "set; \(good) replicas are connected and in time")
    }
    return information.replicas == 0
      ? (.good, "not set, and there are no replicas")
      : (
        .doubtful,
        """
        not set: a primary that is cut off from its replicas takes tokens that a fail-over loses; \
        set it to 1, and min-replicas-max-lag to 10
        """
      )
  }

  /// What Redis has after a restart, in words; the daemon can do with any of it.
  private func persistence(_ information: ServerInformation, saves: String?) -> String {
    if information["aof_enabled"] == "1" { return "append-only file" }
    return switch saves {
    case nil: "unknown: there is no append-only file, and this user may not CONFIG GET save"
    case "": "none: after a restart a replica publishes the token again, and one is fetched"
    case let saves?: "snapshots (save \(saves))"
    }
  }

  /// Tries every command and every key that the daemon uses.
  private func inspectPermissions(
    _ questions: RedisQuestions, _ report: inout Report
  ) async throws(RedisError) {
    let trials = PermissionTrials(
      layout: KeyLayout(prefix: settings.redis.keyPrefix),
      credentials: accounts.flatMap(\.credentials),
      others: accounts.flatMap(\.otherKeys), database: redis.endpoint.database,
      isClustered: redis.cluster != nil)
    var judgement = PermissionJudgement(trials: trials)
    let calls = trials.commands + trials.keys
    let replies = try await questions.ask(calls.map { ($0.command, $0.key) })
    for (trial, reply) in zip(calls, replies) { judgement.judge(trial, reply, &report) }
    judgement.judge(
      trials.subscription, try await questions.ask([(trials.subscription.command, nil)])[0],
      &report)
    judgement.conclude(&report)
  }

  /// Whether the steps themselves can be taken: proxies before clusters look at what is in them.
  private func inspectScripts(
    _ questions: RedisQuestions, _ report: inout Report
  ) async throws(RedisError) {
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    for account in accounts {
      let look = StoreCommand.Look(
        account: CredentialID(account.name),
        // What lies in other slots is written by scripts of its own.
        outputs: Output.own(Margins()).filter {
          redis.cluster == nil || !layout.isApart($0, CredentialID(account.name))
        })
      let (keys, arguments) = Steps.look.call(look, in: StepContext(layout: layout))
      let reply = try await questions.ask(
        [
          (
            RedisCommand("EVAL", [Steps.look.script.source, "\(keys.count)"] + keys + arguments),
            keys[0]
          )
        ])[0]
      // What may not be given or touched is told as a permission.
      guard let refusal = reply.refusal, refusal.kind != .noPermission, !refusal.refuses("EVAL")
      else { continue }
      guard refusal.kind == .crossSlot else {
        return report.add(.bad, "scripts", "\(refusal)")
      }
      report.add(.doubtful, "scripts", "\(refusal)")
    }
    if redis.cluster == nil { try await inspectPlaces(questions, layout, &report) }
  }

  /// Whether scripts find what commands have written: proxies before several servers send a script
  /// to where its first key is.
  private func inspectPlaces(
    _ questions: RedisQuestions, _ layout: KeyLayout, _ report: inout Report
  ) async throws(RedisError) {
    let probe = layout.prefix + "check"
    let replies = try await questions.ask([
      (RedisCommand("SET", probe, "1", "PX", "1000"), nil),
      (RedisCommand("EVAL", "return redis.call('GET', KEYS[2])", "2", layout.leader, probe), nil),
      (RedisCommand("DEL", probe), nil),
    ])
    guard replies[0].refusal == nil, replies[1] == .null else { return }
    report.add(
      .bad, "scripts",
      "a script does not find what a command has written: a proxy spreads keys over several"
        + " servers; use one server, or a proxy that keeps all keys together")
  }
}

/// What the trials of permissions have shown so far.
private struct PermissionJudgement {
  let trials: PermissionTrials
  private var missing: Set<String> = []
  private var absent: Set<String> = []

  init(trials: PermissionTrials) { self.trials = trials }

  mutating func judge(
    _ trial: PermissionTrials.Trial, _ reply: RedisReply, _ report: inout Inspection.Report
  ) {
    guard let refusal = reply.refusal else { return }
    if refusal.kind == .noPermission {
      let rule = trial.missing(refusal)
      // Several calls may miss the same key.
      guard missing.insert(rule).inserted else { return }
      let isOptional = trials.isOptional(rule)
      report.add(
        isOptional ? .doubtful : .bad, "permission \(rule)",
        "\(refusal)" + (isOptional ? "; the daemon does without" : ""))
    } else if refusal.kind == .unknownCommand {
      let rule = "+\(trial.permission)"
      guard absent.insert(rule).inserted else { return }
      // What only scripts need is tried by one.
      let isOptional = trials.isOptional(rule) || trial.isOfScripts
      report.add(
        isOptional ? .doubtful : .bad, "command \(trial.permission)",
        "this Redis, or a proxy before it, does not have it or lets nobody give it"
          + " (rename-command?)" + (isOptional ? "; the daemon does without" : ""))
    } else if trial.permission == "set" {
      // Any other refusal of a sound write is about Redis itself: memory, replicas, disk, role.
      report.add(.bad, "writes", "\(refusal)")
    }
  }

  func conclude(_ report: inout Inspection.Report) {
    if missing.isEmpty, !absent.isEmpty { return }
    if missing.isEmpty {
      report.add(
        .good, "permissions",
        "all \(trials.permissions.count) commands and \(trials.keys.count) keys of the daemon")
    } else {
      report.add(
        .doubtful, "permissions",
        "grant what is missing with ACL SETUSER; `wch-sidecar acl` prints all that is needed")
    }
  }
}

extension Duration {
  /// Milliseconds with one decimal, for people.
  fileprivate var inMilliseconds: Double { (inSeconds * 10_000).rounded() / 10 }
}
