import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct ManyAccountTests {
  // So many at once were more than connections could carry: healthy accounts' calls waited for each
  // other until their time was over, and each of them counted as a fetch of unknown outcome.
  @Test("250 accounts, whose answers take a second, have their tokens after as many requests")
  func slowAnswers() async throws {
    let count = 250
    try await Deployment.run { deployment in
      let (settings, keys) = try deployment.accounts(count: count, life: 7_200_000)
      deployment.simulator.setLatency(1000...1000)
      for name in ["a", "b"] {
        try deployment.start(name, settings.merging(["WCH_LOG_LEVEL": "info"]) { $1 })
      }
      try await waitUntil(
        "a token of each account", within: .seconds(60), every: .milliseconds(50)
      ) {
        try await deployment.ask(RedisCommand("EXISTS", keys)).number == Int64(count)
      }
      #expect(deployment.simulator.audit.requests(to: .token) == count)
      #expect(deployment.mints == count)
      for process in deployment.processes {
        #expect(!process.log.contains { $0.message.hasPrefix("WeChat gave no token") })
        #expect(!process.log.contains { $0.message.hasPrefix("This replica no longer leads") })
      }
    }
  }

  @Test(
    "of 50 accounts of all kinds the sound ones have their tokens on time, whatever the others do")
  func allKinds() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(in: deployment)
      let settings = Deployment.brisk.merging([
        "WCH_CONFIG": fleet.file, "WCH_API_TIMEOUT": "1900ms", "WCH_LOG_LEVEL": "info",
      ]) { $1 }
      for name in ["a", "b"] { try deployment.start(name, settings) }
      try await waitUntil("every sound account has its keys", within: .seconds(60)) {
        try await deployment.ask(RedisCommand("EXISTS", fleet.soundKeys)).number
          == Int64(fleet.soundKeys.count)
      }
      let began = ContinuousClock.now
      let readings = try await fleet.reading {
        // In hold; while an answer is on its way; and when a token was just made.
        try await deployment.killLeader(replacing: "a2", settings)
        try await fleet.rotated(1)
        deployment.simulator.setFault(.mintThenHold, appID: Fleet.watched)
        try await deployment.simulator.waitUntilHeld(within: .seconds(40))
        try await deployment.killLeader(replacing: "b2", settings)
        let mints = deployment.simulator.audit.mints(of: Fleet.watched).count
        try await waitUntil("a token is made", within: .seconds(60), every: .milliseconds(1)) {
          deployment.simulator.audit.mints(of: Fleet.watched).count > mints
        }
        try await deployment.killLeader(replacing: "a3", settings)
        try await fleet.rotated(2)
      }
      #expect(readings.count > 100)
      #expect(readings.fault == nil)
      let lifetimes = Int(began.duration(to: .now) / Fleet.refreshes) + 2
      let killed = 3
      for app in fleet.sound {
        let mints = deployment.simulator.audit.mints(of: app).count
        #expect(
          (2...lifetimes + killed).contains(mints), "\(app): \(mints) in \(lifetimes) lifetimes")
      }
      // What is refused is asked for once in five minutes by each leader.
      for app in fleet.refused {
        #expect(
          deployment.simulator.audit.requests(to: .credentials, appID: app) <= 2 * (killed + 1))
      }
    }
  }
}

/// 50 accounts: of both kinds of token, of WeCom, with tickets and without.
private struct Fleet {
  static let watched = "wxa1"
  /// The life of a token, in milliseconds, and how often it is refreshed.
  private static let life: Milliseconds = 40_000
  static let refreshes: Duration = .seconds(25)

  let file: String
  /// AppIDs of those that nothing is wrong with, and whose tokens end soon.
  let sound: [String]
  let refused: [String]
  let soundKeys: [String]
  private let deployment: Deployment

