import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// `check --connect` against a real Redis and a simulated WeChat.
@Suite struct CheckTests {
  /// Runs `check --connect` to its end; whatever it finds, it mints nothing and leaves no key.
  private static func check(
    _ deployment: Deployment, _ settings: [String: String] = [:]
  ) async throws -> SidecarProcess {
    let mints = deployment.mints
    let process = try SidecarProcess(
      ["check", "--connect"],
      environment: deployment.environment(instance: "check").merging(settings) { $1 },
      instance: "check")
    _ = try await process.waitForExit(within: patience)
    let fetches = deployment.simulator.audit.requests(to: .credentials)
    #expect(deployment.mints == mints)
    #expect(fetches == mints, "it asked for a token")
    #expect(!(process.outputText + process.errorText).contains(Deployment.secret))
    return process
  }

  /// What a line of the output says of a subject, behind the grade; nil without such a line.
  private static func finding(_ subject: String, in process: SidecarProcess) -> String? {
    for line in process.outputText.split(separator: "\n") {
      for grade in ["ok", "warning", "error"] where line.hasPrefix("\(grade): \(subject)") {
        let text = line.dropFirst("\(grade): \(subject)".count).drop { ": ".contains($0) }
        return "\(grade): \(text)"
      }
    }
    return nil
  }

