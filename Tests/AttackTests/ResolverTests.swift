import Foundation
import TestSupport
import Testing
import WeChatSimulator

/// A network and an `/etc` of the tests' own, in which the resolver says what a test has it say.
///
/// The tests run in a second process of the same program, since only that as a whole can be put
/// there: this one starts it, and it starts Redis, WeChat and the replicas.
private enum OwnNetwork {
  /// Set in the second process.
  static let variable = "WCH_OWN_NETWORK"
  /// In the `/etc` of the tests' own, and in no other.
  static let mark = "/etc/wch-own-network"

  static var isHere: Bool {
    ProcessInfo.processInfo.environment[variable] != nil
      && FileManager.default.fileExists(atPath: mark)
  }

  static var isWanted: Bool {
    ProcessInfo.processInfo.environment["WCH_ATTACK"] != nil && !isHere
  }

  /// Its first argument is an empty directory; the rest is run in the new network.
  private static let script = """
    set -e
    etc=$1/etc; shift
    # What only root may read is of no use here.
    cp -a /etc "$etc" 2>/dev/null || [ -d "$etc" ]
    rm -f "$etc/resolv.conf" "$etc/hosts" "$etc/nsswitch.conf" "$etc/gai.conf"
    : >"$etc/\(URL(filePath: mark).lastPathComponent)"
    mount --bind "$etc" /etc
    ip link set lo up
    exec "$@"
    """

  /// Runs one suite there; whether all of its tests passed.
  static func run(suite: String) async throws -> Bool {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("n\(UInt32.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let namespaces =
      ["unshare", "--mount", "--net", "--propagation", "private"]
      + (geteuid() == 0 ? [] : ["--map-root-user"])
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let process = try ChildProcess(
      namespaces + ["sh", "-c", script, "sh", directory.path, own] + arguments(suite: suite),
      environment: ProcessInfo.processInfo.environment.merging([variable: "1"]) { $1 },
      standardOutput: STDOUT_FILENO, standardError: STDERR_FILENO)
    try await waitUntil("the end of \(suite) in a network of its own", within: .seconds(600)) {
      !process.isRunning
    }
    return process.exit == .code(0)
  }

  /// Our own arguments, with another choice of tests.
  private static func arguments(suite: String) -> [String] {
    var arguments: [String] = []
    var given = CommandLine.arguments.dropFirst()
    while let argument = given.popFirst() {
      switch argument {
      case "--filter", "--skip": given = given.dropFirst()
      case _ where argument.hasPrefix("--filter=") || argument.hasPrefix("--skip="): break
      default: arguments.append(argument)
      }
    }
    return arguments + ["--filter", suite]
  }
}

@Suite(
  "Names in a network of the tests' own", .enabled(if: OwnNetwork.isWanted, "they take minutes"))
struct ResolverTests {
  @Test("every case of `NamedReplicaTests`")
  func cases() async throws {
    let isGood = try await MachineShare.shared.take(alone: true) {
      try await OwnNetwork.run(suite: "NamedReplicaTests")
    }
    #expect(isGood, "what failed is said above")
  }
}

/// Replicas that find Redis and WeChat by names.
@Suite("A replica whose Redis has a name", .serialized, .enabled(if: OwnNetwork.isHere))
struct NamedReplicaTests {
  private static let redis = "redis.test"
  private static let weChat = "api.test"
  private static let connected = "Redis is connected"
  private static let unreached = "Redis cannot be reached; trying again"
  /// What a busy machine may add to a bound that is promised.
  private static let slack: Duration = .seconds(1)

  /// Writes the files that the resolver reads, in the `/etc` of the tests' own.
  private static func write(addressPreference: String = "") throws {
    try #require(OwnNetwork.isHere)
    for (name, text) in [
      ("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files dns\n"),
      ("hosts", "127.0.0.1 localhost\n::1 localhost\n"), ("gai.conf", addressPreference),
    ] {
      try text.write(toFile: "/etc/\(name)", atomically: true, encoding: .utf8)
    }
  }

  /// Runs a deployment, and a name server that knows WeChat.
  private func run(
    addressPreference: String = "",
    _ body: @escaping @Sendable (Deployment, NameServer) async throws -> Void
  ) async throws {
    try Self.write(addressPreference: addressPreference)
    try await NameServer.run { names in
      names.set(Self.weChat, .addresses(["127.0.0.1"]))
      try await Deployment.run { deployment in try await body(deployment, names) }
    }
  }

  /// The settings of a replica that knows only names.
  private func named(_ deployment: Deployment) -> [String: String] {
    [
      "WCH_REDIS_URL": "redis://\(Self.redis):\(deployment.redis.port)/0",
      "WCH_API_URL": "http://\(Self.weChat):\(deployment.weChat.ports[0])",
    ]
  }

