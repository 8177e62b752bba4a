import Foundation
import NIOCore
import Synchronization
import Testing
import TokenCore

@testable import Sidecar

@Suite struct StatusServerTests {
  // MARK: Page and status

  @Test(arguments: [
    (
      "/?lang=zh", "zh-CN",
      [
        "系统启动", "22:13:20 UTC", "定时器执行", "42 次", "凭证Token有效期", "1 小时 57 分钟",
        "刷新Token成功", "11 次", "刷新Token失败", "2 次", "主控：host-1",
      ]
    ),
    (
      "/", "en",
      [
        "Started", "22:13:20 UTC", "Timer runs", ">42<", "Clients trust the token for",
        "1 h 57 min", "Refreshes ok", ">11<", "Refreshes failed", ">2<", "host-1 leads.",
      ]
    ),
  ])
  func `the page shows the reference's five figures in either language, and who leads`(
    path: String, language: String, texts: [String]
  ) async throws {
    try await withStatusServer { port in
      let reply = try await ask(path, port: port)
      #expect(reply.status == 200)
      #expect(reply.headers["content-type"] == "text/html; charset=utf-8")
      #expect(reply.headers["content-language"] == language)
      #expect(reply.headers["vary"] == "Accept-Language")
      for text in texts { #expect(reply.body.contains(text), "\(text)") }
      #expect(reply.body.contains("invalid ip &lt;script&gt;"))
      #expect(!reply.body.contains("tok-123"))
      #expect(reply.headers["content-security-policy"] == PageAssets.policy)
    }
  }

  @Test func `the page says it when there is no token and no leader`() async throws {
    let source = FakeSource()
    source.answers.withLock {
      $0.snapshot.role = .isolated
      $0.snapshot.leader = nil
      $0.snapshot.redis = StatusSnapshot.Redis(isConnected: false, lastError: "refused & gone")
      $0.snapshot.accounts[0].hasToken = false
      $0.health[.ready] = .bad("no token")
    }
    try await withStatusServer(source: source) { port in
      let body = try await ask("/", port: port).body
      for text in [
        "Nobody leads.", "cut off from Redis", "refused &amp; gone", "/readyz 503", "no token",
      ] {
        #expect(body.contains(text), "\(text)")
      }
    }
  }

  @Test func `the status is JSON with every member present`() async throws {
    try await withStatusServer { port in
      let reply = try await ask("/v1/status", port: port)
      #expect(reply.status == 200)
      #expect(reply.headers["content-type"] == "application/json")
      let status = try reply.json()
      #expect(status["instance"] as? String == "host-1")
      #expect(status["role"] as? String == "leader")
      #expect(status["epoch"] as? Int == 4)
      #expect(status["ticks"] as? Int == 42)
      #expect(status["started_at"] as? Int == 1_700_000_000)
      #expect(status["uptime_seconds"] as? Int == 60)
      #expect(status["refreshes_ok"] as? Int == 11)
      let redis = try #require(status["redis"] as? [String: Any])
      #expect(redis["connected"] as? Bool == true)
      #expect(redis["last_error"] is NSNull)
      let account = try #require((status["accounts"] as? [[String: Any]])?.first)
      #expect(account["account"] as? String == "default")
      #expect(account["token_present"] as? Bool == true)
      #expect(account["expires_at"] as? Int == 1_700_007_080)
      #expect(account["remaining_seconds"] as? Int == 7020)
      #expect(account["next_refresh_at"] as? Int == 1_700_007_020)
      let failure = try #require(account["last_failure"] as? [String: Any])
      #expect(failure["errcode"] as? Int == 40164)
      #expect(failure["rid"] as? String == "rid-1")
      #expect(!reply.body.contains("tok-123"))
    }
  }

  // MARK: Checks

  @Test(arguments: [
    ("/livez", HealthCheck.live), ("/startupz", .started),
  ])
  func `a check is 200 or 503 with its reason`(path: String, check: HealthCheck) async throws {
    let source = FakeSource()
    try await withStatusServer(source: source) { port in
      let good = try await ask(path, port: port)
      #expect(good.status == 200)
      #expect(try good.json()["detail"] as? String == "fine")
      source.answers.withLock { $0.health[check] = .bad("the loop stands still") }
      let bad = try await ask(path, port: port)
      #expect(bad.status == 503)
      #expect(bad.headers["content-type"] == "application/problem+json")
      #expect(try bad.json()["detail"] as? String == "the loop stands still")
    }
  }

  @Test func `readiness tells what is wrong, of one account or of all`() async throws {
    let shop = try #require(CredentialID("shop"))
    let source = FakeSource()
    var missing = Condition(
      .noToken, .critical, account: shop, since: Timestamp(second: 1_700_000_000))
    missing.facts.reason = "WeChat answered with errcode 40125"
    let (conditions, accounts) = ([missing], [AccountName.unnamed, shop.account])
    try await withStatusServer(source: source) { port in
      source.answers.withLock {
        $0.readiness = Readiness(of: .any, accounts: accounts, conditions: conditions)
      }
      let degraded = try await ask("/readyz", port: port)
      #expect(degraded.status == 200)
      #expect(try degraded.json()["status"] as? String == "degraded")
      #expect(try degraded.json()["degraded"] as? [String] == ["shop"])
      let told = try #require(try degraded.json()["conditions"] as? [[String: Any]])
      #expect((told[0]["sentence"] as? String)?.contains("40125") == true)
      source.answers.withLock {
        $0.readiness = Readiness(
          of: .all([shop.account]), accounts: accounts, conditions: conditions)
      }
      let bad = try await ask("/readyz?account=shop", port: port)
      #expect(bad.status == 503)
      #expect(bad.headers["content-type"] == "application/problem+json")
      #expect((try bad.json()["detail"] as? String)?.contains("40125") == true)
      #expect(source.answers.withLock { $0.asked } == [shop])
      source.answers.withLock { $0.readiness = nil }
      #expect(try await ask("/readyz?account=nobody", port: port).status == 404)
      #expect(try await ask("/readyz?account=no%20body", port: port).status == 400)
      // A slip would have all accounts' answer pass for one's.
      for query in ["acount=shop", "account=shop&account=blog", "account=shop&t=1", "%00"] {
        let answer = try await ask("/readyz?\(query)", port: port)
        #expect(answer.status == 400)
        #expect(answer.body.contains("/readyz takes `account` once, and nothing else"))
      }
    }
  }

  @Test func `metrics are Prometheus text and count the requests themselves`() async throws {
    try await withStatusServer { port in
      _ = try await ask("/livez", port: port)
      _ = try await ask("/nowhere?secret=1", port: port)
      _ = try await ask("/livez", by: "PATCH", port: port)
      let reply = try await ask("/metrics", port: port)
      #expect(reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
      for line in [
        "{route=\"/livez\",method=\"GET\",code=\"200\"} 1",
        "{route=\"other\",method=\"GET\",code=\"404\"} 1",
        "{route=\"/livez\",method=\"other\",code=\"405\"} 1",
      ] {
        #expect(reply.body.contains("wechat_token_http_requests_total" + line))
      }
      #expect(!reply.body.contains("secret"))
    }
  }

  // MARK: Token

  @Test(arguments: [
    ("/v1/token", CredentialID.unnamed), ("/v1/token?account=", .unnamed),
    ("/v1/token?account=default", .unnamed), ("/v1/token?account=shop", CredentialID("shop")),
  ])
  func `the token comes with its expiry and is not to be stored`(
    path: String, account: CredentialID?
  ) async throws {
    let account = try #require(account)
    let source = FakeSource()
    try await withStatusServer(source: source) { port in
      let reply = try await ask(path, port: port)
      #expect(reply.status == 200)
      #expect(reply.headers["cache-control"] == "no-store")
      #expect(
        reply.body
          == "{\"access_token\":\"tok-123\",\"account\":\"\(account)\","
          + "\"expires_at\":1700007080,\"expires_in\":7020}")
      #expect(source.answers.withLock { $0.asked } == [account])
    }
  }

