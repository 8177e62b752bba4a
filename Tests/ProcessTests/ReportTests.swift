import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct ReportTests {
  private static let list = "WCH_refresh_requests"

  @Test("ten thousand concurrent reports of one token cause one fetch")
  func floodOfOneToken() async throws {
    let (reporters, rounds, reportsEach) = (10, 10, 100)
    let all = reporters * rounds * reportsEach
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2)
      let token = try #require(try await deployment.token())
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<reporters {
          group.addTask {
            let reports = Array(
              repeating: RedisCommand("RPUSH", Self.list, token), count: reportsEach)
            for _ in 0..<rounds {
              let replies = try await deployment.client.execute(
                reports, deadline: .now + .seconds(20), waitForConnection: true)
              #expect(replies.allSatisfy { $0.refusal == nil })
            }
          }
        }
        try await group.waitForAll()
      }
      try await leader.waitForReports(all)
      try await waitUntil("the new token is in Redis", within: .seconds(10)) {
        try await deployment.token() != token
      }
      #expect(deployment.mints == 2)
      #expect(try await leader.reports("refreshed") == 1)
      #expect(try await deployment.ask("LLEN", Self.list).number == 0)
      // A report of the old token changes nothing now either.
      try await deployment.ask("RPUSH", Self.list, token)
      try await leader.waitForReports(all + 1)
      #expect(try await leader.reports("current") >= 1)
      #expect(deployment.mints == 2)
    }
  }

  @Test("nonsense and oversized items on the list are counted, and cost nothing upstream")
  func nonsense() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 1)
      let token = try #require(try await deployment.token())
      let ignored = [
        "", " ", "two words", "{", "{}", "{\"force\":false}", "{\"force\":\"yes\"}",
        "{\"sha256\":\"short\"}",
        "{\"force\":true,\"account\":\"nobody\"}", "{\"force\":true,\"account\":\"no body\"}",
        "\u{1}\u{2}", "微信",
      ]
      let oversized = [
        String(repeating: "a", count: 2049), "{\"force\":true,\"x\":\"\(padding(3000))\"}",
        padding(1_000_000),
      ]
      let notCurrent = [
        "no-token-of-anybody", "[]", String(token.dropLast()), token + "x",
        "{\"sha256\":\"\(String(repeating: "0", count: 64))\"}",
      ]
      for item in ignored + oversized + notCurrent {
        try await deployment.ask("RPUSH", Self.list, item)
      }
      try await leader.waitForReports(ignored.count + oversized.count + notCurrent.count)
      #expect(try await leader.reports("ignored") == ignored.count)
      #expect(try await leader.reports("oversized") == oversized.count)
      #expect(try await leader.reports("current") == notCurrent.count)
      #expect(try await leader.reports("refreshed") == 0)
      #expect(deployment.simulator.audit.events.count == 1, "WeChat was asked but for the token")
      let told = leader.log.filter { $0.message.hasPrefix("Something on the list") }
      #expect(told.map(\.level) == ["warning"], "once an hour")
      #expect(told.first?.fields["reason"] == "0 bytes, all of them blank")
      // What it cannot even read does not stop it from hearing the next one.
      try await deployment.ask("RPUSH", Self.list, padding(4_000_000))
      try await deployment.ask("RPUSH", Self.list, token)
      try await deployment.simulator.waitUntilAudit("the fetch for the report") {
        $0.mints().count == 2
      }
    }
  }

  @Test(
    "each form of a report refreshes the current token, once",
    arguments: ["token", "digest", "force", "named force"])
  func forms(form: String) async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 2)
      let token = try #require(try await deployment.token())
      let item =
        switch form {
        case "token": token
        case "digest": "{\"sha256\":\"\(try await sha256(token, deployment))\"}"
        case "force": "{\"force\":true}"
        default: "{\"force\":true,\"account\":\"default\",\"id\":\"1\"}"
        }
      try await deployment.ask("RPUSH", Self.list, item)
      try await waitUntil("another token is in Redis", within: .seconds(5)) {
        try await deployment.token() != token
      }
      #expect(deployment.mints == 2)
      #expect(try await deployment.token() == deployment.simulator.audit.mints().last?.token)
    }
  }

  @Test("a report is served within 20 ms and one round trip to WeChat")
  func latency() async throws {
    let roundTrip: Duration = .milliseconds(100)
    let limit: Duration = .milliseconds(20) + roundTrip
    var best: Duration = .seconds(1000)
    for _ in 0..<5 where best > limit {
      let took = try await Deployment.run(alone: true) { deployment in
        deployment.simulator.setLatency(100...100)
        try await deployment.start(count: 2)
        let token = try #require(try await deployment.token())
        // No two fetches follow each other within a second: that is not what is measured.
        let spaced = ContinuousClock.now + .milliseconds(1100)
        try await waitUntil("the fetch before is a second old", within: .seconds(2)) {
          ContinuousClock.now > spaced
        }
        let start = ContinuousClock.now
        try await deployment.ask("RPUSH", Self.list, token)
        try await waitUntil("another token", within: .seconds(5), every: .microseconds(500)) {
          try await deployment.token() != token
        }
        return ContinuousClock.now - start
      }
      best = min(best, took)
    }
    #expect(best <= limit)
  }

  @Test("a report that meets a limit is kept, and served when the limit allows")
  func limitedReport() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2)
      let follower = try #require(deployment.processes.first { $0 !== leader })
      let first = try #require(try await deployment.token())
      let before = try await leader.refresh(rejecting: first)
      #expect(before.status == 200)
      let second = try #require(try await deployment.token())
      try await follower.waitForToken(second)

      // A follower hears of the limit, and does not wait for an answer that will not come; also
      // when it was not the one whose report met the limit.
      for replica in [follower, leader, follower] {
        let limited = try await replica.refresh(rejecting: second)
        #expect(limited.status == 429)
        #expect(limited.outcome == "limited")
        #expect(limited.body.contains("kept and served then"), "\(limited.body)")
        let wait = try #require(limited.header("Retry-After").flatMap { Int($0) })
        #expect((1...30).contains(wait))
      }
      #expect(deployment.mints == 2)

      try await deployment.simulator.waitUntilAudit(
        "the report is served", within: .seconds(35)
      ) { $0.mints().count == 3 }
      let times = deployment.simulator.audit.mints().map(\.time)
      #expect(times[2] - times[1] >= 29_500)
      try await waitUntil("it is in Redis", within: .seconds(5)) {
        try await deployment.token() != second
      }
    }
  }

  @Test("a report that a limit holds up is served by the next leader when the lead is given back")
  func handedOnReport() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2)
      let first = try #require(try await deployment.token())
      #expect(try await leader.refresh(rejecting: first).status == 200)
      let second = try #require(try await deployment.token())
      for process in deployment.processes { try await process.waitForToken(second) }
      #expect(try await leader.refresh(rejecting: second).outcome == "limited")
      leader.terminate()
      #expect(try await leader.waitForExit() == .code(0))
      try await waitUntil("a third token", within: .seconds(10)) {
        try await deployment.token() != second
      }
      #expect(deployment.mints == 3)
      #expect(try await deployment.ask("LLEN", Self.list).number == 0)
    }
  }

  @Test("a report that a leader cannot serve, as WeChat is out of its reach, is served by the next")
  func reportOfTheCutOff() async throws {
    try await Deployment.run { deployment in
      let first = try deployment.start("a", Deployment.brisk)
      let token = try await deployment.waitForLiveToken()
      let cutOff = try deployment.start(
        "b", Deployment.brisk.merging(["WCH_API_URL": "http://127.0.0.1:1"]) { $1 })
      try await cutOff.waitForStatus(200, of: "/readyz")
      first.terminate()
      try await cutOff.waitForLog("This replica leads")
      let other = try deployment.start("c", Deployment.brisk)
      try await other.waitForStatus(200, of: "/readyz")
      try await deployment.ask("RPUSH", Self.list, token)
      try await waitUntil("the other one serves it", within: patience) {
        try await deployment.token() != token
      }
      #expect(deployment.mints == 2)
      #expect(try await deployment.ask("LLEN", Self.list).number == 0)
    }
  }

  // MARK: HTTP

  @Test("a report over HTTP is served by the leader and by a follower alike", arguments: [0, 1])
  func httpReport(role: Int) async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2)
      let follower = try #require(deployment.processes.first { $0 !== leader })
      let asked = role == 0 ? leader : follower
      let old = try #require(try await deployment.token())
      try await asked.waitForToken(old)

      let refreshed = try await asked.refresh(rejecting: old)
      #expect(refreshed.status == 200)
      #expect(refreshed.outcome == "refreshed")
      #expect(deployment.mints == 2)
      let keys = try await deployment.keys()
      #expect(keys.token == deployment.simulator.newestToken(of: Deployment.appID))
      #expect(try refreshed.json()["expires_at"] as? Int64 == keys.expiresIn)

      let current = try await asked.refresh(rejecting: old)
      #expect(current.status == 200)
      #expect(current.outcome == "current")
      #expect(deployment.mints == 2)

      let answer = try await asked.get("/v1/token")
      #expect(answer.status == 200)
      #expect(answer.header("Cache-Control") == "no-store")
      let told = try answer.json()
      #expect(told["access_token"] as? String == keys.token)
      #expect(told["account"] as? String == "default")
      #expect(told["expires_at"] as? Int64 == keys.expiresIn)
      let left = try #require(told["expires_in"] as? Int64)
      #expect(abs(left - (7200 - 120)) <= 5)
    }
  }

  @Test("reports of one token at all replicas at once cause one fetch, and all get an answer")
  func httpTogether() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 3)
      let old = try #require(try await deployment.token())
      for process in deployment.processes { try await process.waitForToken(old) }
      // WeChat takes its time, so that all of them come before the answer.
      deployment.simulator.setFault(.mintThenHold)
      let outcomes = try await withThrowingTaskGroup(of: String?.self) { group in
        for process in deployment.processes {
          for _ in 0..<4 { group.addTask { try await process.refresh(rejecting: old).outcome } }
        }
        try await deployment.simulator.waitUntilHeld()
        // One that comes while WeChat is being asked is served by the same answer.
        let leader = try #require(try await deployment.leader())
        group.addTask { try await leader.refresh(rejecting: old).outcome }
        try await waitUntil("the late one is heard", within: .seconds(5)) {
          try await leader.reports("coalesced") >= 1
        }
        deployment.simulator.releaseHeld()
        return try await group.reduce(into: [String?]()) { $0.append($1) }
      }
      #expect(outcomes.count == 13)
      #expect(outcomes.allSatisfy { ["refreshed", "coalesced", "current"].contains($0) })
      #expect(outcomes.contains("refreshed"))
      #expect(outcomes.contains("coalesced"))
      #expect(deployment.mints == 2)
    }
  }

  @Test("with a bearer, the token and the refresh need it, also on a Unix socket")
  func bearer() async throws {
    let bearer = "a-bearer-of-its-own"
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 1, ["WCH_HTTP_BEARER": bearer])
      let token = try #require(try await deployment.token())
      for credentials in [nil, "Bearer", "Bearer wrong", "Bearer \(bearer)x", "Basic \(bearer)"] {
        let headers = credentials.map { ["Authorization": $0] } ?? [:]
        let read = try await leader.ask("GET", "/v1/token", headers: headers)
        #expect(read.status == 401)
        #expect(!read.body.contains(token))
        let reported = try await leader.refresh(rejecting: token, headers: headers)
        #expect(reported.status == 401)
        #expect(!reported.body.contains(token))
      }
      #expect(deployment.mints == 1)
      let headers = ["Authorization": "Bearer \(bearer)"]
      let read = try await leader.ask("GET", "/v1/token", headers: headers)
      #expect(read.status == 200)
      #expect(try read.json()["access_token"] as? String == token)
      #expect(try await leader.refresh(rejecting: token, headers: headers).status == 200)
      #expect(deployment.mints == 2)
      for path in ["/", "/v1/status", "/metrics", "/livez", "/readyz", "/startupz"] {
        #expect(try await leader.get(path).status == 200, "\(path)")
      }
    }
  }

  private func padding(_ count: Int) -> String { String(repeating: "p", count: count) }

  /// The SHA-256 of a text, by the Redis that has it: `redis.sha1hex` is all that scripts have, so
  /// the machine's own tool is asked.
  private func sha256(_ text: String, _ deployment: Deployment) async throws -> String {
    let (out, writing) = openPipe()
    let file = deployment.redis.directory.appendingPathComponent("token")
    try Data(text.utf8).write(to: file)
    let process = try ChildProcess(["sha256sum", file.path], standardOutput: writing)
    close(writing)
    let output = FileHandle(fileDescriptor: out, closeOnDealloc: true).readDataToEndOfFile()
    process.end(SIGCONT)
    return String(decoding: output.prefix(64), as: UTF8.self)
  }
}

