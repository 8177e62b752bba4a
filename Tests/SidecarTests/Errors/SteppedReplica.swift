import Foundation
import Logging
import NIOPosix
import RedisClient
import Synchronization
import TestSupport
import Testing
import WeChatSimulator

@testable import Sidecar
@testable import TokenCore

/// A replica that leads, at a time that only the test moves: the real keeper, journal, scripts and
/// HTTP client, a real redis-server and a simulated WeChat.
///
/// Time stands still while something is under way, so that a retry comes to the millisecond.
final class SteppedReplica {
  static let appID = "wx0123456789abcdef"
  static let secret = "0123456789abcdef0123456789abcdef"
  /// So long that a hold of a day is short, and no refresh comes due by itself.
  static let life: Duration = .seconds(20 * 86_400)

  let simulator: Simulator
  let server: SimulatorServer
  let log = LogRecorder()
  let metrics = MetricsRegistry()
  private(set) var now: Moment = .origin + .seconds(1)
  private(set) var keeper: Keeper
  /// What was ordered by which trigger, oldest first.
  private(set) var fetches: [Trigger] = []
  /// The wait after each failure, oldest first.
  private(set) var waits: [Duration] = []
  private let redis: RedisClient
  private let clock: SteppedClock
  private let store: TokenStore
  private let journal: Journal
  private let timing: Timing
  /// What the log was told of conditions.
  private var book = HealthBook()
  private let settings: Settings
  /// Where WeChat is asked.
  private var hosts: [BaseURL]
  private var client: WeChatClient
  /// How long a call of WeChat may really take.
  private var callLimit = patience
  /// What Redis's clock shows, in Unix seconds.
  private var second = origin + 1
  /// What it shows at the origin of the replica's clock.
  private static let origin: Int64 = 1_800_000_000

  /// Leaves a call that is to fail by its deadline this long.
  private static let shortCallLimit: Duration = .seconds(2)

  private init(
    redis: RedisClient, clock: SteppedClock, simulator: Simulator, server: SimulatorServer,
    timing: Timing, api: API
  ) throws {
    self.redis = redis
    self.clock = clock
    self.simulator = simulator
    self.server = server
    settings = try loadSettings(
      [],
      [
        "WCH_APPID": Self.appID, "WCH_APPSECRET": Self.secret, "WCH_API": api.rawValue,
        "WCH_PROBE": "off", "WCH_API_URL": server.urls.joined(separator: ","),
      ])
    hosts = settings.accounts[0].urls
    store = TokenStore(
      client: redis, layout: KeyLayout(prefix: "WCH_"), apps: AppRegister([.unnamed: Self.appID]),
      lacks: .untold)
    journal = Journal(logger: log.logger, metrics: metrics)
    self.timing = timing
    client = Self.client(server.urls)
    keeper = Keeper(
      instance: settings.instance, accounts: [.unnamed], timing: timing,
      margins: settings.margins, credentials: settings.credentials,
      generator: SystemRandomNumberGenerator())
    try clock.set(second)
  }

  /// Times for tests in which hours pass: nothing of them is looked at, but for the lease.
  static let leisurely = Timing(
    lease: .seconds(1000), renew: .seconds(300), tick: .seconds(300))

  /// Runs the body with a replica that has just put a token into Redis.
  static func run(
    hosts: Int = 1, life: Duration = life, timing: Timing = Timing(),
    api: API = .token, _ body: @Sendable (SteppedReplica) async throws -> Void
  ) async throws {
    try await MachineShare.shared.take(alone: false) {
      let clock = try SteppedClock()
      let redis = try await RedisServer.start(environment: clock.environment)
      defer { redis.stop() }
      let simulator = Simulator(seed: 7)
      simulator.setClockRate(0)
      var app = AppSettings(appID: appID, secret: secret)
      app.life = life.wholeMilliseconds
      app.maxOldTokens = 100
      simulator.register(app)
      let server = try await SimulatorServer.start(
        simulator, hosts: hosts, address: nextLoopbackAddress())
      do {
        try await redis.withClient { client in
          let replica = try SteppedReplica(
            redis: client, clock: clock, simulator: simulator, server: server,
            timing: timing, api: api)
          do {
            try await replica.begin()
            try await body(replica)
          } catch {
            await replica.client.shutdown()
            throw error
          }
          await replica.client.shutdown()
        }
      } catch {
        await server.stop()
        throw error
      }
      await server.stop()
    }
  }