  /// How long a replica took from its start to its first connection to Redis.
  private func timeToRedis(
    _ process: SidecarProcess, within limit: Duration
  ) async throws -> Duration {
    let line = try await process.waitForLog(Self.connected, within: limit)
    return line.at - process.startedAt
  }

  @Test("an unanswered AAAA delays neither Redis nor WeChat")
  func silentFamily() async throws {
    try await run { deployment, names in
      for name in [Self.redis, Self.weChat] {
        names.set(name, .addresses(["127.0.0.1"]), for: [.a])
        names.set(name, .silence, for: [.aaaa])
      }
      let process = try deployment.start("a", self.named(deployment))
      let time = try await self.timeToRedis(process, within: .seconds(20))
      print("figure: AAAA unanswered: Redis after \(time)")
      #expect(time < .milliseconds(500) + Self.slack)
      try await deployment.waitForLiveToken()
      print("figure: AAAA unanswered: token after \(ContinuousClock.now - process.startedAt)")
      #expect(names.questions(Self.redis, .aaaa) > 0)
    }
  }

  @Test("look-ups of 2.2 s and of 4 s are waited for", arguments: [2200, 4000])
  func slow(milliseconds: Int) async throws {
    try await run { deployment, names in
      let delay = Duration.milliseconds(milliseconds)
      for name in [Self.redis, Self.weChat] {
        names.set(name, .addresses(["127.0.0.1"], after: delay))
      }
      let process = try deployment.start("a", self.named(deployment))
      let time = try await self.timeToRedis(process, within: .seconds(30))
      print("figure: \(milliseconds) ms a look-up: Redis after \(time)")
      #expect(time < delay + Self.slack)
      // WeChat's look-up comes after Redis's, and its attempt has 5 s.
      try await deployment.waitForLiveToken(within: .seconds(20))
      print("figure: \(milliseconds) ms: token after \(ContinuousClock.now - process.startedAt)")
    }
  }

  @Test("a look-up that outlives its attempt serves the next one, and the log names the look-up")
  func late() async throws {
    try await run { deployment, names in
      names.set(Self.redis, .addresses(["127.0.0.1"], after: .seconds(4)))
      let settings = self.named(deployment).merging(["WCH_REDIS_CONNECT_TIMEOUT": "1s"]) { $1 }
      let process = try deployment.start("a", settings)
      let line = try await process.waitForLog(Self.unreached)
      #expect(
        line.text.contains(
          "the look-up of the host name redis.test took too long: no name server answered in time"))
      let time = try await self.timeToRedis(process, within: .seconds(30))
      print("figure: 4 s a look-up, 1 s an attempt: Redis after \(time)")
      // The next attempt may begin so long after the answer.
      #expect(time < .seconds(4) + .seconds(3) + Self.slack)
      try await deployment.waitForLiveToken()
    }
  }

  @Test("while Redis's name hangs a report is served within the 3 s of the contract")
  func independent() async throws {
    try await run { deployment, names in
      names.set(Self.redis, .addresses(["127.0.0.1"]))
      let process = try deployment.start("a", self.named(deployment))
      let token = try await deployment.waitForLiveToken()
      names.set(Self.redis, .silence)
      let asked = names.questions(Self.redis, .a)
      try await deployment.ask("CLIENT", "KILL", "TYPE", "pubsub")
      try await waitUntil("the look-up that hangs", within: .seconds(10)) {
        names.questions(Self.redis, .a) > asked
      }
      // Two fetches are at least a second apart.
      try await waitUntil("the token is older", within: .seconds(5)) {
        try await deployment.keys().tokenTTL < 7_198_500
      }
      let start = ContinuousClock.now
      try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      try await waitUntil("the next token", within: .seconds(20)) {
        try await deployment.token() != token
      }
      print("figure: a report while Redis's name hangs: \(ContinuousClock.now - start)")
      #expect(ContinuousClock.now - start < .seconds(3))
      #expect(process.isRunning)
    }
  }

  @Test(
    "when the look-up fails, hangs or lies, the last good address is tried",
    arguments: [
      "silence", "no such name", "failure", "truncated", "garbage", "wrong id", "alias loop",
    ])
  func lastGood(trouble: String) async throws {
    try await run { deployment, names in
      names.set(Self.redis, .addresses(["127.0.0.1"]))
      let process = try deployment.start("a", self.named(deployment))
      try await deployment.waitForLiveToken()
      let behaviour: NameServer.Behaviour =
        switch trouble {
        case "no such name": .noSuchName
        case "failure": .serverFailure
        case "truncated": .truncated
        case "garbage": .garbage
        case "wrong id": .wrongID("127.0.0.9")
        case "alias loop": .aliasLoop
        default: .silence
        }
      names.set(Self.redis, behaviour)
      let position = process.logPosition
      let start = ContinuousClock.now
      try await deployment.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      try await process.waitForLog(Self.connected, after: position, within: .seconds(30))
      print("figure: last good address, \(trouble): \(ContinuousClock.now - start)")
      // Half of an attempt, when nobody answers.
      #expect(ContinuousClock.now - start < .milliseconds(2500) + Self.slack)
    }
  }

