import Foundation
import TestSupport
import Testing

/// Other people's proxies before a real Redis; with `WCH_REDIS=1`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["WCH_REDIS"] != nil), .serialized)
struct RealProxyTests {
  /// Runs a proxy until the body has ended.
  private static func with(
    _ words: [String], _ file: (name: String, text: String), in deployment: Deployment, port: Int,
    _ body: ([String: String]) async throws -> Void
  ) async throws {
    let path = deployment.redis.directory.appendingPathComponent(file.name)
    try Data(file.text.utf8).write(to: path)
    let process = try ChildProcess(
      words.map { $0 == "FILE" ? path.path : $0 },
      environment: ProcessInfo.processInfo.environment)
    defer { process.end(SIGTERM) }
    try await body(["WCH_REDIS_URL": "redis://127.0.0.1:\(port)/0"])
  }

  private static func twemproxy(
    in deployment: Deployment, servers: [Int], _ body: ([String: String]) async throws -> Void
  ) async throws {
    let port = try FreePort.pick()
    let text = """
      pool:
        listen: 127.0.0.1:\(port)
        hash: fnv1a_64
        distribution: ketama
        redis: true
        servers:
      \(servers.map { "    - 127.0.0.1:\($0):1" }.joined(separator: "\n"))

      """
    try await with(
      [
        "nutcracker", "-c", "FILE", "-s", "\(try FreePort.pick())", "-o",
        deployment.redis.directory.appendingPathComponent("twemproxy.log").path,
      ], ("twemproxy.yml", text), in: deployment, port: port, body)
  }

  private static func haproxy(
    in deployment: Deployment, timeout: String, _ body: ([String: String]) async throws -> Void
  ) async throws {
    let port = try FreePort.pick()
    let text = """
      defaults
        mode tcp
        timeout connect 1s
        timeout client \(timeout)
        timeout server \(timeout)
      listen redis
        bind 127.0.0.1:\(port)
        server one 127.0.0.1:\(deployment.redis.port)

      """
    try await with(
      ["haproxy", "-db", "-f", "FILE"], ("haproxy.cfg", text), in: deployment, port: port, body)
  }

  @Test("twemproxy: tokens, reports and hand-overs, and each lack is told by its name")
  func twemproxy() async throws {
    try await Deployment.run(alone: true) { deployment in
      try await Self.twemproxy(in: deployment, servers: [deployment.redis.port]) { settings in
        try await ProxyTests.works(deployment, settings)
        let leader = try await deployment.waitForLeader()
        try await waitUntil("each is told", within: patience) {
          Set(ProxyTests.told(leader)).isSuperset(of: ["CLIENT", "INFO", "SUBSCRIBE"])
        }
        let check = try SidecarProcess(
          ["check", "--connect"],
          environment: deployment.environment(instance: "check").merging(settings) { $1 },
          instance: "check")
        #expect(try await check.waitForExit(within: patience) == .code(1))
        for words in ["error: command blpop", "error: command subscribe", "warning: command info"] {
          #expect(check.outputText.contains(words), "\(check.outputText)")
        }
        #expect(!check.outputText.contains("scripts:"), "\(check.outputText)")
      }
    }
  }

  @Test("twemproxy before two servers: check says that scripts and commands do not meet")
  func spread() async throws {
    try await Deployment.run(alone: true) { deployment in
      let second = try await RedisServer.start()
      defer { second.stop() }
      // Which keys meet depends on the names of servers, which are ports here: prefixes are tried
      // until two do not.
      try await Self.twemproxy(
        in: deployment, servers: [deployment.redis.port, second.port]
      ) { settings in
        var told: [String] = []
        for prefix in ["WCH_", "A_", "B_", "C_", "D_", "E_", "F_"] where told.isEmpty {
          let check = try SidecarProcess(
            ["check", "--connect"],
            environment: deployment.environment(instance: "check").merging(settings) { $1 }
              .merging(["WCH_KEY_PREFIX": prefix]) { $1 }, instance: "check")
          _ = try await check.waitForExit(within: patience)
          if check.outputText.contains("error: scripts: a script does not find") {
            told.append(prefix)
          }
        }
        #expect(!told.isEmpty)
      }
    }
  }

  @Test("haproxy whose time limits are shorter than a wait for reports: reports are polled")
  func impatientHaproxy() async throws {
    try await Deployment.run(alone: true) { deployment in
      try await Self.haproxy(in: deployment, timeout: "1500ms") { settings in
        let leader = try await deployment.start(count: 1, settings)
        let token = try await deployment.waitForLiveToken()
        try await leader.waitForLog(
          ProxyTests.pops, within: patience)
        try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
        try await waitUntil("the report is served", within: patience) {
          try await deployment.token() != token
        }
        #expect(deployment.mints == 2)
      }
    }
  }

  @Test("haproxy whose server is away at first: nothing is left out for that")
  func emptyHaproxy() async throws {
    try await Deployment.run(alone: true) { deployment in
      try await Self.haproxy(in: deployment, timeout: "60s") { settings in
        deployment.redis.kill()
        let replica = try deployment.start("a", Deployment.brisk.merging(settings) { $1 })
        try await waitUntil("it was hung up on in every way", within: patience) {
          replica.log.count { $0.text.contains("hangs up on") } >= 8
        }
        try await deployment.redis.restart()
        try await deployment.waitForLiveToken()
        #expect(ProxyTests.told(replica).isEmpty)
        let connected = try await replica.waitForLog("Redis is connected")
        #expect(connected.fields["redis.run_id"]?.count == 40)
      }
    }
  }
}
