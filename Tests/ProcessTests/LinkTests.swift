import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// One of a replica's connections to Redis is away, or leads elsewhere, while another one works.
@Suite struct LinkTests {
  private static let away = "A connection to Redis stays away, though Redis answers on another one"
  private static let back = "Over: \(away)"

  /// Why no new connection can be made, while those that stand go on.
  enum Trouble: String, CaseIterable {
    case tooManyClients = "max number of clients"
    case anotherPassword = "WRONGPASS"

    func begin(at deployment: Deployment) async throws {
      switch self {
      case .tooManyClients: try await deployment.ask("CONFIG", "SET", "maxclients", "1")
      case .anotherPassword:
        try await deployment.ask("ACL", "SETUSER", "app", "resetpass", ">new")
      }
    }

    func end(at deployment: Deployment) async throws {
      switch self {
      case .tooManyClients: try await deployment.ask("CONFIG", "SET", "maxclients", "10000")
      case .anotherPassword: try await deployment.ask("ACL", "SETUSER", "app", ">old")
      }
    }
  }

  @Test(
    "a connection that cannot be made again is told of, and its work done in another way",
    arguments: Trouble.allCases)
  func lame(trouble: Trouble) async throws {
    try await Deployment.run { deployment in
      try await deployment.ask("ACL", "SETUSER", "app", "on", ">old", "~*", "&*", "+@all")
      let url = "redis://app:old@127.0.0.1:\(deployment.redis.port)/0"
      let leader = try await deployment.start(
        count: 1, Deployment.brisk.merging(["WCH_REDIS_URL": url]) { $1 })
      try await deployment.waitForLinks(of: "app")
      #expect(try await leader.connections() == Self.all(true))
      let position = leader.logPosition
      try await trouble.begin(at: deployment)
      for command in ["blpop", "subscribe"] {
        for id in try await deployment.clients(of: "app", command) {
          try await deployment.ask("CLIENT", "KILL", "ID", id)
        }
      }
      // An application's three seconds, at the moment that it is cut off.
      let token = try #require(try await deployment.token())
      try await waitUntil("the connection is missed", within: patience) {
        try await leader.connections()["reports"] == false
      }
      try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      try await waitUntil("the report is served", within: .seconds(3)) {
        try await deployment.token() != token
      }
      for link in ["reports", "events"] {
        let line = try await leader.waitForLog(Self.away, after: position, within: patience) {
          $0.fields["subject"] == link
        }
        #expect(line.level == "warning" && line.text.contains(trouble.rawValue), "\(line.text)")
      }
      #expect(
        try await leader.connections() == ["commands": true, "events": false, "reports": false])
      #expect(try await leader.metric("wechat_token_redis_up") == 1)
      for (link, value) in ["commands": 1.0, "events": 0, "reports": 0] {
        let up = try await leader.metric(
          "wechat_token_redis_connection_up", ["connection": link])
        #expect(up == value)
      }
      try await waitUntil("the page tells the connection", within: .seconds(20)) {
        let page = try await leader.get("/").body
        return page.contains("✕ away") && page.contains("<code>connection_lame</code>")
      }

      try await trouble.end(at: deployment)
      for link in ["reports", "events"] {
        let line = try await leader.waitForLog(Self.back, after: position, within: patience) {
          $0.fields["subject"] == link
        }
        #expect(Double(line.fields["duration_seconds"] ?? "").map { $0 >= 5 } == true)
      }
      // The status may have been written out a moment before.
      try await waitUntil("the status says so", within: patience) {
        try await leader.connections() == Self.all(true)
      }
      #expect(leader.alarms(after: position).count == 2)
      #expect(!leader.errorText.contains("old@"))
    }
  }

  @Test("a connection that stays on a former primary follows the one for commands")
  func formerPrimary() async throws {
    try await Deployment.run { deployment in
      let former = try await RedisServer.start()
      defer { former.stop() }
      try await Partition.run(to: former.port) { network in
        let url = ["WCH_REDIS_URL": "redis://127.0.0.1:\(network.port)/0"]
        let replica = try deployment.start("a", Deployment.brisk.merging(url) { $1 })
        try await replica.waitForStatus(200, of: "/readyz")
        try await waitUntil("all connections stand", within: patience) {
          try await replica.connections() == Self.all(true)
        }
        // The former primary lives on, and so do its connections, but for one.
        network.lead(to: deployment.redis.port)
        let list = try await former.command("CLIENT", "LIST").text ?? ""
        for line in list.split(separator: "\n") where line.contains("name=wch-sidecar:a") {
          guard !line.contains("cmd=blpop"), !line.contains("cmd=subscribe") else { continue }
          let id = line.dropFirst("id=".count).prefix { $0 != " " }
          _ = try await former.command("CLIENT", "KILL", "ID", "\(id)")
        }
        for command in ["blpop", "subscribe"] {
          try await waitUntil("\(command) is at the next primary", within: patience) {
            try await !deployment.clients(of: "default", command).isEmpty
          }
        }
        let left = try await former.command("CLIENT", "LIST").text ?? ""
        #expect(!left.contains("wch-sidecar:a"))
        let token = try await deployment.waitForLiveToken()
        try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
        try await waitUntil("the report is served", within: patience) {
          try await deployment.token() != token
        }
        try await former.command("RPUSH", "WCH_refresh_requests", token)
        #expect(try await former.command("LLEN", "WCH_refresh_requests").number == 1)
      }
    }
  }

  @Test("a Redis that closes idle connections within a second is told of once, and kept open")
  func idleTimeout() async throws {
    try await Deployment.run(redisArguments: ["--timeout", "1"]) { deployment in
      let leader = try await deployment.start(count: 2)
      let told = "Redis closes connections that are silent for a while"
      for process in deployment.processes {
        try await waitUntil("\(process.instance) tells it", within: patience) {
          process.log.contains {
            $0.message.hasPrefix(told) && $0.text.contains("PING after 0.5 s")
          }
        }
      }
      let positions = deployment.processes.map(\.logPosition)
      let alarm = try await firstExcept(for: .seconds(6)) {
        zip(deployment.processes, positions).lazy.compactMap { process, position in
          process.alarms(after: position).first
        }.first
      }
      #expect(alarm == nil)
      for process in deployment.processes {
        #expect(process.log.count { $0.message.hasPrefix("Redis is lost") } == 1)
        #expect(try await process.metric("wechat_token_redis_reconnects_total") == 1)
      }
      #expect(leader.log.count { $0.message == "This replica leads" } == 1)
    }
  }

  @Test("a wait for reports that is ended by an operator or a fail-over begins again at once")
  func unblocked() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 1)
      for _ in 0..<5 {
        let id = try await waited(for: "a wait", within: patience) {
          try await deployment.clients(of: "default", "blpop").first
        }
        try await deployment.ask("CLIENT", "UNBLOCK", id, "ERROR")
      }
      let token = try #require(try await deployment.token())
      try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      try await waitUntil("the report is served", within: .seconds(3)) {
        try await deployment.token() != token
      }
      #expect(leader.alarms().isEmpty)
    }
  }

  @Test("a Redis without BLPOP has its list looked at twice a second, and is told of once")
  func noBlockingPop() async throws {
    try await Deployment.run(redisArguments: ["--rename-command", "BLPOP", ""]) { deployment in
      let leader = try await deployment.start(count: 1, Deployment.brisk)
      try await leader.waitForLog(ProxyTests.pops, within: patience)
      let token = try #require(try await deployment.token())
      try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      try await waitUntil("the report is served", within: .seconds(3)) {
        try await deployment.token() != token
      }
      let line = try await leader.waitForLog(ProxyTests.lacks, within: patience)
      #expect(line.level == "warning" && line.fields["redis.command"] == "BLPOP")
      #expect(line.fields["error"]?.contains("unknown command `BLPOP`") == true)
      #expect(leader.alarms().count == 1)
      #expect(try await deployment.ask("LLEN", "WCH_refresh_requests").number == 0)
    }
  }

  @Test("two replicas of one name are told of, and one gives way to the other")
  func oneName() async throws {
    try await Deployment.run { deployment in
      // Nobody listens there.
      let lost = ["WCH_API_URL": "http://127.0.0.1:1"]
      let first = try deployment.start("a", Deployment.brisk.merging(lost) { $1 })
      try await first.waitForLog("This replica leads")
      let second = try deployment.start(
        "a", Deployment.brisk.merging(["WCH_HTTP_LISTEN": "off"]) { $1 })
      // A name is recognised as another's after two heartbeats, 20 to 30 s, and the next failure,
      // which gives the lead away then, may be as long after that.
      try await deployment.waitForLiveToken(within: patience * 3)
      try await second.waitForLog("This replica leads")
      for process in [first, second] {
        let line = try await waited(for: "it is told", within: patience) {
          process.log.first { $0.message.hasPrefix("Another live replica has the same name") }
        }
        #expect(line.level == "warning")
      }
    }
  }

  @Test("a password that is refused and looks wrong is told of with what looks wrong")
  func passwordDoubt() async throws {
    try await Deployment.run { deployment in
      try await deployment.ask("ACL", "SETUSER", "app", "on", ">pass-word", "~*", "&*", "+@all")
      let replica = try deployment.start(
        "a", ["WCH_REDIS_USERNAME": "app", "WCH_REDIS_PASSWORD": "\"pass-word\""])
      let warned = try await replica.waitForLog("A setting deserves a look")
      #expect(warned.fields["setting.origin"]?.contains("WCH_REDIS_PASSWORD") == true)
      let refused = try await replica.waitForLog("Redis cannot be reached; trying again")
      #expect(refused.text.contains("WRONGPASS"))
      #expect(refused.fields["reason"]?.hasPrefix("it stands in quotes") == true)
      let alarm = try await replica.waitForLog("Redis refuses the user or the password")
      #expect(alarm.level == "error" && alarm.text.contains("it stands in quotes"))
      #expect(!replica.errorText.contains("pass-word"))
    }
  }

  private static func all(_ value: Bool) -> [String: Bool] {
    ["commands": value, "events": value, "reports": value]
  }
}

