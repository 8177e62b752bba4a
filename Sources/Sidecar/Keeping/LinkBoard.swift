import Logging
import RedisClient
import Synchronization
import TokenCore

/// What is known of all connections, told to whom it concerns: log, metrics, keeper.
final class LinkBoard: Sendable {
  private struct State {
    var links: [RedisLink: LinkState] = [
      .commands: LinkState(isWanted: true), .events: LinkState(isWanted: true),
      .reports: LinkState(isWanted: false),
    ]
    /// When a server was last left because it takes no writes.
    var readOnlyAt: ContinuousClock.Instant?
    /// What is known of servers that close silent connections.
    var silences: [RedisLink: IdleTimeout] = [:]
    /// How each connection is ended from here.
    var ends: [RedisLink: @Sendable (RedisFailure) -> Void] = [:]
    /// How its silences are broken.
    var keepAlives: [RedisLink: @Sendable (Duration?) -> Void] = [:]
    /// Called when reports can be waited for no longer.
    var deafened: (@Sendable () -> Void)?
    /// What the sentinels say; nil without any.
    var sentinels: SentinelState?
    /// Who serves which slots of ours in a cluster, as told last.
    var owners: [HashSlot: RedisEndpoint.Address?] = [:]
    /// How often it was told that Redis is connected, or that other nodes serve our slots.
    var budget = LineBudget()

    subscript(link: RedisLink) -> LinkState {
      get { links[link] ?? LinkState(isWanted: false) }
      set { links[link] = newValue }
    }

    /// Whether such a server was left so lately that to meet one again is no news.
    var wasReadOnly: Bool {
      readOnlyAt.map { $0.duration(to: .now) <= Journal.silence } ?? false
    }
  }

  private let inbox: KeeperInbox
  private let logger: Logger
  private let metrics: MetricsRegistry
  /// Why the password may be refused, as far as it can be seen on it.
  private let passwordDoubt: String?
  /// What Redis does not do.
  private let lacks: RedisLacks
  /// Connections that were closed by the server while they were silent, and after how long.
  let silences: AsyncStream<(RedisLink, Duration)>
  private let closedWhenSilent: AsyncStream<(RedisLink, Duration)>.Continuation
  /// Protects the states and who is called back.
  private let state = Mutex(State())

