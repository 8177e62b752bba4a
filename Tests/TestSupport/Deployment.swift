import Foundation
import Logging
import NIOPosix
import NIOSSL
package import RedisClient
import Synchronization
package import WeChatSimulator

/// A whole deployment on one machine: a Redis, a WeChat and replicas of the real program.
package final class Deployment: Sendable {
  /// The account that every deployment has.
  package static let appID = "wx0123456789abcdef"
  package static let secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

  /// A lease of 4 s in place of 15: valid under the same rules, for tests that wait it out.
  package static let brisk: [String: String] = [
    "WCH_LEASE": "4s", "WCH_RENEW": "1s", "WCH_RETRY": "300ms", "WCH_TICK": "2s",
    "WCH_REDIS_COMMAND_TIMEOUT": "500ms", "WCH_API_TIMEOUT": "1s",
  ]
  /// The lease of these settings.
  package static let briskLease: Duration = .seconds(4)

  /// The Redis; of a group with sentinels the one that begins as the primary.
  package let redis: RedisServer
  /// The sentinels and what they watch, where there are any.
  package let sentinels: SentinelGroup?
  /// The cluster, of which the Redis above is one node, where there is one.
  package let cluster: ClusterGroup?
  /// What stands between the replicas and Redis, where anything does.
  package let proxy: StrictProxy?
  package let weChat: SimulatorServer
  /// A connection of the test's own.
  package let client: RedisClient
  /// Protects the list of what was started.
  private let started = Mutex<[SidecarProcess]>([])

  /// The simulated WeChat.
  package var simulator: Simulator { weChat.simulator }
  /// Every process that was started, ended ones included.
  package var processes: [SidecarProcess] { started.withLock { $0 } }

  private let configuration: RedisConfiguration

  private init(
    redis: RedisServer, sentinels: SentinelGroup?, cluster: ClusterGroup?, proxy: StrictProxy?,
    weChat: SimulatorServer
  ) {
    self.redis = redis
    self.sentinels = sentinels
    self.cluster = cluster
    self.proxy = proxy
    self.weChat = weChat
    configuration = RedisConfiguration(
      endpoint: sentinels?.endpoint ?? cluster?.endpoint ?? redis.endpoint)
    client = RedisClient(
      configuration: configuration,
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test"))
  }

  /// Starts Redis and WeChat, runs the body, and ends everything.
  ///
  /// - Parameters:
  ///   - alone: nothing else runs meanwhile: for tests that measure a time.
  ///   - life: of a token, in milliseconds; whole seconds.
  ///   - grace: how long a replaced token goes on working, in milliseconds.
  ///   - redisArguments: more options of redis-server.
  ///   - redisEnvironment: more variables of redis-server.
  ///   - rules: of a proxy between the replicas and Redis; nil: none, unless `WCH_REDIS_MODE` names
  ///     one for all tests.
  package static func run<Result: Sendable>(
    alone: Bool = false, life: Milliseconds = 7_200_000, grace: Milliseconds = 300_000,
    redisArguments: [String] = [], redisEnvironment: [String: String] = [:],
    behind rules: StrictProxy.Rules? = nil,
    _ body: @escaping @Sendable (Deployment) async throws -> Result
  ) async throws -> Result {
    try await MachineShare.shared.take(alone: alone) {
      let redis = try await RedisServer.start(
        arguments: redisArguments, environment: redisEnvironment)
      defer { redis.stop() }
      guard let rules = rules ?? StrictProxy.Rules.ofAllTests else {
        return try await run(redis: redis, life: life, grace: grace, body)
      }
      let proxy = try await StrictProxy.start(before: redis.port, rules: rules)
      let result: Swift.Result<Result, any Error>
      do {
        result = .success(
          try await run(redis: redis, proxy: proxy, life: life, grace: grace, body))
      } catch {
        result = .failure(error)
      }
      await proxy.stop()
      return try result.get()
    }
  }

  /// The same with a primary, two replicas of it and three sentinels.
  package static func run<Result: Sendable>(
    withSentinels options: SentinelGroup.Options, alone: Bool = true,
    life: Milliseconds = 7_200_000, grace: Milliseconds = 300_000,
    _ body: @escaping @Sendable (Deployment, SentinelGroup) async throws -> Result
  ) async throws -> Result {
    try await MachineShare.shared.take(alone: alone) {
      let group = try await SentinelGroup.start(options)
      defer { group.stop() }
      return try await run(
        redis: group.servers[0], sentinels: group, life: life, grace: grace
      ) { try await body($0, group) }
    }
  }

  /// The same with a cluster of three primaries with a replica each.
  package static func run<Result: Sendable>(
    withCluster options: ClusterGroup.Options, alone: Bool = true,
    life: Milliseconds = 7_200_000, grace: Milliseconds = 300_000,
    _ body: @escaping @Sendable (Deployment, ClusterGroup) async throws -> Result
  ) async throws -> Result {
    try await MachineShare.shared.take(alone: alone) {
      let group = try await ClusterGroup.start(options)
      defer { group.stop() }
      return try await run(
        redis: group.servers[0], cluster: group, life: life, grace: grace
      ) { try await body($0, group) }
    }
  }

  private static func run<Result: Sendable>(
    redis: RedisServer, sentinels: SentinelGroup? = nil, cluster: ClusterGroup? = nil,
    proxy: StrictProxy? = nil, life: Milliseconds, grace: Milliseconds,
    _ body: @escaping @Sendable (Deployment) async throws -> Result
  ) async throws -> Result {
    let simulator = Simulator(seed: .random(in: 0 ... .max))
    var app = AppSettings(appID: appID, secret: secret)
    app.life = life
    app.grace = grace
    // Whether WeChat keeps more than one replaced token is unconfirmed. If it keeps one, a token
    // dies with the second mint after it, before anybody could have read the answer.
    app.maxOldTokens = 8
    simulator.register(app)
    let weChat = try await startSimulator(simulator)
    let deployment = Deployment(
      redis: redis, sentinels: sentinels, cluster: cluster, proxy: proxy, weChat: weChat)
    let outcome: Swift.Result<Result, any Error>
    do {
      let result = try await deployment.connected { try await body(deployment) }
      try deployment.checkConduct()
      outcome = .success(result)
    } catch {
      outcome = .failure(
        SidecarProcess.Failure("\(error)\n\(deployment.transcript)"))
    }
    for process in deployment.processes { process.kill() }
    await weChat.stop()
    return try outcome.get()
  }

  private func connected<Result: Sendable>(
    _ body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await self.client.run() }
      group.addTask {
        await self.configuration.sentinels?.watch(
          on: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test")
        ) { _ in }
      }
      defer { group.cancelAll() }
      return try await body()
    }
  }

  /// Runs the body with the same WeChat on a port that speaks TLS, for `https://localhost:<port>`.
  package func withEncryptedWeChat<Result>(
    _ body: (_ port: Int) async throws -> Result
  ) async throws -> Result {
    let chain = try NIOSSLCertificate.fromPEMBytes(Array(FixedCertificates.localhost.utf8))
    let key = try NIOSSLPrivateKey(
      bytes: Array(FixedCertificates.localhostKey.utf8), format: .pem)
    let server = try await SimulatorServer.start(
      simulator,
      tls: .makeServerConfiguration(
        certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
    do {
      let result = try await body(server.ports[0])
      await server.stop()
      return result
    } catch {
      await server.stop()
      throw error
    }
  }

  /// A file with the authority that signed the certificate of ``withEncryptedWeChat(_:)``.
  package func authorityFile() throws -> String {
    let file = redis.directory.appendingPathComponent("authority.pem")
    try Data(FixedCertificates.authority.utf8).write(to: file)
    return file.path
  }

  /// What every process logged, for the report of a failure.
  package var transcript: String {
    processes.map { "--- \($0.instance)\n\($0.errorText.suffix(6000))" }.joined(separator: "\n")
  }

  /// Whatever a test does: no process crashes, every line of a log is an object of JSON, and none
  /// shows the secret or a token.
  private func checkConduct() throws {
    let events = simulator.audit.events
    let secrets = [Self.secret] + Set(events.compactMap { $0.minted ? $0.token : $0.ticket })
    for process in processes {
      if case .signal(let number) = process.exit, ![SIGKILL, SIGTERM].contains(CInt(number)) {
        throw SidecarProcess.Failure("\(process.instance) died of signal \(number)")
      }
      let output = process.errorText + process.outputText
      if let leaked = secrets.first(where: output.contains) {
        throw SidecarProcess.Failure(
          "\(process.instance) wrote \(leaked == Self.secret ? "the AppSecret" : "a credential")"
        )
      }
      guard process.strayText.isEmpty else {
        throw SidecarProcess.Failure("\(process.instance) wrote \(process.strayText)")
      }
    }
  }

  /// A child that is being started at this moment may hold the port that was tried: then another.
  private static func startSimulator(_ simulator: Simulator) async throws -> SimulatorServer {
    for _ in 0..<5 {
      if let server = try? await SimulatorServer.start(simulator, port: FreePort.pick()) {
        return server
      }
    }
    return try await SimulatorServer.start(simulator, port: FreePort.pick())
  }

  // MARK: Replicas

  /// The settings that a replica needs to find Redis and WeChat.
  package func environment(instance: String) -> [String: String] {
    let usual = [
      "WCH_APPID": Self.appID, "WCH_APPSECRET": Self.secret, "WCH_API_URL": weChat.url,
      "WCH_REDIS_URL": sentinels?.url ?? cluster?.url ?? proxy?.url ?? redis.url,
      "WCH_INSTANCE": instance,
      "WCH_HTTP_LISTEN": "unix:\(socket(of: instance))", "WCH_LOG_LEVEL": "debug",
    ]
    guard let cluster else { return usual }
    return usual.merging(settings(of: cluster.keys)) { $1 }.filter { !$0.value.isEmpty }
  }

  /// What brings the account's keys into one slot.
  private func settings(of keys: ClusterGroup.Keys) -> [String: String] {
    switch keys {
    case .plain: return [:]
    case .tagged: return ["WCH_KEY_PREFIX": keys.prefix]
    case .named:
      let directory = redis.directory.appendingPathComponent("accounts")
      let account = directory.appendingPathComponent(ClusterGroup.Keys.account)
      // Once: a replica that runs reads them.
      if !FileManager.default.fileExists(atPath: account.path) {
        try? FileManager.default.createDirectory(at: account, withIntermediateDirectories: true)
        try? Data(Self.appID.utf8).write(to: account.appendingPathComponent("appid"))
        try? Data(Self.secret.utf8).write(to: account.appendingPathComponent("appsecret"))
      }
      return ["WCH_APPID": "", "WCH_APPSECRET": "", "WCH_ACCOUNTS_DIR": directory.path]
    }
  }

  private var lockKey: String { cluster?.keys.lock ?? "WCH_leader" }

  /// The key that applications read.
  package var tokenKey: String { cluster?.keys.token ?? "WCH_access_token" }

  private func socket(of instance: String) -> String {
    redis.directory.appendingPathComponent("\(instance).h").path
  }

  /// Starts a replica; an empty setting takes one of the deployment's own away.
  @discardableResult
  package func start(
    _ instance: String, _ settings: [String: String] = [:], launcher: [String] = []
  ) throws -> SidecarProcess {
    let process = try SidecarProcess(
      environment: environment(instance: instance).merging(settings) { $1 }
        .filter { !$0.value.isEmpty },
      instance: instance, socket: socket(of: instance), launcher: launcher)
    started.withLock { $0.append(process) }
    return process
  }

  /// Starts replicas `a`, `b`, … and waits until all run, one leads and a live token is in Redis.
  @discardableResult
  package func start(
    count: Int, _ settings: [String: String] = [:], launcher: [String] = []
  ) async throws -> SidecarProcess {
    for index in 0..<count {
      try start(
        String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index))), settings, launcher: launcher)
    }
    try await waitForLiveToken()
    for process in processes { try await process.waitForStatus(200, of: "/startupz") }
    return try await waitForLeader()
  }

  /// The running replica that holds the lock.
  package func leader() async throws -> SidecarProcess? {
    guard let lock = try await ask("GET", lockKey).text else { return nil }
    let name = lock.prefix { $0 != ":" }
    return processes.last { $0.instance == name }
  }

  /// Waits until a replica holds the lock.
  @discardableResult
  package func waitForLeader(
    otherThan former: SidecarProcess? = nil, within limit: Duration = .seconds(20)
  ) async throws -> SidecarProcess {
    try await waited(for: "a leader", within: limit, every: .milliseconds(2)) {
      let leader = try? await leader()
      return leader.flatMap { $0 === former ? nil : $0 }
    }
  }

  /// The settings of that many accounts, named ones beside the unnamed, and WeChat knows them.
  package func accounts(count: Int, life: Milliseconds) throws -> (
    settings: [String: String], keys: [String]
  ) {
    let names = (1..<count).map { "a\($0)" }
    for name in names {
      var app = AppSettings(appID: "wx\(name)", secret: Deployment.secret)
      app.life = life
      app.maxOldTokens = 8
      simulator.register(app)
    }
    let members = names.map {
      "\($0): { appid: \"wx\($0)\", appsecret: \"\(Deployment.secret)\" }"
    }
    let file = redis.directory.appendingPathComponent("accounts.json5")
    try Data("{ accounts: { \(members.joined(separator: ", ")) } }".utf8).write(to: file)
    return (
      names.isEmpty ? [:] : ["WCH_CONFIG": file.path],
      ["WCH_access_token"] + names.map { "WCH_access_token:{\($0)}" }
    )
  }

  // MARK: Redis

  /// Asks Redis on the test's own connection.
  @discardableResult
  package func ask(_ name: String, _ arguments: String...) async throws -> RedisReply {
    try await ask(RedisCommand(name, arguments), key: arguments.first)
  }

  /// The same with a command that is already made.
  @discardableResult
  package func ask(_ command: RedisCommand, key: String? = nil) async throws -> RedisReply {
    try await client.execute(
      command, key: key, deadline: .now + patience, waitForConnection: true)
  }

  /// The token that applications see.
  package func token() async throws -> String? { try await ask("GET", tokenKey).text }

  /// The two keys as they are at one instant.
  package func keys() async throws -> PublishedKeys {
    let replies = try await client.execute(
      [
        RedisCommand("MULTI"), RedisCommand("GET", "WCH_access_token"),
        RedisCommand("PEXPIRETIME", "WCH_access_token"), RedisCommand("GET", "WCH_expires_in"),
        RedisCommand("PEXPIRETIME", "WCH_expires_in"), RedisCommand("TIME"), RedisCommand("EXEC"),
      ], deadline: .now + patience, waitForConnection: true)
    guard let values = replies.last?.elements, values.count == 5 else {
      throw SidecarProcess.Failure("the keys cannot be read")
    }
    let time = (values[4].elements ?? []).compactMap(\.number)
    guard time.count == 2 else { throw SidecarProcess.Failure("Redis tells no time") }
    // Ends and not times left: of these Redis 7.0 would take each by another look at its clock.
    func left(_ end: Int64?) -> Int64 {
      guard let end, end >= 0 else { return end ?? -3 }
      return end - time[0] * 1000 - time[1] / 1000
    }
    return PublishedKeys(
      token: values[0].text, tokenTTL: left(values[1].number), expiresIn: values[2].number,
      expiresInTTL: left(values[3].number), redisTime: time[0])
  }

  /// Fails when the keys end later than WeChat ends the token in them, as things are.
  package func expectHonestKeys() async throws {
    let keys = try await keys()
    guard let token = keys.token, let end = simulator.end(of: token) else { return }
    let left = end - simulator.now
    guard max(keys.tokenTTL, keys.expiresInTTL) > left + Self.delivery else { return }
    throw SidecarProcess.Failure(
      "Redis says that the token lives for \(keys.tokenTTL) ms, WeChat \(left) ms")
  }

  /// What may pass between a look at Redis and one at WeChat, in milliseconds.
  private static let delivery: Milliseconds = 200

  /// Waits until Redis has a token that WeChat accepts.
  @discardableResult
  package func waitForLiveToken(within limit: Duration = .seconds(10)) async throws -> String {
    try await waited(for: "a live token", within: limit, every: .milliseconds(1)) {
      guard let token = try? await token() else { return nil }
      return simulator.judge(token).isLive ? token : nil
    }
  }

  /// How many tokens WeChat has minted.
  package var mints: Int { simulator.audit.mints().count }

  /// Runs a reader for as long as the body runs.
  package func withReader<Result: Sendable>(
    _ body: @escaping @Sendable (TokenReader) async throws -> Result
  ) async throws -> Result {
    let reader = TokenReader(key: tokenKey, client: client, simulator: simulator)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await reader.run() }
      defer { group.cancelAll() }
      return try await body(reader)
    }
  }
}

/// What the contract publishes, read at one instant.
package struct PublishedKeys: Hashable, Sendable {
  package let token: String?
  /// Milliseconds; -1 without a TTL, -2 without a key.
  package let tokenTTL: Int64
  package let expiresIn: Int64?
  package let expiresInTTL: Int64
  /// Redis's clock in seconds.
  package let redisTime: Int64

  /// Whether both end at the same time: one script writes them, but Redis 7.0 looks at its clock
  /// for each.
  package var endTogether: Bool { abs(tokenTTL - expiresInTTL) <= 5 }
}