extension SidecarProcess {
  /// What it was alarmed by, but for a report of a token that WeChat has not ended.
  func alarms(after position: Int = 0) -> [String] {
    log.dropFirst(position).filter {
      ["warning", "error"].contains($0.level)
        && !$0.message.hasPrefix("The token died before its time")
    }.map(\.text)
  }

  /// Which of its connections to Redis stand, as `/v1/status` says.
  func connections() async throws -> [String: Bool] {
    let redis = try await get("/v1/status").json()["redis"] as? [String: Any]
    var found: [String: Bool] = [:]
    for connection in redis?["connections"] as? [[String: Any]] ?? [] {
      guard let name = connection["name"] as? String else { continue }
      found[name] = connection["connected"] as? Bool
    }
    return found
  }
}

extension Deployment {
  /// The ids of a user's connections whose last command is this one.
  func clients(of user: String, _ command: String) async throws -> [String] {
    let list = try await ask("CLIENT", "LIST").text ?? ""
    return list.split(separator: "\n").filter {
      $0.contains(" user=\(user) ") && $0.contains(" cmd=\(command) ")
    }.map { String($0.dropFirst("id=".count).prefix { $0 != " " }) }
  }

  /// Waits until that user's leader waits for reports and hears events.
  func waitForLinks(of user: String) async throws {
    for command in ["blpop", "subscribe"] {
      try await waitUntil("\(command) is sent", within: patience) {
        try await !clients(of: user, command).isEmpty
      }
    }
  }
}