  private static func client(_ hosts: [String]) -> WeChatClient {
    WeChatClient(
      hosts: hosts.map { BaseURL($0)! }, logger: Logger(label: "test"),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
  }

  // MARK: What the test does

  private func begin() async throws {
    try await handle(.started)
    try await handle(.storeConnected(runID: nil))
    #expect(fetches == [.start])
    #expect(simulator.audit.mints().count == 1)
    // No two fetches follow each other within a second.
    try await advance(by: .seconds(1))
  }

  /// Lets every fetch fail from now on as the row says.
  func spoil(_ row: ErrorRow) async {
    switch row.cause {
    case .fault(let fault): simulator.setFault(fault, count: nil)
    case .timeout(let fault):
      simulator.setFault(fault, count: nil)
      callLimit = Self.shortCallLimit
    case .account(let change): simulator.update(Self.appID, change)
    case .way(.hostDown): await server.takeDown()
    case .way(.unknownName): await replaceClient(["http://wechat.invalid"])
    case .way(.noTLS):
      await replaceClient(["https" + server.url.dropFirst("http".count)])
    }
  }

  /// Mends it; what WeChat still holds is let go.
  func mend(_ row: ErrorRow) async throws {
    switch row.cause {
    case .fault, .timeout:
      simulator.clearFaults()
      simulator.releaseHeld()
      callLimit = patience
    case .account:
      simulator.update(Self.appID) { app in
        let (life, maxOldTokens) = (app.life, app.maxOldTokens)
        app = AppSettings(appID: Self.appID, secret: Self.secret)
        (app.life, app.maxOldTokens) = (life, maxOldTokens)
      }
    case .way(.hostDown): try await server.bringUp()
    case .way: await replaceClient(server.urls)
    }
  }

  /// Wants another token although the one in Redis is good, as a person may.
  func force() async throws { try await handle(.reported(.force(.unnamed))) }

  /// Hands the keeper what happened, and carries out whatever follows from it.
  func handle(_ event: Keeper.Event) async throws {
    var events = [event]
    while true {
      while !events.isEmpty {
        for action in keeper.handle(events.removeFirst(), at: now) {
          if let answer = try await carryOut(action) { events.append(answer) }
        }
      }
      guard let wake = keeper.nextWake, wake <= now else { return tell() }
      events.append(.woke)
    }
  }

  /// Lets time pass.
  ///
  /// - Parameter stride: what comes due within so long is done together; the lease must outlast it.
  func advance(by span: Duration, stride: Duration = .zero) async throws {
    let end = now + span
    while let wake = keeper.nextWake, wake <= end {
      try move(to: min(end, max(wake, now + stride)))
      try await handle(.woke)
    }
    try move(to: end)
    tell()
  }

  /// Tells what is new of what is wrong, as `HealthWatch` does.
  private func tell() {
    let view = keeper.view
    let wall = Timestamp(
      milliseconds: Self.origin * 1000 + (now - .origin).wholeMilliseconds)
    let known = Observation(
      now: now, wall: wall, startedAt: .origin, instance: settings.instance.rawValue,
      isLeader: view.isLeader(at: now), timing: timing, margins: settings.margins,
      accounts: AccountMarks(settings.accounts))
    let found = Assessment(view, known) { [book] in book.met($0) }.conditions
    journal.tell(book.observe(found, at: now, wall: wall), at: wall)
  }

  private func move(to moment: Moment) throws {
    simulator.advance(by: (moment - .origin).wholeMilliseconds - (now - .origin).wholeMilliseconds)
    now = moment
    let shown = Self.origin + (moment - .origin).wholeMilliseconds / 1000
    guard shown != second else { return }
    second = shown
    try clock.set(second)
  }

  private func replaceClient(_ hosts: [String]) async {
    await client.shutdown()
    client = Self.client(hosts)
    self.hosts = hosts.compactMap { BaseURL($0) }
  }

  // MARK: What the test reads

  /// How many fetches there were: those that did not get to WeChat count as well.
  var attempts: Int { fetches.count }

  /// The two keys, and when they go by Redis's clock, in Unix milliseconds.
  func keys() async throws -> Keys {
    Keys(
      token: try await execute("GET", "WCH_access_token").text,
      expiresIn: try await execute("GET", "WCH_expires_in").number,
      gone: try await execute("PEXPIRETIME", "WCH_access_token").number,
      expiresInGone: try await execute("PEXPIRETIME", "WCH_expires_in").number)
  }

  struct Keys: Hashable, Sendable {
    let token: String?
    let expiresIn: Int64?
    let gone: Int64?
    let expiresInGone: Int64?
  }

  /// What Redis's clock shows.
  var redisMilliseconds: Int64 { second * 1000 }

  /// The account's failures.
  var failures: AccountKeeper.Failures { keeper.accounts[0].failures }

  /// A sample of the metrics.
  func metric(_ name: String) -> Double? {
    metrics.exposition().split(separator: "\n").first { $0.hasPrefix(name + " ") }
      .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
  }

  private func execute(_ words: String...) async throws -> RedisReply {
    try await redis.execute(
      RedisCommand(words[0], Array(words.dropFirst())), deadline: .now + patience)
  }

  // MARK: Effects

  private func carryOut(_ action: Keeper.Action) async throws -> Keeper.Event? {
    switch action {
    case .store(let command, let step):
      let reply = await store.perform(command, number: 1, deadline: .now + patience)
      return .stored(step, reply.answer(to: command))
    case .fetch(let order):
      fetches.append(order.trigger)
      return .fetched(order.account, order.version, await fetch(order))
    case .note(let note):
      if case .refreshFailed(_, _, _, _, _, let wait) = note { waits.append(wait) }
      journal.record(note, at: now)
      return nil
    case .probe(let order):
      return .probed(order.account, order.version, isDead: false, dailyLimit: nil)
    case .cancelFetch, .giveBack, .listen, .announce, .stop:
      return nil
    }
  }

  /// Asks WeChat at the time that it really is.
  private func fetch(_ order: FetchOrder) async -> FetchOutcome {
    var limit = callLimit
    while true {
      let outcome = await fetch(order, within: limit)
      // On a busy machine the time of a call that is to be left may be over before it was sent.
      guard callLimit == Self.shortCallLimit, case .knownFailure = outcome, limit < patience else {
        return outcome
      }
      limit = limit * 2
    }
  }

  private func fetch(_ order: FetchOrder, within limit: Duration) async -> FetchOutcome {
    let deadline = MonotonicClock.now() + limit
    let real = FetchOrder(
      account: order.account, version: order.version, trigger: order.trigger,
      isForced: order.isForced, source: order.source, deadline: deadline, notAfter: deadline)
    var account = settings.accounts[0]
    account.urls = hosts
    let fetcher = Fetcher(accounts: KeptAccounts([account]), client: client, metrics: metrics)
    let outcome = await fetcher.fetch(real, SendPermit())
    guard case .token(let fetched) = outcome else { return outcome }
    return .token(FetchedToken(token: fetched.token, lifetime: fetched.lifetime, sentAt: now))
  }
}

/// A log in memory, written as the program writes it.
final class LogRecorder: Sendable {
  struct Line: Sendable {
    let level: String
    let message: String
    let fields: [String: String]
    /// The line as it came.
    let text: String
  }

  /// Protects the lines against whoever logs from another thread.
  private let recorded = Mutex<[Line]>([])

  /// The lines so far, `debug` ones included.
  var lines: [Line] { recorded.withLock { $0 } }

  /// The lines that an operator sees who keeps the usual level.
  var told: [Line] { lines.filter { $0.level != "debug" && $0.level != "trace" } }

  var logger: Logger {
    Logger(label: "wch-sidecar") { [self] label in
      LineLogHandler(label: label, level: .trace, format: .json) { self.take($0) }
    }
  }

  private func take(_ text: String) {
    let object = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    let fields = (object ?? [:]).mapValues { "\($0)" }
    let line = Line(
      level: fields["level"] ?? "", message: fields["message"] ?? "", fields: fields, text: text)
    recorded.withLock { $0.append(line) }
  }
}
