import Dialing
import Logging
import NIOCore
import NIOPosix
import RedisClient
import TokenCore

/// What every verb that keeps tokens is made of: connections, keeper, WeChat, journal.
struct Parts {
  let links: RedisLinks
  let journal: Journal
  let health: HealthCenter
  let events: EventLog
  /// Where Redis is, without secrets.
  let endpoint: String
  let inbox: KeeperInbox
  let service: KeeperService
  let weChat: WeChatClient
  let secrets: SecretWatch
  let metrics: MetricsRegistry
  let accounts: AccountMoves

  /// Wires them to each other; nothing runs yet.
  ///
  /// - Parameter only: the one account that is kept; nil for all.
  init(
    settings: Settings, redis: RedisConfiguration, version: String, logger: Logger,
    executor: LoopExecutor? = nil, only: AccountName? = nil
  ) {
    let loops = executor?.loops ?? MultiThreadedEventLoopGroup.singleton
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    metrics = MetricsRegistry()
    let apis = Dictionary(uniqueKeysWithValues: settings.accounts.map { ($0.name, $0.api) })
    metrics.preregister(
      accounts: settings.accounts.flatMap(\.credentials),
      endpoints: { MetricLabels.endpoints(of: $0.kind, apis[$0.account] ?? .token) },
      version: version, redisCommands: TokenStore.commandNames, routes: StatusRoute.counted)
    for account in settings.accounts { metrics.preregister(layoutsOf: account) }
    let kept = KeptAccounts(settings.accounts)
    let keeper = Keeper(settings, only: only)
    inbox = KeeperInbox(for: keeper)
    links = RedisLinks(
      configuration: redis, layout: layout, inbox: inbox, popTimeout: settings.timing.lease / 3,
      passwordDoubt: settings.redis.passwordDoubt, eventLoopGroup: loops, executor: executor,
      logger: logger, metrics: metrics)
    endpoint = "\(redis.endpoint)"
    health = HealthCenter(settings, version: version)
    journal = Journal(logger: logger, metrics: metrics) { [kept] id, key in
      kept[id.account]?.layout(of: key, in: id.kind)
    }
    events = EventLog()
    weChat = WeChatClient(settings, dialer: redis.dialer, logger: logger, eventLoopGroup: loops)
    let fetcher = Fetcher(accounts: kept, client: weChat, metrics: metrics)
    let store = TokenStore(
      client: links.commands, layout: layout, apps: kept.apps, lacks: links.lacks,
      plan: redis.endpoint.topology.isCluster ? .split(tellsServer: true) : .joined,
      announce: { [links] in links.publish($0) },
      said: { [health] in health.report() })
    service = KeeperService(
      keeper: keeper, inbox: inbox,
      effects: Self.effects(store: store, fetcher: fetcher, links: links, metrics: metrics),
      commandTimeout: settings.timing.opTimeout, eventLoop: loops.next(),
      journal: { [journal, events, health] note, now in
        journal.record(note, at: now)
        events.add(note)
        if case .storeStepFailed(_, let failure) = note { health.stepFailed(failure, at: now) }
      })
    secrets = SecretWatch(
      inbox: inbox, fetcher: fetcher, accounts: kept, settings: settings, health: health,
      logger: logger)
    accounts = AccountMoves(
      kept: kept, inbox: inbox, metrics: metrics, health: health, logger: logger,
      forget: { [journal] account in
        journal.forget(account)
        fetcher.forget(account)
      })
    health.connect(
      .init(
        keeper: inbox, links: { [links] in links.states },
        sentinels: { [links] in links.sentinels },
        absentKeys: { [links] in links.lacks.absentKeys },
        cluster: { [links] in links.cluster },
        clockSkew: { [weChat] in weChat.clockSkew }))
  }

  /// What the keeper's actions are carried out by.
  private static func effects(
    store: TokenStore, fetcher: Fetcher, links: RedisLinks, metrics: MetricsRegistry
  ) -> KeeperService.Effects {
    .init(
      perform: { command, step, deadline in
        let start = ContinuousClock.now
        let result = await store.perform(command, number: step.number, deadline: deadline)
        metrics.observe(.redisCommandDuration, [:], start.duration(to: .now))
        metrics.increment(
          .redisCommands,
          ["command": command.kind.rawValue, "result": result.isAnswered ? "ok" : "error"])
        return result.answer(to: command)
      },
      fetch: { order, permit in await fetcher.fetch(order, permit) },
      probe: { order in await fetcher.probe(order) },
      giveBack: { report in await links.giveBack(report) },
      listen: { links.listen($0) }, announce: { links.announce($0) })
  }
}

extension KeeperInbox: KeeperSource {
  func look<Result: Sendable>(_ read: (KeeperView, _ handledAt: Moment?) -> Result) -> Result {
    look { read($0.keeper, $0.handledAt) }
  }
}

extension HealthCenter {
  /// For the replica that the settings describe.
  fileprivate convenience init(_ settings: Settings, version: String) {
    self.init(
      .init(
        instance: settings.instance.rawValue, version: version, startedAt: .now,
        timing: settings.timing, margins: settings.margins,
        accounts: AccountMarks(settings.accounts)))
  }
}

extension Keeper {
  /// Of the accounts of the settings, or one of them.
  fileprivate init(_ settings: Settings, only: AccountName?) {
    self.init(
      instance: settings.instance,
      accounts: settings.credentials.keys.filter { $0.account == only ?? $0.account }.sorted(),
      timing: settings.timing, margins: settings.margins, credentials: settings.credentials,
      maximumFetches: settings.apiConcurrency, generator: SystemRandomNumberGenerator())
  }
}

extension WeChatClient {
  /// As the settings have it.
  convenience init(
    _ settings: Settings, dialer: Dialer, logger: Logger, eventLoopGroup: any EventLoopGroup
  ) {
    self.init(
      hosts: settings.apiURLs, concurrency: settings.apiConcurrency, proxies: settings.proxies,
      extraCertificates: settings.apiAuthorities, dialer: dialer, family: settings.apiFamily,
      logger: logger, eventLoopGroup: eventLoopGroup)
  }
}

extension Result where Failure == StoreFailure {
  fileprivate var isAnswered: Bool { if case .success = self { true } else { false } }
}
