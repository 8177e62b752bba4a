package import Logging
import NIOPosix
package import RedisClient
import ServiceLifecycle
import TokenCore
import UnixSignals

/// The whole daemon, put together from its settings.
package struct Daemon {
  private let settings: Settings
  private let redis: RedisConfiguration
  private let logger: Logger
  private let version: String

  /// - Throws: nothing; settings that cannot work are refused before.
  package init(
    settings: Settings, redis: RedisConfiguration, version: String, logger: Logger
  ) {
    self.settings = settings
    self.redis = redis
    self.version = version
    self.logger = logger
  }

  /// Runs until SIGTERM or SIGINT, then gives the lock back and returns.
  ///
  /// - Throws: `StatusServerError` when the HTTP interface cannot start.
  package func run() async throws {
    let startedAt = Timestamp.now
    let eventLoopGroup = MultiThreadedEventLoopGroup.singleton
    let metrics = MetricsRegistry()
    metrics.preregister(
      accounts: settings.accounts.map(\.name), version: version,
      redisCommands: TokenStore.commandNames)
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    let links = RedisLinks(
      configuration: redis, layout: layout, popTimeout: settings.timing.lease / 3,
      eventLoopGroup: eventLoopGroup, logger: logger, metrics: metrics)
    let journal = Journal(logger: logger, metrics: metrics)
    let store = TokenStore(
      client: links.commands, layout: layout,
      appIDs: Dictionary(
        uniqueKeysWithValues: settings.accounts.map { ($0.name, $0.appID) }))
    let weChat = WeChatClient(
      hosts: settings.apiURLs, logger: logger, eventLoopGroup: eventLoopGroup)
    let fetcher = Fetcher(settings: settings, client: weChat, metrics: metrics)
    let keeper = Keeper(
      instance: settings.instance, accounts: settings.accounts.map(\.name),
      timing: settings.timing, margins: settings.margins,
      generator: SystemRandomNumberGenerator())
    let service = KeeperService(
      keeper: keeper,
      effects: .init(
        perform: { command, deadline in
          let start = ContinuousClock.now
          let result = await store.perform(command, deadline: deadline)
          metrics.observe(.redisCommandDuration, [:], start.duration(to: .now))
          metrics.increment(
            .redisCommands,
            ["command": TokenStore.name(of: command), "result": result.isAnswered ? "ok" : "error"])
          if result.isAnswered { journal.storeAnswered() }
          return result
        },
        fetch: { order in await fetcher.fetch(order) }),
      commandTimeout: settings.timing.opTimeout, eventLoop: eventLoopGroup.next(),
      journal: { note, now in
        journal.record(note, at: now)
        switch note {
        case .becameLeader: links.leadershipChanged(isLeader: true)
        case .steppedDown: links.leadershipChanged(isLeader: false)
        default: break
        }
      })
    links.post { service.post($0) }
    let status = KeeperStatus(
      service: service, journal: journal, links: links, settings: settings, version: version,
      startedAt: startedAt)
    let gauges = KeeperGauges(status: status, metrics: metrics)
    let server = StatusServer(
      settings: settings.http, source: gauges, metrics: metrics, logger: logger)
    logger.notice(
      "wch-sidecar starts",
      metadata: .keyed([
        .version: "\(version)", .instance: "\(settings.instance)",
        .redisEndpoint: "\(redis.endpoint)", .httpListen: "\(settings.http.listen)",
        .count: "\(settings.accounts.count)",
      ]))
    // Shut down in reverse order: the keeper first gives the lock back, then the rest ends.
    let group = ServiceGroup(
      configuration: .init(
        services: [
          .init(service: links), .init(service: server),
          .init(service: service, successTerminationBehavior: .gracefullyShutdownGroup),
        ],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet(logger)))
    do {
      try await group.run()
    } catch {
      await weChat.shutdown()
      throw error
    }
    await weChat.shutdown()
    logger.notice("wch-sidecar has ended in order")
  }

  /// The group tells every step of its own; what matters we say ourselves.
  private func quiet(_ logger: Logger) -> Logger {
    var logger = logger
    logger.logLevel = max(logger.logLevel, .warning)
    return logger
  }
}

extension Result where Failure == StoreFailure {
  fileprivate var isAnswered: Bool { if case .success = self { true } else { false } }
}