  init(
    inbox: KeeperInbox, passwordDoubt: String?, lacks: RedisLacks, logger: Logger,
    metrics: MetricsRegistry
  ) {
    self.inbox = inbox
    self.passwordDoubt = passwordDoubt
    self.lacks = lacks
    self.logger = logger
    self.metrics = metrics
    (silences, closedWhenSilent) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(8))
  }

  // MARK: What is known

  subscript(link: RedisLink) -> LinkState { state.withLock { $0[link] } }

  /// Whether reports must be looked for, since they cannot be waited for.
  var isDeaf: Bool { self[.reports].isOfNoUse }

  /// Why a connection to this server is not wanted: the one for commands leads to another.
  func objection(to server: RedisServerInfo) -> RedisFailure? {
    let commands = self[.commands]
    guard commands.isConnected, let theirs = server.runID, let ours = commands.runID,
      theirs != ours
    else { return nil }
    return .otherServer
  }

  /// Says how a connection is ended, and how its silences are broken.
  func register(
    _ link: RedisLink, end: @escaping @Sendable (RedisFailure) -> Void,
    keepAlive: @escaping @Sendable (Duration?) -> Void
  ) {
    let interval = state.withLock { state in
      state.ends[link] = end
      state.keepAlives[link] = keepAlive
      return state.silences[link]?.interval
    }
    if let interval { keepAlive(interval) }
  }

  /// Begins or ends the waiting for reports.
  func wantReports(_ isWanted: Bool, deafened: (@Sendable () -> Void)? = nil) {
    state.withLock { state in
      state[.reports].want(isWanted)
      state.deafened = deafened
      if !isWanted {
        state.ends[.reports] = nil
        state.keepAlives[.reports] = nil
      }
    }
    metrics.set(.redisConnectionUp, ["connection": RedisLink.reports.rawValue], to: 0)
    if isWanted { deafened?() }
  }

  /// Whether Redis lets reports be waited for.
  func reportsRefused(_ refusal: RedisFailure?) {
    let (serves, deafened) = state.withLock { state in
      state[.reports].refused(refusal)
      let serves = state[.reports].isWanted && !state[.reports].isOfNoUse
      return (serves, refusal == nil ? nil : state.deafened)
    }
    metrics.set(
      .redisConnectionUp, ["connection": RedisLink.reports.rawValue], to: serves ? 1 : 0)
    deafened?()
  }

  // MARK: What happens

  /// Takes what happened to a connection.
  func record(_ link: RedisLink, _ event: ConnectionEvent) {
    switch event {
    case .connected(let server): connected(link, to: server)
    case .disconnected(let failure): disconnected(link, failure)
    case .connectFailed(let failure): connectFailed(link, failure)
    }
  }

  private func connected(_ link: RedisLink, to server: RedisServerInfo) {
    let now = MonotonicClock.now()
    let (before, away, withheld, strangers) = state.withLock { state in
      let before = state[link]
      let away = state[link].connected(to: server)
      // One that was let pass while the one for commands was away is compared now.
      let isStranger =
        link != .commands && state[.commands].isConnected
        && state[link].isStranger(to: state[.commands].runID)
      let strangers =
        link == .commands
        ? state.links.filter { $0.value.isStranger(to: server.runID) }.keys
          .compactMap { state.ends[$0] }
        : isStranger ? [state.ends[link]].compactMap(\.self) : []
      guard link == .commands, let allowance = LoggedEvent.redisConnected.allowance else {
        return (before, away, Int?.none, strangers)
      }
      // A server that takes no writes is left and tried again and again.
      let isNews = !state.wasReadOnly || before.runID != server.runID
      let withheld = isNews ? state.budget.take(link.rawValue, allowance, at: now) : nil
      return (before, away, withheld, strangers)
    }
    metrics.set(.redisConnectionUp, ["connection": link.rawValue], to: 1)
    for end in strangers { end(.otherServer) }
    var metadata = Logger.Metadata.keyed([
      .redisConnection: "\(link.rawValue)", .redisVersion: "\(server.version ?? "unknown")",
      .redisRunID: "\(server.runID ?? "unknown")",
    ])
    if before.wasConnected { metadata[.durationSeconds] = .seconds(away) }
    if let withheld, withheld > 0 { metadata[.withheld] = .number(withheld) }
    guard link == .commands else {
      return logger.tell(
        .redisConnected, level: .debug, "A connection to Redis is there", metadata)
    }
    metrics.set(.redisUp, to: 1)
    if before.wasConnected { metrics.increment(.redisReconnects) }
    logger.tell(
      .redisConnected, level: withheld == nil ? .debug : .info, "Redis is connected", metadata)
    lacks.connected(to: server)
    inbox.post(.storeConnected(runID: server.runID))
  }

  private func disconnected(_ link: RedisLink, _ failure: RedisFailure) {
    if link == .events { lacks.heardOfEvents(failure) }
    let deafened = state.withLock { state in
      if failure != .stopped { state[link].disconnected(failure) }
      if link == .commands, case .readOnly = failure { state.readOnlyAt = .now }
      return link == .reports ? state.deafened : nil
    }
    metrics.set(.redisConnectionUp, ["connection": link.rawValue], to: 0)
    if case .closedWhenSilent(let silence) = failure { closedWhenSilent.yield((link, silence)) }
    if failure != .stopped {
      logger.tell(
        .redisLost,
        link == .commands
          ? "Redis is lost; readers keep what they have, and nobody fetches until it is back"
          : "A connection to Redis is lost",
        .keyed([.redisConnection: "\(link.rawValue)", .error: "\(failure)"]))
    }
    deafened?()
    guard link == .commands else { return }
    metrics.set(.redisUp, to: 0)
    inbox.post(.storeDisconnected)
  }

  private func connectFailed(_ link: RedisLink, _ failure: RedisFailure) {
    let doubt: String? =
      if case .authenticationFailed = failure { passwordDoubt } else { nil }
    let deafened = state.withLock { state in
      state[link].connectFailed(failure, doubt: doubt)
      return link == .reports ? state.deafened : nil
    }
    var metadata = Logger.Metadata.keyed([
      .redisConnection: "\(link.rawValue)", .error: "\(failure)",
    ])
    if let doubt { metadata[.reason] = "\(doubt)" }
    logger.tell(.redisUnreached, "Redis cannot be reached; trying again", metadata)
    deafened?()
    if link == .commands { metrics.set(.redisUp, to: 0) }
  }

  // MARK: Sentinels

  /// Takes what sentinels said.
  func saw(_ sight: SentinelSight) {
    let news = state.withLock { state in
      var sentinels = state.sentinels ?? SentinelState()
      defer { state.sentinels = sentinels }
      return sentinels.news(sight)
    }
    let said = Logger.MetadataValue.list(sight.voices.map(\.sentence))
    switch news {
    case nil: break
    case .found(let address)?:
      logger.tell(
        .redisPrimary, "The sentinels name the primary",
        .keyed([.redisPrimary: "\(address)", .redisSentinels: said]))
    case .moved(let former, let address)?:
      logger.tell(
        .redisPrimary, level: .notice,
        "The sentinels name another primary; connections to the former one are closed",
        .keyed([
          .redisPrimary: "\(address)", .redisFormerPrimary: "\(former)", .redisSentinels: said,
        ]))
    }
  }

  /// What the sentinels say; nil without any.
  var sentinels: SentinelState? { state.withLock { $0.sentinels } }

  // MARK: A cluster

  /// Takes who serves our slots.
  func served(by owners: [HashSlot: RedisEndpoint.Address?]) {
    guard !owners.isEmpty else { return }
    let now = MonotonicClock.now()
    let (isFirst, hasMoved, withheld) = state.withLock { state in
      defer { state.owners = owners }
      let hasMoved = state.owners.contains { slot, owner in
        owners[slot].map { $0 != owner } ?? false
      }
      let event = LoggedEvent.redisNodes
      guard hasMoved, let allowance = event.allowance else {
        return (state.owners.isEmpty, hasMoved, Int?(0))
      }
      // Nodes that do not agree name now this one and now that one.
      return (false, true, state.budget.take(event.rawValue, allowance, at: now))
    }
    guard isFirst || hasMoved else { return }
    let nodes = ClusterState(owners).nodes.map {
      "\($0.address): slots \(ClusterState.list($0.slots))"
    }
    var metadata = Logger.Metadata.keyed([.redisNodes: .list(nodes)])
    if let withheld, withheld > 0 { metadata[.withheld] = .number(withheld) }
    logger.tell(
      .redisNodes, level: isFirst ? .info : withheld == nil ? .debug : .notice,
      isFirst
        ? "The cluster says which nodes serve our slots"
        : "Other nodes of the cluster serve our slots now",
      metadata)
  }

  // MARK: Silences

  /// Takes that the server has closed a silent connection, and what it says of its `timeout`.
  func learn(_ link: RedisLink, silence: Duration, timeout: Duration?) {
    let (known, now, keepAlive) = state.withLock { state in
      let known = state.silences[link]?.interval
      if let timeout {
        state.silences[link, default: IdleTimeout()].met(after: silence, timeout: timeout)
      } else {
        state.silences[link, default: IdleTimeout()].met(after: silence)
      }
      return (known, state.silences[link]?.interval, state.keepAlives[link])
    }
    guard let now, now != known else { return }
    keepAlive?(now)
    guard known == nil else { return }
    logger.tell(
      .redisSilence,
      """
      Redis closes connections that are silent for a while (its `timeout`, or a proxy's); this one \
      is kept open with PINGs. Set the timeout to 0, or to more than a minute
      """,
      .keyed([
        .redisConnection: "\(link.rawValue)", .durationSeconds: .seconds(timeout ?? silence),
        .reason: "a PING after \(now.inSeconds) s of silence",
      ]))
  }
}

extension RedisFailure {
  /// Half of a process's connections may stay on a former primary after a fail-over.
  static let otherServer = RedisFailure.unwanted(
    reason: "it leads to another server (run_id) than the connection for commands")
}
