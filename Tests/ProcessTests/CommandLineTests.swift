import NIOCore
import NIOPosix
import TestSupport
import Testing

@Suite struct CommandLineTests {
  /// An account and addresses at which nobody listens.
  private static let sound = [
    "WCH_APPID": Deployment.appID, "WCH_APPSECRET": Deployment.secret,
    "WCH_API_URL": "http://127.0.0.1:1", "WCH_REDIS_URL": "redis://127.0.0.1:1/0",
    "WCH_HTTP_LISTEN": "off",
  ]

  @Test("wrong settings end it with 78, and every problem is named")
  func wrongSettings() async throws {
    let process = try SidecarProcess(
      environment: [
        "WCH_APPID": "wx1", "WCH_LEASEE": "15s", "WCH_RENEW": "5", "WCH_REDIS_URL": "http://x",
        "WCH_TICK": "10m", "WCH_API": "tokens",
      ], instance: "wrong")
    #expect(try await process.waitForExit() == .code(78))
    for name in [
      // `WCH_LEASE` is the one that the misspelt name is near to.
      "WCH_APPID", "WCH_APPSECRET", "WCH_LEASEE", "WCH_LEASE", "WCH_RENEW", "WCH_REDIS_URL",
      "WCH_TICK", "WCH_API",
    ] {
      // Whole names: one may be a part of another.
      let isNamed = process.errorText.split { !($0.isLetter || $0 == "_") }.contains { $0 == name }
      #expect(isNamed, "\(name) is not named in \(process.errorText)")
    }
    #expect(process.outputText.isEmpty)
  }

  @Test("a misspelt WCH_REDIS_PORT is no Service's variable: 78, and it is named")
  func strayPort() async throws {
    for links in [[:], ["WCH_SERVICE_HOST": "10.0.0.1", "WCH_SERVICE_PORT": "2130"]] {
      let process = try SidecarProcess(
        environment: Self.sound.merging(["WCH_REDIS_PORT": "6379"]) { $1 }.merging(links) { $1 },
        instance: "stray")
      #expect(try await process.waitForExit() == .code(78))
      #expect(process.errorText.contains("`WCH_REDIS_PORT`"), "\(process.errorText)")
      #expect(!process.errorText.contains("SERVICE"), "\(process.errorText)")
    }
  }

  @Test("in a namespace with Services called wch and wch-redis it starts and keeps a token")
  func serviceLinks() async throws {
    var links: [String: String] = [:]
    for (family, host, port) in [("WCH", "10.0.0.1", 2130), ("WCH_REDIS", "10.0.0.2", 6379)] {
      let address = "tcp://\(host):\(port)"
      for (name, value) in [
        ("SERVICE_HOST", host), ("SERVICE_PORT", "\(port)"), ("SERVICE_PORT_MAIN", "\(port)"),
        ("PORT", address), ("PORT_\(port)_TCP", address), ("PORT_\(port)_TCP_PROTO", "tcp"),
        ("PORT_\(port)_TCP_PORT", "\(port)"), ("PORT_\(port)_TCP_ADDR", host),
      ] {
        links["\(family)_\(name)"] = value
      }
    }
    try await Deployment.run { [links] deployment in
      let replica = try deployment.start("a", links)
      try await deployment.waitForLiveToken()
      try await replica.waitForStatus(200, of: "/readyz")
      #expect(!replica.log.contains { ["warning", "error"].contains($0.level) })
    }
  }

  @Test("times that contradict each other end it with 78 and the names of the settings")
  func contradictingTimes() async throws {
    let process = try SidecarProcess(
      environment: Self.sound.merging(["WCH_LEASE": "5s"]) { $1 }, instance: "contradicting")
    #expect(try await process.waitForExit() == .code(78))
    for name in ["WCH_LEASE", "WCH_RENEW", "WCH_RETRY", "WCH_API_TIMEOUT"] {
      #expect(process.errorText.contains(name), "\(name) is not named in \(process.errorText)")
    }
  }

  @Test("a port that somebody listens on ends it with 1 and the port's number")
  func portInUse() async throws {
    let taken = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(taken.localAddress?.port)
    let process = try SidecarProcess(
      environment: Self.sound.merging(["WCH_HTTP_LISTEN": "127.0.0.1:\(port)"]) { $1 },
      instance: "port")
    #expect(try await process.waitForExit() == .code(1))
    #expect(process.errorText.contains("127.0.0.1:\(port)"))
    try await taken.close().get()
  }

  @Test("--version prints a version, and nothing else")
  func version() async throws {
    let process = try SidecarProcess(["--version"], environment: [:], instance: "version")
    #expect(try await process.waitForExit() == .code(0))
    #expect(process.outputText.contains(#/^[0-9]+\.[0-9]+\.[0-9]+\n$/#))
    #expect(process.errorText.isEmpty)
  }

  @Test("help names the verbs and the settings")
  func help() async throws {
    let process = try SidecarProcess(["--help"], environment: [:], instance: "help")
    #expect(try await process.waitForExit() == .code(0))
    for verb in ["run", "demo", "status", "health", "wait", "token", "refresh"] {
      #expect(process.outputText.contains(verb))
    }
    let run = try SidecarProcess(["run", "--help"], environment: [:], instance: "help")
    #expect(try await run.waitForExit() == .code(0))
    for setting in ["WCH_APPID", "WCH_REDIS_URL", "WCH_LEASE", "WCH_HTTP_LISTEN"] {
      #expect(run.outputText.contains(setting))
    }
  }

  @Test(
    "help of a verb is shown wherever --help stands",
    arguments: ["once", "check", "status", "health", "wait", "token", "refresh", "demo"])
  func helpOfVerbs(verb: String) async throws {
    for arguments in [[verb, "--help"], [verb, "--log-level", "info", "-h"]] {
      let process = try SidecarProcess(arguments, environment: [:], instance: "help")
      #expect(try await process.waitForExit() == .code(0), "\(process.errorText)")
      #expect(process.outputText.contains("USAGE: wch-sidecar \(verb)"))
    }
  }

  @Test("a wrong flag is a wrong use: 64")
  func wrongVerb() async throws {
    let process = try SidecarProcess(["statsu"], environment: [:], instance: "wrong")
    #expect(try await process.waitForExit() == .code(64))
  }
}
