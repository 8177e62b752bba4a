import NIOCore
package import TokenCore

/// What the HTTP interface tells, read from the keeper's last state.
package struct KeeperStatus: StatusSource {
  private let service: KeeperService
  private let journal: Journal
  private let center: HealthCenter
  private let links: RedisLinks
  private let limits: HeardLimits
  private let weChat: WeChatClient
  private let settings: Settings
  private let version: String
  private let startedAt: Timestamp
  /// Where waiting requests have their time limits: the loop of those who ask.
  private let timers: any EventLoop
  private let waiters = Places(KeeperStatus.mostWaiting)
  /// Redis may take its time for each, and takes no more than a thousand commands at once.
  private let passing = Places(KeeperStatus.mostWaiting)

  /// A request for a refresh waits at most this long (DESIGN section 5.3).
  private static let longestWait: Duration = .seconds(10)
  /// How often a waiting request looks though nothing rang: what it waits for may also be that a
  /// lease or a limit is over, which is no event.
  private static let look: TimeAmount = .seconds(1)
  /// More requests than these do not wait: what they ask for is done all the same.
  private static let mostWaiting = 64

  /// - Parameter timers: the event loop of those who ask.
  init(
    _ parts: Parts, settings: Settings, version: String, startedAt: Timestamp,
    timers: any EventLoop
  ) {
    self.timers = timers
    service = parts.service
    journal = parts.journal
    center = parts.health
    links = parts.links
    limits = parts.limits
    weChat = parts.weChat
    self.settings = settings
    self.version = version
    self.startedAt = startedAt
  }

  package func snapshot() -> StatusSnapshot {
    let view = service.view
    let keeper = view.keeper
    let now = MonotonicClock.now()
    let state = links.state
    let isLeader = keeper.isLeader(at: now)
    return StatusSnapshot(
      instance: settings.instance.rawValue, version: version, startedAt: startedAt,
      now: .now, role: role(view, at: now), leader: leader(keeper, isLeader: isLeader),
      epoch: keeper.election.floor > .none ? keeper.election.floor.rawValue : nil,
      ticks: keeper.ticks,
      redis: .init(
        isConnected: state.isConnected, runID: state.runID, lastError: state.lastError,
        connections: links.states.map { link, state in
          .init(
            link: link, isConnected: state.isConnected, since: state.since,
            lastError: state.lastError, reconnects: state.reconnects)
        }),
      weChat: .init(clockSkewSeconds: weChat.clockSkew.map { Int64($0.inSeconds.rounded()) }),
      accounts: keeper.accounts.map { account($0, keeper: keeper, isLeader: isLeader, at: now) },
      conditions: center.conditions(), others: center.others())
  }

  package func health(_ check: HealthCheck) -> Health {
    // What is wrong is judged with a look of its own.
    guard check != .ready else { return readiness }
    return service.look { health(check, $0) }
  }

  private func health(_ check: HealthCheck, _ view: KeeperService.View) -> Health {
    let now = MonotonicClock.now()
    switch check {
    case .started:
      return view.handledAt == nil ? .bad("the loop has not started") : .good("the loop runs")
    case .live:
      guard let handledAt = view.handledAt else { return .bad("the loop has not started") }
      let age = now - handledAt
      return age < settings.timing.tick * Assessment.missedTicks
        ? .good("the loop runs")
        : .bad("the loop has done nothing for \(Int(age.inSeconds)) seconds")
    case .ready:
      return readiness
    }
  }

  /// How all is, in one line for a supervisor.
  var verdict: String {
    let found = center.conditions()
    let more = found.count > 1 ? " (and \(found.count - 1) more)" : ""
    if let worst = found.first { return worst.sentence(.english) + more }
    return service.look { view in
      let count = view.keeper.accounts.count
      let role = view.keeper.isLeader(at: MonotonicClock.now()) ? "leads" : "follows"
      return "all is well: \(role), \(count) account\(count == 1 ? "" : "s")"
    }
  }

  private var readiness: Health {
    let missing = center.conditions(withPending: true).first(where: \.preventsReading)
    return missing.map { .bad($0.sentence(.english)) }
      ?? .good("a live token was seen in Redis for every account")
  }

  package func token(of account: AccountName) -> TokenAnswer {
    service.look { token(of: account, $0.keeper) }
  }

  private func token(of account: AccountName, _ keeper: KeeperView) -> TokenAnswer {
    guard let kept = keeper[account] else { return .unknownAccount }
    let now = MonotonicClock.now()
    guard let token = kept.freshest(at: now, nobodyFetches: keeper.nobodyFetches) else {
      let isHeld = kept.copy.map { $0.remaining(at: now) > .zero } ?? false
      return .none(
        reason: isHeld
          ? "the token of account \(account) may have been replaced: this replica has not seen"
            + " for minutes that Redis still has it"
          : "no live token is known for account \(account)",
        retryAfter: settings.timing.retry)
    }
    let expiry = clientExpiry(kept, keeper: keeper, at: now) ?? 0
    let left = token.expiresAt - settings.margins.client(lifetime: token.lifetime) - now
    return .token(
      token.token, expiresAt: expiry, expiresIn: max(0, Int64(left.inSeconds)))
  }

  package func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    let deadline = ContinuousClock.now + KeeperStatus.longestWait
    let start = Timestamp.now
    guard let (subject, rejected) = subject(of: request) else {
      // A token that nobody has now was replaced before: its reader should read again.
      let named =
        request.account ?? (settings.accounts.count == 1 ? settings.accounts[0].name : nil)
      guard let named, service.account(named) != nil else { return .unknownAccount }
      return .current(refreshed(named))
    }
    let account = subject.name
    guard let turn = passing.enter() else {
      return .unavailable(
        reason: "too many reports are being handed to the leader: try again",
        retryAfter: .seconds(1))
    }
    let isPassed = await pass(on: request, rejected: rejected, account)
    turn.leave()
    guard isPassed else {
      return .unavailable(
        reason: "the request could not be handed to the leader: Redis does not take it",
        retryAfter: settings.timing.retry)
    }
    guard let place = waiters.enter() else {
      return .unavailable(
        reason: "the report was taken, and \(KeeperStatus.mostWaiting) requests wait for what"
          + " becomes of it already: read the key until it differs",
        retryAfter: .seconds(1))
    }
    defer { place.leave() }
    // Taken before the first look, so that nothing happens unseen between a look and the wait.
    let bell = service.bell(for: account)
    defer { service.giveBack(bell) }
    if let answer = outcome(for: subject) { return answer }
    let end = timers.scheduleTask(in: .init(ContinuousClock.now.duration(to: deadline))) {
      bell.end()
    }
    let looks = timers.scheduleRepeatedTask(initialDelay: Self.look, delay: Self.look) { _ in
      bell.ring()
    }
    defer {
      end.cancel()
      looks.cancel()
    }
    for await _ in bell.rings {
      if let answer = outcome(for: subject) { return answer }
    }
    return unanswered(account, since: start)
  }

  /// What became of a request; nil while nothing has.
  private func outcome(for subject: AccountKeeper) -> RefreshAnswer? {
    let account = subject.name
    guard let kept = service.account(account) else { return .unknownAccount }
    // WeChat may repeat the token that it was to replace: that is no refresh.
    if let copy = kept.copy, copy.token != subject.copy?.token {
      let token = refreshed(account)
      return subject.isAnotherTokenDue ? .coalesced(token) : .refreshed(token)
    }
    let now = MonotonicClock.now()
    if let wait = heldUp(kept, at: now) {
      return .limited(
        account: account, retryAfter: wait,
        reason: "reports of this account are limited; this one is kept and served then")
    }
    if let wanted = kept.wanted, wanted.notBefore > now + KeeperStatus.longestWait {
      return .unavailable(
        reason: kept.failures.last?.told ?? "the refresh is held up",
        retryAfter: wanted.notBefore - now, errorCode: kept.failures.last?.code)
    }
    return nil
  }

  /// What keeps a request from being served that has waited in vain, as far as it is known here.
  private func unanswered(_ account: AccountName, since start: Timestamp) -> RefreshAnswer {
    let waited = "no new token within \(Int(KeeperStatus.longestWait.inSeconds)) seconds: "
    let state = links.state
    guard state.isConnected else {
      return .unavailable(
        reason: "\(waited)Redis cannot be reached from this replica"
          + " (\(state.lastError ?? "no connection"))", retryAfter: settings.timing.retry)
    }
    let now = MonotonicClock.now()
    let kept = service.account(account)
    let isLeader = isLeader(at: now)
    let last = journal.tally(account).lastFailure
    let isFailing = isLeader && (kept?.failures.inARow ?? 0) > 0
    if let last, isFailing || last.at.milliseconds >= start.milliseconds {
      // Who could not reach WeChat may lead no longer; what it met is known all the same.
      return .unavailable(
        reason: "\(waited)\(last.reason); WeChat is asked again",
        retryAfter: kept?.wanted.map { $0.notBefore - now } ?? settings.timing.retry,
        errorCode: last.code)
    }
    if isLeader {
      return .unavailable(
        reason: "\(waited)WeChat has not answered yet", retryAfter: settings.timing.retry)
    }
    guard let leader = service.look({ leader($0.keeper, isLeader: false) }) else {
      return .unavailable(
        reason: "\(waited)no replica leads", retryAfter: settings.timing.retry)
    }
    return .unavailable(
      reason: "\(waited)the leader \(leader) has told of none; its log and status page say why",
      retryAfter: KeeperStatus.longestWait)
  }

  /// The account and the token that a request is about; nil when the token is not a current one.
  private func subject(of request: RefreshRequest) -> (AccountKeeper, AccessToken?)? {
    service.look { view in
      let accounts =
        request.account.map { view.keeper[$0].map { [$0] } ?? [] } ?? view.keeper.accounts
      switch request.reason {
      case .force:
        return accounts.first.map { ($0, nil) }
      case .rejected(let token):
        return accounts.first { $0.copy?.token == token }.map { ($0, token) }
      case .rejectedSHA256(let digest):
        let account = accounts.first { account in
          account.copy.map { TokenStore.fullDigest($0.token.revealed) == digest } ?? false
        }
        return account.flatMap { account in account.copy.map { (account, $0.token) } }
      }
    }
  }

  private func pass(
    on request: RefreshRequest, rejected: AccessToken?, _ account: AccountName
  ) async -> Bool {
    let report: Report = rejected.map { .rejected($0) } ?? .force(account)
    if isLeader(at: MonotonicClock.now()) {
      service.post(.reported(report))
      return true
    }
    return await links.send(Hint(report))
  }

  /// How long the account's report waits for a limit: the leader knows, others heard it.
  private func heldUp(_ kept: AccountKeeper, at now: Moment) -> Duration? {
    guard isLeader(at: now) else { return limits.wait(kept.name, at: now) }
    return kept.reports.asked.flatMap { $0.notBefore > now ? $0.notBefore - now : nil }
  }

  private func isLeader(at now: Moment) -> Bool { service.look { $0.keeper.isLeader(at: now) } }

  private func refreshed(_ account: AccountName) -> RefreshedToken {
    service.look { view in
      let expiry = view.keeper[account].flatMap {
        clientExpiry($0, keeper: view.keeper, at: MonotonicClock.now())
      }
      return RefreshedToken(account: account, expiresAt: expiry)
    }
  }

  // MARK: Parts

  private func role(_ view: KeeperService.View, at now: Moment) -> StatusSnapshot.Role {
    if view.isStopping { return .stopping }
    if view.keeper.isLeader(at: now) { return .leader }
    if !view.keeper.storeIsConnected { return .isolated }
    return view.keeper.election.holder == nil ? .candidate : .follower
  }

  private func leader(_ keeper: KeeperView, isLeader: Bool) -> String? {
    if isLeader { return settings.instance.rawValue }
    return keeper.election.holder.map { holder in
      String(holder.prefix { $0 != ":" })
    }
  }

  private func account(
    _ account: AccountKeeper, keeper: KeeperView, isLeader: Bool, at now: Moment
  ) -> StatusSnapshot.Account {
    let tally = journal.tally(account.name)
    let copy = account.statedRemaining(at: now) > .zero ? account.copy : nil
    let expiry = copy.flatMap { _ in clientExpiry(account, keeper: keeper, at: now) }
    let remaining = copy.map {
      account.statedRemaining(at: now) - settings.margins.client(lifetime: $0.lifetime)
    }
    return .init(
      name: account.name, hasToken: copy != nil, expiresAt: expiry,
      remainingSeconds: remaining.map { Int64($0.inSeconds.rounded(.down)) },
      refreshesSucceeded: tally.refreshesSucceeded, refreshesFailed: tally.refreshesFailed,
      lastFailure: tally.lastFailure,
      nextRefreshAt: isLeader
        ? (account.wanted?.notBefore ?? account.refreshAt).map { wallClock($0, from: now) } : nil,
      phase: account.phase.word, fetchedBy: account.fetchedBy)
  }

  /// `WCH_expires_in` of the token in memory: from Redis's own record when it was read, else by
  /// Redis's clock as it was last seen.
  private func clientExpiry(
    _ account: AccountKeeper, keeper: KeeperView, at now: Moment
  ) -> Int64? {
    guard let token = account.freshest(at: now, nobodyFetches: true) else { return nil }
    let margin = settings.margins.client(lifetime: token.lifetime)
    if let copy = account.copy, copy.token == token.token, let stated = account.stated,
      stated.version == copy.version
    {
      return settings.margins.clientExpiry(end: stated.recordedEnd, lifetime: copy.lifetime)
    }
    guard let clock = keeper.redisClock else {
      return wallClock(token.expiresAt - margin, from: now).second
    }
    return (clock.time + (token.expiresAt - margin - clock.at)).milliseconds / 1000
  }

  /// A moment as this machine's wall clock shows it: for people, not for decisions.
  private func wallClock(_ moment: Moment, from now: Moment) -> Timestamp {
    Timestamp(milliseconds: Timestamp.now.milliseconds + (moment - now).wholeMilliseconds)
  }
}

extension FetchFailure {
  /// The failure with what an operator needs to act on it.
  fileprivate var told: String {
    reason + (egressAddress.map { " (WeChat sees \($0))" } ?? "")
  }
}

extension AccountKeeper.Phase {
  /// The state in a word, for `/v1/status`.
  package var word: String {
    switch self {
    case .following: "following"
    case .takingOver: "taking_over"
    case .holding, .looking: "holding"
    case .republishing, .recommitting: "repairing"
    case .beginning, .ready: "beginning"
    case .fetching: "fetching"
    case .committing: "committing"
    case .resolving: "resolving"
    }
  }
}