/// `stable_token`, where a plain fetch repeats the token that WeChat has.
@Suite struct StableTokenTests {
  private static let settings = ["WCH_API": "stable_token"]

  @Test("a report forces a new token, and the next one waits 30 s")
  func forced() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 1, Self.settings)
      let first = try #require(try await deployment.token())
      #expect(try await leader.refresh(rejecting: first).outcome == "refreshed")
      let second = try #require(try await deployment.token())
      #expect(second != first)
      #expect(second == deployment.simulator.newestToken(of: Deployment.appID, kind: .stable))
      #expect(deployment.simulator.audit.requests(to: .stableToken) == 2)
      #expect(deployment.simulator.audit.requests(to: .token) == 0)
      #expect(try await leader.refresh(rejecting: second).outcome == "limited")
      #expect(deployment.simulator.audit.requests(to: .stableToken) == 2)
    }
  }

  @Test("a refresh that WeChat answers with the same token is unchanged, until it renews")
  func unchanged() async throws {
    // Refreshed at a remaining life of 16/4 + 16/8 = 6 s; WeChat renews in the last 3 s.
    try await Deployment.run(life: 16_000, grace: 3000) { deployment in
      deployment.simulator.update(Deployment.appID) { $0.stableRenewal = 3000 }
      let leader = try await deployment.start(count: 1, Self.settings)
      try await deployment.withReader { reader in
        try await deployment.simulator.waitUntilAudit("a second token", within: .seconds(30)) {
          $0.mints().count >= 2
        }
        try await waitUntil("it is in Redis", within: .seconds(5)) {
          reader.tokens.last
            == deployment.simulator.newestToken(of: Deployment.appID, kind: .stable)
        }
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
      let unchanged = try await leader.metric(
        "wechat_token_refreshes_total",
        ["account": "default", "result": "unchanged", "trigger": "schedule"])
      #expect(unchanged >= 1)
    }
  }
}

