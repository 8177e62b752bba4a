import NIOCore
package import TokenCore

/// What the HTTP interface tells, read from the keeper's last state.
package struct KeeperStatus: StatusSource {
  let inbox: KeeperInbox
  let journal: Journal
  let center: HealthCenter
  let links: RedisLinks
  let weChat: WeChatClient
  let events: EventLog
  let endpoint: String
  let accounts: KeptAccounts
  let settings: Settings
  let version: String
  let startedAt: Timestamp
  /// Where waiting requests have their time limits: the loop of those who ask.
  let timers: any EventLoop
  let waiters = Places(KeeperStatus.mostWaiting)
  /// Redis may take its time for each, and takes no more than a thousand commands at once.
  let passing = Places(KeeperStatus.mostWaiting)

  /// A request for a refresh waits at most this long (HTTP.md#overview).
  static let longestWait: Duration = .seconds(10)
  /// How often a waiting request looks though nothing rang: what it waits for may also be that a
  /// lease or a limit is over, which is no event.
  static let look: TimeAmount = .seconds(1)
  /// More requests than these do not wait: what they ask for is done all the same.
  static let mostWaiting = 64

  /// - Parameter timers: the event loop of those who ask.
  init(
    _ parts: Parts, settings: Settings, version: String, startedAt: Timestamp,
    timers: any EventLoop
  ) {
    self.timers = timers
    inbox = parts.inbox
    journal = parts.journal
    center = parts.health
    links = parts.links
    weChat = parts.weChat
    events = parts.events
    endpoint = parts.endpoint
    accounts = parts.accounts.kept
    self.settings = settings
    self.version = version
    self.startedAt = startedAt
  }

  package func snapshot() -> StatusSnapshot {
    let view = inbox.view
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
        }, endpoint: endpoint, sentinels: links.sentinels, cluster: links.cluster),
      weChat: .init(
        clockSkewSeconds: weChat.clockSkew.map { Int64($0.inSeconds.rounded()) },
        hosts: settings.apiURLs.map(\.text)),
      accounts: keeper.accounts.map { account($0, keeper: keeper, isLeader: isLeader, at: now) },
      conditions: center.conditions(), others: center.others(), timeline: events.all)
  }

  package func health(_ check: HealthCheck) -> Health {
    // What is wrong is judged with a look of its own.
    guard check != .ready else { return readiness }
    return inbox.look { health(check, $0) }
  }

  func health(_ check: HealthCheck, _ view: KeeperInbox.View) -> Health {
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
    return inbox.look { view in
      let count = view.keeper.accounts.count
      let role = view.keeper.isLeader(at: MonotonicClock.now()) ? "leads" : "follows"
      return "all is well: \(role), \(count) account\(count == 1 ? "" : "s")"
    }
  }

  var readiness: Health {
    guard let readiness = readiness(of: nil) else { return .bad("there is no account") }
    return readiness.isReady ? .good(readiness.detail) : .bad(readiness.detail)
  }

  package func readiness(of account: AccountName?) -> Readiness? {
    let names = accounts.names
    if let account, !names.contains(account) { return nil }
    return Readiness(
      of: account.map { .all([$0]) } ?? settings.ready, accounts: names,
      conditions: center.conditions(withPending: true))
  }

  package func token(of account: CredentialID) -> TokenAnswer {
    let answer = inbox.look { token(of: account, $0.keeper) }
    guard case .none(let reason, let retryAfter, _) = answer else { return answer }
    // Every surface says it in the same words.
    guard
      let condition = center.conditions(withPending: true).first(where: {
        $0.account == account && ($0.kind == .noToken || $0.preventsReading)
      })
    else { return answer }
    let words = condition.sentence(.english)
    return .none(
      reason: condition.kind == .noToken ? words : "\(words); \(reason)", retryAfter: retryAfter,
      condition: condition)
  }

  func token(of account: CredentialID, _ keeper: KeeperView) -> TokenAnswer {
    guard let kept = keeper[account] else { return .unknownAccount }
    let now = MonotonicClock.now()
    guard let token = kept.freshest(at: now, nobodyFetches: keeper.nobodyFetches) else {
      let isHeld = kept.copy.map { $0.remaining(at: now) > .zero } ?? false
      return .none(
        reason: isHeld
          ? "the \(account.noun) of account \(account) may have been replaced: this replica has not"
            + " seen for minutes that Redis still has it"
          : "no live \(account.noun) is known for account \(account)",
        retryAfter: settings.timing.retry)
    }
    let expiry = clientExpiry(kept, keeper: keeper, at: now) ?? 0
    let left = token.expiresAt - kept.margins.client(lifetime: token.lifetime) - now
    return .token(
      token.token, expiresAt: expiry, expiresIn: max(0, Int64(left.inSeconds)))
  }

  package func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    let deadline = ContinuousClock.now + KeeperStatus.longestWait
    let start = Start()
    guard let (subject, rejected) = subject(of: request) else {
      // A token that nobody has now was replaced before: its reader should read again.
      let named =
        request.account
        ?? (accounts.names.count == 1 ? accounts.names.first.map { CredentialID($0) } : nil)
      guard let named, inbox.account(named) != nil else { return .unknownAccount }
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
    let bell = inbox.bell(for: account)
    defer { inbox.giveBack(bell) }
    if let answer = outcome(for: subject, request, since: start) { return answer }
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
      if let answer = outcome(for: subject, request, since: start) { return answer }
    }
    return unanswered(account, since: start)
  }

  /// When a request began, by both clocks.
  struct Start {
    let moment = MonotonicClock.now()
    let wall = Timestamp.now
  }

  /// What became of a request; nil while nothing has.
  func outcome(
    for subject: AccountKeeper, _ request: RefreshRequest, since start: Start
  ) -> RefreshAnswer? {
    let account = subject.name
    guard let kept = inbox.account(account) else { return .unknownAccount }
    // WeChat may repeat the token that it was to replace: that is no refresh.
    if let copy = kept.copy, copy.token != subject.copy?.token {
      let token = refreshed(account)
      let wasAskedFor = request.reason == .force && subject.wanted?.isBackoff ?? false
      return subject.isAnotherTokenDue && !wasAskedFor ? .coalesced(token) : .refreshed(token)
    }
    let now = MonotonicClock.now()
    if let wait = heldUp(kept, at: now) {
      return .limited(
        account: account, retryAfter: wait,
        reason: "reports of this account are limited; this one is kept and served then")
    }
    if let wanted = kept.wanted, wanted.notBefore > now + KeeperStatus.longestWait {
      // An old refusal is no answer to who insists: for that WeChat is asked once more.
      if request.reason == .force, kept.insistence(at: now) != nil,
        kept.failures.lastAt.map({ $0 < start.moment }) ?? true
      {
        return nil
      }
      return .unavailable(
        reason: told(kept, at: now) ?? "the refresh is held up",
        retryAfter: wanted.notBefore - now, errorCode: kept.failures.last?.code,
        condition: failing(account))
    }
    return nil
  }

  /// That WeChat gives the account no token, in the words of every other surface.
  func failing(_ account: CredentialID) -> Condition? {
    center.conditions(withPending: true).first {
      $0.kind == .refreshFailing && $0.account == account
    }
  }

  /// The last refusal, when it came, and when WeChat is asked again.
  func told(_ kept: AccountKeeper, at now: Moment) -> String? {
    guard let last = kept.failures.last else { return nil }
    let said = kept.failures.lastAt.map { Self.ago(now - $0) }
    let again = kept.wanted.map { "WeChat is asked again in \(($0.notBefore - now).roughly)" }
    return ([last.told] + [said, again].compactMap(\.self)).joined(separator: "; ")
  }

  static func ago(_ age: Duration) -> String {
    age < .seconds(1) ? "it said so just now" : "it said so \(age.roughly) ago"
  }

  /// What keeps a fetch of the leader from its token that has not failed.
  private func hindrance(to account: CredentialID, _ kept: AccountKeeper?) -> (String, Condition?) {
    if case .fetch? = kept?.work { return ("WeChat has not answered yet", nil) }
    // Redis comes first: without its consent nobody is asked.
    let standing = center.conditions(withPending: true).first {
      $0.stopsFetches && ($0.account ?? account) == account
    }
    return (standing?.sentence(.english) ?? "WeChat has not been asked yet", standing)
  }

  /// What keeps a request from being served that has waited in vain, as far as it is known here.
  func unanswered(_ account: CredentialID, since start: Start) -> RefreshAnswer {
    let limit = Int(KeeperStatus.longestWait.inSeconds)
    let waited = "no new \(account.noun) within \(limit) seconds: "
    let state = links.state
    guard state.isConnected else {
      return .unavailable(
        reason: "\(waited)Redis cannot be reached from this replica"
          + " (\(state.lastError ?? "no connection"))", retryAfter: settings.timing.retry)
    }
    let now = MonotonicClock.now()
    let kept = inbox.account(account)
    let isLeader = isLeader(at: now)
    let last = journal.tally(account).lastFailure
    let isFailing = isLeader && (kept?.failures.inARow ?? 0) > 0
    if let last, isFailing || last.at.milliseconds >= start.wall.milliseconds {
      // Who could not reach WeChat may lead no longer; what it met is known all the same.
      let age = Duration.milliseconds(Timestamp.now.milliseconds - last.at.milliseconds)
      return .unavailable(
        reason: "\(waited)\(last.reason); \(Self.ago(age)), and WeChat is asked again",
        retryAfter: kept?.wanted.map { $0.notBefore - now } ?? settings.timing.retry,
        errorCode: last.code, condition: failing(account))
    }
    if isLeader {
      let (reason, condition) = hindrance(to: account, kept)
      return .unavailable(
        reason: waited + reason, retryAfter: settings.timing.retry, condition: condition)
    }
    guard let leader = inbox.look({ leader($0.keeper, isLeader: false) }) else {
      return .unavailable(
        reason: "\(waited)no replica leads", retryAfter: settings.timing.retry)
    }
    // What the leader met stands in its heartbeat.
    if let failing = failing(account) {
      let said = failing.facts.lastAt.map { lastAt in
        Self.ago(.seconds(max(0, Timestamp.now.second - lastAt.second)))
      }
      return .unavailable(
        reason: "\(waited)the leader \(leader) says: "
          + ([failing.facts.reason ?? failing.kind.title(.english), said].compactMap(\.self))
          .joined(separator: "; "),
        retryAfter: KeeperStatus.longestWait, errorCode: failing.facts.code,
        condition: failing)
    }
    return .unavailable(
      reason: "\(waited)the leader \(leader) has told of none; its log and status page say why",
      retryAfter: KeeperStatus.longestWait)
  }

  /// The account and the token that a request is about; nil when the token is not a current one.
  func subject(of request: RefreshRequest) -> (AccountKeeper, AccessToken?)? {
    inbox.look { view in
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

  func pass(
    on request: RefreshRequest, rejected: AccessToken?, _ account: CredentialID
  ) async -> Bool {
    let report: Report = rejected.map { .rejected($0) } ?? .force(account)
    if isLeader(at: MonotonicClock.now()) {
      inbox.post(.reported(report))
      return true
    }
    return await links.send(ReportItem(report))
  }

  /// How long the account's report waits for a limit: the leader knows, others heard it.
  func heldUp(_ kept: AccountKeeper, at now: Moment) -> Duration? {
    guard isLeader(at: now) else { return inbox.limits.wait(kept.name, at: now) }
    return kept.reports.asked.flatMap { $0.notBefore > now ? $0.notBefore - now : nil }
  }

  func isLeader(at now: Moment) -> Bool { inbox.look { $0.keeper.isLeader(at: now) } }

  func refreshed(_ account: CredentialID) -> RefreshedToken {
    inbox.look { view in
      let expiry = view.keeper[account].flatMap {
        clientExpiry($0, keeper: view.keeper, at: MonotonicClock.now())
      }
      return RefreshedToken(account: account, expiresAt: expiry)
    }
  }
}
