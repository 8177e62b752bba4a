package import Logging
package import NIOCore
package import RedisClient
import ServiceLifecycle
import Synchronization
package import TokenCore

/// This replica's connections to Redis: one for commands, one that listens to events, and, while
/// it leads, one that waits for applications' reports.
///
/// Each is judged by itself: one that stays away is told of, and its work done in another way. The
/// other two must lead to the server that the one for commands leads to.
package final class RedisLinks: Service, Sendable {
  /// The connection that the protocol's steps take.
  package let commands: RedisClient
  let layout: KeyLayout
  let popTimeout: Duration
  let logger: Logger
  let metrics: MetricsRegistry
  let board: LinkBoard
  /// What this Redis does not do, as it was found out.
  package let lacks: RedisLacks
  let inbox: KeeperInbox
  private let configuration: RedisConfiguration
  private let eventLoopGroup: any EventLoopGroup
  private let executor: (any TaskExecutor)?
  private let listening: AsyncStream<Bool>
  private let listeningChanges: AsyncStream<Bool>.Continuation
  private let announced: AsyncStream<String>
  private let announcements: AsyncStream<String>.Continuation
  private let subscriber: RedisSubscriber
  /// Protects whose waiting for reports is under way, or was last.
  private let turn = Mutex<ReportsTurn?>(nil)
  /// What is told of items that mean nothing.
  let ignored = IgnoredReports()

  /// What nobody could be told by then is forgotten: announcements are hints.
  private static let announcedAtOnce = 100
  /// A node of a cluster that listens for us may be cut off from it without losing us: a silence of
  /// so long is broken.
  private static let longestDeafness: Duration = .seconds(10)
  /// A blocked pop is given this much longer than Redis holds it before the connection is doubted.
  static let popSlack: Duration = .seconds(2)

  /// - Parameters:
  ///   - inbox: of the keeper that hears what these bring.
  ///   - popTimeout: how long one wait for reports lasts; at most a third of the lease, so that an
  ///     item popped by a replica that no longer leads is noticed in time.
  ///   - executor: where `run` runs, and what it starts; nil for the pool of all tasks.
  ///   - passwordDoubt: what looks wrong with the password, for the log when it is refused.
  package init(
    configuration: RedisConfiguration, layout: KeyLayout, inbox: KeeperInbox,
    popTimeout: Duration, passwordDoubt: String? = nil, eventLoopGroup: any EventLoopGroup,
    executor: (any TaskExecutor)? = nil, logger: Logger, metrics: MetricsRegistry
  ) {
    let lacks = RedisLacks(logger: logger)
    let board = LinkBoard(
      inbox: inbox, passwordDoubt: passwordDoubt, lacks: lacks, logger: logger, metrics: metrics)
    self.board = board
    self.lacks = lacks
    self.inbox = inbox
    var others = configuration
    others.objection = { server in board.objection(to: server) }
    self.configuration = others
    self.layout = layout
    self.popTimeout = popTimeout
    self.eventLoopGroup = eventLoopGroup
    self.executor = executor
    self.logger = logger
    self.metrics = metrics
    (listening, listeningChanges) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    (announced, announcements) = AsyncStream.makeStream(
      bufferingPolicy: .bufferingNewest(Self.announcedAtOnce))
    commands = RedisClient(
      configuration: configuration, eventLoopGroup: eventLoopGroup, home: layout.leader,
      logger: logger
    ) { event in
      board.record(.commands, event)
    }
    subscriber = RedisSubscriber(
      configuration: others, eventLoopGroup: eventLoopGroup, logger: logger)
    board.register(
      .events, end: { [subscriber] in subscriber.endConnection($0) },
      keepAlive: { [subscriber] in subscriber.keepAlive(every: $0) })
    board.register(
      .commands, end: { [commands] in commands.endConnection($0) },
      keepAlive: { [commands] in commands.keepAlive(every: $0) })
  }

  /// What is known of the command connection.
  package var state: LinkState { board[.commands] }

  /// What the sentinels say; nil without any.
  package var sentinels: SentinelState? { board.sentinels }

  /// What the cluster says of our slots; nil without one.
  package var cluster: ClusterState? {
    configuration.cluster.map { ClusterState($0.owners, stuck: $0.stuck) }
  }

  /// What is known of every connection.
  package var states: [(link: RedisLink, state: LinkState)] {
    RedisLink.allCases.map { ($0, board[$0]) }
  }

  /// Puts something on the list that the leader reads; false when Redis did not take it.
  @discardableResult
  package func send(_ item: ReportItem) async -> Bool {
    let reply = try? await commands.execute(
      RedisCommand("RPUSH", layout.refreshRequests, item.text), key: layout.refreshRequests,
      deadline: .now + Self.popSlack)
    return reply.map { $0.refusal == nil } ?? false
  }

  /// Puts a report back on the list, for the next leader: once this replica waits for none itself.
  package func giveBack(_ report: Report) async {
    if let turn = turn.withLock({ $0 }), turn.isOver {
      await turn.finished(within: Self.popSlack)
    }
    await send(ReportItem(report))
  }

  /// Says something on the channel that all replicas listen to, as soon as may be.
  package func announce(_ announcement: Announcement) {
    if let text = announcement.text { publish(text) }
  }

  /// Publishes a message on that channel, as soon as may be.
  func publish(_ text: String) { announcements.yield(text) }

  private func sayAnnounced() async {
    for await event in announced where lacks.takesPublish {
      do throws(RedisError) {
        let reply = try await commands.execute(
          RedisCommand("PUBLISH", layout.events, event), deadline: .now + Self.popSlack)
        lacks.published(.success(reply))
      } catch {
        lacks.published(.failure(error))
      }
    }
  }

  /// Starts or ends the waiting for reports.
  package func listen(_ listens: Bool) {
    // At once: what is given back next must not come to this replica.
    if !listens { turn.withLock { $0 }?.end() }
    listeningChanges.yield(listens)
  }

  /// Keeps the connections until cancelled.
  ///
  /// A graceful shutdown of the group leaves them open until the keeper has given the lock back:
  /// they are cancelled last.
  package func run() async throws {
    await withDiscardingTaskGroup { group in
      group.addTask { await self.commands.run() }
      group.addTask { await self.hearAnnouncements() }
      group.addTask { await self.warnOfDoubts() }
      group.addTask { await self.waitForReports() }
      group.addTask { await self.sayAnnounced() }
      group.addTask { await self.learnSilences() }
      group.addTask { await self.watchSentinels() }
      group.addTask { await self.watchCluster() }
      try? await gracefulShutdown()
      group.cancelAll()
    }
  }

  /// Hears of changes at once instead of at the next look.
  private func hearAnnouncements() async {
    let (board, inbox) = (board, inbox)
    await subscriber.run(
      channels: [layout.events],
      onMessage: { message in
        if let announcement = Announcement(message.payload) { inbox.hear(announcement) }
      },
      onSubscribed: {
        // Whatever was said while nobody listened.
        inbox.post(.leadershipHinted)
        inbox.post(.hinted(nil))
      },
      onEvent: { event in board.record(.events, event) })
  }

  /// Runs the body beside a connection of its own for reports, which it is given.
  func withReportsConnection(
    deafened: @escaping @Sendable () -> Void, _ body: @Sendable (RedisClient) async -> Void
  ) async {
    let client = RedisClient(
      configuration: configuration, eventLoopGroup: eventLoopGroup, home: layout.refreshRequests,
      logger: logger
    ) { [board] event in
      board.record(.reports, event)
    }
    board.register(
      .reports, end: { client.endConnection($0) },
      keepAlive: { client.keepAlive(every: $0) })
    board.wantReports(true, deafened: deafened)
    await withTaskGroup { group in
      group.addTask { await client.run() }
      await body(client)
      group.cancelAll()
    }
    board.wantReports(false)
  }

  private func waitForReports() async {
    var hearing: Task<Void, Never>?
    for await listens in listening {
      if let last = turn.withLock({ $0 }), !last.isFinished {
        last.end()
        // Whoever has waited for the longest is handed it: the wait that is to end.
        await send(.wake(nil))
      }
      guard listens else { continue }
      let (next, before) = (ReportsTurn(), hearing)
      turn.withLock { $0 = next }
      hearing = Task(executorPreference: executor) {
        await before?.value
        await self.hearReports(next)
        next.finish()
      }
    }
    hearing?.cancel()
    await hearing?.value
  }

  // MARK: Where Redis is

  private func watchSentinels() async {
    await configuration.sentinels?.watch(on: eventLoopGroup, logger: logger) { [board] sight in
      board.saw(sight)
    }
  }

  private func watchCluster() async {
    guard let view = configuration.cluster else { return }
    // What reaches one node is told by all, as long as that one hears them.
    subscriber.keepAlive(every: Self.longestDeafness)
    await view.watch { [board] in board.served(by: view.owners) }
  }

  // MARK: Silences

  /// Finds out whether Redis closes connections for their silence, and breaks it before that.
  private func learnSilences() async {
    for await (link, silence) in board.silences {
      // Redis spares who listens: what ends a subscription is something between.
      let timeout = link == .events ? nil : await timeout()
      board.learn(link, silence: silence, timeout: timeout)
    }
  }

  /// What Redis says of its `timeout`; nil when it does not.
  private func timeout() async -> Duration? {
    guard !lacks.hangsUp else { return nil }
    let reply = try? await commands.execute(
      RedisCommand("CONFIG", "GET", "timeout"), deadline: .now + .seconds(5),
      waitForConnection: true)
    return reply?.elements?.last?.text.flatMap { Int64($0) }.map { .seconds($0) }
  }
}
