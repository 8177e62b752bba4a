package import Logging
package import NIOCore
package import RedisClient
import ServiceLifecycle
import Synchronization
package import TokenCore

/// This replica's connections to Redis: one for commands, one that listens to events, and, while
/// it leads, one that waits for applications' reports.
package final class RedisLinks: Service, Sendable {
  /// What is known of the command connection.
  package struct State: Hashable, Sendable {
    package var isConnected = false
    package var runID: String?
    package var lastError: String?
    var wasConnected = false
  }

  /// The connection that the protocol's steps take.
  package let commands: RedisClient
  private let configuration: RedisConfiguration
  private let layout: KeyLayout
  private let popTimeout: Duration
  private let eventLoopGroup: any EventLoopGroup
  private let logger: Logger
  private let metrics: MetricsRegistry
  private let hub: Hub
  private let leadership: AsyncStream<Bool>
  private let leadershipChanges: AsyncStream<Bool>.Continuation
  private let announced: AsyncStream<String>
  private let announcements: AsyncStream<String>.Continuation

  /// What nobody could be told by then is forgotten: announcements are hints.
  private static let announcedAtOnce = 100
  /// So many reports are taken in one go; the rest waits for the next.
  private static let drainedAtOnce = 1000
  /// A Redis that is not there within this is asked no more about its memory policy.
  private static let longestWaitForRedis: Duration = .seconds(3600)
  /// A blocked pop is given this much longer than Redis holds it before the connection is doubted.
  private static let popSlack: Duration = .seconds(2)

  /// Who is told about connections and hints; set once, before anything runs.
  private final class Hub: Sendable {
    /// Protects the state and the listener.
    let shared = Mutex(Shared())

    struct Shared {
      var state = State()
      /// When a server was last left because it takes no writes.
      var readOnlyAt: ContinuousClock.Instant?
      var post: (@Sendable (Keeper.Event) -> Void)?
      var take: (@Sendable (Hint) -> Bool)?

      /// Whether such a server was left so lately that to meet one again is no news.
      var wasReadOnly: Bool {
        readOnlyAt.map { $0.duration(to: .now) <= Journal.silence } ?? false
      }
    }

    func post(_ event: Keeper.Event) { shared.withLock { $0.post }?(event) }

    /// False when the hint means nothing here.
    func take(_ hint: Hint) -> Bool { shared.withLock { $0.take }?(hint) ?? false }
  }

  /// - Parameter popTimeout: how long one wait for reports lasts; at most a third of the lease, so
  ///   that an item popped by a replica that no longer leads is noticed in time.
  package init(
    configuration: RedisConfiguration, layout: KeyLayout, popTimeout: Duration,
    eventLoopGroup: any EventLoopGroup, logger: Logger, metrics: MetricsRegistry
  ) {
    let hub = Hub()
    self.hub = hub
    self.configuration = configuration
    self.layout = layout
    self.popTimeout = popTimeout
    self.eventLoopGroup = eventLoopGroup
    self.logger = logger
    self.metrics = metrics
    (leadership, leadershipChanges) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    (announced, announcements) = AsyncStream.makeStream(
      bufferingPolicy: .bufferingNewest(Self.announcedAtOnce))
    commands = RedisClient(
      configuration: configuration, eventLoopGroup: eventLoopGroup, logger: logger
    ) { event in
      RedisLinks.take(event, hub: hub, logger: logger, metrics: metrics)
    }
  }

  /// What is known of the command connection.
  package var state: State { hub.shared.withLock { $0.state } }

  /// Sends the keeper's events and what others say there from now on.
  ///
  /// A hint that means nothing is answered with false, and counted.
  package func post(
    events: @escaping @Sendable (Keeper.Event) -> Void,
    hints: @escaping @Sendable (Hint) -> Bool
  ) {
    hub.shared.withLock { shared in
      shared.post = events
      shared.take = hints
    }
  }

  /// Puts something on the list that the leader reads; false when Redis did not take it.
  @discardableResult
  package func send(_ hint: Hint) async -> Bool {
    guard let item = hint.item else { return false }
    let reply = try? await commands.execute(
      RedisCommand("RPUSH", layout.refreshRequests, item), deadline: .now + Self.popSlack)
    return reply.map { $0.refusal == nil } ?? false
  }

  /// Says something on the channel that all replicas listen to, as soon as may be.
  package func announce(_ hint: Hint) {
    if let event = hint.event { announcements.yield(event) }
  }

  private func sayAnnounced() async {
    for await event in announced {
      _ = try? await commands.execute(
        RedisCommand("PUBLISH", layout.events, event), deadline: .now + Self.popSlack)
    }
  }

  /// Starts or ends the waiting for reports.
  package func leadershipChanged(isLeader: Bool) { leadershipChanges.yield(isLeader) }

  /// Keeps the connections until cancelled.
  ///
  /// A graceful shutdown of the group leaves them open until the keeper has given the lock back:
  /// they are cancelled last.
  package func run() async throws {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.commands.run() }
      group.addTask { await self.listen() }
      group.addTask { await self.warnAboutEviction() }
      group.addTask { await self.waitForReports() }
      group.addTask { await self.sayAnnounced() }
      try? await gracefulShutdown()
      group.cancelAll()
    }
  }

  private static func take(
    _ event: ConnectionEvent, hub: Hub, logger: Logger, metrics: MetricsRegistry
  ) {
    switch event {
    case .connected(let server):
      let (again, isNews) = hub.shared.withLock { shared in
        let again = shared.state.wasConnected
        // The server that was left because it takes no writes is tried again and again.
        let isNews = !shared.wasReadOnly || shared.state.runID != server.runID
        shared.state = State(isConnected: true, runID: server.runID, wasConnected: true)
        return (again, isNews)
      }
      metrics.set(.redisUp, to: 1)
      if again { metrics.increment(.redisReconnects) }
      logger.log(
        level: isNews ? .info : .debug, "Redis is connected",
        metadata: .keyed([
          .redisVersion: "\(server.version ?? "unknown")",
          .redisRunID: "\(server.runID ?? "unknown")",
        ]))
      hub.post(.storeConnected(runID: server.runID))
    case .disconnected(.stopped):
      metrics.set(.redisUp, to: 0)
      hub.post(.storeDisconnected)
    case .disconnected(let failure):
      let isReadOnly = if case .readOnly = failure { true } else { false }
      let isNews = hub.shared.withLock { shared in
        shared.state.isConnected = false
        shared.state.lastError = "\(failure)"
        guard isReadOnly else { return true }
        defer { shared.readOnlyAt = .now }
        return !shared.wasReadOnly
      }
      metrics.set(.redisUp, to: 0)
      logger.log(
        level: isNews ? .warning : .debug,
        isReadOnly
          ? """
          Redis takes no writes, so nobody fetches; connecting again and again, in case its name \
          leads to another primary by now
          """ : "Redis is lost; readers keep what they have, and nobody fetches until it is back",
        metadata: .keyed([.error: "\(failure)"]))
      hub.post(.storeDisconnected)
    case .connectFailed(let failure):
      let isNews = hub.shared.withLock { shared in
        defer { shared.state.lastError = "\(failure)" }
        return shared.state.lastError != "\(failure)"
      }
      metrics.set(.redisUp, to: 0)
      logger.log(
        level: isNews ? (failure.needsOperator ? .error : .warning) : .debug,
        "Redis cannot be reached; trying again", metadata: .keyed([.error: "\(failure)"]))
    }
  }

  /// Says once, loudly, when Redis may throw the lock away to make room.
  ///
  /// Proxies and ACLs that refuse the question are no reason to worry anybody.
  private func warnAboutEviction() async {
    let reply = try? await commands.execute(
      RedisCommand("INFO", "memory"), deadline: .now + Self.longestWaitForRedis,
      waitForConnection: true)
    let name = "maxmemory_policy:"
    let line = reply?.text?.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name) }
    guard let policy = line?.dropFirst(name.count), policy != "noeviction" else { return }
    logger.warning(
      """
      Redis evicts keys when its memory is full; the lock, which has a TTL, goes among the first. \
      Set maxmemory-policy to noeviction on the Redis that the tokens are in
      """, metadata: .keyed([.reason: "maxmemory-policy is \(policy)"]))
  }

  /// Hears of changes at once instead of at the next look.
  private func listen() async {
    let hub = hub
    let subscriber = RedisSubscriber(
      configuration: configuration, eventLoopGroup: eventLoopGroup, logger: logger)
    await subscriber.run(
      channels: [layout.events],
      onMessage: { message in
        if let hint = Hint(event: message.payload) { _ = hub.take(hint) }
      },
      onSubscribed: {
        // Whatever was said while nobody listened.
        hub.post(.leadershipHinted)
        hub.post(.hinted(nil))
      })
  }

  // MARK: Reports

  private func waitForReports() async {
    var listening: Task<Void, Never>?
    for await isLeader in leadership {
      listening?.cancel()
      await listening?.value
      listening = isLeader ? Task { await self.popReports() } : nil
    }
    listening?.cancel()
    await listening?.value
  }

  /// Waits on the list for as long as this replica leads.
  private func popReports() async {
    let client = RedisClient(
      configuration: configuration, eventLoopGroup: eventLoopGroup, logger: logger)
    await withTaskGroup { group in
      group.addTask { await client.run() }
      group.addTask {
        var refusals = 0
        while !Task.isCancelled { await self.popReport(client, refusals: &refusals) }
      }
      await group.waitForAll()
    }
  }

  /// How long Redis is to hold a pop: its versions before 6 take whole seconds only, and 0 is
  /// without end.
  static func popSeconds(_ timeout: Duration) -> Int64 { max(1, timeout.components.seconds) }

  /// So many refusals in a row are told: one alone may be of a fail-over, which ends every pop.
  private static let refusalsTold = 2

  /// - Parameter refusals: how many there were in a row so far.
  private func popReport(_ client: RedisClient, refusals: inout Int) async {
    let seconds = Self.popSeconds(popTimeout)
    do {
      let reply = try await client.execute(
        RedisCommand("BLPOP", layout.refreshRequests, "\(seconds)"),
        deadline: .now + .seconds(seconds) + RedisLinks.popSlack, waitForConnection: true,
        onAbandonment: .closeConnection)
      if let refusal = reply.refusal {
        // A server that takes no writes is told of by the connection for commands.
        if refusal.kind != .readOnly {
          refusals += 1
          if refusals == Self.refusalsTold { warnAboutReports(refusal) }
        }
        // It answers at once: the next wait must not become a busy loop.
        try? await Task.sleep(for: popTimeout)
        return
      }
      if refusals >= Self.refusalsTold { logger.info("Applications' reports are heard again") }
      refusals = 0
      guard let item = reply.elements?.last?.bytes else { return }
      // What else was said so far is heard before anything is done about it: a thousand reports of
      // one token are one. Whatever was taken off the list is judged, also when the rest fails.
      var items = [item]
      defer { take(items) }
      while let more = try await drain(client), !more.isEmpty {
        take(items)
        items = more
      }
    } catch {
      logger.debug("Waiting for reports failed", metadata: .keyed([.error: "\(error)"]))
    }
  }

  private func warnAboutReports(_ refusal: RedisServerError) {
    logger.warning(
      """
      Redis refuses BLPOP, so applications' reports on the list are not heard: a token that WeChat \
      has ended early stays until the probe finds it. Permit the command and the key to this user \
      (`wch-sidecar acl` prints the rules), or delete the key if it is not a list
      """,
      metadata: .keyed([.redisKey: "\(layout.refreshRequests)", .error: "\(refusal)"]))
  }

  /// Takes what else the list has; nil when Redis refuses.
  private func drain(_ client: RedisClient) async throws(RedisError) -> [[UInt8]]? {
    let rest = ["1", layout.refreshRequests, "\(Self.drainedAtOnce)", "\(Hint.longest)"]
    let deadline = ContinuousClock.now + Self.popSlack
    var reply = try await client.execute(
      RedisCommand("EVALSHA", [Script.drain.digest] + rest), deadline: deadline)
    if reply.refusal?.kind == .noScript {
      reply = try await client.execute(
        RedisCommand("EVAL", [Script.drain.source] + rest), deadline: deadline)
    }
    guard let elements = reply.elements else { return nil }
    let oversized = Int(elements.first?.number ?? 0)
    if oversized > 0 {
      metrics.increment(.refreshRequests, ["outcome": "oversized"], by: Double(oversized))
    }
    return elements.dropFirst().compactMap(\.bytes)
  }

  /// Judges items: each of the different ones once.
  private func take(_ items: [[UInt8]]) {
    var heard: Set<Hint> = []
    for item in items {
      guard item.count <= Hint.longest else {
        metrics.increment(.refreshRequests, ["outcome": "oversized"])
        continue
      }
      guard let hint = Hint(report: item) else {
        metrics.increment(.refreshRequests, ["outcome": "ignored"])
        continue
      }
      guard heard.insert(hint).inserted else {
        metrics.increment(.refreshRequests, ["outcome": "coalesced"])
        continue
      }
      if !hub.take(hint) { metrics.increment(.refreshRequests, ["outcome": "ignored"]) }
    }
  }
}
