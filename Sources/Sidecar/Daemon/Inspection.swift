package import Logging
import NIOPosix
package import RedisClient
package import TokenCore

/// `check --connect`: looks at Redis and WeChat as the daemon would meet them, and mints nothing.
package struct Inspection {
  /// One thing that was looked at.
  package struct Finding: Hashable, Sendable {
    /// How bad it is.
    package enum Grade: String, Hashable, Sendable {
      case good = "ok"
      /// It could not be found out.
      case open = "unknown"
      case doubtful = "warning"
      case bad = "error"
    }

    package let grade: Grade
    package let subject: String
    package let text: String
  }

  /// What was found, and the exit it deserves.
  package struct Report: Hashable, Sendable {
    package var findings: [Finding] = []
    /// Redis or WeChat did not answer.
    package var isUnreachable = false
    /// WeChat refuses the address, the credentials or the account.
    package var isRefused = false
    /// Accounts without a token: whether WeChat would give them one was not tried.
    package var untried: [AccountName] = []
    /// Who holds the lock, when somebody does.
    package var leader: String?

    package mutating func add(_ grade: Finding.Grade, _ subject: String, _ text: String) {
      findings.append(Finding(grade: grade, subject: subject, text: text))
    }
  }

  let settings: Settings
  /// The accounts that are looked at.
  let accounts: [Settings.Account]
  let redis: RedisConfiguration
  let logger: Logger

  /// Everything at Redis together may take this long, or one attempt to connect and a second more:
  /// such an attempt says best what is wrong.
  static let redisLimit: Duration = .seconds(5)
  /// With less of a difference than this there is none to tell, given the time of an answer.
  static let unnoticeable: Double = 0.5
  /// Replicas and Redis whose clocks differ by more than this confuse people who read both logs.
  static let noticeableOffset: Double = 2
  /// A token that no account has: WeChat's refusal of it proves that WeChat answers.
  static let noToken = AccessToken("wch-sidecar-check")

  /// Takes settings that were judged.
  ///
  /// - Parameter account: the only one that is looked at; nil for all.
  package init(
    settings: Settings, only account: AccountName? = nil, redis: RedisConfiguration,
    logger: Logger
  ) {
    self.settings = settings
    accounts = settings.accounts.filter { account == nil || $0.name == account }
    self.redis = redis
    self.logger = logger
  }

  /// Looks at everything once.
  package func run() async -> Report {
    var report = Report()
    let tokens = await inspectRedis(&report)
    await inspectWeChat(tokens, &report)
    return report
  }

  // MARK: Redis

  func inspectRedis(_ report: inout Report) async -> [AccountName: AccessToken] {
    let group = MultiThreadedEventLoopGroup.singleton
    if let sentinels = redis.sentinels {
      tell(await sentinels.look(by: .now + redis.connectTimeout, on: group.next()), &report)
    }
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
  func tell(_ sight: SentinelSight, _ report: inout Report) {
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

  func inspectRedis(
    _ client: RedisClient, _ report: inout Report
  ) async -> [AccountName: AccessToken] {
    let deadline =
      ContinuousClock.now + max(Inspection.redisLimit, redis.connectTimeout + .seconds(1))
    let subject = "redis \(redis.endpoint)"
    func ask(_ words: String..., key: String? = nil) async throws(RedisError) -> RedisReply {
      try await client.execute(
        RedisCommand(words[0], Array(words.dropFirst())), key: key, deadline: deadline,
        waitForConnection: true)
    }
    var tokens: [AccountName: AccessToken] = [:]
    do throws(RedisError) {
      // The first call pays for the connection; the second shows the latency.
      _ = try await ask("PING")
      let start = ContinuousClock.now
      let time = try await ask("TIME")
      let latency = start.duration(to: .now)
      report.add(.good, subject, "answers within \(latency.inMilliseconds) ms")
      inspectClock(time, latency, &report)
      let information = try await ask("INFO")
      if let view = redis.cluster {
        try await inspectCluster(view, client, deadline, &report)
      } else if let text = information.text {
        let saves = try await ask("CONFIG", "GET", "save")
        inspect(Information(text), saves: saves.elements?.last?.text, &report)
      } else {
        report.add(.doubtful, "INFO", "refused; version, role and persistence are unknown")
      }
      for account in accounts {
        let key = KeyLayout(prefix: settings.redis.keyPrefix).accessToken(account.name)
        let reply = try await ask("GET", key, key: key)
        let isOurs = try await inspectRecord(of: account, client, deadline, &report)
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
        try await inspectTickets(of: account, client, deadline, &report)
      }
      try await inspectLock(client, deadline, &report)
      try await inspectPermissions(client, deadline: deadline, &report)
    } catch {
      report.isUnreachable = true
      report.add(.bad, subject, "\(error)")
    }
    return tokens
  }

  /// Whether the account's record is one that the daemon would work with.
  func inspectRecord(
    of account: Settings.Account, _ client: RedisClient, _ deadline: ContinuousClock.Instant,
    _ report: inout Report
  ) async throws(RedisError) -> Bool {
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    let key = layout.state(CredentialID(account.name))
    let token = layout.accessToken(account.name)
    let replies = try await client.execute(
      each: [
        (RedisCommand("HMGET", key, "app", "v"), key), (RedisCommand("EXISTS", token), token),
      ],
      deadline: deadline)
    // What may not be read is found with the permissions.
    guard let fields = replies[0].elements?.map(\.text), fields.count == 2 else { return true }
    if let app = fields[0], app != TokenStore.digest(account.appID) {
      guard (replies[1].number ?? 0) > 0 else {
        report.add(.good, key, "is another AppID's, whose token is over: it is taken over")
        return true
      }
      report.add(
        .bad, key,
        "is another AppID's, whose token lives: the daemon leaves such keys alone; give each AppID"
          + " its own keyPrefix, or stop the other deployment and wait until its token is over")
      return false
    }
    if let version = fields[1].flatMap({ Int($0) }), version > Script.layout {
      report.add(
        .bad, key,
        "was written by a newer version (layout \(version), known here is \(Script.layout)): this"
          + " one only follows")
    }
    return true
  }

  /// Whether the account's tickets are there; whether they are ours is told with the token.
  func inspectTickets(
    of account: Settings.Account, _ client: RedisClient, _ deadline: ContinuousClock.Instant,
    _ report: inout Report
  ) async throws(RedisError) {
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    for ticket in account.credentials where ticket.kind != .accessToken {
      let key = layout.key(.credential, ticket)
      let reply = try await client.execute(
        RedisCommand("EXISTS", key), key: key, deadline: deadline)
      if let refusal = reply.refusal {
        report.add(.bad, key, "cannot be read: \(refusal)")
      } else {
        let exists = (reply.number ?? 0) > 0
        report.add(
          exists ? .good : .doubtful, key, exists ? "holds a ticket" : "holds no ticket yet")
      }
    }
  }

  /// Who leads, and whether it is a replica of this deployment.
  func inspectLock(
    _ client: RedisClient, _ deadline: ContinuousClock.Instant, _ report: inout Report
  ) async throws(RedisError) {
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    let replies = try await client.execute(
      [
        RedisCommand("GET", layout.leader), RedisCommand("PTTL", layout.leader),
        RedisCommand("HMGET", layout.epoch, "app", "term"),
      ], key: layout.leader, deadline: deadline)
    guard let holder = replies[0].text else { return }
    let name = String(holder.prefix { $0 != ":" }.prefix(128))
    report.leader = name
    let fields = replies[2].elements?.map(\.text) ?? []
    let first = settings.accounts.min { $0.name < $1.name }
    let isForeign =
      fields.count == 2 && fields[1] == holder
      && fields[0].flatMap { app in first.map { app != TokenStore.digest($0.appID) } } ?? false
    if isForeign {
      report.add(
        .bad, layout.leader,
        "is held by \(name), which keeps another AppID first: give each deployment its own"
          + " keyPrefix")
    } else if replies[1].number == -1, fields.count < 2 || fields[1] != holder {
      report.add(
        .bad, layout.leader,
        "is held by \(name) without a time limit, and not by a replica: find out what writes it,"
          + " and delete it")
    } else {
      report.add(.good, layout.leader, "is held by \(name)")
    }
  }

  /// - Parameter latency: of the answer, which was made half of it ago.
  func inspectClock(_ reply: RedisReply, _ latency: Duration, _ report: inout Report) {
    let time = (reply.elements ?? []).compactMap(\.number)
    guard time.count == 2 else { return }
    let redis = Double(time[0]) + Double(time[1]) / 1_000_000 + latency.inSeconds / 2
    tellClock("clock", "Redis", redis - Double(Timestamp.now.milliseconds) / 1000, &report)
  }

  func tellClock(
    _ subject: String, _ whose: String, _ offset: Double, _ report: inout Report
  ) {
    let shown = abs(offset) < Inspection.unnoticeable ? 0 : Int(offset.rounded())
    report.add(
      abs(offset) > Inspection.noticeableOffset ? .doubtful : .good, subject,
      "\(whose) differs from this machine by about \(shown) s"
        + " (harmless to the protocol, confusing in logs)")
  }

  /// `INFO`'s lines.
  struct Information {
    private let values: [Substring: Substring]

    init(_ text: String) {
      var values: [Substring: Substring] = [:]
      for line in text.split(whereSeparator: \.isNewline) {
        guard let colon = line.firstIndex(of: ":") else { continue }
        values[line[..<colon]] = line[line.index(after: colon)...]
      }
      self.values = values
    }

    subscript(name: Substring) -> String { values[name].map(String.init) ?? "unknown" }
  }

  /// - Parameters:
  ///   - saves: when snapshots are made; nil when Redis does not tell.
  ///   - node: of a cluster, which one that is.
  func inspect(
    _ information: Information, saves: String?, of node: String? = nil, _ report: inout Report
  ) {
    func subject(_ name: String) -> String { node.map { "\($0) \(name)" } ?? name }
    report.add(.good, subject("version"), information["redis_version"])
    let role = information["role"]
    report.add(
      role == "master" ? .good : .bad, subject("role"),
      role == "master" ? "primary" : "\(role): writes are refused here; name the primary")
    if information["cluster_enabled"] == "1", redis.cluster == nil {
      report.add(
        .bad, subject("cluster"),
        "this is a node of a Redis Cluster: write redis-cluster:// in its URL")
    }
    let policy = information["maxmemory_policy"]
    let evicts = policy != "noeviction" && policy != "unknown"
    report.add(
      evicts ? .doubtful : .good, subject("maxmemory-policy"),
      evicts
        ? "\(policy): Redis may evict the lock and the token; use noeviction" : policy)
    report.add(.good, subject("persistence"), persistence(information, saves: saves))
  }

  /// What Redis has after a restart, in words; the daemon can do with any of it.
  func persistence(_ information: Information, saves: String?) -> String {
    if information["aof_enabled"] == "1" { return "append-only file" }
    return switch saves {
    case nil: "unknown: there is no append-only file, and this user may not CONFIG GET save"
    case "": "none: after a restart a replica publishes the token again, and one is fetched"
    case let saves?: "snapshots (save \(saves))"
    }
  }

  /// Tries every command and every key that the daemon uses.
  func inspectPermissions(
    _ client: RedisClient, deadline: ContinuousClock.Instant, _ report: inout Report
  ) async throws(RedisError) {
    let trials = PermissionTrials(
      layout: KeyLayout(prefix: settings.redis.keyPrefix),
      credentials: accounts.flatMap(\.credentials),
      others: accounts.flatMap(\.otherKeys), database: redis.endpoint.database,
      isClustered: redis.cluster != nil)
    var missing: Set<String> = []
    var absent: Set<String> = []
    func judge(_ trial: PermissionTrials.Trial, _ reply: RedisReply) {
      guard let refusal = reply.refusal else { return }
      if refusal.kind == .noPermission {
        let rule = trial.missing(refusal)
        // Several calls may miss the same key.
        guard missing.insert(rule).inserted else { return }
        let isOptional = trials.isOptional(rule)
        report.add(
          isOptional ? .doubtful : .bad, "permission \(rule)",
          "\(refusal)" + (isOptional ? "; the daemon does without" : ""))
      } else if refusal.message.lowercased().contains("unknown command") {
        let rule = "+\(trial.permission)"
        guard absent.insert(rule).inserted else { return }
        let isOptional = trials.isOptional(rule)
        report.add(
          isOptional ? .doubtful : .bad, "command \(trial.permission)",
          "this Redis does not have it, or has it under another name (rename-command)"
            + (isOptional ? "; the daemon does without" : ""))
      } else if trial.permission == "set" {
        // Any other refusal of a sound write is about Redis itself: memory, replicas, disk, role.
        report.add(.bad, "writes", "\(refusal)")
      }
    }
    let calls = trials.commands + trials.keys
    let replies = try await client.execute(
      each: calls.map { ($0.command, $0.key) }, deadline: deadline)
    for (trial, reply) in zip(calls, replies) { judge(trial, reply) }
    // Nothing can be asked on this connection after it.
    judge(
      trials.subscription,
      try await client.execute(
        trials.subscription.command, deadline: deadline,
        // A server that takes no writes has just been left.
        waitForConnection: true))
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
