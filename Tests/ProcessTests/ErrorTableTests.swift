import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// The table of errors once more, with the program that people run: an account for each row, side
/// by side in one replica.
@Suite struct ErrorTableTests {
  private static let told = "WeChat gave no token; what Redis has stays"

  private static let due = "wechat_token_refresh_due_timestamp_seconds"

  /// The rows that one account can meet while the others do not.
  private static let rows = ErrorRow.all.filter { row in
    if case .way = row.cause { false } else { true }
  }

  @Test("one replica, an account for each row: each is told, kept, tried again in time, and heals")
  func sideBySide() async throws {
    // What is held is never tried while the test runs; a second call is in time for all others.
    try await Deployment.run { deployment in
      let accounts = try Accounts(Self.rows, deployment)
      let settings = ["WCH_CONFIG": accounts.settings, "WCH_API_TIMEOUT": "2s"]
      let replica = try await deployment.start(count: 1, settings)
      let good = try await accounts.waitForTokens()

      accounts.spoil()
      try await accounts.force()
      for account in accounts.all {
        let line = try await replica.waitForLog(Self.told) {
          $0.fields["account"] == account.row.name
        }
        Self.check(line, account.row)
      }
      // Each account that need not be held is tried again.
      for account in accounts.all where !account.row.patience.isAlarm {
        try await replica.waitForLog(Self.told) {
          $0.fields["account"] == account.row.name
            && $0.fields["refresh.consecutive_failures"] == "2"
        }
      }
      #expect(try await accounts.tokens() == good, "the good tokens stay")
      // What was refused has minted nothing: the life is whole again. Of the others some attempt is
      // always under way, or nobody knows what became of one.
      for account in accounts.all {
        for (key, left) in try await accounts.lives(of: account) {
          let least: Int64 = account.row.patience.isAlarm ? 7_100_000 : 1
          #expect((least...7_200_000).contains(left), "\(key) has \(left) ms left")
        }
      }
      let status = try await replica.status()
      for account in accounts.all where account.row.patience.isAlarm {
        let requests = deployment.simulator.audit.requests(to: .token, appID: account.appID)
        #expect(requests == 2, "\(account.row) is held")
        try Self.check(status, account.row)
      }
      for account in accounts.all {
        let label = ["account": account.row.name]
        let failures = try await replica.metric("wechat_token_consecutive_failures", label)
        #expect(failures >= 1)
        #expect(account.row.patience.isAlarm ? failures == 1 : true)
        // By its code an alert knows whether it is its own matter.
        if account.row.patience.isAlarm, let code = account.row.code {
          #expect(try await replica.failing(account.row.name, code) >= 2, "\(account.row)")
        }
        #expect(try await replica.metric(Self.due, label) > 0)
      }

      // What is held goes on at once with a new secret; the rest by itself.
      let position = replica.logPosition
      try accounts.mend()
      for account in accounts.all {
        try await replica.waitForLog(
          "A new token is in Redis", after: position, within: .seconds(45)
        ) { $0.fields["account"] == account.row.name }
        let label = ["account": account.row.name]
        // Who asks often gets what was written out a moment before.
        try await waitUntil("\(account.row) has no failure", within: patience) {
          try await replica.metric("wechat_token_consecutive_failures", label) == 0
        }
        if let code = account.row.code {
          #expect(try await replica.failing(account.row.name, code) == 0, "\(account.row)")
        }
      }
      let healed = try await accounts.tokens()
      for account in accounts.all {
        let token = healed[account.row.name]
        #expect(token != good[account.row.name])
        #expect(token == deployment.simulator.newestToken(of: account.appID))
      }
    }
  }

  private static func check(_ line: SidecarProcess.LogLine, _ row: ErrorRow) {
    #expect(line.fields["event"] == "refresh.failed", "\(row)")
    #expect(line.fields["error"]?.contains(row.says) == true, "\(line.text)")
    #expect(line.fields["wechat.errcode"] == row.code.map(String.init), "\(row)")
    let wait = line.fields["refresh.retry_in_seconds"].flatMap { Double($0) } ?? 0
    let expected = row.patience.wait(after: 1)
    #expect(expected.contains(.milliseconds(Int64((wait * 1000).rounded()))), "\(row): \(wait)")
  }

  /// `/v1/status` says what is wrong, and when it is tried again.
  private static func check(_ status: [String: Any], _ row: ErrorRow) throws {
    let accounts = try #require(status["accounts"] as? [[String: Any]])
    let account = try #require(accounts.first { $0["account"] as? String == row.name })
    let failure = try #require(account["last_failure"] as? [String: Any])
    #expect(failure["errcode"] as? Int == row.code)
    let next = try #require(account["next_refresh_at"] as? Double)
    let left = next - Date().timeIntervalSince1970
    let wait = row.patience.wait(after: 1).upperBound.components.seconds
    #expect(left <= Double(wait) + 1 && left > Double(wait) - 60, "\(row): \(left)")
    #expect(account["token_present"] as? Bool == true)
  }

  @Test("a corrected secret is used at once, although the next attempt is five minutes off")
  func newSecret() async throws {
    try await Deployment.run { deployment in
      let file = deployment.redis.directory.appendingPathComponent("secret")
      try Data("wrong".utf8).write(to: file)
      let replica = try deployment.start(
        "a", ["WCH_APPSECRET_FILE": file.path, "WCH_APPSECRET": ""])
      let line = try await replica.waitForLog(Self.told)
      #expect(line.fields["wechat.errcode"] == "40125")
      #expect(line.fields["refresh.retry_in_seconds"] == "300.0")
      // A file that cannot be used changes nothing.
      try Data().write(to: file, options: .atomic)
      try Data(Deployment.secret.utf8).write(to: file, options: .atomic)
      try await deployment.waitForLiveToken()
      #expect(deployment.simulator.audit.requests(to: .token) == 2)
      try await replica.waitForLog("The AppSecret was replaced; WeChat is asked at once")
    }
  }