  @Test func `without a token the answer is 503 with the time to wait`() async throws {
    let source = FakeSource()
    source.answers.withLock {
      $0.token = .none(reason: "no token yet", retryAfter: .milliseconds(1200))
    }
    try await withStatusServer(source: source) { port in
      let reply = try await ask("/v1/token", port: port)
      #expect(reply.status == 503)
      #expect(reply.headers["retry-after"] == "2")
      #expect(try reply.json()["detail"] as? String == "no token yet")
    }
  }

  @Test(arguments: [("a%20b", 400), ("%7B%7D", 400), ("unknown", 404)])
  func `an account that cannot be is told from one that is not`(name: String, status: Int)
    async throws
  {
    let source = FakeSource()
    source.answers.withLock { $0.token = .unknownAccount }
    try await withStatusServer(source: source) { port in
      let code = try await statusCode(of: "/v1/token?account=\(name)", port: port)
      #expect(code == status)
    }
  }

  // MARK: Who may ask

  @Test func `with a bearer set it is always required, and the scheme's case does not matter`()
    async throws
  {
    let source = FakeSource()
    try await withStatusServer(httpSettings(bearer: "b3arer"), source: source) { port in
      for headers in [
        [], ["Authorization: b3arer"], ["Authorization: Bearer b3areR"],
        ["Authorization: Bearer b3arer0"], ["Authorization: Bearer b3are"],
        ["Authorization: Bearer "], ["Authorization: Basic b3arer"],
        ["Authorization: Bearer b3arerb3arer"],
      ] {
        for (method, path) in [("GET", "/v1/token"), ("POST", "/v1/refresh")] {
          let reply = try await ask(path, by: method, port: port, headers: headers)
          #expect(reply.status == 401)
          #expect(reply.headers["www-authenticate"] == "Bearer")
        }
      }
      #expect(source.answers.withLock { $0.asked.count + $0.requests.count } == 0)
      for headers in [["Authorization: Bearer b3arer"], ["authorization: bearer b3arer"]] {
        #expect(try await statusCode(of: "/v1/token", port: port, headers: headers) == 200)
      }
      #expect(try await statusCode(of: "/v1/status", port: port) == 200)
    }
  }

