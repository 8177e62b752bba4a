import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// `once`: the daemon for a moment.
@Suite struct OnceTests {
  private static func once(
    _ deployment: Deployment, _ flags: String..., settings: [String: String] = [:]
  ) async throws -> SidecarProcess {
    let process = try SidecarProcess(
      ["once"] + flags,
      environment: deployment.environment(instance: "once").merging(settings) { $1 },
      instance: "once")
    _ = try await process.waitForExit(within: patience)
    #expect(!(process.outputText + process.errorText).contains(Deployment.secret))
    return process
  }

  @Test("it publishes a live token, tells until when, and gives the lock back")
  func publishes() async throws {
    try await Deployment.run { deployment in
      let process = try await Self.once(deployment)
      #expect(process.exit == .code(0), "\(process.errorText)")
      let keys = try await deployment.keys()
      let token = try #require(keys.token)
      #expect(deployment.simulator.judge(token).isLive)
      #expect(process.outputText == "default \(try #require(keys.expiresIn))\n")
      #expect(try await deployment.ask("EXISTS", "WCH_leader").number == 0)
      #expect(deployment.mints == 1)
      // A second one finds the token and fetches nothing.
      let again = try await Self.once(deployment)
      #expect(again.exit == .code(0), "\(again.errorText)")
      #expect(again.outputText == process.outputText)
      #expect(deployment.mints == 1)
    }
  }

  @Test("beside a live leader it mints nothing and leaves the lock alone")
  func besideLeader() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 1)
      let lock = try await deployment.ask("GET", "WCH_leader").text
      let token = try await deployment.token()
      let process = try await Self.once(deployment)
      #expect(process.exit == .code(0), "\(process.errorText)")
      #expect(try await deployment.token() == token)
      #expect(try await deployment.ask("GET", "WCH_leader").text == lock)
      #expect(deployment.mints == 1)
      #expect(!process.log.contains { $0.message == "This replica leads" })
    }
  }

  @Test("a lock that another one holds is never overruled: without a token in time it ends with 75")
  func foreignLock() async throws {
    try await Deployment.run { deployment in
      try await deployment.ask("SET", "WCH_leader", "other:1", "PX", "600000")
      let process = try await Self.once(deployment, "--max", "2s")
      #expect(process.exit == .code(75), "\(process.errorText)")
      #expect(process.errorText.contains("after 2s"))
      #expect(try await deployment.ask("GET", "WCH_leader").text == "other:1")
      #expect(deployment.simulator.audit.requests(to: .any) == 0)
    }
  }

  @Test("a wrong secret ends it with 77 and WeChat's code, and the lock is free")
  func wrongSecret() async throws {
    try await Deployment.run { deployment in
      let process = try await Self.once(
        deployment, settings: ["WCH_APPSECRET": "00000000000000000000000000000000"])
      #expect(process.exit == .code(77), "\(process.errorText)")
      #expect(process.errorText.contains("wch-sidecar once: account default: WeChat answered"))
      #expect(process.errorText.contains("AppSecret"))
      #expect(try await deployment.ask("EXISTS", "WCH_leader", "WCH_access_token").number == 0)
      #expect(deployment.mints == 0)
      #expect(process.outputText.isEmpty)
    }
  }

  @Test("a Redis or a WeChat that cannot be reached ends it with 69", arguments: [true, false])
  func unreachable(isRedis: Bool) async throws {
    try await Deployment.run { deployment in
      if isRedis { deployment.redis.kill() } else { await deployment.weChat.takeDown() }
      let process = try await Self.once(deployment, "--max", "2s")
      #expect(process.exit == .code(69), "\(process.errorText)")
      let subject = isRedis ? "Redis" : "account default: WeChat"
      #expect(process.errorText.contains("wch-sidecar once: \(subject): "))
      #expect(process.errorText.contains("connection refused"))
      #expect(deployment.mints == 0)
      if !isRedis { #expect(try await deployment.ask("EXISTS", "WCH_leader").number == 0) }
    }
  }

  @Test(
    "it names the cause when the time is over, and ends with 77 when WeChat refuses",
    arguments: [
      (Fault.errorCode(45009), 77, "errcode 45009"), (.errorCode(40164), 77, "errcode 40164"),
      (.errorCode(-1), 75, "errcode -1"), (.status(502, afterMint: false), 75, "502"),
      (.html, 75, "no JSON"),
    ])
  func cause(fault: Fault, code: Int, words: String) async throws {
    try await Deployment.run { deployment in
      deployment.simulator.setFault(fault, count: nil)
      let process = try await Self.once(deployment, "--max", "2s")
      #expect(process.exit == .code(code), "\(process.errorText)")
      let last = process.errorText.split(separator: "\n").last ?? ""
      #expect(last.hasPrefix("wch-sidecar once: ") && last.contains(words), "\(last)")
      #expect(try await deployment.ask("EXISTS", "WCH_leader").number == 0)
    }
  }

  @Test("a call that is awaited when the time is over is given up, and no lock stays")
  func stalled() async throws {
    try await Deployment.run { deployment in
      deployment.simulator.setFault(.mintThenHold, count: nil)
      // A call may take longer than all of the time.
      let process = try await Self.once(deployment, "--max", "2s")
      #expect(process.exit == .code(75), "\(process.errorText)")
      #expect(process.errorText.contains("WeChat has not answered yet"), "\(process.errorText)")
      #expect(try await deployment.ask("EXISTS", "WCH_leader").number == 0)
      let doubt = try await deployment.ask(
        "HEXISTS", "WCH_state:{WCH_access_token}", "doubt_first")
      #expect(doubt.number == 1)
    }
  }

  @Test("of several accounts it serves those that it can, and asks for one alone")
  func several() async throws {
    try await Deployment.run { deployment in
      let (settings, _) = try deployment.accounts(count: 3, life: 7_200_000)
      deployment.simulator.setFault(
        .errorCode(40164), appID: "wxa1", count: nil)
      let process = try await Self.once(deployment, settings: settings)
      #expect(process.exit == .code(77), "\(process.errorText)")
      #expect(process.errorText.contains("account a1: WeChat answered with errcode 40164"))
      let served = process.outputText.split(separator: "\n").map { $0.prefix { $0 != " " } }
      #expect(served == ["default", "a2"])
      let one = try await Self.once(deployment, "--account", "a2", settings: settings)
      #expect(one.exit == .code(0), "\(one.errorText)")
      #expect(one.outputText.hasPrefix("a2 "))
      let nobody = try await Self.once(deployment, "--account", "b", settings: settings)
      #expect(nobody.exit == .code(64))
      #expect(nobody.errorText.contains("the accounts are default, a1, a2"))
    }
  }
}
