import Logging
import NIOCore
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
    var post: (@Sendable (Keeper.Event) -> Void)?
    var take: (@Sendable (Hint) -> Bool)?

    subscript(link: RedisLink) -> LinkState {
      get { links[link] ?? LinkState(isWanted: false) }
      set { links[link] = newValue }
    }

    /// Whether such a server was left so lately that to meet one again is no news.
    var wasReadOnly: Bool {
      readOnlyAt.map { $0.duration(to: .now) <= Journal.silence } ?? false
    }
  }

  private let logger: Logger
  private let metrics: MetricsRegistry
  private let eventLoop: any EventLoop
  /// Why the password may be refused, as far as it can be seen on it.
  private let passwordDoubt: String?
  /// Connections that were closed by the server while they were silent, and after how long.
  let silences: AsyncStream<(RedisLink, Duration)>
  private let closedWhenSilent: AsyncStream<(RedisLink, Duration)>.Continuation
  /// Protects the states and the listeners.
  private let state = Mutex(State())

  /// A connection that is away for so long is told of: a fail-over or a restart of Redis takes a
  /// shorter time, and the waits between attempts are at most two seconds.
  private static let patience: Duration = .seconds(5)

  init(
    eventLoop: any EventLoop, passwordDoubt: String?, logger: Logger, metrics: MetricsRegistry
  ) {
    self.eventLoop = eventLoop
    self.passwordDoubt = passwordDoubt
    self.logger = logger
    self.metrics = metrics
    (silences, closedWhenSilent) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(8))
  }

  // MARK: Who is told

  func post(
    events: @escaping @Sendable (Keeper.Event) -> Void,
    hints: @escaping @Sendable (Hint) -> Bool
  ) {
    state.withLock { state in
      state.post = events
      state.take = hints
    }
  }

  func post(_ event: Keeper.Event) { state.withLock { $0.post }?(event) }

  /// False when the hint means nothing here.
  func take(_ hint: Hint) -> Bool { state.withLock { $0.take }?(hint) ?? false }

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
    if isWanted {
      lookSoon()
      deafened?()
    }
  }

  /// Whether Redis lets reports be waited for.
  func reportsRefused(_ refusal: RedisServerError?) {
    let deafened = state.withLock { state in
      state[.reports].refused(refusal)
      return refusal == nil ? nil : state.deafened
    }
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
    let (before, away, isNews, strangers) = state.withLock { state in
      let before = state[link]
      // The server that was left because it takes no writes is tried again and again.
      let isNews = !state.wasReadOnly || before.runID != server.runID
      let away = state[link].connected(to: server)
      state[link].isTold = false
      // One that was let pass while the one for commands was away is compared now.
      let isStranger =
        link != .commands && state[.commands].isConnected
        && state[link].isStranger(to: state[.commands].runID)
      let strangers =
        link == .commands
        ? state.links.filter { $0.value.isStranger(to: server.runID) }.keys
          .compactMap { state.ends[$0] }
        : isStranger ? [state.ends[link]].compactMap(\.self) : []
      return (before, away, isNews, strangers)
    }
    metrics.set(.redisConnectionUp, ["connection": link.rawValue], to: 1)
    for end in strangers { end(.otherServer) }
    guard link == .commands else {
      guard before.isTold else { return }
      return logger.info(
        "A connection to Redis is back",
        metadata: .keyed([
          .redisConnection: "\(link.rawValue)", .durationSeconds: "\(Int64(away.inSeconds))",
        ]))
    }
    lookSoon()
    metrics.set(.redisUp, to: 1)
    if before.wasConnected { metrics.increment(.redisReconnects) }
    var metadata = Logger.Metadata.keyed([
      .redisVersion: "\(server.version ?? "unknown")", .redisRunID: "\(server.runID ?? "unknown")",
    ])
    if before.wasConnected { metadata[.durationSeconds] = "\(away.inSeconds)" }
    logger.log(level: isNews ? .info : .debug, "Redis is connected", metadata: metadata)
    post(.storeConnected(runID: server.runID))
  }

  private func disconnected(_ link: RedisLink, _ failure: RedisFailure) {
    let isReadOnly = if case .readOnly = failure { true } else { false }
    let (isNews, deafened) = state.withLock { state in
      if failure != .stopped { state[link].disconnected(failure) }
      let deafened = link == .reports ? state.deafened : nil
      guard isReadOnly, link == .commands else { return (true, deafened) }
      defer { state.readOnlyAt = .now }
      return (!state.wasReadOnly, deafened)
    }
    metrics.set(.redisConnectionUp, ["connection": link.rawValue], to: 0)
    if case .closedWhenSilent(let silence) = failure { closedWhenSilent.yield((link, silence)) }
    guard link == .commands else {
      deafened?()
      return lookSoon()
    }
    metrics.set(.redisUp, to: 0)
    if failure != .stopped {
      logger.log(
        level: isNews ? .warning : .debug,
        isReadOnly
          ? """
          Redis takes no writes, so nobody fetches; connecting again and again, in case its name \
          leads to another primary by now
          """ : "Redis is lost; readers keep what they have, and nobody fetches until it is back",
        metadata: .keyed([.error: "\(failure)"]))
    }
    post(.storeDisconnected)
  }

  private func connectFailed(_ link: RedisLink, _ failure: RedisFailure) {
    let (isNews, deafened) = state.withLock { state in
      let isNews = state[link].lastError != "\(failure)"
      state[link].connectFailed(failure)
      return (isNews, link == .reports ? state.deafened : nil)
    }
    guard link == .commands else {
      deafened?()
      return
    }
    metrics.set(.redisUp, to: 0)
    var metadata = Logger.Metadata.keyed([.error: "\(failure)"])
    if case .authenticationFailed = failure, let passwordDoubt {
      metadata[.reason] = "\(passwordDoubt)"
    }
    logger.log(
      level: isNews ? (failure.needsOperator ? .error : .warning) : .debug,
      "Redis cannot be reached; trying again", metadata: metadata)
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
    logger.warning(
      """
      Redis closes connections that are silent for a while (its `timeout`, or a proxy's); this one \
      is kept open with PINGs. Set the timeout to 0, or to more than a minute
      """,
      metadata: .keyed([
        .redisConnection: "\(link.rawValue)",
        .durationSeconds: "\((timeout ?? silence).inSeconds)",
        .reason: "a PING after \(now.inSeconds) s of silence",
      ]))
  }

  // MARK: Connections that stay away

  /// Looks, once it may be time, which connections have stayed away.
  private func lookSoon() {
    // A little later: the timer goes by another clock.
    let wait = Self.patience + .milliseconds(100)
    eventLoop.scheduleTask(in: TimeAmount(wait)) { [weak self] in self?.look() }
  }

  /// While Redis itself is away the connection for commands says so: the others are no news.
  private func look() {
    let lame = state.withLock { state in
      let now = ContinuousClock.now
      let commands = state[.commands]
      guard commands.isConnected, commands.changedAt.duration(to: now) >= Self.patience else {
        return [(RedisLink, LinkState)]()
      }
      let lame = state.links.filter { !$0.value.isTold && $0.value.isAway(for: Self.patience) }
      for link in lame.keys { state[link].isTold = true }
      return lame.map { ($0.key, $0.value) }
    }
    for (link, state) in lame {
      logger.warning(
        "A connection to Redis stays away, though Redis answers on another one",
        metadata: .keyed([
          .redisConnection: "\(link.rawValue)",
          .error: "\(state.lastError ?? "it could not be made yet")",
          .reason: "\(link.substitute)",
        ]))
    }
  }
}

extension RedisFailure {
  /// Half of a process's connections may stay on a former primary after a fail-over.
  static let otherServer = RedisFailure.unwanted(
    reason: "it leads to another server (run_id) than the connection for commands")
}