  @Test("an address that is refused is tried from one other replica, and then from none")
  func refusedAddress() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2, Deployment.brisk)
      let good = try await deployment.keys()
      // The leader looks for others every ten seconds.
      try await waitUntil("the other is there", within: .seconds(15)) {
        try await deployment.ask("HLEN", "WCH_replicas").number == 2
      }
      let look = try await deployment.ask("HGET", "WCH_replicas", leader.instance).text
      try await waitUntil("the leader has looked", within: .seconds(15)) {
        try await deployment.ask("HGET", "WCH_replicas", leader.instance).text != look
      }
      deployment.simulator.update(Deployment.appID) { $0.allowedAddresses = ["10.1.2.3"] }
      try await deployment.ask("RPUSH", "WCH_refresh_requests", #"{"force":true}"#)
      try await leader.waitForLog(Self.told) {
        $0.fields["wechat.egress_address"] == "127.0.0.1"
      }
      let other = try await deployment.waitForLeader(otherThan: leader)
      // Nothing was minted, and nobody needs to fetch until somebody asks again.
      #expect(try await deployment.waitForWholeLife().token == good.token)
      try await deployment.ask("RPUSH", "WCH_refresh_requests", #"{"force":true}"#)
      try await other.waitForLog(Self.told)
      let requests = try await firstExcept(for: .seconds(3)) { () -> Int? in
        let count = deployment.simulator.audit.requests(to: .token)
        return count == 3 ? nil : count
      }
      #expect(requests == nil)
      #expect(try await deployment.leader() === other)
      #expect(try await deployment.token() == good.token)
    }
  }
}

/// The accounts of one replica: one for each row, with its own file for the secret.
private struct Accounts {
  struct Account {
    let row: ErrorRow
    let appID: String
    let file: URL
  }

  let all: [Account]
  /// The path of the file with the settings.
  let settings: String
  private let deployment: Deployment

  init(_ rows: [ErrorRow], _ deployment: Deployment) throws {
    self.deployment = deployment
    let directory = deployment.redis.directory
    all = rows.enumerated().map { index, row in
      Account(
        row: row, appID: "wx" + String(repeating: "0", count: 12) + "\(1000 + index)",
        file: directory.appendingPathComponent("secret-\(row.name)"))
    }
    var members: [String: Any] = [:]
    for account in all {
      try Data(Self.secret(account, "old").utf8).write(to: account.file)
      members[account.row.name] = ["appid": account.appID, "appsecretFile": account.file.path]
      deployment.simulator.register(Self.settings(of: account, secret: "old"))
    }
    let file = directory.appendingPathComponent("settings.json5")
    try JSONSerialization.data(withJSONObject: ["accounts": members]).write(to: file)
    settings = file.path
  }

  /// Lets every fetch fail from now on, each account's by its row.
  func spoil() {
    for account in all {
      switch account.row.cause {
      case .fault(let fault), .timeout(let fault):
        deployment.simulator.setFault(fault, appID: account.appID, count: nil)
      case .account(let change): deployment.simulator.update(account.appID, change)
      case .way: break
      }
    }
  }

  /// Mends everything, with new secrets where people had to.
  func mend() throws {
    deployment.simulator.clearFaults()
    deployment.simulator.releaseHeld()
    for account in all where account.row.patience.isAlarm {
      deployment.simulator.register(Self.settings(of: account, secret: "new"))
      try Data(Self.secret(account, "new").utf8).write(to: account.file, options: .atomic)
    }
  }

  /// Wants another token for each account although it has a good one.
  func force() async throws {
    for account in all {
      let item = #"{"force":true,"account":"\#(account.row.name)"}"#
      try await deployment.ask("RPUSH", "WCH_refresh_requests", item)
    }
  }

  /// Waits until each account has a token, and returns them by name.
  func waitForTokens() async throws -> [String: String] {
    try await waited(for: "a token of each account", within: .seconds(20)) {
      let tokens = try await tokens()
      return tokens.count == all.count ? tokens : nil
    }
  }

  func tokens() async throws -> [String: String] {
    var tokens: [String: String] = [:]
    for account in all {
      let key = "WCH_access_token:{\(account.row.name)}"
      tokens[account.row.name] = try await deployment.ask("GET", key).text
    }
    return tokens
  }

  /// What an account's keys have left, in milliseconds.
  func lives(of account: Account) async throws -> [String: Int64] {
    var lives: [String: Int64] = [:]
    for role in ["access_token", "expires_in"] {
      let key = "WCH_\(role):{\(account.row.name)}"
      lives[key] = try await deployment.ask("PTTL", key).number
    }
    return lives
  }

  private static func settings(of account: Account, secret: String) -> AppSettings {
    var app = AppSettings(appID: account.appID, secret: Self.secret(account, secret))
    app.maxOldTokens = 8
    return app
  }

  /// A secret that no log may show.
  private static func secret(_ account: Account, _ kind: String) -> String {
    "\(Deployment.secret)-\(kind)-\(account.row.name)"
  }
}

extension SidecarProcess {
  /// How bad it is that WeChat answers an account with that code.
  fileprivate func failing(_ account: String, _ code: Int) async throws -> Double {
    let labels = ["condition": "refresh_failing", "account": account, "errcode": "\(code)"]
    return try await metric("wechat_token_condition", labels)
  }
}
