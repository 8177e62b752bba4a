import RedisClient
import TestSupport
import Testing

/// A Redis that lacks commands, or a proxy before it that refuses or hangs up: tokens are kept all
/// the same, each lack is told once, and by its name.
@Suite struct ProxyTests {
  static let lacks =
    "Redis, or a proxy before it, does not take a command; the daemon does without it"

  static let pops = """
    Redis, or a proxy before it, does not take BLPOP, so the list of applications' reports is \
    looked at twice a second instead. Where it is the ACL, permit the command and the key to this \
    user (`wch-sidecar acl` prints the rules)
    """

  /// The commands that a replica has told of so far.
  static func told(_ process: SidecarProcess) -> [String] {
    process.log.filter { $0.message == lacks }.compactMap { $0.fields["redis.command"] }
  }

  /// A token, a report of it, and another leader.
  static func works(
    _ deployment: Deployment, _ settings: [String: String] = [:]
  ) async throws {
    try await deployment.withReader { reader in
      let leader = try await deployment.start(
        count: 2, Deployment.brisk.merging(settings) { $1 })
      let first = try await deployment.waitForLiveToken()
      try await waitUntil("it is ready", within: patience) {
        try await leader.get("/readyz").status == 200
      }
      try await deployment.ask("RPUSH", "WCH_refresh_requests", first)
      try await waitUntil("the report is served", within: patience) {
        try await deployment.token() != first
      }
      leader.terminate()
      #expect(try await leader.waitForExit() == .code(0))
      let next = try await deployment.waitForLeader(otherThan: leader)
      try await waitUntil("the next leader is ready", within: patience) {
        try await next.get("/readyz").status == 200
      }
      #expect(reader.deadReadings == 0)
      #expect(deployment.mints == 2)
    }
  }

  @Test("behind a proxy that hangs up on what it does not know, as twemproxy does, all goes on")
  func hangUps() async throws {
    try await Deployment.run(behind: StrictProxy.Rules(.twemproxy)) { deployment in
      try await Self.works(deployment)
      let proxy = try #require(deployment.proxy)
      for process in deployment.processes where process.isRunning {
        try await waitUntil("each is told", within: patience) {
          Set(Self.told(process)).isSuperset(of: ["CLIENT", "INFO", "SUBSCRIBE"])
        }
      }
      for process in deployment.processes {
        let told = Self.told(process)
        #expect(told.count == Set(told).count, "\(told)")
      }
      // Nothing is asked again and again that ends a connection each time.
      #expect(proxy.stopped("SUBSCRIBE") <= 6)
      #expect(proxy.stopped("BLPOP") <= 6)
      #expect(proxy.stopped("TIME") == 0 && proxy.stopped("CONFIG") == 0)
      #expect(proxy.stopped("PUBLISH") == 0)
    }
  }