// MARK: - Asking a replica

extension SidecarProcess {
  /// Asks its HTTP interface with those headers, for as long as it may take to answer.
  func ask(
    _ method: String, _ path: String, headers: [String: String], body: String = ""
  ) async throws -> HTTPAnswer {
    guard let socket else { throw Failure("\(instance) has no HTTP interface") }
    return try await PlainHTTP.ask(
      socket: socket, method: method, path: path, headers: headers, body: body,
      within: .seconds(15))
  }

  /// Reports a token over HTTP.
  func refresh(
    rejecting token: String, headers: [String: String] = [:]
  ) async throws -> HTTPAnswer {
    try await ask(
      "POST", "/v1/refresh", headers: headers, body: "{\"rejected_token\":\"\(token)\"}")
  }

  /// Waits until it knows that token.
  func waitForToken(_ token: String) async throws {
    try await waitUntil("\(instance) knows the token", within: .seconds(15)) {
      try await get("/v1/token").body.contains(token)
    }
  }

  /// The sum of a metric's series that have those labels.
  func metric(_ name: String, _ labels: [String: String] = [:]) async throws -> Double {
    var sum = 0.0
    for line in try await get("/metrics").body.split(separator: "\n") {
      guard line.hasPrefix(name + "{") || line.hasPrefix(name + " "),
        labels.allSatisfy({ line.contains("\($0.key)=\"\($0.value)\"") })
      else { continue }
      sum += line.split(separator: " ").last.flatMap { Double($0) } ?? 0
    }
    return sum
  }

  /// How many reports had that outcome; nil for all.
  func reports(_ outcome: String? = nil) async throws -> Int {
    Int(
      try await metric(
        "wechat_token_refresh_requests_total", outcome.map { ["outcome": $0] } ?? [:]))
  }

  /// Waits until so many reports were judged.
  func waitForReports(_ count: Int) async throws {
    do {
      try await waitUntil("\(count) judged reports", within: .seconds(30)) {
        try await reports() >= count
      }
    } catch {
      throw Failure("\(error); there are \(try await reports())")
    }
  }
}

extension HTTPAnswer {
  /// The body as a JSON object.
  func json() throws -> [String: Any] {
    try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any] ?? [:]
  }

  /// What the answer to a report says.
  var outcome: String? { try? json()["outcome"] as? String }

  /// A header's value.
  func header(_ name: String) -> String? {
    for line in head.split(separator: "\r\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { continue }
      return String(parts[1].drop { $0 == " " })
    }
    return nil
  }
}
