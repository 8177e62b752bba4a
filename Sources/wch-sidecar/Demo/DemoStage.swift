import Glibc
import NIOCore
import NIOPosix
import RedisClient
import Sidecar
import TokenCore
import WeChatSimulator

/// What the demo plays on: a redis-server, a simulated WeChat, and the replicas.
final class DemoStage {
  /// A replica and how its process fares.
  struct Replica {
    let name: String
    var process: DemoProcess?
    /// What it logged last, in words.
    var lastWords = ""
  }

  let redisPort: Int
  let simulator: Simulator
  /// The accounts beside the application's own.
  let accounts: DemoAccounts
  /// Of a token.
  let lifetime: Duration
  private(set) var replicas: [Replica]
  private let server: SimulatorServer
  private let redis: DemoProcess
  let guardian: DemoGuardian
  private var revocations: [ContinuousClock.Instant] = []

  /// The application's app of the simulated WeChat; its secret guards nothing.
  static let appID = "wxdemo0000000000"
  private static let secret = "demo-secret-of-a-simulated-wechat"
  /// A replica's lease: long enough for a busy machine, short enough to watch it run out.
  static let lease: Duration = .seconds(5)
  /// The least time between two fetches on report, and how many the daemon makes in an hour.
  private static let reportSpacing: Duration = .seconds(30)
  private static let reportsAnHour = 20
  /// How long an orderly end may take before it is not waited for.
  private static let patience: Duration = .seconds(5)

