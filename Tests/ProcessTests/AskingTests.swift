import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// What the verbs that ask a daemon say of its troubles, and how little they need for that.
@Suite struct AskingTests {
  private static func ask(
    _ words: String, _ environment: [String: String]
  ) async throws -> SidecarProcess {
    let process = try SidecarProcess(
      words.split(separator: " ").map(String.init), environment: environment, instance: words)
    _ = try await process.waitForExit(within: patience)
    return process
  }

  // MARK: Why

  @Test("status, health, wait and /readyz say why there is no token, on leader and follower")
  func why() async throws {
    try await Deployment.run { deployment in
      deployment.simulator.setFault(
        .errorCode(40164, message: "invalid ip 198.51.100.7, not in whitelist"), count: nil)
      for name in ["a", "b"] { try deployment.start(name, Deployment.brisk) }
      for name in ["a", "b"] {
        let replica = try #require(deployment.processes.first { $0.instance == name })
        // A follower hears it with a heartbeat.
        try await waitUntil("\(name) knows", within: .seconds(30)) {
          (try? await replica.get("/readyz"))?.body.contains("40164") ?? false
        }
        let environment = deployment.environment(instance: name)
        for (words, code) in [("health", 1), ("wait --max 100ms", 75), ("status", 0)] {
          let process = try await Self.ask(words, environment)
          #expect(process.exit == .code(code), "\(process.errorText)")
          let text = process.outputText + process.errorText
          #expect(text.contains("errcode 40164"), "\(words) at \(name): \(text)")
          #expect(text.contains("198.51.100.7"), "\(words) at \(name): \(text)")
          #expect(text.contains("refresh --force"), "\(words) at \(name): \(text)")
        }
      }
    }
  }

  @Test(
    "refresh --force asks once more after a refusal, and an old refusal is no answer",
    arguments: [40164, 40125, 45009])
  func force(code: Int) async throws {
    try await Deployment.run { deployment in
      deployment.simulator.setFault(.errorCode(code), count: nil)
      let replica = try deployment.start("a")
      let environment = deployment.environment(instance: "a")
      try await replica.waitForLog("WeChat gave no token; what Redis has stays")
      // Nothing was mended: WeChat says so again, and was asked again.
      let before = deployment.simulator.audit.requests(to: .credentials)
      let refused = try await Self.ask("refresh --force", environment)
      #expect(refused.exit == .code(77), "\(refused.errorText)")
      #expect(refused.errorText.contains("errcode \(code)"), "\(refused.errorText)")
      #expect(refused.errorText.contains("it said so just now"), "\(refused.errorText)")
      #expect(deployment.simulator.audit.requests(to: .credentials) > before)

      deployment.simulator.clearFaults()
      let mended = try await Self.ask("refresh --force", environment)
      #expect(mended.exit == .code(0), "\(mended.errorText)")
      #expect(mended.outputText.hasPrefix("default: refreshed"), "\(mended.outputText)")
      #expect(deployment.mints == 1)
    }
  }

  @Test("a report while WeChat refuses is told when it said so, and when it is asked again")
  func reportWhileRefused() async throws {
    try await Deployment.run { deployment in
      let replica = try await deployment.start(count: 1)
      try await replica.waitForStatus(200, of: "/readyz")
      let token = try #require(try await deployment.token())
      deployment.simulator.setFault(.errorCode(40125), count: nil)
      let first = try await replica.ask(
        "POST", "/v1/refresh", body: "{\"rejected_token\":\"\(token)\"}")
      #expect(first.status == 503)
      let again = try await replica.ask(
        "POST", "/v1/refresh", body: "{\"rejected_token\":\"\(token)\"}")
      #expect(again.status == 503)
      #expect(again.body.contains("it said so "), "\(again.body)")
      #expect(again.body.contains("WeChat is asked again in "), "\(again.body)")
    }
  }

  // MARK: Accounts