  @Test("when all is well it tells what it found, and ends with 0")
  func allWell() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 1)
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(0), "\(process.outputText)")
      let info = try #require(try await deployment.ask("INFO", "server").text)
      let version = try #require(
        info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("redis_version:") }?
          .dropFirst("redis_version:".count))
      func found(_ subject: String) -> String? { Self.finding(subject, in: process) }
      #expect(found("version") == "ok: \(version)")
      #expect(found("role") == "ok: primary")
      #expect(found("maxmemory-policy") == "ok: noeviction")
      #expect(found("topology") == "ok: one server, no replicas")
      #expect(found("min-replicas-to-write") == "ok: not set, and there are no replicas")
      #expect(found("persistence")?.hasPrefix("ok: none: ") == true)
      #expect(found("permissions") == "ok: all 28 commands and 7 keys of the daemon")
      #expect(found("clock")?.hasPrefix("ok: Redis differs from this machine by about 0 s") == true)
      let latency = found("redis redis://127.0.0.1:\(deployment.redis.port)/0")
      #expect(latency?.contains(#/^ok: answers within [0-9.]+ ms$/#) == true, "\(latency ?? "")")
      #expect(found("WCH_access_token") == "ok: holds a token")
      let weChat = try #require(found("wechat, account default"))
      #expect(weChat.hasPrefix("ok: answers, and the token in Redis is alive; "))
      #expect(weChat.contains(#/[0-9]+ of [0-9]+ calls left today/#))
      #expect(!process.outputText.contains(try #require(try await deployment.token())))
      #expect(try await deployment.ask("EXISTS", "WCH_check").number == 0)
    }
  }

  @Test("on an empty Redis it leaves nothing behind, and says what it did not try")
  func empty() async throws {
    try await Deployment.run { deployment in
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(0), "\(process.outputText)")
      #expect(Self.finding("WCH_access_token", in: process) == "warning: holds no token yet")
      #expect(
        Self.finding("wechat, account default", in: process) == "ok: answers")
      #expect(process.outputText.contains("unknown: wechat, account default: whether it accepts"))
      #expect(try await deployment.ask("DBSIZE").number == 0)
    }
  }

  @Test("another AppID's living deployment is an error, and one that is over is none")
  func foreignApp() async throws {
    try await Deployment.run { deployment in
      let replica = try await deployment.start(count: 1)
      let stranger = ["WCH_APPID": "wx000000000000other"]
      let process = try await Self.check(deployment, stranger)
      #expect(process.exit == .code(1), "\(process.outputText)")
      let record = Self.finding("WCH_state:{WCH_access_token}", in: process)
      #expect(record?.hasPrefix("error: is another AppID's, whose token lives") == true)
      #expect(Self.finding("WCH_access_token", in: process)?.hasPrefix("error: ") == true)
      #expect(Self.finding("WCH_leader", in: process)?.hasPrefix("error: ") == true)
      // Nor is that one's token proved alive for this one.
      #expect(!process.outputText.contains("the token in Redis is alive"))
      replica.terminate()
      _ = try await replica.waitForExit()
      try await deployment.ask("DEL", "WCH_access_token", "WCH_expires_in")
      let over = try await Self.check(deployment, stranger)
      #expect(over.exit == .code(0), "\(over.outputText)")
    }
  }

  @Test("records of a newer version, and a lock that nobody's lease is behind, are errors")
  func unusableKeys() async throws {
    try await Deployment.run { deployment in
      try await deployment.ask("HSET", "WCH_state:{WCH_access_token}", "v", "99")
      try await deployment.ask("SET", "WCH_leader", "someone:1")
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(1), "\(process.outputText)")
      let record = Self.finding("WCH_state:{WCH_access_token}", in: process)
      #expect(record?.contains("newer version (layout 99") == true)
      let lock = Self.finding("WCH_leader", in: process)
      #expect(lock?.hasPrefix("error: is held by someone without a time limit") == true)
    }
  }

  @Test("a command that Redis does not have, or has under another name, is an error")
  func renamedCommand() async throws {
    try await Deployment.run(
      redisArguments: ["--rename-command", "BLPOP", "", "--rename-command", "INFO", "info2"]
    ) { deployment in
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(1), "\(process.outputText)")
      #expect(Self.finding("command blpop", in: process)?.hasPrefix("error: ") == true)
      #expect(Self.finding("command info", in: process)?.hasPrefix("warning: ") == true)
    }
  }

  @Test("--mint finds out by one token where nobody leads, and overrules nobody")
  func mint() async throws {
    try await Deployment.run { deployment in
      func mint(_ settings: [String: String] = [:]) async throws -> SidecarProcess {
        let process = try SidecarProcess(
          ["check", "--mint"],
          environment: deployment.environment(instance: "check").merging(settings) { $1 },
          instance: "check")
        _ = try await process.waitForExit(within: patience)
        return process
      }
      let wrong = try await mint(["WCH_APPSECRET": String(repeating: "0", count: 32)])
      #expect(wrong.exit == .code(77), "\(wrong.outputText)")
      let refusal = Self.finding("mint, account default", in: wrong)
      #expect(refusal?.contains("40125") == true || refusal?.contains("40001") == true)
      #expect(deployment.mints == 0)

      let other = try await deployment.ask("SET", "WCH_leader", "other:1", "PX", "60000")
      #expect(other.refusal == nil)
      let beside = try await mint()
      #expect(beside.exit == .code(0), "\(beside.outputText)")
      #expect(beside.outputText.contains("unknown: mint: nothing was tried: other leads"))
      #expect(deployment.mints == 0)

      try await deployment.ask("DEL", "WCH_leader")
      let good = try await mint()
      #expect(good.exit == .code(0), "\(good.outputText)")
      let found = Self.finding("mint, account default", in: good)
      #expect(found?.hasPrefix("ok: WeChat gave a token") == true)
      #expect(deployment.mints == 1)
      #expect(try await deployment.ask("EXISTS", "WCH_leader").number == 0)
      // With a token nothing is left to find out.
      let again = try await mint()
      #expect(again.exit == .code(0), "\(again.outputText)")
      #expect(deployment.mints == 1)
    }
  }

  @Test("a file of Redis's TLS that is not there is told without connecting: 78")
  func missingAuthority() async throws {
    let process = try SidecarProcess(
      ["check"],
      environment: [
        "WCH_APPID": Deployment.appID, "WCH_APPSECRET": Deployment.secret,
        "WCH_REDIS_URL": "rediss://localhost?ca_file=/nope",
      ], instance: "check")
    #expect(try await process.waitForExit() == .code(78))
    #expect(process.errorText.contains("ca_file: the file `/nope` does not exist"))
  }

  @Test(
    "it tells what Redis keeps over a restart",
    arguments: [
      (["--save", "3600 1 300 100"], "ok: snapshots (save 3600 1 300 100)"),
      (["--appendonly", "yes"], "ok: append-only file"),
    ])
  func persistence(arguments: [String], told: String) async throws {
    try await Deployment.run(redisArguments: arguments) { deployment in
      let process = try await Self.check(deployment)
      #expect(Self.finding("persistence", in: process) == told)
      #expect(process.exit == .code(0))
    }
  }

  @Test("a replica of a primary is named, and ends it with 1")
  func replicaRole() async throws {
    try await Deployment.run { deployment in
      try await deployment.ask("REPLICAOF", "127.0.0.1", "1")
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(1), "\(process.outputText)")
      let role = Self.finding("role", in: process)
      #expect(role == "error: slave: writes are refused here; name the primary")
      #expect(Self.finding("writes", in: process)?.contains("READONLY") == true)
    }
  }

  @Test("a primary with a replica is told from one that takes no writes without it")
  func replicaGuard() async throws {
    try await Deployment.run { deployment in
      let replica = try await RedisServer.start(arguments: [
        "--replicaof", "127.0.0.1 \(deployment.redis.port)",
      ])
      defer { replica.stop() }
      try await waitUntil("it is connected", within: patience) {
        try await deployment.ask("INFO", "replication").text?.contains("connected_slaves:1") == true
      }
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(0), "\(process.outputText)")
      #expect(Self.finding("topology", in: process) == "ok: one server, one replica")
      let unset = try #require(Self.finding("min-replicas-to-write", in: process))
      #expect(unset.hasPrefix("warning: not set: ") && unset.contains("set it to 1"))
      try await deployment.ask("CONFIG", "SET", "min-replicas-to-write", "1")
      try await waitUntil("it is counted", within: patience) {
        try await deployment.ask("INFO", "replication").text?
          .contains("min_slaves_good_slaves:1") == true
      }
      let guarded = try await Self.check(deployment)
      #expect(
        Self.finding("min-replicas-to-write", in: guarded)
          == "ok: set; 1 replicas are connected and in time")
      #expect(guarded.exit == .code(0), "\(guarded.outputText)")
    }
  }

  @Test("a sentinel, and a node of a cluster, are named")
  func topologies() async throws {
    try await Deployment.run(redisArguments: ["--cluster-enabled", "yes"]) { deployment in
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(1), "\(process.outputText)")
      #expect(
        Self.finding("topology", in: process)?.hasPrefix("warning: one node of a Redis Cluster")
          == true)
      #expect(process.outputText.contains("CLUSTERDOWN"), "\(process.outputText)")
    }
  }

  @Test("an evicting policy is a warning that names it")
  func evictingPolicy() async throws {
    try await Deployment.run(redisArguments: ["--maxmemory-policy", "allkeys-lru"]) { deployment in
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(0))
      let policy = try #require(Self.finding("maxmemory-policy", in: process))
      #expect(policy.hasPrefix("warning: allkeys-lru: "))
      #expect(policy.hasSuffix("use noeviction"))
    }
  }

  @Test("a Redis that takes no writes is said to, and ends it with 1")
  func noWrites() async throws {
    try await Deployment.run(redisArguments: ["--maxmemory", "1mb"]) { deployment in
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(1), "\(process.outputText)")
      #expect(Self.finding("writes", in: process)?.hasPrefix("error: OOM") == true)
    }
  }

  /// Rights that are too few, and how each is named.
  enum Gap: String, CaseIterable {
    case scripts = "-evalsha", lists = "-blpop", messages = "-subscribe", hashes = "-hset"
    case names = "-client|setname"
    case several = "-evalsha -blpop -subscribe -hset"
    case keys = "resetkeys ~WCH_access_token ~WCH_expires_in ~WCH_state:* ~WCH_check"
    case ownKey =
      """
      resetkeys ~WCH_leader ~WCH_epoch:* ~WCH_replicas ~WCH_refresh_requests ~WCH_access_token \
      ~WCH_expires_in ~WCH_state:*
      """
    case channel = "resetchannels"

    /// Whether the daemon does without: a name for its connections, the key that only this needs.
    var isHarmless: Bool { self == .names || self == .ownKey }

    /// The rules that are missing.
    var missing: [String] {
      switch self {
      case .keys:
        ["~WCH_leader", "~WCH_epoch:{WCH_leader}", "~WCH_replicas", "~WCH_refresh_requests"]
      case .ownKey: ["~WCH_check"]
      case .channel: ["&WCH_events"]
      case .scripts, .lists, .messages, .hashes, .names, .several:
        rawValue.split(separator: " ").map { "+\($0.dropFirst())" }
      }
    }
  }

  @Test("every missing permission is named as the rule that grants it", arguments: Gap.allCases)
  func missingPermission(gap: Gap) async throws {
    try await Deployment.run { deployment in
      let rules =
        ["SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all"]
        + gap.rawValue.split(separator: " ").map(String.init)
      let reply = try await deployment.client.execute(
        RedisCommand("ACL", rules), deadline: .now + patience, waitForConnection: true)
      #expect(reply.refusal == nil)
      let user = ["WCH_REDIS_URL": "redis://limited:pw@127.0.0.1:\(deployment.redis.port)/0"]
      let process = try await Self.check(deployment, user)
      #expect(process.exit == .code(gap.isHarmless ? 0 : 1), "\(process.outputText)")
      let grade = gap.isHarmless ? "warning" : "error"
      let named = process.outputText.split(separator: "\n").compactMap { line -> String? in
        let words = line.split(separator: " ")
        guard words.count > 3, words[1] == "permission" else { return nil }
        #expect(line.hasPrefix("\(grade): ") && words[3] == "NOPERM", "\(line)")
        return String(words[2].dropLast())
      }
      #expect(named.sorted() == gap.missing.sorted(), "\(process.outputText)")
      let advice = Self.finding("permissions", in: process)
      #expect(advice?.contains("wch-sidecar acl") == true)
      if !gap.isHarmless { #expect(process.errorText.contains("something is wrong")) }

      let granted = try await deployment.client.execute(
        RedisCommand("ACL", ["SETUSER", "limited"] + gap.missing), deadline: .now + patience)
      #expect(granted.refusal == nil)
      let again = try await Self.check(deployment, user)
      #expect(again.exit == .code(0), "\(again.outputText)")
      #expect(Self.finding("permissions", in: again)?.hasPrefix("ok: ") == true)
    }
  }

  @Test("an address that WeChat refuses is told, with 77")
  func refusedAddress() async throws {
    try await Deployment.run { deployment in
      deployment.simulator.setFault(
        .errorCode(
          40164, message: "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist"),
        endpoint: .quota, count: nil)
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(77))
      let finding = try #require(Self.finding("wechat, account default", in: process))
      #expect(finding.hasPrefix("error: refuses our address 203.0.113.7: "))
      #expect(process.errorText.contains("WeChat refuses us"))
    }
  }

  @Test(
    "an account or credentials that WeChat refuses end it with 77, and its own trouble does not",
    arguments: [
      (50004, 77, "error"), (50007, 77, "error"), (40243, 77, "error"), (40013, 77, "error"),
      (40125, 77, "error"), (45009, 0, "warning"), (45011, 0, "warning"), (-1, 0, "warning"),
      (76022, 0, "warning"),
    ])
  func refusals(code: Int, exit: Int, grade: String) async throws {
    try await Deployment.run { deployment in
      deployment.simulator.setFault(.errorCode(code), endpoint: .quota, count: nil)
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(exit), "\(process.outputText)")
      let finding = try #require(Self.finding("wechat, account default", in: process))
      #expect(finding.hasPrefix("\(grade): WeChat answered with errcode \(code): "), "\(finding)")
    }
  }

  @Test("a Redis or a WeChat that does not answer is told, with 69", arguments: [true, false])
  func unreachable(isRedis: Bool) async throws {
    try await Deployment.run { deployment in
      if isRedis { deployment.redis.kill() } else { await deployment.weChat.takeDown() }
      let process = try await Self.check(deployment)
      #expect(process.exit == .code(69), "\(process.outputText)")
      let subject = isRedis ? "redis redis://127.0.0.1:\(deployment.redis.port)/0" : "wechat"
      let finding = try #require(Self.finding(subject, in: process), "\(process.outputText)")
      #expect(finding.hasPrefix("error: "))
      #expect(finding.contains("connection refused"), "\(finding)")
    }
  }
}
