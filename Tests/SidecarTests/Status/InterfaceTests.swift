import Foundation
import NIOCore
import Synchronization
import Testing
import TokenCore

@testable import Sidecar

/// The interface is what its table says: descriptions, refusals and the runbook are held to it.
@Suite("The HTTP interface and its table") struct InterfaceTests {
  // MARK: The table

  @Test func `every route takes OPTIONS, and HEAD where it takes GET`() async throws {
    try await withStatusServer { port in
      for route in StatusRoute.allCases {
        let options = try await ask(route.path, by: "OPTIONS", port: port)
        #expect(options.status == 200, "\(route.path)")
        #expect(options.headers["allow"] == route.methods.joined(separator: ", "))
        guard route.methods.contains("GET") else { continue }
        let got = try await ask(route.path, port: port)
        let head = try await ask(route.path, by: "HEAD", port: port)
        #expect(head.status == got.status, "\(route.path)")
        #expect(head.body == "")
        #expect(head.headers["content-type"] == got.headers["content-type"])
      }
    }
  }

  @Test func `every answer is one that the table has`() async throws {
    try await withStatusServer { port in
      for route in StatusRoute.allCases where route.methods.contains("GET") {
        let reply = try await ask(route.path, port: port)
        let answer = try #require(
          route.row.answers.first { $0.status == reply.status }, "\(route.path)")
        #expect(reply.headers["content-type"] == answer.content.type)
      }
    }
  }

  @Test func `names and paths of routes are unique, and metrics have a series of each`() {
    let rows = StatusRoute.allCases.map(\.row)
    #expect(Set(rows.map(\.path)).count == rows.count)
    #expect(Set(rows.map(\.name)).count == rows.count)
    let metrics = MetricsRegistry(readProcess: { nil })
    metrics.preregister(accounts: [], version: "1", routes: StatusRoute.counted)
    let text = metrics.exposition()
    for row in rows { #expect(text.contains("route=\"\(row.path)\",method=\"\(row.method)\"")) }
  }

  // MARK: The description

  @Test func `the description is served, and every reference in it leads somewhere`() async throws {
    try await withStatusServer { port in
      let reply = try await ask("/openapi.json", port: port)
      #expect(reply.status == 200)
      let document = try reply.json()
      #expect((document["openapi"] as? String)?.hasPrefix("3.1") == true)
      let paths = try #require(document["paths"] as? [String: [String: Any]])
      #expect(Set(paths.keys) == Set(StatusRoute.allCases.map(\.path)))
      for route in StatusRoute.allCases {
        #expect(
          Set(paths[route.path]?.keys ?? [:].keys) == Set(route.methods.map { $0.lowercased() }))
      }
      let components = try #require(document["components"] as? [String: [String: Any]])
      let names = Set(try #require(components["schemas"]).keys)
      let references = reply.body.matches(of: /"#\/components\/schemas\/([A-Za-z]+)"/)
      #expect(!references.isEmpty)
      for reference in references { #expect(names.contains(String(reference.output.1))) }
    }
  }

  @Test func `the status has exactly the members that are described, whatever is known`()
    async throws
  {
    let poor = FakeSource()
    let rich = FakeSource()
    rich.answers.withLock { $0.snapshot = Self.rich($0.snapshot) }
    for source in [poor, rich] {
      try await withStatusServer(source: source) { port in
        let status = try await ask("/v1/status", port: port).json()
        try Self.judge(status, as: "Status")
        #expect(status["api_version"] as? Int == 1)
      }
    }
  }

  @Test func `token, refresh, checks and problems have the members that are described`()
    async throws
  {
    let source = FakeSource()
    try await withStatusServer(source: source) { port in
      try Self.judge(try await ask("/v1/token", port: port).json(), as: "Token")
      try Self.judge(try await ask("/readyz", port: port).json(), as: "Readiness")
      for path in ["/livez", "/startupz"] {
        try Self.judge(try await ask(path, port: port).json(), as: "Health")
      }
      func refresh() async throws -> Reply {
        try await ask("/v1/refresh", by: "POST", port: port, body: "{\"force\":true}")
      }
      try Self.judge(try await refresh().json(), as: "Refresh")
      source.answers.withLock {
        $0.refresh = .limited(account: .unnamed, retryAfter: .seconds(3), reason: "often")
      }
      try Self.judge(try await refresh().json(), as: "RefreshLimited")
      source.answers.withLock {
        $0.refresh = .unavailable(
          reason: "refused", retryAfter: .seconds(3), errorCode: 40164, condition: Self.refused)
      }
      let refused = try await refresh().json()
      try Self.judge(refused, as: "Problem")
      #expect(refused["type"] as? String == "/runbook#refresh_unavailable")
      #expect(refused["condition"] as? String == "refresh_failing")
      #expect(refused["help"] as? String == "/runbook#errcode-40164")
      #expect(refused["instance"] as? String == "/v1/refresh")
      try Self.judge(try await ask("/nowhere", port: port).json(), as: "Problem")
    }
  }

  // MARK: Refusals

  @Test(arguments: [
    ("GARBAGE\r\n\r\n", Problem.badRequest), ("GET /livez HTTP/1.1\r\n\r\n", .badRequest),
    ("GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n", .unknownVersion),
    (
      "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: \(String(repeating: "x", count: 20_000))"
        + "\r\n\r\n",
      .headersTooLong
    ),
    (
      "GET /\(String(repeating: "x", count: 9000)) HTTP/1.1\r\nHost: localhost\r\n\r\n",
      .targetTooLong
    ),
    (
      "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
        + "0\r\n\r\n", .unknownCoding
    ),
    (
      "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n",
      .bodyTooLong
    ),
    ("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", .noSuchPath),
    ("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", .methodNotAllowed),
    (
      "GET /v1/token?account=a+b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
      .badAccount
    ),
    ("GET /v1/token HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n", .strangeHost),
    (
      "GET /v1/token HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\n"
        + "Connection: close\r\n\r\n", .webPage
    ),
  ])
  func `what is refused is told by its type, which the runbook has`(
    request: String, problem: Problem
  ) async throws {
    try await withStatusServer { port in
      let reply = try await send(request, to: SocketAddress(ipAddress: "127.0.0.1", port: port))
      #expect(reply.status == problem.code)
      #expect(reply.headers["content-type"] == "application/problem+json")
      let document = try reply.json()
      try Self.judge(document, as: "Problem")
      #expect(document["type"] as? String == "/runbook#\(problem.rawValue)")
      #expect(document["title"] as? String == problem.title.english)
      #expect(document["status"] as? Int == problem.code)
      let page = try await ask("/runbook", port: port).body
      #expect(page.contains("id=\"\(problem.rawValue)\""))
    }
  }

  @Test(arguments: [
    "{\"rejected_token\":\"t\",\"rejected_sha256\":\"x\",\"force\":true}",
    "{\"acount\":\"shop\",\"force\":true}",
    "{\"rejected_sha256\":\"x\",\"force\":true}", "{\"rejected_token\":\"\",\"force\":true}",
    "{\"rejected_token\":\"\(String(repeating: "t", count: 2049))\"}",
  ])
  func `what cannot be a token is refused also where it would not count`(body: String)
    async throws
  {
    try await withStatusServer { port in
      let reply = try await ask("/v1/refresh", by: "POST", port: port, body: body)
      #expect(reply.status == 400)
      #expect(try reply.json()["type"] as? String == "/runbook#bad_body")
    }
  }

  // MARK: The runbook

  @Test func `everything that can be told has an entry with an anchor of its own`() {
    let entries = Runbook.sections.flatMap(\.entries)
    let anchors = entries.map(\.anchor) + Runbook.sections.map(\.anchor)
    #expect(Set(anchors).count == anchors.count)
    let wanted =
      Condition.Kind.allCases.map(\.rawValue) + Problem.allCases.map(\.rawValue)
      + WeChatError.all.map(\.anchor) + AlertRule.table.map(\.name)
    #expect(Set(wanted).isSubset(of: anchors))
    for entry in entries {
      #expect(!entry.parts.isEmpty, "\(entry.anchor)")
      for words in [entry.title] + entry.parts.flatMap({ [$0.name, $0.text] }) {
        #expect(!words.english.isEmpty && !words.chinese.isEmpty, "\(entry.anchor)")
        // What is Chinese has a Chinese character, but for names.
        #expect(
          words.chinese == words.english
            || words.chinese.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) },
          "\(words.chinese)")
        #expect(
          !words.english.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) },
          "\(words.english)")
      }
    }
  }

  @Test(arguments: [
    ("/runbook", [String](), "en", "Usual cause"),
    ("/runbook", ["Accept-Language: zh-CN,zh;q=0.9"], "zh-CN", "常见原因"),
    ("/runbook?lang=zh", [], "zh-CN", "常见原因"),
    ("/runbook?lang=en", ["Accept-Language: zh"], "en", "Usual cause"),
  ])
  func `the page is in the reader's language, with every entry and nothing from elsewhere`(
    path: String, headers: [String], tag: String, text: String
  ) async throws {
    try await withStatusServer { port in
      let reply = try await ask(path, port: port, headers: headers)
      #expect(reply.status == 200)
      #expect(reply.headers["content-language"] == tag)
      #expect(reply.headers["vary"] == "Accept-Language")
      #expect(reply.headers["content-security-policy"]?.hasPrefix("default-src 'none'") == true)
      #expect(reply.body.contains("<html lang=\"\(tag)\">"))
      #expect(reply.body.contains(text))
      #expect(!reply.body.contains("<script") && !reply.body.contains("src="))
      #expect(!reply.body.contains("href=\"http"))
      for anchor in Runbook.sections.flatMap(\.entries).map(\.anchor) {
        #expect(reply.body.components(separatedBy: "id=\"\(anchor)\"").count == 2, "\(anchor)")
      }
    }
  }

  @Test(arguments: [
    (40164, "errcode-40164"), (nil, "refresh_failing"), (12_345, "refresh_failing"),
  ])
  func `what WeChat refused leads to its errcode's entry, where there is one`(
    code: Int?, anchor: String
  ) {
    var condition = Self.refused
    condition.facts.code = code
    #expect(condition.anchor == anchor)
    var missing = Condition(.noToken, .critical, account: .unnamed, since: condition.since)
    missing.facts.cause = .refreshFailing
    missing.facts.code = code
    #expect(missing.anchor == anchor)
  }

  // MARK: Fixtures

  private static var refused: Condition {
    var condition = Condition(
      .refreshFailing, .error, account: .unnamed, since: Timestamp(second: 1_700_000_000))
    condition.facts.code = 40164
    condition.facts.reason = "this address is not on the list"
    return condition
  }

  private static func rich(_ snapshot: StatusSnapshot) -> StatusSnapshot {
    var snapshot = snapshot
    var other = refused
    other.observer = "host-2"
    other.facts.requestID = "rid"
    other.facts.address = "192.0.2.1"
    other.facts.count = 3
    other.facts.lastAt = Timestamp(second: 1)
    other.facts.nextAt = Timestamp(second: 2)
    other.facts.endsAt = Timestamp(second: 3)
    other.facts.cause = .redisAway
    snapshot.conditions = [
      refused, other, Condition(.redisAway, .warning, since: Timestamp(second: 4)),
    ]
    snapshot.redis.connections = RedisLink.allCases.map {
      .init(link: $0, isConnected: false, since: Timestamp(second: 5), lastError: "gone")
    }
    snapshot.weChat.clockSkewSeconds = -3
    snapshot.others = [
      .init(instance: "host-2", isLeader: true, age: .seconds(3), report: nil),
      .init(
        instance: "host-3", isLeader: false, age: .seconds(3),
        report: HealthReport(
          version: "1", startedAt: Timestamp(second: 6), accounts: "x", conditions: [refused])),
    ]
    return snapshot
  }

  /// Holds a document to a component schema: what is described is there, and nothing else.
  private static func judge(_ value: Any, as name: String) throws {
    let schema = try #require(OpenAPI.schemas[name])
    let text = schema.json.text()
    let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8))
    judge(value, try #require(parsed as? [String: Any]), at: name)
  }

  private static func judge(_ value: Any, _ schema: [String: Any], at place: String) {
    if let complaint = complaint(value, schema, at: place) {
      Issue.record("\(complaint)")
    }
  }

  /// What is wrong with a value; nil when it fits.
  private static func complaint(_ value: Any, _ schema: [String: Any], at place: String)
    -> String?
  {
    if let reference = schema["$ref"] as? String {
      let name = String(reference.split(separator: "/").last ?? "")
      guard let named = OpenAPI.schemas[name],
        let parsed = try? JSONSerialization.jsonObject(with: Data(named.json.text().utf8)),
        let members = parsed as? [String: Any]
      else { return "\(place) refers to \(reference)" }
      return complaint(value, members, at: "\(place) (\(name))")
    }
    if let any = schema["anyOf"] as? [[String: Any]] {
      let complaints = any.map { complaint(value, $0, at: place) }
      if complaints.allSatisfy({ $0 != nil }) { return complaints.compactMap(\.self).first }
    }
    let types = (schema["type"] as? [String]) ?? (schema["type"] as? String).map { [$0] } ?? []
    // Numbers and truth values look the same once they are read.
    let kinds: Set<String> =
      switch value {
      case is NSNull: ["null"]
      case is [String: Any]: ["object"]
      case is [Any]: ["array"]
      case is String: ["string"]
      default: ["integer", "boolean"]
      }
    guard types.isEmpty || !kinds.isDisjoint(with: types) else { return "\(place) is \(kinds)" }
    if let words = schema["enum"] as? [String], let text = value as? String, !words.contains(text) {
      return "\(place) is \(text)"
    }
    if let items = value as? [Any], let schema = schema["items"] as? [String: Any] {
      return items.lazy.compactMap { complaint($0, schema, at: "\(place)[]") }.first
    }
    guard let members = value as? [String: Any],
      let properties = schema["properties"] as? [String: [String: Any]]
    else { return nil }
    let required = Set(schema["required"] as? [String] ?? [])
    if let missing = required.subtracting(members.keys).first { return "\(place).\(missing)?" }
    for (name, member) in members {
      guard let schema = properties[name] else { return "\(place).\(name) is not described" }
      if let complaint = complaint(member, schema, at: "\(place).\(name)") { return complaint }
    }
    return nil
  }
}