  @Test("one bad account takes nothing down but itself, unless WCH_READY wants all")
  func oneBadAccount() async throws {
    try await Deployment.run { deployment in
      let (settings, _) = try deployment.accounts(count: 3, life: 7_200_000)
      deployment.simulator.setFault(.errorCode(40125), appID: "wxa1", count: nil)
      let replica = try deployment.start("a", settings)
      try await waitUntil("the others live and the bad one is told", within: .seconds(20)) {
        guard let answer = try? await replica.get("/readyz") else { return false }
        return answer.status == 200 && answer.body.contains("\"degraded\":[\"a1\"]")
          && answer.body.contains("40125")
      }
      #expect(try await replica.get("/readyz?account=a2").status == 200)
      #expect(try await replica.get("/readyz?account=default").status == 200)
      let bad = try await replica.get("/readyz?account=a1")
      #expect(bad.status == 503)
      #expect(bad.body.contains("errcode 40125"), "\(bad.body)")
      let nobody = try await replica.get("/readyz?account=b")
      #expect(nobody.status == 404)
      #expect(nobody.body.contains("the accounts are default, a1, a2"), "\(nobody.body)")
      // The verbs need none of the accounts' settings.
      let environment = deployment.environment(instance: "a")
      for (words, code) in [
        ("health", 0), ("health --account a1", 1), ("health --account a2", 0),
        ("wait --max 5s", 0), ("wait --account a1 --max 100ms", 75),
        ("wait --account=default --max 5s", 0), ("health --account b", 1),
        ("token --account a2", 0), ("token --account b", 1), ("token --account a1", 77),
      ] {
        let process = try await Self.ask(words, environment)
        #expect(process.exit == .code(code), "\(words): \(process.errorText)")
      }
      let unnamed = try await Self.ask("token --account b", environment)
      #expect(unnamed.errorText.contains("the accounts are default, a1, a2"))
      #expect(unnamed.errorText.contains("--account"))
      let status = try await Self.ask("status", environment)
      let rows = status.outputText.split(separator: "\n")
      let first = try #require(rows.firstIndex { $0.hasPrefix("ACCOUNT") })
      #expect(rows[first + 1].hasPrefix("a1 "), "the failing first: \(status.outputText)")

      for (ready, code) in [("all", 503), ("a2,default", 200), ("a2,a1", 503)] {
        let other = try deployment.start("r", settings.merging(["WCH_READY": ready]) { $1 })
        try await other.waitForStatus(code, of: "/readyz")
        other.terminate()
        #expect(try await other.waitForExit() == .code(0))
      }
    }
  }

  // MARK: What they need

  @Test("settings that are broken, unknown or gone concern no verb that asks the daemon")
  func brokenSettings() async throws {
    try await Deployment.run { deployment in
      let replica = try await deployment.start(count: 1)
      try await replica.waitForStatus(200, of: "/readyz")
      let listen = try #require(deployment.environment(instance: "a")["WCH_HTTP_LISTEN"])
      let broken = [
        "WCH_HTTP_LISTEN": listen, "WCH_APPID": "gh_1", "WCH_APPSECRET_FILE": "/gone",
        "WCH_FOO": "1", "WCH_LEASE": "soon", "WCH_CONFIG": "/gone.json5",
        "WCH_REDIS_URL": "http://nowhere",
      ]
      for words in ["health", "health --live", "status", "wait --max 5s", "token"] {
        let process = try await Self.ask(words, broken)
        #expect(process.exit == .code(0), "\(words): \(process.errorText)")
      }
      let refresh = try await Self.ask("refresh --force", broken)
      #expect(refresh.exit == .code(0), "\(refresh.errorText)")
    }
  }