  init(in deployment: Deployment) throws {
    self.deployment = deployment
    let simulator = deployment.simulator
    var members: [String] = []
    var sound: [String] = []
    var keys: [String] = []
    var refused: [String] = []
    for number in 1...45 {
      let name = "a\(number)"
      var app = AppSettings(appID: "wx\(name)", secret: Deployment.secret)
      app.life = Self.life
      app.maxOldTokens = 8
      simulator.register(app)
      let isRefused = number > 40
      let secret = isRefused ? "another-secret" : Deployment.secret
      let api = number.isMultiple(of: 3) ? "stable_token" : "token"
      let tickets = number.isMultiple(of: 5) ? "tickets: [\"jsapi\"], " : ""
      members.append(
        "\(name): { appid: \"\(app.appID)\", appsecret: \"\(secret)\", \(tickets)api: \"\(api)\" }")
      switch number {
      case 35: simulator.setFault(.errorCode(45009), appID: app.appID, count: nil)
      case 36...40:
        simulator.setFault(
          Fault(commits: true, effect: .delay(1200)), appID: app.appID, count: nil)
      case 41...: refused.append(app.appID)
      default:
        sound.append(app.appID)
        keys.append("WCH_access_token:{\(name)}")
        if !tickets.isEmpty { keys.append("WCH_jsapi_ticket:{\(name)}") }
      }
    }
    for number in 1...5 {
      let app = CorpApp(corpID: "ww\(number)", secret: "corp-secret-\(number)")
      simulator.register(app)
      members.append(
        """
        c\(number): { appid: "ww\(number)", appsecret: "\(app.id.secret)", api: "gettoken", \
        apiUrl: ["\(deployment.weChat.url)"], tickets: ["jsapi"] }
        """)
      keys += ["WCH_access_token:{c\(number)}", "WCH_jsapi_ticket:{c\(number)}"]
    }
    let path = deployment.redis.directory.appendingPathComponent("fleet.json5")
    try Data("{ accounts: { \(members.joined(separator: ",\n")) } }".utf8).write(to: path)
    file = path.path
    self.sound = sound
    self.refused = refused
    soundKeys = keys
  }

  /// Waits until every sound account has had so many tokens beyond its first.
  func rotated(_ count: Int) async throws {
    try await waitUntil("rotation \(count)", within: .seconds(90), every: .milliseconds(100)) {
      let audit = deployment.simulator.audit
      return sound.allSatisfy { audit.mints(of: $0).count > count }
    }
  }

  /// What an application finds first in the sound accounts' keys that should not be there, while
  /// the body runs, and how often it read them.
  func reading(
    _ body: @Sendable () async throws -> Void
  ) async throws -> (count: Int, fault: String?) {
    try await withThrowingTaskGroup(of: (count: Int, fault: String?).self) { group in
      group.addTask {
        var count = 0
        do {
          let found = try await firstExcept(for: .seconds(600), every: .milliseconds(50)) {
            count += 1
            return try await fault()
          }
          return (count, found)
        } catch is CancellationError {
          return (count, nil)
        }
      }
      try await body()
      group.cancelAll()
      return try await group.next() ?? (0, nil)
    }
  }

  /// The first of the sound accounts' keys that is empty, or holds what WeChat refuses.
  private func fault() async throws -> String? {
    let texts = try await deployment.ask(RedisCommand("MGET", soundKeys)).elements ?? []
    for (key, text) in zip(soundKeys, texts) {
      guard let text = text.text else { return "\(key) is empty" }
      let isLive =
        key.contains("ticket")
        ? deployment.simulator.accepts(ticket: text) : deployment.simulator.judge(text).isLive
      if !isLive { return "\(key) is dead" }
    }
    return nil
  }
}

extension Deployment {
  /// Kills whoever leads, puts another replica into its place and waits until somebody leads again.
  fileprivate func killLeader(replacing name: String, _ settings: [String: String]) async throws {
    let leader = try await waitForLeader()
    leader.kill()
    try start(name, settings)
    try await waitUntil("another replica leads", within: .seconds(20)) {
      guard let holder = try await self.ask("GET", "WCH_leader").text else { return false }
      return !holder.hasPrefix("\(leader.instance):")
    }
  }
}
