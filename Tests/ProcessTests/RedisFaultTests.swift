import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct RedisFaultTests {
  @Test("a Redis out of memory still takes renewals, commits and a new leader")
  func outOfMemory() async throws {
    // A token of 8 s is refreshed at a remaining life of 3 s.
    try await Deployment.run(life: 8000, grace: 3000) { deployment in
      let leader = try await deployment.start(count: 2, Deployment.brisk)
      for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
      try await deployment.ask("CONFIG", "SET", "maxmemory", "1mb")
      #expect(try await deployment.ask("SET", "x", "y").refusal?.kind == .outOfMemory)
      try await deployment.withReader { reader in
        try await deployment.simulator.waitUntilAudit("two refreshes", within: .seconds(20)) {
          $0.mints().count >= 3
        }
        #expect(try await deployment.leader() === leader)
        leader.terminate()
        #expect(try await leader.waitForExit() == .code(0))
        try await deployment.waitForLeader(otherThan: leader)
        try await deployment.simulator.waitUntilAudit("one of the next leader") {
          $0.mints().count >= 4
        }
        try await waitUntil("it is in Redis", within: .seconds(5)) {
          try await deployment.token()
            == deployment.simulator.newestToken(of: Deployment.appID)
        }
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
    }
  }

  /// Why a Redis that answers takes no writes.
  enum Refusal: String, CaseIterable {
    case readOnly = "READONLY"
    case noReplicas = "NOREPLICAS"
    case cannotPersist = "MISCONF"
    case busy = "BUSY"
    case masterDown = "MASTERDOWN"
    case loading = "LOADING"
    case noAuthentication = "NOAUTH"

    /// What redis-server is started with.
    var arguments: [String] {
      self == .loading
        ? ["--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024"] : []
    }

    func begin(at deployment: Deployment) async throws {
      switch self {
      case .readOnly:
        // A replica of a primary that nobody can reach, so that it keeps its keys.
        try await deployment.ask("REPLICAOF", "127.0.0.1", "1")
      case .noReplicas:
        try await deployment.ask("CONFIG", "SET", "min-replicas-to-write", "1")
      case .cannotPersist:
        // A snapshot cannot replace a directory.
        try FileManager.default.createDirectory(
          at: Self.snapshot(of: deployment), withIntermediateDirectories: false)
        try await deployment.ask("CONFIG", "SET", "save", "3600 1")
        try await Self.save(deployment, status: "err")
      case .busy:
        try await deployment.ask("CONFIG", "SET", "busy-reply-threshold", "50")
        // On a connection of its own. It never answers; nobody waits for it.
        try await deployment.redis.withClient { client in
          _ = try? await client.execute(
            .init("EVAL", "while true do end", "0"), deadline: .now + .milliseconds(500),
            waitForConnection: true)
        }
      case .masterDown:
        try await deployment.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
        try await deployment.ask("REPLICAOF", "127.0.0.1", "1")
      case .loading:
        // Some bytes to load, of which each key takes 50 ms: it ends before only if it is told to.
        for number in 0..<1200 {
          try await deployment.ask("SET", "ballast\(number)", String(repeating: "x", count: 1024))
        }
        try await deployment.ask("CONFIG", "SET", "rdbcompression", "no")
        try await deployment.ask("CONFIG", "SET", "key-load-delay", "50000")
        // On a connection of its own, whose answer nobody waits for.
        try await deployment.redis.withClient { client in
          _ = try? await client.execute(
            .init("DEBUG", "RELOAD"), deadline: .now + .milliseconds(500),
            waitForConnection: true)
        }
      case .noAuthentication:
        try await deployment.ask("CONFIG", "SET", "requirepass", "new")
        // Others' connections: this one is authenticated, and goes on.
        try await deployment.ask("CLIENT", "KILL", "TYPE", "normal")
      }
    }

    func end(at deployment: Deployment) async throws {
      switch self {
      case .readOnly: try await deployment.ask("REPLICAOF", "NO", "ONE")
      case .noReplicas: try await deployment.ask("CONFIG", "SET", "min-replicas-to-write", "0")
      case .cannotPersist:
        try FileManager.default.removeItem(at: Self.snapshot(of: deployment))
        try await Self.save(deployment, status: "ok")
      case .busy: try await deployment.ask("SCRIPT", "KILL")
      case .masterDown:
        try await deployment.ask("REPLICAOF", "NO", "ONE")
        try await deployment.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
      case .loading: try await deployment.ask("CONFIG", "SET", "key-load-delay", "0")
      case .noAuthentication: try await deployment.ask("CONFIG", "SET", "requirepass", "")
      }
    }

    private static func snapshot(of deployment: Deployment) -> URL {
      deployment.redis.directory.appendingPathComponent("dump.rdb")
    }

    private static func save(_ deployment: Deployment, status: String) async throws {
      try await deployment.ask("BGSAVE")
      try await waitUntil("a snapshot with \(status)", within: .seconds(5)) {
        let text = try await deployment.ask("INFO", "persistence").text ?? ""
        return text.contains("rdb_last_bgsave_status:\(status)")
          && text.contains("rdb_bgsave_in_progress:0")
      }
    }
  }

  @Test(
    "a Redis that refuses writes is named in the log, nobody fetches, and all recovers by itself",
    arguments: Refusal.allCases)
  func refusedWrites(refusal: Refusal) async throws {
    // A token of 12 s is refreshed at a remaining life of 4.5 s.
    try await Deployment.run(life: 12_000, redisArguments: refusal.arguments) { deployment in
      let leader = try await deployment.start(count: 2, Deployment.brisk)
      try await refusal.begin(at: deployment)
      let requests = deployment.simulator.audit.count
      let token = try #require(deployment.simulator.newestToken(of: Deployment.appID))
      try await leader.waitForLog("This replica no longer leads")
      for process in deployment.processes {
        try await waitUntil("\(process.instance) names it", within: patience) {
          process.log.contains {
            ["warning", "error"].contains($0.level) && $0.text.contains(refusal.rawValue)
          }
        }
      }
      try await waitUntil("the token has lived out its life", within: patience) {
        !deployment.simulator.judge(token).isLive
      }
      #expect(deployment.simulator.audit.count == requests, "a fetch was due, and not to be made")
      let position = deployment.processes.map(\.logPosition)
      try await refusal.end(at: deployment)
      try await waitUntil("somebody leads again", within: patience) {
        zip(deployment.processes, position).contains { process, position in
          process.log.dropFirst(position).contains { $0.message == "This replica leads" }
        }
      }
      try await deployment.waitForLiveToken(within: patience)
      #expect(deployment.simulator.audit.count == requests + 1)
    }
  }

  @Test("a Redis that stays read-only is tried again ever more slowly, and told of once")
  func staysReadOnly() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 2, Deployment.brisk)
      let token = try await deployment.token()
      let positions = deployment.processes.map(\.logPosition)
      try await Refusal.readOnly.begin(at: deployment)
      for (process, position) in zip(deployment.processes, positions) {
        let tries = try await waited(for: "many tries", within: patience) {
          let tries = process.log.dropFirst(position).filter {
            $0.fields["event"] == "redis.lost" && $0.fields["redis.connection"] == "commands"
              && $0.text.contains("READONLY")
          }
          return tries.count >= 9 ? tries : nil
        }
        #expect(tries.allSatisfy { $0.level == "debug" })
        let alarm = try await process.waitForLog(
          "Redis takes no writes", after: position, within: patience)
        #expect(alarm.level == "error" && alarm.fields["event"] == "condition.began")
        #expect(process.log.count { $0.message == alarm.message } == 1, "it is told once")
        // The waits are at their longest, of which chance takes at most half.
        #expect(tries[8].at - tries[7].at >= .milliseconds(900))
        let loud = process.log.dropFirst(position).filter {
          ["warning", "error"].contains($0.level)
        }
        // Each step may be told of, and the end of leadership: once.
        let told = Set(loud.map { $0.message + ($0.fields["error"] ?? "") })
        #expect(told.count == loud.count, "\(loud.map(\.text).joined(separator: "\n"))")
        try await process.waitForStatus(200, of: "/livez")
      }
      try await Refusal.readOnly.end(at: deployment)
      try await waitUntil("somebody leads again", within: patience) {
        try await deployment.ask("EXISTS", "WCH_leader").number == 1
      }
      #expect(try await deployment.token() == token)
      #expect(deployment.mints == 1)
    }
  }

  @Test("a primary that becomes a replica of another is left for that one, without a restart")
  func demotion() async throws {
    try await Deployment.run { deployment in
      // The deployment's own Redis is the next primary; the name leads to the former one first.
      let former = try await RedisServer.start()
      defer { former.stop() }
      try await Partition.run(to: former.port) { network in
        let url = ["WCH_REDIS_URL": "redis://127.0.0.1:\(network.port)/0"]
        let settings = Deployment.brisk.merging(url) { $1 }
        let replicas = try ["a", "b"].map { try deployment.start($0, settings) }
        for replica in replicas { try await replica.waitForStatus(200, of: "/readyz") }
        let token = try #require(try await former.command("GET", "WCH_access_token").text)
        let port = "\(deployment.redis.port)"

        // What has been written goes along, as in a fail-over in order.
        _ = try await former.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        try await deployment.ask("REPLICAOF", "127.0.0.1", "\(former.port)")
        try await waitUntil("the next primary has the token", within: patience) {
          try await deployment.token() == token
        }
        let positions = replicas.map(\.logPosition)
        try await deployment.ask("REPLICAOF", "NO", "ONE")
        network.lead(to: Int(port) ?? 0)
        _ = try await former.command("REPLICAOF", "127.0.0.1", port)

        // The lock goes along; whoever has it takes reports and fetches, there.
        try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
        try await waitUntil("another token is in the next primary", within: patience) {
          guard let now = try await deployment.token(), now != token else { return false }
          return now == deployment.simulator.newestToken(of: Deployment.appID)
        }
        for (replica, position) in zip(replicas, positions) {
          try await replica.waitForLog("Redis is connected", after: position, within: patience) {
            $0.level == "info"
          }
          let lines = replica.log.dropFirst(position)
          #expect(
            lines.contains { $0.fields["event"] == "redis.lost" && $0.text.contains("READONLY") })
          // As long as it lasts for a look.
          #expect(lines.count { $0.message == "Redis takes no writes" } <= 1)
          try await replica.waitForStatus(200, of: "/readyz")
          #expect(replica.isRunning)
        }
      }
    }
  }

  @Test("a fail-over that loses a refresh but not the lock is answered with the token again")
  func lostRefresh() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2, Deployment.brisk)
      let first = try #require(try await deployment.token())
      let before = try await deployment.ask("DUMP", Deployment.record)
      let record = try #require(before.bytes)
      let expiry = try #require(try await deployment.ask("GET", "WCH_expires_in").text)
      let lock = try await deployment.ask("GET", "WCH_leader").text

      try await deployment.withReader { reader in
        try await deployment.ask("RPUSH", "WCH_refresh_requests", first)
        let second = try await waited(for: "another token", within: patience) {
          try await deployment.token().flatMap { $0 == first ? nil : $0 }
        }
        let after = try await deployment.committed()
        let commits = try await leader.metric(
          "wechat_token_redis_commands_total", ["command": "commit"])
        let position = leader.logPosition

        // What a replica that had not heard of the refresh would have, were it promoted.
        var restore = RedisCommand("RESTORE", Deployment.record, "0")
        restore.append(record)
        restore.append("REPLACE")
        let replies = try await deployment.client.execute(
          [
            RedisCommand("MULTI"), restore,
            RedisCommand("SET", "WCH_access_token", first, "KEEPTTL"),
            RedisCommand("SET", "WCH_expires_in", expiry, "KEEPTTL"), RedisCommand("EXEC"),
          ], deadline: .now + patience, waitForConnection: true)
        #expect(replies.last?.elements?.allSatisfy { $0.refusal == nil } == true)

        let line = try await leader.waitForLog(
          "Redis had lost the last token; written again from memory", after: position,
          within: patience)
        #expect(line.level == "warning")
        #expect(line.fields["token.version"] == after)
        #expect(try await deployment.token() == second)
        #expect(try await deployment.committed() == after)
        #expect(second == deployment.simulator.newestToken(of: Deployment.appID))
        // Others may have fetched in what was lost, too.
        try await deployment.waitForShortLife()
        #expect(
          try await leader.metric("wechat_token_redis_commands_total", ["command": "commit"])
            > commits)
        let keys = try await deployment.keys()
        #expect(keys.endTogether)
        #expect(abs((keys.expiresIn ?? 0) - (keys.redisTime + keys.tokenTTL / 1000 - 120)) <= 2)
        #expect(deployment.mints == 2)
        #expect(try await deployment.ask("GET", "WCH_leader").text == lock)

        // The first token is dead from here on, and nobody reads it.
        deployment.simulator.advance(by: 300_000)
        let count = reader.liveReadings
        try await waitUntil("more readings", within: patience) { reader.liveReadings > count + 5 }
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
    }
  }

  @Test("a Redis password that is replaced is read again from its file")
  func rotatedPassword() async throws {
    try await Deployment.run { deployment in
      let file = deployment.redis.directory.appendingPathComponent("password")
      try "old\n".write(to: file, atomically: true, encoding: .utf8)
      try await deployment.ask("ACL", "SETUSER", "app", "on", ">old", "~*", "&*", "+@all")
      let replica = try deployment.start(
        "a",
        Deployment.brisk.merging([
          "WCH_REDIS_USERNAME": "app", "WCH_REDIS_PASSWORD_FILE": file.path,
        ]) { $1 })
      let token = try await deployment.waitForLiveToken()
      try await deployment.ask("ACL", "SETUSER", "app", "resetpass", ">new")
      try await deployment.ask("CLIENT", "KILL", "USER", "app")
      try await waitUntil("the refusal is an alarm", within: .seconds(10)) {
        replica.log.contains { $0.level == "error" && $0.text.contains("WRONGPASS") }
      }
      let position = replica.logPosition
      try "new\n".write(to: file, atomically: true, encoding: .utf8)
      try await replica.waitForLog("Redis is connected", after: position)
      try await replica.waitForStatus(200, of: "/readyz")
      #expect(try await deployment.token() == token)
      #expect(!replica.errorText.contains(">new") && !replica.errorText.contains("\"old\""))
    }
  }

  @Test("a lock and a token that Redis evicts are back without a fetch")
  func eviction() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 2, Deployment.brisk)
      let before = try await deployment.keys()
      for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
      try await deployment.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
      try await deployment.ask("CONFIG", "SET", "maxmemory", "1mb")
      // Any write makes Redis look for memory.
      try await waitUntil("lock and token are evicted", within: .seconds(5)) {
        try await deployment.ask("SET", "x", "y")
        return try await deployment.ask("EXISTS", "WCH_leader", "WCH_access_token").number == 0
      }
      try await deployment.ask("CONFIG", "SET", "maxmemory", "0")
      try await waitUntil("the token is back", within: .seconds(3)) {
        let now = try await deployment.keys()
        return now.token == before.token && now.expiresIn == before.expiresIn
      }
      try await deployment.waitForLeader()
      #expect(deployment.mints == 1)
    }
  }

  @Test("an evicting memory policy is warned about at the start")
  func evictingPolicy() async throws {
    try await Deployment.run(redisArguments: ["--maxmemory-policy", "volatile-lru"]) {
      deployment in
      try await deployment.start(count: 1)
      let replica = deployment.processes[0]
      try await waitUntil("a warning that names the policy", within: .seconds(5)) {
        replica.log.contains { $0.level == "warning" && $0.text.contains("volatile-lru") }
      }
    }
  }

  @Test(
    "a Redis that sleeps costs no fetch, whether shorter or longer than the lease",
    arguments: [2, 6])
  func sleepingRedis(seconds: Int) async throws {
    try await Deployment.run(redisArguments: ["--enable-debug-command", "yes"]) { deployment in
      let leader = try await deployment.start(count: 3, Deployment.brisk)
      let token = try await deployment.token()
      // Before it sleeps: when it wakes somebody may lead sooner than we can look.
      let position = deployment.processes.map(\.logPosition)
      _ = try await deployment.client.execute(
        .init("DEBUG", "SLEEP", "\(seconds)"), deadline: .now + .seconds(20))
      if .seconds(seconds) < Deployment.briskLease {
        let other = try await firstExcept(for: .seconds(2)) { () -> String? in
          let holder = try await deployment.leader()
          return holder === leader ? nil : holder?.instance ?? "nobody"
        }
        #expect(other == nil)
      } else {
        try await waitUntil("somebody leads again", within: .seconds(10)) {
          zip(deployment.processes, position).contains { process, position in
            process.log.dropFirst(position).contains { $0.message == "This replica leads" }
          }
        }
        #expect(leader.log.contains { $0.message == "This replica no longer leads" })
      }
      #expect(try await deployment.token() == token)
      #expect(deployment.mints == 1)
    }
  }

  @Test(
    "a Redis whose clock is stepped keeps one leader and a token of the right life",
    arguments: [40, 3600, -600])
  func steppedClock(seconds: Int) async throws {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    try #require(
      FileManager.default.fileExists(atPath: library), "Debian's package libfaketime is missing")
    let file = FileManager.default.temporaryDirectory
      .appendingPathComponent("clock\(UInt32.random(in: 0 ... .max))")
    try "+0".write(to: file, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: file) }
    let environment = [
      // With the C library's allocator: jemalloc asks for the time before libfaketime is ready.
      "LD_PRELOAD": "\(library):libc.so.6", "FAKETIME_TIMESTAMP_FILE": file.path,
      "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    ]
    try await Deployment.run(redisEnvironment: environment) { deployment in
      try await deployment.start(count: 3, Deployment.brisk)
      try await deployment.withReader { reader in
        let start = ContinuousClock.now
        let before = try await deployment.keys()
        let sign = seconds < 0 ? "" : "+"
        try "\(sign)\(seconds)".write(to: file, atomically: true, encoding: .utf8)
        try await waitUntil("the clock is stepped", within: .seconds(5)) {
          let now = try await deployment.keys()
          return abs(now.redisTime - before.redisTime - Int64(seconds)) <= 5
        }
        let end = ContinuousClock.now + Deployment.briskLease + .seconds(2)
        try await waitUntil("one leader, and the right lives", within: .seconds(6)) {
          try await deployment.problems(since: start) == nil
        }
        let problem = try await firstExcept(for: ContinuousClock.now.duration(to: end)) {
          try await deployment.problems(since: start)
        }
        #expect(problem == nil)
        #expect(deployment.mints == 1)
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
    }
  }

  @Test("a Redis user without a permission is told which one, and the daemon waits for it")
  func missingPermission() async throws {
    try await Deployment.run { deployment in
      try await deployment.ask(
        "ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all", "-evalsha", "-eval")
      let replica = try deployment.start(
        "a", ["WCH_REDIS_URL": "redis://limited:pw@127.0.0.1:\(deployment.redis.port)/0"])
      try await waitUntil("the permission is named", within: .seconds(10)) {
        replica.log.contains {
          ["warning", "error"].contains($0.level) && $0.text.contains("NOPERM")
            && $0.text.contains("run `eval`")
        }
      }
      try await replica.waitForStatus(200, of: "/livez")
      try await replica.waitForStatus(503, of: "/readyz")
      #expect(deployment.mints == 0)
      try await waitUntil("it has tried many times", within: .seconds(20)) {
        replica.log.count { $0.message == "A step at Redis failed; it is tried again" } >= 15
      }
      // Each key that a step begins with may be named once.
      #expect(replica.log.count { ["warning", "error"].contains($0.level) } <= 5)
      try await deployment.ask("ACL", "SETUSER", "limited", "+evalsha", "+eval")
      try await deployment.waitForLiveToken(within: .seconds(30))
      try await replica.waitForStatus(200, of: "/readyz")
    }
  }

  @Test("a Redis that refuses to wait for reports is told of once, and reports are heard later")
  func refusedReports() async throws {
    try await Deployment.run { deployment in
      try await deployment.ask(
        "ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all", "-blpop")
      let url = ["WCH_REDIS_URL": "redis://limited:pw@127.0.0.1:\(deployment.redis.port)/0"]
      let replica = try deployment.start("a", Deployment.brisk.merging(url) { $1 })
      let token = try await deployment.waitForLiveToken()
      func told() -> [SidecarProcess.LogLine] {
        replica.log.filter { $0.message == ProxyTests.pops }
      }
      try await waitUntil("it is told", within: patience) { !told().isEmpty }
      #expect(told()[0].fields["redis.key"] == "WCH_refresh_requests")
      #expect(told()[0].fields["error"]?.contains("blpop") == true)
      func serves() async throws -> Double {
        try await replica.metric("wechat_token_redis_connection_up", ["connection": "reports"])
      }
      try await waitUntil("the connection stands and does not serve", within: patience) {
        try await serves() == 0
      }
      try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      try await waitUntil("it has been refused some more", within: patience) {
        let log = try await deployment.ask("ACL", "LOG").elements ?? []
        return log.compactMap { $0.elements?.dropFirst().first?.number }.contains { $0 >= 4 }
      }
      #expect(told().count == 1)
      // It is looked for meanwhile.
      try await waitUntil("the report is served", within: patience) {
        try await deployment.token() != token
      }
      let next = try #require(try await deployment.token())
      try await deployment.ask("ACL", "SETUSER", "limited", "+blpop")
      try await replica.waitForLog("Applications' reports are heard again")
      try await waitUntil("the connection serves", within: patience) { try await serves() == 1 }
      try await deployment.ask("RPUSH", "WCH_refresh_requests", "not-\(next)")
      try await replica.waitForReports(2)
    }
  }

  @Test("a lock that somebody else holds without end is an alarm, and leadership follows its end")
  func foreignLock() async throws {
    try await Deployment.run { deployment in
      try await deployment.ask("SET", "WCH_leader", "somebody")
      let replica = try deployment.start("a", Deployment.brisk)
      try await waitUntil("the alarm is logged", within: patience) {
        replica.log.contains {
          $0.level == "error" && $0.message.contains("held without a time limit")
            && $0.fields["error"] == "somebody"
        }
      }
      #expect(try await deployment.token() == nil)
      try await deployment.ask("DEL", "WCH_leader")
      try await replica.waitForStatus(200, of: "/readyz")
      // And of our own lock, when a hand takes its TTL away: the leader's next renewal mends it.
      try await deployment.ask("PERSIST", "WCH_leader")
      try await waitUntil("the lock has a TTL again", within: patience) {
        try await deployment.ask("PTTL", "WCH_leader").number ?? 0 > 0
      }
    }
  }

  @Test("a deployment of another AppID on the same keys stays out and says why")
  func foreignApp() async throws {
    try await Deployment.run { deployment in
      let other = "wxfedcba9876543210"
      deployment.simulator.register(AppSettings(appID: other, secret: Deployment.secret))
      try await deployment.start(count: 1, Deployment.brisk)
      let token = try await deployment.token()
      let stranger = try deployment.start(
        "x", Deployment.brisk.merging(["WCH_APPID": other]) { $1 })
      try await waitUntil("the conflict is logged", within: .seconds(10)) {
        stranger.log.contains {
          $0.level == "error" && $0.message.contains("belong to another AppID")
        }
      }
      try await waitUntil("/readyz says so", within: .seconds(10)) {
        let answer = try await stranger.get("/readyz")
        return answer.status == 503 && answer.body.contains("AppID")
      }
      // Also when the lock is free: the token is still the others'.
      deployment.processes[0].kill()
      let wrong = try await firstExcept(for: Deployment.briskLease + .seconds(2)) {
        () -> String? in
        let now = try await deployment.token()
        return now == token ? nil : now ?? "nothing"
      }
      #expect(wrong == nil)
      #expect(deployment.simulator.audit.mints(of: other).isEmpty)
      try await stranger.waitForStatus(503, of: "/readyz")
    }
  }

  @Test("an account whose record is another AppID's keeps nobody from leading the others")
  func foreignAccount() async throws {
    try await Deployment.run { deployment in
      let other = "wxfedcba9876543210"
      deployment.simulator.register(AppSettings(appID: other, secret: Deployment.secret))
      let file = deployment.redis.directory.appendingPathComponent("settings.json5")
      try Data("{accounts: {shop: {appid: '\(other)', appsecret: '\(Deployment.secret)'}}}".utf8)
        .write(to: file)
      let token = "WCH_access_token:{shop}"
      try await deployment.ask("HSET", "WCH_state:{shop}", "v", "1", "app", "somebody-else")
      try await deployment.ask("SET", token, "theirs")
      let replica = try deployment.start(
        "a", Deployment.brisk.merging(["WCH_CONFIG": file.path]) { $1 })
      try await deployment.waitForLiveToken()
      try await waitUntil("the conflict is logged", within: .seconds(10)) {
        replica.log.contains {
          $0.level == "error" && $0.message.contains("belong to another AppID")
        }
      }
      try await waitUntil("/readyz says so of it, and not of the other", within: .seconds(10)) {
        let answer = try await replica.get("/readyz?account=shop")
        return answer.status == 503 && answer.body.contains("AppID")
      }
      try await replica.waitForStatus(200, of: "/readyz")
      // It goes on leading, and renews, for longer than the lease.
      let lost = try await firstExcept(for: Deployment.briskLease + .seconds(1)) { () -> String? in
        try await deployment.leader() === replica ? nil : "nobody leads"
      }
      #expect(lost == nil)
      #expect(try await deployment.ask("GET", token).text == "theirs")
      #expect(deployment.simulator.audit.mints(of: other).isEmpty)
      try await deployment.ask("DEL", token)
      try await waitUntil("the account has a token of its own", within: .seconds(10)) {
        try await deployment.ask("GET", token).text == deployment.simulator.newestToken(of: other)
      }
      try await replica.waitForStatus(200, of: "/readyz")
    }
  }
}

