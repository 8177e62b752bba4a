package import Logging
import NIOPosix
package import RedisClient
import TokenCore

/// `check --connect`: looks at Redis and WeChat as the daemon would meet them, and mints nothing.
package struct Inspection {
  /// One thing that was looked at.
  package struct Finding: Hashable, Sendable {
    /// How bad it is.
    package enum Grade: String, Hashable, Sendable {
      case good = "ok"
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

    package mutating func add(_ grade: Finding.Grade, _ subject: String, _ text: String) {
      findings.append(Finding(grade: grade, subject: subject, text: text))
    }
  }

  private let settings: Settings
  private let redis: RedisConfiguration
  private let logger: Logger

  /// Everything at Redis together may take this long, or one attempt to connect and a second more:
  /// such an attempt says best what is wrong.
  private static let redisLimit: Duration = .seconds(5)
  /// Replicas and Redis whose clocks differ by more than this confuse people who read both logs.
  private static let noticeableOffset: Double = 2
  /// A token that no account has: WeChat's refusal of it proves that WeChat answers.
  private static let noToken = AccessToken("wch-sidecar-check")

  /// Takes settings that were judged.
  package init(settings: Settings, redis: RedisConfiguration, logger: Logger) {
    self.settings = settings
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

  private func inspectRedis(_ report: inout Report) async -> [AccountName: AccessToken] {
    let group = MultiThreadedEventLoopGroup.singleton
    let client = RedisClient(configuration: redis, eventLoopGroup: group, logger: logger)
    return await withTaskGroup { tasks in
      tasks.addTask { await client.run() }
      let tokens = await inspectRedis(client, &report)
      tasks.cancelAll()
      return tokens
    }
  }

  private func inspectRedis(
    _ client: RedisClient, _ report: inout Report
  ) async -> [AccountName: AccessToken] {
    let deadline =
      ContinuousClock.now + max(Inspection.redisLimit, redis.connectTimeout + .seconds(1))
    let subject = "redis \(redis.endpoint)"
    func ask(_ words: String...) async throws(RedisError) -> RedisReply {
      try await client.execute(
        RedisCommand(words[0], Array(words.dropFirst())), deadline: deadline,
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
      inspectClock(time, &report)
      let information = try await ask("INFO")
      if let text = information.text {
        let saves = try await ask("CONFIG", "GET", "save")
        inspect(Information(text), saves: saves.elements?.last?.text, &report)
      } else {
        report.add(.doubtful, "INFO", "refused; version, role and persistence are unknown")
      }
      for account in settings.accounts {
        let key = KeyLayout(prefix: settings.redis.keyPrefix).accessToken(account.name)
        let reply = try await ask("GET", key)
        if let token = reply.text {
          tokens[account.name] = AccessToken(token)
          report.add(.good, key, "holds a token")
        } else if let refusal = reply.refusal {
          report.add(.bad, key, "cannot be read: \(refusal)")
        } else {
          report.add(.doubtful, key, "holds no token yet")
        }
      }
      try await inspectPermissions(client, deadline: deadline, &report)
    } catch {
      report.isUnreachable = true
      report.add(.bad, subject, "\(error)")
    }
    return tokens
  }

  private func inspectClock(_ reply: RedisReply, _ report: inout Report) {
    guard let seconds = reply.elements?.first?.number else { return }
    let offset = Double(seconds) - Double(Timestamp.now.milliseconds) / 1000
    report.add(
      abs(offset) > Inspection.noticeableOffset ? .doubtful : .good, "clock",
      "Redis differs from this machine by about \(Int(offset.rounded())) s"
        + " (harmless to the protocol, confusing in logs)")
  }

  /// `INFO`'s lines.
  private struct Information {
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

  /// - Parameter saves: when snapshots are made; nil when Redis does not tell.
  private func inspect(_ information: Information, saves: String?, _ report: inout Report) {
    report.add(.good, "version", information["redis_version"])
    let role = information["role"]
    report.add(
      role == "master" ? .good : .bad, "role",
      role == "master" ? "primary" : "\(role): writes are refused here; name the primary")
    let policy = information["maxmemory_policy"]
    let evicts = policy != "noeviction" && policy != "unknown"
    report.add(
      evicts ? .doubtful : .good, "maxmemory-policy",
      evicts
        ? "\(policy): Redis may evict the lock and the token; use noeviction" : policy)
    report.add(.good, "persistence", persistence(information, saves: saves))
  }

  /// What Redis has after a restart, in words; the daemon can do with any of it.
  private func persistence(_ information: Information, saves: String?) -> String {
    if information["aof_enabled"] == "1" { return "append-only file" }
    return switch saves {
    case nil: "unknown: there is no append-only file, and this user may not CONFIG GET save"
    case "": "none: after a restart a replica publishes the token again, and one is fetched"
    case let saves?: "snapshots (save \(saves))"
    }
  }

  /// Tries every command and every key that the daemon uses.
  private func inspectPermissions(
    _ client: RedisClient, deadline: ContinuousClock.Instant, _ report: inout Report
  ) async throws(RedisError) {
    let trials = PermissionTrials(
      layout: KeyLayout(prefix: settings.redis.keyPrefix),
      accounts: settings.accounts.map(\.name), database: redis.endpoint.database)
    var missing: Set<String> = []
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
      } else if trial.permission == "set" {
        // Any other refusal of a sound write is about Redis itself: memory, replicas, disk, role.
        report.add(.bad, "writes", "\(refusal)")
      }
    }
    let calls = trials.commands + trials.keys
    let replies = try await client.execute(calls.map(\.command), deadline: deadline)
    for (trial, reply) in zip(calls, replies) { judge(trial, reply) }
    // Nothing can be asked on this connection after it.
    judge(
      trials.subscription,
      try await client.execute(
        trials.subscription.command, deadline: deadline,
        // A server that takes no writes has just been left.
        waitForConnection: true))
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

  // MARK: WeChat

  private func inspectWeChat(
    _ tokens: [AccountName: AccessToken], _ report: inout Report
  ) async {
    let client = WeChatClient(
      hosts: settings.apiURLs, concurrency: settings.apiConcurrency, proxies: settings.proxies,
      extraCertificates: settings.apiAuthorities, dialer: redis.dialer,
      family: settings.apiFamily, logger: logger,
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
    for account in settings.accounts {
      let token = tokens[account.name]
      let (outcome, _) = await client.probe(
        token ?? Inspection.noToken, of: account.name,
        quotaOf: account.api == .token ? .token : .stableToken,
        notAfter: .now + settings.timing.apiTimeout, timeout: settings.timing.apiTimeout)
      add(outcome, hasToken: token != nil, account.name, &report)
    }
    await client.shutdown()
  }

  private func add(
    _ outcome: ProbeOutcome, hasToken: Bool, _ account: AccountName, _ report: inout Report
  ) {
    let subject = "wechat, account \(account)"
    switch outcome {
    case .alive(let limit, let remaining):
      let quota = limit.map { "; \(remaining.map(String.init) ?? "?") of \($0) calls left today" }
      report.add(.good, subject, "answers, and the token in Redis is alive\(quota ?? "")")
    case .dead(let code, _) where hasToken:
      report.add(.bad, subject, "answers, but refuses the token in Redis with \(code)")
    case .dead:
      report.add(.good, subject, "answers; AppID and AppSecret are not tried, that would mint")
    case .unclear(let failure):
      if let address = failure.egressAddress {
        report.isRefused = true
        report.add(
          .bad, subject,
          "refuses our address \(address): add it to the IP list of the account (40164)")
      } else if let code = failure.code, WeChatError.isRefusal(code) {
        report.isRefused = true
        let request = failure.requestID.map { " (rid \($0))" } ?? ""
        report.add(.bad, subject, "\(failure)\(request)")
      } else if failure.isTransport || failure.code == nil {
        report.isUnreachable = true
        report.add(.bad, subject, "\(failure)")
      } else {
        report.add(.doubtful, subject, "\(failure)")
      }
    }
  }
}

extension Duration {
  /// Milliseconds with one decimal, for people.
  fileprivate var inMilliseconds: Double { (inSeconds * 10_000).rounded() / 10 }
}