  @Test("a Redis without EVALSHA, BLPOP, SUBSCRIBE and INFO is told of by each name, once")
  func refusals() async throws {
    try await Deployment.run(behind: StrictProxy.Rules(.bare)) { deployment in
      try await Self.works(deployment)
      for process in deployment.processes {
        let told = Self.told(process)
        #expect(
          Set(told).isSuperset(of: ["CLIENT", "EVALSHA", "INFO", "SUBSCRIBE"]), "\(told)")
        #expect(told.count == Set(told).count, "\(told)")
        let digest = process.log.first {
          $0.message == Self.lacks && $0.fields["redis.command"] == "EVALSHA"
        }
        #expect(
          digest?.fields["error"]?.contains("unknown command `EVALSHA` (") == true,
          "\(digest?.text ?? "")")
        // What is known to lack is no alarm, and is shown.
        guard process.isRunning else { continue }
        let conditions = try await process.get("/v1/status").conditions()
        #expect(conditions.allSatisfy { $0.severity == "notice" }, "\(conditions)")
      }
      #expect(try #require(deployment.proxy).stopped("EVALSHA") <= 4)
    }
  }

  @Test("a proxy before a cluster, whose refusal splits the steps, is told of once")
  func slots() async throws {
    try await Deployment.run(behind: StrictProxy.Rules(.slots)) { deployment in
      try await Self.works(deployment)
      for process in deployment.processes {
        let told = process.log.filter { $0.level == "warning" && $0.text.contains("same slot") }
        #expect(told.count <= 1, "\(told.map(\.text))")
      }
      #expect(try #require(deployment.proxy).stopped("EVAL") <= 8)
    }
  }

  @Test("without Lua a replica follows, is not ready, says why, and serves what others publish")
  func withoutScripts() async throws {
    try await Deployment.run(
      behind: .without("EVAL", "EVALSHA", "FCALL")
    ) { deployment in
      // This one does not go through the proxy.
      let leader = try deployment.start(
        "z", Deployment.brisk.merging(["WCH_REDIS_URL": deployment.redis.url]) { $1 })
      let token = try await deployment.waitForLiveToken()
      let follower = try deployment.start("a", Deployment.brisk)
      let ready = try await follower.waitForStatus(503, of: "/readyz", within: patience)
      try await waitUntil("it says why", within: patience) {
        try await follower.get("/readyz").body.contains("runs no scripts")
      }
      #expect(ready.status == 503)
      let served = try await waited(for: "the token is served", within: patience) {
        let answer = try? await follower.ask("GET", "/v1/token")
        return answer?.status == 200 ? answer : nil
      }
      #expect(served.body.contains(token))
      let line = try await follower.waitForLog(
        "Redis runs no scripts, without which nobody can lead", within: patience)
      #expect(line.text.contains("unknown command `EVAL`"))
      // The next token, too.
      try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      let next = try await waited(for: "another token", within: patience) {
        try await deployment.token().flatMap { $0 == token ? nil : $0 }
      }
      try await waitUntil("the next one is served", within: patience) {
        try await follower.ask("GET", "/v1/token").body.contains(next)
      }
      // Without anybody else it does not lead.
      leader.terminate()
      #expect(try await leader.waitForExit() == .code(0))
      let position = follower.logPosition
      try await follower.waitForLog(
        "A step at Redis failed; it is tried again", after: position, within: patience)
      #expect(try await deployment.ask("EXISTS", "WCH_leader").number == 0)
      // Once scripts are there it does.
      try #require(deployment.proxy).rules = StrictProxy.Rules()
      _ = try await deployment.waitForLeader(within: patience)
      try await follower.waitForStatus(200, of: "/readyz", within: patience)
    }
  }

  @Test("a key of other software that the ACL forbids is left out and told, and nothing else")
  func forbiddenOutput() async throws {
    try await Deployment.run { deployment in
      let rules = ["ACL", "SETUSER", "app", "on", ">pw", "~WCH_*", "&*", "+@all"]
      try await deployment.ask(RedisCommand(rules[0], Array(rules.dropFirst())))
      let settings = [
        "WCH_REDIS_URL": "redis://app:pw@127.0.0.1:\(deployment.redis.port)/0",
        "WCH_OUTPUTS": "wechatpy",
      ]
      let leader = try await deployment.start(count: 1, Deployment.brisk.merging(settings) { $1 })
      try await leader.waitForStatus(200, of: "/readyz")
      let told = try await leader.waitForLog(
        "Redis forbids a key beside the token's own", within: patience)
      let key = try #require(told.fields["subject"], "\(told.text)")
      #expect(told.level == "warning" && told.text.contains("NOPERM"))
      let conditions = try await leader.get("/v1/status").conditions()
      #expect(conditions.map(\.id) == ["output_forbidden", "output_forbidden"], "\(conditions)")
      #expect(try await deployment.ask("EXISTS", key).number == 0)
      // Nothing is repaired for ever.
      #expect(!leader.log.contains { $0.fields["event"] == "token.restored" })
      #expect(try await deployment.ask("EXISTS", "WCH_access_token").number == 1)

      let check = try SidecarProcess(
        ["check", "--connect"],
        environment: deployment.environment(instance: "check").merging(settings) { $1 },
        instance: "check")
      #expect(try await check.waitForExit(within: patience) == .code(1))
      #expect(check.outputText.contains("error: permission ~\(key)"), "\(check.outputText)")

      // The next connection finds that it is allowed.
      try await deployment.ask("ACL", "SETUSER", "app", "~wechatpy:*")
      try await deployment.ask("CLIENT", "KILL", "USER", "app")
      let token = try #require(try await deployment.token())
      try await waitUntil("it is written", within: patience) {
        try await deployment.ask("GET", key).text?.contains(token) == true
      }
      try await waitUntil("all is well", within: patience) {
        try await leader.get("/v1/status").conditions().isEmpty
      }
      #expect(deployment.mints == 1)
    }
  }
}