extension Deployment {
  /// The version of the last commit, as the log writes it.
  fileprivate func committed() async throws -> String? {
    let fields = try await ask("HMGET", Self.record, "committed_epoch", "committed_seq").elements
    let texts = (fields ?? []).compactMap(\.text)
    return texts.count == 2 ? texts.joined(separator: ".") : nil
  }

  /// What is wrong with lock, token and expiry; nil when all is well.
  fileprivate func problems(since start: ContinuousClock.Instant) async throws -> String? {
    let leaders = try await leadingReplicas()
    let holder = try await leader()?.instance
    guard leaders == [holder] else { return "\(leaders) lead, \(holder ?? "nobody") has the lock" }
    let lock = try await ask("PTTL", "WCH_leader").number ?? 0
    guard lock > 0, .milliseconds(lock) <= Self.briskLease else { return "the lock has \(lock) ms" }
    let keys = try await keys()
    // Two clocks may differ by a fiftieth of the life before that counts as wrong.
    let left = 7200 - (ContinuousClock.now - start).components.seconds + 150
    guard keys.tokenTTL / 1000 <= left else { return "the token has \(keys.tokenTTL) ms" }
    guard keys.endTogether else { return "the TTLs differ: \(keys)" }
    let told = (keys.expiresIn ?? 0) - keys.redisTime
    return abs(told - (keys.tokenTTL / 1000 - 120)) <= 2 ? nil : "\(told) s are told: \(keys)"
  }

  private func leadingReplicas() async throws -> [String?] {
    var leading: [String?] = []
    for process in processes where process.isRunning {
      if try await process.status()["role"] as? String == "leader" {
        leading.append(process.instance)
      }
    }
    return leading
  }
}
