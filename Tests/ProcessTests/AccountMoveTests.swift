import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Accounts that come and go while replicas run.
@Suite struct AccountMoveTests {
  /// Two replicas of the unnamed account and those of a volume, as Kubernetes mounts it.
  private struct Fleet {
    let deployment: Deployment
    let volume: SecretVolume

    init(_ deployment: Deployment, _ names: [String], life: Milliseconds = 7_200_000) throws {
      self.deployment = deployment
      for name in ["shop", "club"] {
        var app = AppSettings(appID: "wx\(name)", secret: Deployment.secret)
        app.life = life
        app.maxOldTokens = 8
        deployment.simulator.register(app)
      }
      volume = try SecretVolume(
        deployment.redis.directory.appendingPathComponent("accounts"), Self.files(names))
    }

    static func files(_ names: [String]) -> [String: String] {
      var files: [String: String] = [:]
      for name in names {
        files["\(name)/appid"] = "wx\(name)\n"
        files["\(name)/appsecret"] = Deployment.secret
      }
      return files
    }

    var settings: [String: String] {
      Deployment.brisk.merging(["WCH_ACCOUNTS_DIR": volume.path]) { $1 }
    }

    func token(_ name: String) async throws -> String? {
      try await deployment.ask("GET", "WCH_access_token:{\(name)}").text
    }

    /// Waits until Redis has a token of the account that WeChat accepts.
    @discardableResult
    func waitForToken(_ name: String) async throws -> String {
      try await waited(for: "a token of \(name)", within: patience) {
        let token = try await token(name)
        return token.flatMap { deployment.simulator.judge($0).isLive ? $0 : nil }
      }
    }

    /// Waits until every replica's surfaces show exactly these accounts.
    func waitForAccounts(_ names: [String]) async throws {
      for replica in deployment.processes {
        try await waitUntil("\(replica.instance) keeps \(names)", within: patience) {
          let status = try JSONSerialization.jsonObject(
            with: Data(try await replica.get("/v1/status").body.utf8))
          let accounts = (status as? [String: Any])?["accounts"] as? [[String: Any]]
          guard accounts?.compactMap({ $0["account"] as? String }).sorted() == names.sorted() else {
            return false
          }
          let metrics = try await replica.get("/metrics").body
          return ["default", "shop", "club"].allSatisfy { name in
            metrics.contains("account=\"\(name)\"") == names.contains(name)
          }
        }
      }
    }
  }