  @Test(
    arguments: [
      (nil, nil), (0, "as this machine"), (90, "90 s ahead of this machine"),
      (-90, "90 s behind this machine"),
    ] as [(Int64?, String?)])
  func `the skew of WeChat's clock is told where it is known, on the page, too`(
    skew: Int64?, said: String?
  ) async throws {
    let source = FakeSource()
    source.answers.withLock { $0.snapshot.weChat.clockSkewSeconds = skew }
    try await withStatusServer(source: source) { port in
      let status = try await ask("/v1/status", port: port).json()
      let weChat = try #require(status["wechat"] as? [String: Any])
      let told = try #require(weChat["clock_skew_seconds"])
      #expect(skew == nil ? told is NSNull : told as? Int64 == skew)
      let page = try await ask("/", port: port).body
      #expect(page.contains("WeChat&#39;s clock") == (said != nil))
      if let said { #expect(page.contains(said)) }
    }
  }

  @Test func `a bearer's file that changes is followed`() async throws {
    let files = FakeFiles(["/b": "first\n"])
    let bearer = try SecretFile(path: "/b", readFile: files.read)
    let settings = Settings.HTTP(
      listen: .tcp(host: "127.0.0.1", port: 0), tls: nil, bearer: .file(bearer))
    try await withStatusServer(settings) { port in
      let headers = ["Authorization: Bearer second"]
      let before = try await statusCode(of: "/v1/token", port: port, headers: headers)
      #expect(before == 401)
      files["/b"] = "second\n"
      #expect(try await statusCode(of: "/v1/token", port: port, headers: headers) == 200)
    }
  }

  @Test func `off loopback and without a bearer the token is refused with the reason`()
    async throws
  {
    let outside = try #require(
      Self.outsideAddress(), "this host has no address but loopback: connect it to a network")
    try await withStatusServer(httpSettings(.tcp(host: "0.0.0.0", port: 0))) { port in
      for (method, path) in [("GET", "/v1/token"), ("POST", "/v1/refresh")] {
        let reply = try await ask(path, by: method, port: port, host: outside)
        #expect(reply.status == 403)
        let detail = try #require(try reply.json()["detail"] as? String)
        #expect(detail.contains("WCH_HTTP_BEARER_FILE"))
      }
      #expect(try await statusCode(of: "/v1/status", port: port, host: outside) == 200)
      #expect(try await statusCode(of: "/v1/token", port: port) == 200)
    }
    try await withStatusServer(httpSettings(.tcp(host: "0.0.0.0", port: 0), bearer: "b")) { port in
      let headers = ["Authorization: Bearer b"]
      let code = try await statusCode(
        of: "/v1/token", port: port, host: outside, headers: headers)
      #expect(code == 200)
    }
  }

