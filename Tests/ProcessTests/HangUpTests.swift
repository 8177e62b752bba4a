import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct HangUpTests {
  private static func text(_ path: String) -> String {
    (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
  }

  @Test("SIGHUP opens the log file anew, also when the process began with it ignored")
  func reopens() async throws {
    try await Deployment.run { deployment in
      let path = deployment.redis.directory.appendingPathComponent("log.json").path
      let environment = deployment.environment(instance: "a")
        .merging(["WCH_LOG_FILE": path]) { $1 }
      // As `nohup` has it.
      let process = try ChildProcess(
        ["/bin/sh", "-c", "trap '' HUP; exec \"$0\" run", SidecarProcess.binary],
        environment: environment)
      defer { process.end(SIGKILL) }
      try await waitUntil("it leads", within: patience) {
        Self.text(path).contains("This replica leads")
      }
      for round in 1...3 {
        try FileManager.default.moveItem(atPath: path, toPath: "\(path).\(round)")
        process.signal(SIGHUP)
        try await waitUntil("the file is there again", within: patience) {
          Self.text(path).contains("The log file was opened anew")
        }
      }
      // Where it cannot be opened, lines go on to the file that was moved.
      try FileManager.default.moveItem(atPath: path, toPath: "\(path).4")
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
      process.signal(SIGHUP)
      try await waitUntil("it says so", within: patience) {
        Self.text("\(path).4").contains("the old one stays in use")
      }
      process.signal(SIGTERM)
      try await waitUntil("its end", within: patience) { !process.isRunning }
      #expect(process.exit == .code(0))
      #expect(Self.text("\(path).4").contains("wch-sidecar has ended in order"))
    }
  }

  @Test("SIGHUP ends no daemon, from its first moment to the last")
  func ignored() async throws {
    try await Deployment.run { deployment in
      for _ in 1...5 {
        // Blocked until the program can take it: before, no program can.
        let process = try SidecarProcess(
          environment: deployment.environment(instance: "a"), instance: "a",
          blockedSignals: [SIGHUP])
        try await waitUntil("the lead among hang-ups", within: patience) {
          #expect(kill(process.id, SIGHUP) == 0)
          return process.log.contains { $0.message == "This replica leads" }
        }
        process.terminate()
        try await waitUntil("its end among hang-ups", within: patience) {
          kill(process.id, SIGHUP)
          return !process.isRunning
        }
        #expect(try await process.waitForExit() == .code(0))
      }
    }
  }

  private static func settings(
    _ deployment: Deployment, level: String = "debug", more: String = ""
  ) -> String {
    let directory = deployment.redis.directory
    return """
      { logLevel: "\(level)", httpBearerFile: "\(directory.appendingPathComponent("bearer").path)",
        accounts: { shop: { appid: "\(Deployment.appID)",
          appsecretFile: "\(directory.appendingPathComponent("secret").path)" } }, \(more) }
      """
  }

  @Test("SIGHUP reads the settings again: what may change does, what may not is named and kept")
  func reloads() async throws {
    try await Deployment.run { deployment in
      let directory = deployment.redis.directory
      func write(_ text: String, _ name: String) throws {
        try Data(text.utf8).write(to: directory.appendingPathComponent(name), options: .atomic)
      }
      try write("wrong-secret", "secret")
      try write("first-bearer", "bearer")
      try write(Self.settings(deployment), "settings.json5")
      let replica = try deployment.start(
        "a",
        Deployment.brisk.merging([
          "WCH_APPID": "", "WCH_APPSECRET": "", "WCH_LOG_LEVEL": "",
          "WCH_CONFIG": directory.appendingPathComponent("settings.json5").path,
          // The file is not looked at before it is asked for.
          "WCH_TICK": "4m",
        ]) { $1 })
      try await replica.waitForLog("WeChat gave no token; what Redis has stays")
      func hangUp() -> Int {
        let position = replica.logPosition
        #expect(kill(replica.id, SIGHUP) == 0)
        return position
      }

      var position = hangUp()
      let same = try await replica.waitForLog(
        "The settings were read again; nothing changed", after: position)
      #expect(same.level == "info" && same.fields["event"] == "settings.read")

      // A secret is told by its name, and asked with at once.
      try write(Deployment.secret, "secret")
      try write("second-bearer", "bearer")
      try write(
        Self.settings(deployment, level: "info", more: #"keyPrefix: "X_","#), "settings.json5")
      position = hangUp()
      let read = try await replica.waitForLog("The settings were read again", after: position)
      for name in ["logLevel", "accounts.shop.appsecret", "httpBearer"] {
        #expect(read.fields["settings.changed"]?.contains(name) == true, "\(read.text)")
      }
      #expect(read.fields["settings.restart"]?.contains("keyPrefix") == true, "\(read.text)")
      let stale = try await replica.waitForLog(
        "Changed settings are not in effect", after: position, within: patience)
      #expect(stale.level == "warning")
      #expect(
        stale.fields["error"] == "restart to take keyPrefix; the old ones stay in use", "\(stale)")
      try await waitUntil("the token", within: patience) {
        try await deployment.ask("EXISTS", "WCH_access_token:{shop}").number == 1
      }
      let socket = try #require(replica.socket)
      for (bearer, status) in [("first-bearer", 401), ("second-bearer", 200)] {
        let answer = try await PlainHTTP.ask(
          socket: socket, path: "/v1/token?account=shop",
          headers: ["Authorization": "Bearer \(bearer)"])
        #expect(answer.status == status)
      }
      #expect(!replica.log.dropFirst(position + 3).contains { $0.level == "debug" })

      // What is wrong changes nothing, and all of it is told.
      try write("{ logLevel: 'loud', leese: '3s', accounts: 7 }", "settings.json5")
      position = hangUp()
      for name in ["logLevel", "leese"] {
        let line = try await replica.waitForLog(
          "Changed settings are not in effect", after: position, within: patience
        ) { $0.fields["subject"]?.contains(name) == true }
        #expect(line.fields["condition"] == "settings_stale", "\(line.text)")
      }
      let status = try await replica.get("/v1/status")
      #expect(status.body.contains("settings_stale"))

      // Mended, it is over.
      try write(Self.settings(deployment), "settings.json5")
      position = hangUp()
      try await replica.waitForLog("The settings were read again", after: position)
      try await replica.waitForLog(
        "Over: Changed settings are not in effect", after: position, within: patience)
      #expect(!replica.errorText.contains("bearer-"))
      for secret in ["wrong-secret", "first-bearer", "second-bearer"] {
        #expect(!replica.errorText.contains(secret))
      }
    }
  }

  @Test("an account that is added is served after SIGHUP, however seldom the file is looked at")
  func newAccount() async throws {
    try await Deployment.run { deployment in
      let file = deployment.redis.directory.appendingPathComponent("settings.json5")
      try Data("{}".utf8).write(to: file)
      let replica = try deployment.start(
        "a", ["WCH_CONFIG": file.path, "WCH_TICK": "4m"])
      try await deployment.waitForLiveToken()
      deployment.simulator.register(AppSettings(appID: "wxnew", secret: Deployment.secret))
      let more = "{ accounts: { new: { appid: 'wxnew', appsecret: '\(Deployment.secret)' } } }"
      try Data(more.utf8).write(to: file)
      #expect(kill(replica.id, SIGHUP) == 0)
      let line = try await replica.waitForLog("The settings were read again", within: patience)
      #expect(line.fields["settings.changed"]?.contains("accounts.new") == true, "\(line.text)")
      try await waitUntil("its token", within: patience) {
        try await deployment.ask("EXISTS", "WCH_access_token:{new}").number == 1
      }
    }
  }

  @Test("SIGHUP ends verbs that only look, as a closed terminal should")
  func watching() async throws {
    try await Deployment.run { deployment in
      let watching = try SidecarProcess(
        ["status", "--watch"], environment: deployment.environment(instance: "a"),
        instance: "watch")
      try await waitUntil("it says so", within: patience) {
        watching.outputText.contains("no daemon answers")
      }
      kill(watching.id, SIGHUP)
      #expect(try await watching.waitForExit() == .signal(Int(SIGHUP)))
    }
  }
}