  @Test("a mounted secret's swap brings an account and takes one away, and disturbs nobody else")
  func swap() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, ["shop"])
      let leader = try await deployment.start(count: 2, fleet.settings)
      let shop = try await fleet.waitForToken("shop")
      try await fleet.waitForAccounts(["default", "shop"])
      let (token, lock) = (
        try await deployment.token(), try await deployment.ask("GET", "WCH_leader").text
      )

      try fleet.volume.swap(to: Fleet.files(["shop", "club"]))
      let club = try await fleet.waitForToken("club")
      try await fleet.waitForAccounts(["default", "shop", "club"])
      for replica in deployment.processes {
        try await replica.waitForStatus(200, of: "/readyz?account=club")
        let line = try await replica.waitForLog("Accounts are kept from now on, or no longer")
        #expect(line.fields["accounts.added"]?.contains("club") == true, "\(line.text)")
      }

      try fleet.volume.swap(to: Fleet.files(["club"]))
      try await fleet.waitForAccounts(["default", "club"])
      for replica in deployment.processes {
        #expect(try await replica.get("/readyz?account=shop").status == 404)
        #expect(try await replica.get("/v1/token?account=shop").status == 404)
      }
      // Its key is left to lapse.
      #expect(try await fleet.token("shop") == shop)
      #expect(try await deployment.ask("PTTL", "WCH_access_token:{shop}").number ?? -1 > 0)

      // And it comes back with what Redis has.
      try fleet.volume.swap(to: Fleet.files(["shop", "club"]))
      try await fleet.waitForAccounts(["default", "shop", "club"])
      for replica in deployment.processes {
        try await replica.waitForStatus(200, of: "/v1/token?account=shop")
      }
      #expect(try await fleet.token("shop") == shop)
      #expect(try await fleet.token("club") == club)
      #expect(try await deployment.token() == token)
      #expect(deployment.mints == 3)
      #expect(try await deployment.ask("GET", "WCH_leader").text == lock)
      #expect(leader.log.filter { $0.message == "This replica leads" }.count == 1)
    }
  }

  @Test("one that is removed is refreshed no more, and its keys lapse")
  func lapse() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, ["shop"], life: 8000)
      try await deployment.start(count: 1, fleet.settings)
      try await fleet.waitForToken("shop")
      try fleet.volume.swap(to: [:])
      try await fleet.waitForAccounts(["default"])
      let mints = deployment.mints
      try await waitUntil("the key has lapsed", within: patience) {
        try await fleet.token("shop") == nil
      }
      #expect(deployment.mints == mints)
    }
  }

  @Test("a swap that is broken changes nothing and says why, once, until it is mended")
  func broken() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, ["shop"])
      let replica = try await deployment.start(count: 1, fleet.settings)
      try await fleet.waitForToken("shop")
      var files = Fleet.files(["shop", "club"])
      files["club/appsecret"] = ""
      let position = replica.logPosition
      try fleet.volume.swap(to: files)
      let line = try await replica.waitForLog(
        "Changed settings are not in effect", after: position, within: patience)
      #expect(line.fields["error"]?.contains("club/appsecret` is empty") == true, "\(line.text)")
      #expect(try await replica.get("/v1/status").body.contains("settings_stale"))
      try await fleet.waitForAccounts(["default", "shop"])

      try fleet.volume.swap(to: Fleet.files(["shop", "club"]))
      try await fleet.waitForToken("club")
      try await replica.waitForLog(
        "Over: Changed settings are not in effect", after: position, within: patience)
      for message in [
        "Changed settings are not in effect",
        "The settings cannot be read again; those of before stay in use",
      ] {
        #expect(replica.log.dropFirst(position).filter { $0.message == message }.count == 1)
      }
      #expect(deployment.mints == 3)
    }
  }

  @Test("a file that is renamed into place brings an account, without a signal")
  func file() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, [])
      let file = deployment.redis.directory.appendingPathComponent("settings.json5")
      func write(_ accounts: String) throws {
        try Data("{ accounts: { \(accounts) } }".utf8).write(to: file, options: .atomic)
      }
      try write("")
      let replica = try await deployment.start(
        count: 1, Deployment.brisk.merging(["WCH_CONFIG": file.path]) { $1 })
      try write("shop: { appid: 'wxshop', appsecret: '\(Deployment.secret)' }")
      try await fleet.waitForToken("shop")
      try await fleet.waitForAccounts(["default", "shop"])
      // In both places it is nobody's.
      let position = replica.logPosition
      try write(
        "shop: { appid: 'wxshop', appsecret: '\(Deployment.secret)' }, "
          + "default: { appid: 'wxclub', appsecret: '\(Deployment.secret)' }")
      let line = try await replica.waitForLog(
        "Changed settings are not in effect", after: position, within: patience)
      #expect(line.fields["error"]?.contains("must not be `default`") == true, "\(line.text)")
    }
  }

  @Test("one that is removed while its call is under way goes once its token is in Redis")
  func underWay() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, [])
      // The call outlasts the look at the directory, and the lease both.
      let replica = try await deployment.start(
        count: 1, fleet.settings.merging(["WCH_LEASE": "8s", "WCH_API_TIMEOUT": "4s"]) { $1 })
      deployment.simulator.setLatency(3000...3000)
      try fleet.volume.swap(to: Fleet.files(["shop"]))
      try await replica.waitForLog("Asking WeChat for a token", within: patience) {
        $0.fields["account"] == "shop"
      }
      try fleet.volume.swap(to: [:])
      try await replica.waitForLog(
        "Accounts are kept from now on, or no longer", within: patience
      ) { $0.fields["accounts.removed"]?.contains("shop") == true }
      #expect(try await fleet.token("shop") == nil)
      try await fleet.waitForToken("shop")
      try await fleet.waitForAccounts(["default"])
      #expect(deployment.mints == 2)
    }
  }

  @Test("a replica is not ready for an account that the leader does not keep, and says so")
  func differing() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, ["shop", "club"])
      let leader = try await deployment.start(count: 1, fleet.settings)
      let others = try SecretVolume(
        deployment.redis.directory.appendingPathComponent("others"),
        Fleet.files(["shop", "club"]))
      let follower = try deployment.start(
        "b", fleet.settings.merging(["WCH_ACCOUNTS_DIR": others.path]) { $1 })
      for name in ["shop", "club"] {
        try await follower.waitForStatus(200, of: "/readyz?account=\(name)", within: patience)
      }

      try fleet.volume.swap(to: Fleet.files(["shop"]))
      let answer = try await follower.waitForStatus(
        503, of: "/readyz?account=club", within: patience)
      #expect(answer.body.contains("accounts_differ"), "\(answer.body)")
      #expect(answer.body.contains("the leader keeps other accounts"), "\(answer.body)")
      // The token lives all the same, and who asks for another account is not bothered.
      #expect(try await fleet.token("club") != nil)
      #expect(try await follower.get("/readyz?account=shop").status == 200)
      #expect(try await follower.get("/readyz").status == 200)
      #expect(try await leader.get("/readyz?account=club").status == 404)

      try others.swap(to: Fleet.files(["shop"]))
      try await fleet.waitForAccounts(["default", "shop"])
      #expect(try await follower.get("/v1/status").body.contains("accounts_differ") == false)
    }
  }

  @Test("once serves every account of a directory, and with --account one")
  func once() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, ["shop", "club"])
      func once(_ arguments: String...) async throws -> SidecarProcess {
        let process = try SidecarProcess(
          ["once"] + arguments + ["--accounts-dir", fleet.volume.path],
          environment: deployment.environment(instance: "once"), instance: "once")
        #expect(try await process.waitForExit() == .code(0), "\(process.errorText)")
        return process
      }
      let one = try await once("--account", "club")
      #expect(one.outputText.hasPrefix("club "))
      let all = try await once()
      #expect(
        all.outputText.split(separator: "\n").map { $0.prefix { $0 != " " } }
          == ["default", "club", "shop"])
      #expect(deployment.mints == 3)
    }
  }

  // Of two places one is the hung account's nearly all the time, and each of its failures is a
  // reason to ask another host, where nobody listens.
  @Test("an account that WeChat never answers delays nobody else's refresh, nor makes one fail")
  func hung() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, ["shop"])
      let (others, keys) = try deployment.accounts(count: 4, life: 6000)
      deployment.simulator.setFault(.holdBeforeMint, appID: "wxshop", count: nil)
      let hosts = "\(deployment.weChat.url),http://127.0.0.1:\(try FreePort.pick())"
      let replica = try deployment.start(
        "a",
        fleet.settings.merging(others) { $1 }
          .merging(["WCH_API_CONCURRENCY": "2", "WCH_API_URL": hosts]) { $1 })
      let count = Int64(keys.count)
      try await waitUntil("the others' tokens", within: patience) {
        try await deployment.ask(RedisCommand("EXISTS", keys)).number == count
      }
      let mints = deployment.mints
      try await waitUntil("two more of each short life", within: patience) {
        let there = try await deployment.ask(RedisCommand("EXISTS", keys)).number
        #expect(there == count)
        return deployment.mints >= mints + 2 * (keys.count - 1)
      }
      let failed = replica.log.filter {
        $0.message == "WeChat gave no token; what Redis has stays"
      }
      #expect(failed.count > 1)
      #expect(failed.allSatisfy { $0.fields["account"] == "shop" }, "\(failed.map(\.text))")
      #expect(try await fleet.token("shop") == nil)
    }
  }

  @Test("status and check look at one account with --account")
  func verbs() async throws {
    try await Deployment.run { deployment in
      let fleet = try Fleet(deployment, ["shop", "club"])
      let replica = try await deployment.start(count: 1, fleet.settings)
      for name in ["shop", "club"] { try await fleet.waitForToken(name) }
      try await replica.waitForStatus(200, of: "/readyz?account=shop")
      func ask(_ arguments: String...) async throws -> SidecarProcess {
        let process = try SidecarProcess(
          arguments + ["--accounts-dir", fleet.volume.path],
          environment: deployment.environment(instance: "a"), instance: arguments[0])
        _ = try await process.waitForExit()
        return process
      }
      let shown = try await ask("status", "--account", "shop")
      #expect(shown.exit == .code(0), "\(shown.errorText)")
      #expect(shown.outputText.contains("shop") && !shown.outputText.contains("club"))
      let json = try await ask("status", "-o", "json", "--account", "default")
      #expect(json.outputText.contains(#""account":"default""#), "\(json.outputText)")
      #expect(!json.outputText.contains(#""account":"shop""#))
      let unknown = try await ask("status", "--account", "nobody")
      #expect(unknown.exit == .code(1))
      #expect(unknown.errorText.contains("the accounts are default, club, shop"))
      let checked = try await ask("check", "--connect", "--account", "club")
      #expect(checked.exit == .code(0), "\(checked.errorText)")
      #expect(checked.outputText.contains("wechat, account club: answers"))
      #expect(!checked.outputText.contains("wechat, account shop"))
      replica.kill()
      let alone = try await ask("status", "--account", "shop")
      #expect(alone.exit == .code(69))
      #expect(alone.outputText.contains("shop") && !alone.outputText.contains("club"))
    }
  }
}