  @Test(
    "a name that is not resolved at the start is told with the reason, and found once it is there",
    arguments: ["no such name", "failure", "silence"])
  func unresolved(trouble: String) async throws {
    try await run { deployment, names in
      if trouble == "failure" { names.set(Self.redis, .serverFailure) }
      if trouble == "silence" { names.set(Self.redis, .silence) }
      let process = try deployment.start("a", self.named(deployment))
      let line = try await process.waitForLog(Self.unreached)
      let words =
        switch trouble {
        case "no such name": "the host name redis.test cannot be resolved: there is no such name"
        case "failure":
          "the host name redis.test cannot be resolved: no name server gave an answer"
        default: "the look-up of the host name redis.test took too long"
        }
      #expect(line.text.contains(words), "\(line.text)")
      names.set(Self.redis, .addresses(["127.0.0.1"]))
      let start = ContinuousClock.now
      try await process.waitForLog(Self.connected, within: .seconds(30))
      print("figure: \(trouble), and well again: Redis after \(ContinuousClock.now - start)")
    }
  }

  @Test("a look-up that hangs does not hold up the end")
  func end() async throws {
    try await run { deployment, names in
      names.set(Self.redis, .silence)
      let process = try deployment.start("a", self.named(deployment))
      try await waitUntil("the look-up that hangs", within: .seconds(10)) {
        names.questions(Self.redis, .a) > 0
      }
      let start = ContinuousClock.now
      process.terminate()
      #expect(try await process.waitForExit() == .code(0))
      #expect(ContinuousClock.now - start < .seconds(2))
    }
  }

  @Test("a name that leads elsewhere by now is followed, although the old address still answers")
  func changed() async throws {
    try await run { deployment, names in
      let port = deployment.redis.port
      try await Partition.run(to: port, from: "127.0.0.2", port: port) { old in
        names.set(Self.redis, .addresses(["127.0.0.2"]))
        let process = try deployment.start("a", self.named(deployment))
        try await deployment.waitForLiveToken()
        let accepted = old.accepted
        #expect(accepted > 0)
        names.set(Self.redis, .addresses(["127.0.0.1"]))
        let position = process.logPosition
        old.heal()
        try await process.waitForLog(Self.connected, after: position)
        #expect(old.accepted == accepted)
      }
    }
  }

  @Test(
    "the system's order of addresses counts",
    arguments: [("", true), ("precedence ::ffff:0:0/96 100\n", false)])
  func order(gaiConf: String, isIPv6: Bool) async throws {
    try await run(addressPreference: gaiConf) { deployment, names in
      let port = deployment.redis.port
      try await Partition.run(to: port, from: "::1", port: port) { overIPv6 in
        names.set(Self.redis, .addresses(["127.0.0.1", "::1"]))
        try deployment.start("a", self.named(deployment))
        try await deployment.waitForLiveToken()
        #expect((overIPv6.accepted > 0) == isIPv6)
      }
    }
  }

  @Test(
    "WeChat is asked over the addresses that are wanted",
    arguments: [("any", true), ("6", true), ("4", false)])
  func family(wanted: String, isIPv6: Bool) async throws {
    try await run { deployment, names in
      names.set(Self.redis, .addresses(["127.0.0.1"]))
      names.set(Self.weChat, .addresses(["127.0.0.1", "::1"]))
      let port = deployment.weChat.ports[0]
      try await Partition.run(to: port, from: "::1", port: port) { overIPv6 in
        let settings = self.named(deployment).merging(["WCH_API_IP": wanted]) { $1 }
        try deployment.start("a", settings)
        try await deployment.waitForLiveToken()
        #expect((overIPv6.accepted > 0) == isIPv6)
      }
    }
  }

  @Test("a name that is in the system's own file is not asked of the name server")
  func hosts() async throws {
    try await run { deployment, names in
      try "127.0.0.1 localhost \(Self.redis)\n".write(
        toFile: "/etc/hosts", atomically: true, encoding: .utf8)
      try deployment.start("a", self.named(deployment))
      try await deployment.waitForLiveToken()
      #expect(names.questions(Self.redis, .a) == 0)
      #expect(names.questions(Self.redis, .aaaa) == 0)
    }
  }
}