  /// The names of replicas: `a`, `b`, `c` and so on.
  static func name(_ index: Int) -> String {
    String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index)))
  }

  private init(
    redisPort: Int, redis: DemoProcess, simulator: Simulator, server: SimulatorServer,
    guardian: DemoGuardian, replicas: [String], accounts: DemoAccounts, lifetime: Duration
  ) {
    self.accounts = accounts
    self.redisPort = redisPort
    self.redis = redis
    self.simulator = simulator
    self.server = server
    self.guardian = guardian
    self.lifetime = lifetime
    self.replicas = replicas.map { Replica(name: $0) }
  }

  /// Starts everything.
  ///
  /// - Parameter lifetime: of a token.
  /// - Throws: a `Failure` that says what is missing.
  static func open(
    replicas: [String], accounts: Int, lifetime: Duration
  ) async throws -> DemoStage {
    guard let program = findRedis() else {
      throw Failure(
        .unreachable,
        "wch-sidecar demo: redis-server is not in PATH; apt-get install redis-server (as root)")
    }
    let simulator = Simulator()
    var app = AppSettings(appID: appID, secret: secret)
    app.life = Int64(lifetime / .milliseconds(1))
    simulator.register(app)
    simulator.setLatency(20...60)
    let server = try await SimulatorServer.start(simulator)
    do {
      let accounts = try DemoAccounts(accounts, lifetime: app.life, at: simulator)
      let guardian = try DemoGuardian()
      do {
        let (redis, port) = try await startRedis(program, guardian)
        let stage = DemoStage(
          redisPort: port, redis: redis, simulator: simulator, server: server,
          guardian: guardian, replicas: replicas, accounts: accounts, lifetime: lifetime)
        do {
          try stage.startMissing()
          return stage
        } catch {
          await stage.close()
          throw error
        }
      } catch {
        guardian.dismiss()
        accounts.remove()
        throw error
      }
    } catch {
      await server.stop()
      throw (error as? Failure) ?? Failure(.failed, "wch-sidecar demo: \(error)")
    }
  }

  /// Ends everything, in order where it still can.
  func close() async {
    for replica in replicas { replica.process?.terminate() }
    let deadline = ContinuousClock.now + Self.patience
    while replicas.contains(where: { $0.process?.isRunning == true }), .now < deadline {
      for replica in replicas { replica.process?.reap() }
      try? await Task.sleep(for: .milliseconds(10))
    }
    for replica in replicas { replica.process?.kill() }
    // It keeps nothing, so it needs no orderly end.
    redis.kill()
    await server.stop()
    guardian.dismiss()
    accounts.remove()
  }

  // MARK: Redis

  private static func findRedis() -> String? {
    let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/redis-server" }
      .first { unsafe access($0, X_OK) == 0 }
  }

  private static func startRedis(
    _ program: String, _ guardian: DemoGuardian
  ) async throws -> (DemoProcess, Int) {
    var problem = ""
    // Somebody else may take a free port between our look and the server's: then try another.
    for _ in 0..<5 {
      let port = try await freePort()
      let arguments = [
        "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly",
        "no", "--daemonize", "no", "--dir", "/tmp",
      ]
      let redis = try DemoProcess(program, arguments, guardian: guardian)
      let deadline = ContinuousClock.now + .seconds(10)
      while redis.isRunning, .now < deadline {
        let lines = redis.lines()
        if lines.contains(where: { $0.contains("Ready to accept connections") }) {
          return (redis, port)
        }
        problem = lines.last ?? problem
        try await Task.sleep(for: .milliseconds(10))
        redis.reap()
      }
      redis.kill()
    }
    throw Failure(.unreachable, "wch-sidecar demo: redis-server does not start: \(problem)")
  }

  private static func freePort() async throws -> Int {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = channel.localAddress?.port
    try await channel.close()
    guard let port else { throw Failure(.failed, "wch-sidecar demo: the system has no free port") }
    return port
  }

  /// Runs connections to the stage's Redis for as long as the body runs.
  func withRedis<Result>(_ body: (DemoRedis) async throws -> Result) async throws -> Result {
    let redis = try DemoRedis(port: redisPort, others: accounts.credentials)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await redis.run() }
      defer { group.cancelAll() }
      return try await body(redis)
    }
  }

  // MARK: What can be done to them

  /// Starts the replicas that do not run.
  @discardableResult
  func startMissing() throws -> [String] {
    var started: [String] = []
    for index in replicas.indices where replicas[index].process?.isRunning != true {
      let name = replicas[index].name
      // Its own executable, whatever it is called and wherever it lies.
      replicas[index].process = try DemoProcess(
        "/proc/self/exe", ["wch-sidecar", "run"], environment: environment(of: name),
        guardian: guardian)
      started.append(name)
    }
    return started
  }

  private func environment(of name: String) -> [String: String] {
    [
      "WCH_APPID": Self.appID, "WCH_APPSECRET": Self.secret, "WCH_API_URL": server.url,
      "WCH_REDIS_URL": "redis://127.0.0.1:\(redisPort)/0", "WCH_INSTANCE": name,
      "WCH_HTTP_LISTEN": "off", "WCH_LOG_FORMAT": "text", "WCH_LEASE": Self.lease.written,
      "WCH_RENEW": "1s", "WCH_RETRY": "300ms", "WCH_TICK": "1s",
      "WCH_REDIS_COMMAND_TIMEOUT": "1s", "WCH_API_TIMEOUT": "2s",
    ].merging(accounts.file.map { ["WCH_CONFIG": $0] } ?? [:]) { $1 }
  }

  /// SIGKILL; false when there is no such process.
  func kill(_ name: String) -> Bool {
    guard let process = process(name), process.isRunning else { return false }
    process.kill()
    return true
  }

  /// SIGSTOP; false when there is no such process.
  func pause(_ name: String) -> Bool {
    guard let process = process(name), process.isRunning else { return false }
    process.pause()
    return true
  }

  /// SIGCONT to everyone who is paused.
  func resumeAll() -> [String] {
    replicas.compactMap { replica in
      guard let process = replica.process, process.isPaused else { return nil }
      process.resume()
      return replica.name
    }
  }

  private func process(_ name: String) -> DemoProcess? {
    replicas.first { $0.name == name }?.process
  }

  /// Lets every call of WeChat fail at its gateway, or ends that.
  func setWeChatBroken(_ isBroken: Bool) {
    simulator.clearFaults()
    if isBroken { simulator.setFault(.status(502), endpoint: .any, count: nil) }
  }

  /// Lets the current token die early, as when somebody else fetches one.
  ///
  /// - Returns: how long the daemon's limit on reports asks to wait first, if it does.
  func revokeToken() -> Duration? {
    let now = ContinuousClock.now
    revocations.removeAll { $0 + .seconds(3600) <= now }
    var earliest = revocations.last.map { $0 + Self.reportSpacing } ?? now
    if revocations.count >= Self.reportsAnHour {
      earliest = max(earliest, revocations[0] + .seconds(3600))
    }
    guard earliest <= now else { return now.duration(to: earliest) }
    revocations.append(now)
    simulator.schedule(.killCurrentToken(.legacy), for: Self.appID)
    return nil
  }

  /// How many tokens WeChat has made.
  var fetches: Int { simulator.apps[Self.appID]?.mints ?? 0 }

  // MARK: What they say

  /// The replicas' log lines since the last time, without time and level.
  func hear() -> [(replica: String, words: String)] {
    // Nobody reads Redis's own log, but its pipe must not fill up.
    _ = redis.lines()
    var heard: [(String, String)] = []
    for index in replicas.indices {
      replicas[index].process?.reap()
      for line in replicas[index].process?.lines() ?? [] {
        let words = line.split(separator: " ", maxSplits: 2).last.map(String.init) ?? line
        let trimmed = String(words.drop { $0 == " " })
        replicas[index].lastWords = trimmed
        heard.append((replicas[index].name, trimmed))
      }
    }
    return heard
  }
}