  @Test("a certificate of a private authority is taken: by the authority, or as the very one")
  func privateAuthority() async throws {
    try await Deployment.run { deployment in
      let folder = deployment.redis.directory
      for (name, text) in [
        ("cert.pem", FixedCertificates.localhost), ("key.pem", FixedCertificates.localhostKey),
        ("ca.pem", FixedCertificates.authority),
      ] {
        try Data(text.utf8).write(to: folder.appendingPathComponent(name))
      }
      func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
      let port = try FreePort.pick()
      let daemon = try SidecarProcess(
        environment: deployment.environment(instance: "a").merging([
          "WCH_HTTP_LISTEN": "127.0.0.1:\(port)", "WCH_HTTP_TLS_CERT_FILE": path("cert.pem"),
          "WCH_HTTP_TLS_KEY_FILE": path("key.pem"),
        ]) { $1 }, instance: "a")
      try await daemon.waitForLog("HTTP interface listens")
      for host in ["127.0.0.1", "localhost"] {
        for trust in [
          ["WCH_HTTP_CA_FILE": path("ca.pem")], ["WCH_HTTP_TLS_CERT_FILE": path("cert.pem")],
        ] {
          let ready = try await Self.ask(
            "wait --max 10s", trust.merging(["WCH_HTTP_LISTEN": "\(host):\(port)"]) { $1 })
          #expect(ready.exit == .code(0), "\(host) \(trust): \(ready.errorText)")
          let process = try await Self.ask(
            "token", trust.merging(["WCH_HTTP_LISTEN": "\(host):\(port)"]) { $1 })
          #expect(process.exit == .code(0), "\(host) \(trust): \(process.errorText)")
        }
      }
      for trust in [
        ["WCH_HTTP_CA_FILE": path("cert.pem")], ["WCH_HTTP_TLS_CERT_FILE": path("ca.pem")],
      ] {
        let process = try await Self.ask(
          "token", trust.merging(["WCH_HTTP_LISTEN": "127.0.0.1:\(port)"]) { $1 })
        #expect(process.exit == .code(69))
        #expect(process.errorText.contains("certificate"), "\(process.errorText)")
        #expect(!process.errorText.contains("handshakeFailed"), "\(process.errorText)")
      }
      // The daemon goes on when the files are gone, and so do the probes.
      for name in ["cert.pem", "key.pem"] {
        try FileManager.default.removeItem(at: folder.appendingPathComponent(name))
      }
      let probe = try await Self.ask(
        "health",
        [
          "WCH_HTTP_LISTEN": "127.0.0.1:\(port)", "WCH_HTTP_TLS_CERT_FILE": path("cert.pem"),
          "WCH_HTTP_TLS_KEY_FILE": path("key.pem"),
        ])
      #expect(probe.exit == .code(0), "\(probe.errorText)")
      daemon.terminate()
      #expect(try await daemon.waitForExit() == .code(0))
    }
  }

  // MARK: Redis alone

  @Test("without a daemon status tells what Redis has, says so, shows no token, and ends with 69")
  func redisAlone() async throws {
    try await Deployment.run { deployment in
      let replica = try await deployment.start(count: 1, Deployment.brisk)
      let token = try #require(try await deployment.token())
      try await waitUntil("a heartbeat", within: .seconds(10)) {
        try await deployment.ask("HEXISTS", "WCH_replicas", "a").number == 1
      }
      let environment = deployment.environment(instance: "a")
        .merging(["WCH_HTTP_LISTEN": "127.0.0.1:1"]) { $1 }
      let living = try await Self.ask("status", environment)
      #expect(living.exit == .code(69))
      #expect(living.errorText.contains("no daemon answers"))
      #expect(living.outputText.contains("what Redis alone tells"))
      #expect(living.outputText.contains("leader    a, lease for "), "\(living.outputText)")
      #expect(living.outputText.contains(#/\ndefault +there +1 h 59 min/#), "\(living.outputText)")
      #expect(living.outputText.contains(#/\na +leader +[0-9.]+ /#), "\(living.outputText)")
      #expect(!living.outputText.contains(token))

      deployment.simulator.setFault(.errorCode(40125), count: nil)
      try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      try await waitUntil("the leader's trouble in its heartbeat", within: .seconds(20)) {
        try await deployment.ask("HGET", "WCH_replicas", "a").text?.contains("40125") ?? false
      }
      let failing = try await Self.ask("status", environment)
      #expect(failing.outputText.contains("errcode 40125"), "\(failing.outputText)")
      // Redis may be all that an operator knows: accounts are found there.
      let stranger = try await Self.ask(
        "status", ["WCH_REDIS_URL": deployment.redis.url, "WCH_HTTP_LISTEN": "127.0.0.1:1"])
      #expect(stranger.outputText.contains(#/\ndefault +there /#), "\(stranger.outputText)")
      let json = try await Self.ask("status -o json", environment)
      #expect(json.exit == .code(69))
      #expect(json.outputText.isEmpty)
      replica.terminate()
      _ = try await replica.waitForExit()
      deployment.redis.kill()
      let nothing = try await Self.ask("status", environment)
      #expect(nothing.exit == .code(69))
      #expect(nothing.errorText.contains("Redis tells nothing instead"), "\(nothing.errorText)")
    }
  }