  /// An address of this host that is not loopback.
  private static func outsideAddress() -> String? {
    let devices = (try? System.enumerateDevices()) ?? []
    return devices.compactMap(\.address).filter { $0.protocol == .inet }
      .compactMap(\.ipAddress).first { !$0.hasPrefix("127.") }
  }

  @Test(arguments: [
    (["Host: evil.example"], 403), (["Host: 127.evil.example"], 403), (["Host: 127.0.0.1"], 200),
    (["Host: localhost:2130"], 200), (["Host: [::1]:2130"], 200),
    (["Host: localhost", "Origin: https://evil.example"], 403),
    (["Host: localhost", "Origin: null"], 403),
  ])
  func `a web page reaches no token by a name that it made point here`(
    headers: [String], status: Int
  ) async throws {
    try await withStatusServer { port in
      let code = try await statusCode(of: "/v1/token", port: port, headers: headers)
      #expect(code == status)
      #expect(try await statusCode(of: "/livez", port: port, headers: headers) == 200)
    }
  }

  // MARK: Refresh

  @Test(arguments: [
    (
      "{\"rejected_token\":\"tok\"}",
      RefreshRequest(account: nil, reason: .rejected(AccessToken("tok")))
    ),
    (
      "{\"account\":\"default\",\"rejected_sha256\":\"\(String(repeating: "Ab", count: 32))\"}",
      RefreshRequest(
        account: .unnamed, reason: .rejectedSHA256(String(repeating: "ab", count: 32)))
    ),
    ("{\"force\":true}", RefreshRequest(account: .unnamed, reason: .force)),
    (
      "{\"account\":\"shop\",\"rejected_token\":\"t\",\"force\":false}",
      RefreshRequest(account: CredentialID("shop"), reason: .rejected(AccessToken("t")))
    ),
  ])
  func `a request to refresh says which token failed, or forces`(
    body: String, expected: RefreshRequest
  ) async throws {
    let source = FakeSource()
    try await withStatusServer(source: source) { port in
      let reply = try await ask("/v1/refresh", by: "POST", port: port, body: body)
      #expect(reply.status == 200)
      #expect(
        reply.body == "{\"account\":\"default\",\"expires_at\":1,\"outcome\":\"refreshed\"}")
      #expect(source.answers.withLock { $0.requests } == [expected])
    }
  }

  @Test(arguments: [
    "", "{}", "[]", "nonsense", "{\"force\":false}", "{\"force\":\"yes\"}",
    "{\"rejected_token\":\"\"}", "{\"rejected_token\":\"a b\"}", "{\"rejected_sha256\":\"12\"}",
    "{\"rejected_token\":\"a\",\"rejected_sha256\":\"\(String(repeating: "a", count: 64))\"}",
    "{\"account\":\"a b\",\"force\":true}",
  ])
  func `a request that asks for nothing is told what to ask`(body: String) async throws {
    let source = FakeSource()
    try await withStatusServer(source: source) { port in
      let reply = try await ask("/v1/refresh", by: "POST", port: port, body: body)
      #expect(reply.status == 400)
      #expect(reply.headers["content-type"] == "application/problem+json")
      #expect(source.answers.withLock { $0.requests } == [])
    }
  }

  @Test(arguments: [
    (RefreshAnswer.current(RefreshedToken(account: .unnamed, expiresAt: 9)), 200, "current"),
    (.coalesced(RefreshedToken(account: .unnamed, expiresAt: 9)), 200, "coalesced"),
    (.limited(account: .unnamed, retryAfter: .seconds(30), reason: "one a minute"), 429, "limited"),
  ])
  func `what became of the request is told`(answer: RefreshAnswer, status: Int, outcome: String)
    async throws
  {
    let source = FakeSource()
    source.answers.withLock { $0.refresh = answer }
    try await withStatusServer(source: source) { port in
      let reply = try await ask("/v1/refresh", by: "POST", port: port, body: "{\"force\":true}")
      #expect(reply.status == status)
      #expect(try reply.json()["outcome"] as? String == outcome)
      #expect(reply.headers["retry-after"] == (status == 429 ? "30" : nil))
    }
  }

  @Test(arguments: [
    (RefreshAnswer.unknownAccount, 404),
    (.unavailable(reason: "no leader", retryAfter: .seconds(2)), 503),
  ])
  func `a request that cannot be served is a problem`(answer: RefreshAnswer, status: Int)
    async throws
  {
    let source = FakeSource()
    source.answers.withLock { $0.refresh = answer }
    try await withStatusServer(source: source) { port in
      let reply = try await ask("/v1/refresh", by: "POST", port: port, body: "{\"force\":true}")
      #expect(reply.status == status)
      #expect(reply.headers["content-type"] == "application/problem+json")
    }
  }

  @Test(arguments: [(0, 200), (1, 413), (1_000_000, 413)])
  func `the body is bounded`(excess: Int, status: Int) async throws {
    let frame = "{\"force\":true}"
    let body =
      frame
      + String(repeating: " ", count: StatusResponder.bodyLimit - frame.utf8.count + excess)
    try await withStatusServer { port in
      let code = try await statusCode(of: "/v1/refresh", by: "POST", port: port, body: body)
      #expect(code == status)
    }
  }

  // MARK: HTTP itself

  @Test(arguments: ["/nowhere", "/v1/token/", "//", "/v1", "/V1/token", "/livez/../v1/token"])
  func `what is not there is a problem`(path: String) async throws {
    try await withStatusServer { port in
      let reply = try await ask(path, port: port)
      #expect(reply.status == 404)
      #expect(reply.headers["content-type"] == "application/problem+json")
      #expect(try reply.json()["status"] as? Int == 404)
    }
  }

  @Test(arguments: [
    ("POST", "/", "GET, HEAD, OPTIONS"), ("DELETE", "/v1/token", "GET, HEAD, OPTIONS"),
    ("GET", "/v1/refresh", "POST, OPTIONS"), ("PUT", "/metrics", "GET, HEAD, OPTIONS"),
  ])
  func `another method is refused with those that are allowed`(
    method: String, path: String, allowed: String
  ) async throws {
    try await withStatusServer { port in
      let reply = try await ask(path, by: method, port: port)
      #expect(reply.status == 405)
      #expect(reply.headers["allow"] == allowed)
      #expect(reply.headers["content-type"] == "application/problem+json")
    }
  }

  @Test(arguments: [("/livez", "GET, HEAD, OPTIONS"), ("/v1/refresh", "POST, OPTIONS")])
  func `OPTIONS, with which some balancers probe, says what is allowed`(
    path: String, allowed: String
  ) async throws {
    try await withStatusServer { port in
      let reply = try await ask(path, by: "OPTIONS", port: port)
      #expect(reply.status == 200)
      #expect(reply.headers["allow"] == allowed)
    }
  }

  @Test func `HEAD has the head of GET and no body`() async throws {
    try await withStatusServer { port in
      let reply = try await ask("/livez", by: "HEAD", port: port)
      #expect(reply.status == 200)
      #expect(reply.body == "")
    }
  }

  @Test(arguments: [
    "GARBAGE\r\n\r\n", "GET / HTTP/1.1\r\nX: \(String(repeating: "x", count: 20_000))\r\n\r\n",
  ])
  func `what is no request is refused and hung up on`(text: String) async throws {
    try await withStatusServer { port in
      let reply = try await send(text, to: SocketAddress(ipAddress: "127.0.0.1", port: port))
      #expect((400..<500).contains(reply.status))
      #expect(try await statusCode(of: "/livez", port: port) == 200)
    }
  }

  // MARK: Listening

  @Test func `a port in use is an error that names the port`() async throws {
    try await withStatusServer { port in
      await #expect(throws: StatusServerError.addressInUse(.tcp(host: "127.0.0.1", port: port))) {
        try await withStatusServer(httpSettings(.tcp(host: "127.0.0.1", port: port))) { _ in }
      }
      let error = StatusServerError.addressInUse(.tcp(host: "127.0.0.1", port: port))
      #expect(error.description.contains("port \(port) on 127.0.0.1 is in use"))
    }
  }

  @Test func `an address of another host is an error`() async throws {
    await #expect(throws: StatusServerError.self) {
      try await withStatusServer(httpSettings(.tcp(host: "192.0.2.1", port: 0))) { _ in }
    }
  }

  @Test func `a Unix socket answers, guarded paths too, and one that is left over is replaced`()
    async throws
  {
    try await withTemporaryFolder { folder in
      let path = folder + "/s"
      for _ in 1...2 {
        try await withStatusServer(httpSettings(.unix(path: path))) { _ in
          let reply = try await send(
            "GET /v1/token HTTP/1.1\r\nHost: wch\r\nConnection: close\r\n\r\n",
            to: SocketAddress(unixDomainSocketPath: path))
          #expect(reply.status == 200)
          // The second one does not take the first one's socket away.
          await #expect(throws: StatusServerError.addressInUse(.unix(path: path))) {
            try await withStatusServer(httpSettings(.unix(path: path))) { _ in }
          }
        }
      }
      try Data().write(to: URL(filePath: folder + "/file"))
      await #expect(throws: StatusServerError.self) {
        try await withStatusServer(httpSettings(.unix(path: folder + "/file"))) { _ in }
      }
    }
  }

  @Test func `when it is off it only waits for the end`() async throws {
    let executor = LoopExecutor()
    let server = StatusServer(
      settings: httpSettings(.off), source: FakeSource(),
      metrics: MetricsRegistry(readProcess: { nil }),
      logger: quietLogger, executor: executor)
    let running = Task { try await server.run() }
    running.cancel()
    try await running.value
    try await executor.shutdown()
  }

  // MARK: TLS

  @Test func `HTTPS takes the certificate of the moment`() async throws {
    try await withTemporaryFolder { folder in
      let first = try Self.makeCertificate(in: folder, named: "first")
      let second = try Self.makeCertificate(in: folder, named: "second")
      let files = Settings.TLSFiles(certificate: folder + "/cert", key: folder + "/key")
      try first.certificate.write(toFile: files.certificate, atomically: true, encoding: .utf8)
      try first.key.write(toFile: files.key, atomically: true, encoding: .utf8)
      try await withStatusServer(httpSettings(tls: files)) { port in
        func status(trusting certificate: String) async throws -> Int {
          try await send(
            "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            to: SocketAddress(ipAddress: "127.0.0.1", port: port),
            trusting: Array(certificate.utf8)
          ).status
        }
        #expect(try await status(trusting: first.certificate) == 200)
        try second.certificate.write(toFile: files.certificate, atomically: true, encoding: .utf8)
        // The key does not match yet: the last good pair stays.
        #expect(try await status(trusting: first.certificate) == 200)
        try second.key.write(toFile: files.key, atomically: true, encoding: .utf8)
        #expect(try await status(trusting: second.certificate) == 200)
        await #expect(throws: (any Error).self) { try await status(trusting: first.certificate) }
        try FileManager.default.removeItem(atPath: files.certificate)
        #expect(try await status(trusting: second.certificate) == 200)
      }
    }
  }

  @Test func `a certificate that cannot be used is an error that says so`() async throws {
    try await withTemporaryFolder { folder in
      let pair = try Self.makeCertificate(in: folder, named: "a")
      let other = try Self.makeCertificate(in: folder, named: "b")
      for (certificate, key) in [
        (nil, pair.key), ("", pair.key), ("junk", pair.key), (pair.certificate, "junk"),
        (pair.certificate, other.key),
      ] as [(String?, String?)] {
        let files = FakeFiles()
        files["/cert"] = certificate
        files["/key"] = key
        #expect(throws: StatusServerError.self) {
          try CertificateFiles(
            Settings.TLSFiles(certificate: "/cert", key: "/key"), logger: quietLogger,
            readFile: files.read)
        }
      }
    }
  }

  /// Makes a self-signed certificate for `localhost` with the command `openssl`.
  private static func makeCertificate(
    in folder: String, named name: String
  ) throws -> (certificate: String, key: String) {
    let (certificate, key) = ("\(folder)/\(name).pem", "\(folder)/\(name).key")
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments =
      ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
      + ["-nodes", "-days", "2", "-subj", "/CN=\(name)", "-addext", "subjectAltName=DNS:localhost"]
      + ["-keyout", key, "-out", certificate]
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    return (
      try String(contentsOfFile: certificate, encoding: .utf8),
      try String(contentsOfFile: key, encoding: .utf8)
    )
  }
}