  @Test("-o json is /v1/status as it came")
  func verbatim() async throws {
    try await Deployment.run { deployment in
      let replica = try await deployment.start(count: 1)
      let process = try await Self.ask("status -o json", deployment.environment(instance: "a"))
      #expect(process.exit == .code(0), "\(process.errorText)")
      let told = try #require(
        try JSONSerialization.jsonObject(with: Data(process.outputText.utf8)) as? [String: Any])
      let served = try #require(
        try JSONSerialization.jsonObject(with: Data(try await replica.get("/v1/status").body.utf8))
          as? [String: Any])
      #expect(Set(told.keys) == Set(served.keys))
    }
  }

  // MARK: Watching

  @Test("--watch ends with its reader, and with 0")
  func endsWithPipe() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 1)
      let shell = try SidecarProcess(
        ["status", "--watch"], environment: deployment.environment(instance: "a"),
        instance: "pipe",
        launcher: ["/bin/bash", "-c", "set -o pipefail; \"$0\" \"$@\" | head -n 1"])
      #expect(try await shell.waitForExit(within: patience) == .code(0))
      #expect(shell.outputText.hasPrefix("instance  a"))
    }
  }

  @Test("at a terminal --watch has the other screen, and gives the first one back at SIGTERM")
  func terminal() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 1)
      let environment = deployment.environment(instance: "a")
        .merging(["TERM": "xterm", "PATH": "/usr/bin:/bin"]) { $1 }
      let terminal = try SidecarProcess(
        ["status", "--watch"], environment: environment, instance: "terminal",
        launcher: ["/bin/sh", "-c", "exec script -qefc \"exec $0 $*\" /dev/null"])
      try await waitUntil("two pictures", within: .seconds(20)) {
        terminal.outputText.components(separatedBy: "\u{1b}[H").count > 2
      }
      #expect(terminal.outputText.contains("\u{1b}[?1049h"))
      let child = try #require(Self.verb(below: terminal.id))
      #expect(kill(child, SIGTERM) == 0)
      #expect(try await terminal.waitForExit(within: patience) == .code(0))
      #expect(terminal.outputText.contains("\u{1b}[?1049l"))
      let last = try #require(terminal.outputText.ranges(of: "\u{1b}[?1049h").last)
      #expect(terminal.outputText[last.upperBound...].contains("\u{1b}[?1049l"))
      // No line is wider than the terminal.
      for line in terminal.outputText.replacing(#/\x1b\[[?0-9]*[A-Za-z]/#, with: "\n")
        .split(whereSeparator: \.isNewline)
      {
        #expect(line.count <= 80, "\(line)")
      }
    }
  }

  /// The process of the verb below the one that gives it a terminal.
  private static func verb(below id: Int32) -> Int32? {
    var next = [id]
    while let parent = next.popLast() {
      let path = "/proc/\(parent)/task/\(parent)/children"
      let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
      for child in text.split(separator: " ").compactMap({ Int32($0) }) {
        let name = (try? String(contentsOfFile: "/proc/\(child)/comm", encoding: .utf8)) ?? ""
        if name.hasPrefix("wch-sidecar") { return child }
        next.append(child)
      }
    }
    return nil
  }
}
