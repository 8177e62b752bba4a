package import TokenCore

/// Judges what is wrong: a pure function of the keeper and what is known beside it.
///
/// It costs one look at every account and at what every other replica says.
package struct Assessment {
  private let keeper: KeeperView
  let known: Observation
  /// Since when something is so that has no date of its own.
  private let remembered: (Condition.Identity) -> HealthBook.Met?

  /// A token that was seen in Redis this recently makes a replica ready.
  static let recently: Duration = .seconds(60)
  /// A replica that has just started is not yet without a token, only without a look.
  static let startingUp: Duration = .seconds(10)
  /// Clocks that differ by more are worth a word: `Date` has whole seconds, and an answer is some
  /// on its way.
  static let noticeableSkew: Duration = .seconds(5)
  /// A replica says every ten seconds that it lives, and this one looks as often: one that lives
  /// may have been heard twenty seconds ago.
  static let silence: Duration = Timing.followerLook * 3
  /// A single early death is no news after so long.
  static let chance: Duration = .seconds(1800)
  /// While Redis is away for less, it may be a restart or a fail-over.
  static let failOver: Duration = .seconds(30)
  /// A replica with other accounts may be one of a roll-out under way.
  static let rollOut: Duration = .seconds(60)
  /// A connection that is missed for less is being made anew.
  static let reconnecting: Duration = .seconds(5)
  /// Steps that fail within less fail for one pause of Redis: each is tried again within seconds.
  static let hiccup: Duration = .seconds(5)
  /// A lock of another AppID whose token is over is taken over within moments.
  static let changingHands: Duration = .seconds(3)
  /// The loop looks at everything with each tick; without an event for so many it does not run.
  static let missedTicks = 3

  package init(
    _ keeper: KeeperView, _ known: Observation,
    remembered: @escaping (Condition.Identity) -> HealthBook.Met? = { _ in nil }
  ) {
    self.keeper = keeper
    self.known = known
    self.remembered = remembered
  }

  /// Everything that is wrong, worst first, pending conditions included.
  package var conditions: [Condition] {
    var found = replica + heard
    // That nobody leads comes from something itself, where this replica knows of it.
    let general = found.filter { $0.account == nil && $0.stopsFetches && !$0.isPending }
      .max { a, b in
        (a.kind == .noLeader) != (b.kind == .noLeader)
          ? a.kind == .noLeader : a.severity < b.severity
      }
    let failing = Dictionary(
      found.filter { $0.kind == .refreshFailing }.compactMap { condition in
        condition.account.map { ($0, condition) }
      }, uniquingKeysWith: { first, _ in first })
    let unserved = Dictionary(
      found.filter { $0.kind == .accountsDiffer }.compactMap { condition in
        condition.account.map { ($0, condition) }
      }, uniquingKeysWith: { first, _ in first })
    for account in keeper.accounts {
      let own = judged(account)
      let cause =
        own.first { $0.kind == .refreshFailing } ?? failing[account.name] ?? unserved[account.name]
        ?? own.first { $0.kind == .foreignApp || $0.kind == .newerLayout } ?? general
      for var condition in own {
        // What happened to the account is said where it is missed.
        if condition.kind == .noToken || condition.kind == .tokenLapsing, let cause {
          condition.facts.cause = cause.kind
          condition.facts.code = cause.facts.code
          condition.facts.reason = cause.facts.reason
          condition.facts.requestID = cause.facts.requestID
          condition.facts.address = cause.facts.address
          condition.facts.nextAt = cause.facts.nextAt
          condition.facts.count = cause.facts.count
        }
        found.append(condition)
      }
    }
    // What this replica knows itself comes before what it heard.
    var seen: Set<Condition.Identity> = []
    found = (found.filter { $0.observer == nil } + found.filter { $0.observer != nil })
      .filter { seen.insert($0.identity).inserted }
    return found.map(lasting).sorted(by: Condition.isTold)
  }

  /// The condition since it was met first: who leads from now on, or the next attempt, may have a
  /// date of its own.
  private func lasting(_ condition: Condition) -> Condition {
    var condition = condition
    condition.facts.question = known.question(of: condition.account)
    if let met = remembered(condition.identity) {
      condition.since = min(condition.since, met.since)
    }
    return condition
  }

  // MARK: One account

  private func judged(_ account: AccountKeeper) -> [Condition] {
    var found: [Condition] = []
    let remaining = account.statedRemaining(at: known.now)
    if remaining > .zero, let copy = account.copy {
      let client = account.margins.client(lifetime: copy.lifetime)
      if remaining < client {
        found.append(
          condition(
            .tokenLapsing, remaining < client / 4 ? .critical : .error, account.name,
            at: account.statedEnd.map { $0 - client }
          ) { $0.endsAt = account.statedEnd.map(known.wallClock) })
      }
      let age = known.now - copy.seenAt
      if age >= Self.recently {
        found.append(
          condition(.tokenUnseen, .error, account.name, at: copy.seenAt) {
            $0.lastAt = known.wallClock(copy.seenAt)
            $0.endsAt = account.statedEnd.map(known.wallClock)
          })
      }
    } else {
      var missing = condition(.noToken, .critical, account.name, at: account.statedEnd) {
        $0.endsAt = account.statedEnd.map(known.wallClock)
      }
      // It has just come, with the process or after it.
      missing.isPending =
        account.copy == nil && account.failures.inARow == 0
        && isYoung(missing, Self.startingUp)
      found.append(missing)
    }
    if let failing = failing(account) { found.append(failing) }
    if known.isLeader, let asked = account.reports.asked, asked.notBefore > known.now {
      found.append(
        condition(.reportHeld, .warning, account.name, at: nil) {
          $0.nextAt = known.wallClock(asked.notBefore)
        })
    }
    if let foreign = foreign(account) { found.append(foreign) }
    if account.isRefused, let conflict = keeper.conflict {
      found.append(refused(conflict, account.name))
    }
    return found
  }

  private func failing(_ account: AccountKeeper) -> Condition? {
    let failures = account.failures
    // Another token since then is somebody's success.
    guard failures.inARow > 0, failures.published == account.copy?.version,
      let last = failures.last
    else { return nil }
    let severity: Condition.Severity =
      switch last.category {
      case .transient, .rate: .warning
      case .operator, .configuration, .quota: last.retriesSoon ? .warning : .error
      }
    return condition(.refreshFailing, severity, account.name, at: failures.since) {
      $0.code = last.code
      $0.reason = Self.cut(last.reason)
      $0.requestID = last.requestID
      $0.address = last.egressAddress
      $0.count = failures.inARow
      $0.lastAt = failures.lastAt.map(known.wallClock)
      $0.nextAt = account.wanted.map { known.wallClock($0.notBefore) }
      $0.endsAt = account.statedEnd.map(known.wallClock)
    }
  }

  private func foreign(_ account: AccountKeeper) -> Condition? {
    let deaths = account.earlyDeaths.filter { known.now - $0 <= AccountKeeper.deathMemory }
    guard let first = deaths.first, let last = deaths.last,
      deaths.count > 1 || known.now - last < Self.chance
    else { return nil }
    return condition(
      .foreignRefresh, deaths.count > 1 ? .error : .notice, account.name, at: first
    ) {
      $0.count = deaths.count
      $0.lastAt = known.wallClock(last)
    }
  }

  private func refused(_ conflict: Conflict, _ account: CredentialID?) -> Condition {
    guard case .newerLayout(let layout) = conflict else {
      var condition = condition(.foreignApp, .error, account, at: nil) { facts in
        if case .foreignApp(let remaining?) = conflict {
          facts.endsAt = known.wallClock(known.now + remaining)
        }
      }
      condition.isPending = isYoung(condition, Self.changingHands)
      return condition
    }
    return condition(.newerLayout, .error, account, at: nil) { $0.count = layout }
  }

  // MARK: This replica

  private var replica: [Condition] {
    var found =
      redis
      + known.files.map { file in
        condition(file.kind, .warning, nil, since: file.since) {
          $0.subject = file.subject
          $0.reason = Self.cut(file.reason)
        }
      }
    found += known.outputs.map(judged)
    if let handledAt = known.handledAt {
      let age = known.now - handledAt
      if age >= known.timing.tick * Self.missedTicks {
        found.append(condition(.loopStalled, .critical, nil, at: handledAt))
      }
    }
    if let conflict = keeper.conflict, !keeper.accounts.contains(where: \.isRefused) {
      found.append(refused(conflict, nil))
    }
    if let holder = keeper.endlessHolder {
      found.append(
        condition(.lockEndless, .error, nil, at: nil) {
          $0.reason = String(holder.prefix { $0 != ":" }.prefix(64))
        })
    } else if keeper.storeIsConnected, !known.isLeader, keeper.election.holder == nil {
      var condition = condition(.noLeader, .error, nil, at: nil)
      condition.isPending = isYoung(condition, known.timing.lease + known.timing.retry * 2)
      found.append(condition)
    }
    if keeper.isNamesake {
      found.append(condition(.sharedName, .warning, nil, at: nil) { $0.instance = known.instance })
    }
    if let skew = known.clockSkew, max(skew, .zero - skew) > Self.noticeableSkew {
      found.append(
        condition(.clockOff, .warning, nil, at: nil) { $0.count = Int(skew.inSeconds.rounded()) })
    }
    return found
  }

  private var redis: [Condition] {
    var found: [Condition] = []
    let commands = known.links.first { $0.link == .commands }?.state
    if let commands, !commands.isConnected, let since = commands.since {
      var away = condition(commands.trouble, .error, nil, since: since) {
        $0.reason = commands.lastError.map(Self.cut)
      }
      if away.kind == .redisAway, isYoung(away, Self.failOver) { away.severity = .warning }
      // The first attempt is under way.
      away.isPending =
        commands.lastError == nil && known.now - known.startedAt < Self.startingUp
      found.append(away)
    }
    // What lasts comes before what may be over: both may have one name.
    for step in known.steps.sorted(by: { $0.span > $1.span })
    where !found.contains(where: { $0.kind == step.kind.condition }) {
      // Without a connection no step can succeed: that is said already.
      guard step.kind != .transport || commands?.isConnected ?? true else { continue }
      let isUnnamed = step.kind.condition == .redisStep
      var failing = condition(
        step.kind.condition, isUnnamed ? .warning : .error, nil, since: step.since
      ) {
        $0.reason = Self.cut(step.reason)
        $0.count = step.count
      }
      // A refusal stays until somebody mends it; what was answered late once, or by many at once
      // while Redis stood still, is made up for by the next attempt.
      failing.isPending = isUnnamed && step.span < Self.hiccup
      found.append(failing)
    }
    guard commands?.isConnected ?? false else { return found }
    found += known.absentKeys.map(judged)
    if let sentinels = known.sentinels, let failure = sentinels.failure {
      var unknown = condition(.primaryUnknown, .warning, nil, since: sentinels.failingSince) {
        $0.reason = Self.cut("\(failure)")
      }
      unknown.isPending = isYoung(unknown, SentinelState.unheard)
      found.append(unknown)
    }
    if let trouble = known.cluster?.trouble {
      var open = condition(.slotsUnserved, .error, nil, at: nil) { $0.reason = Self.cut(trouble) }
      // The map of a cluster that is being changed is a moment old.
      open.isPending = isYoung(open, Self.hiccup)
      found.append(open)
    }
    for (link, state) in known.links where link != .commands && state.isOfNoUse {
      // Nobody can do anything about what Redis does not have; it is known what is done instead.
      var lame = condition(
        .connectionLame, state.lacksCommand ? .notice : .warning, nil,
        since: state.since ?? known.wall
      ) {
        $0.subject = link.rawValue
        $0.reason = state.lastError.map(Self.cut)
      }
      lame.isPending = isYoung(lame, Self.reconnecting)
      found.append(lame)
    }
    return found
  }

  // MARK: What others say

  private var heard: [Condition] {
    var found: [Condition] = []
    let names = Set(keeper.accounts.map(\.name))
    // The leader knows best, then who spoke last.
    let others = known.others.sorted {
      $0.isLeader != $1.isLeader ? $0.isLeader : $0.age < $1.age
    }
    for other in others {
      guard other.age < Self.silence else {
        found.append(
          condition(.replicaSilent, .notice, nil, at: known.now - other.age) {
            $0.instance = other.instance
            $0.lastAt = known.wallClock(known.now - other.age)
          })
        continue
      }
      guard let report = other.report else { continue }
      for var condition in report.conditions where condition.kind.isLeadersToTell {
        // Who leads knows by itself what WeChat says, once it has asked.
        guard !known.isLeader || !condition.kind.isOfLead || isUnrefuted(condition) else {
          continue
        }
        guard condition.account.map(names.contains) ?? true else { continue }
        condition.observer = other.instance
        found.append(condition)
      }
      // Who led when it was heard last may lead no longer.
      if other.isLeader, !known.isLeader, !report.accounts.isEmpty,
        report.accounts != known.accounts.digest
      {
        for account in [nil] + unserved(by: other, report) {
          var condition = condition(
            .accountsDiffer, account == nil ? .warning : .error, account, at: nil
          ) { $0.instance = other.instance }
          condition.isPending = isYoung(condition, Self.rollOut)
          found.append(condition)
        }
      }
    }
    return found
  }

  /// The accounts of this replica that nobody refreshes: the leader does not keep them.
  private func unserved(by other: Observation.Heard, _ report: HealthReport) -> [CredentialID] {
    guard let marks = report.marks,
      keeper.election.holder?.hasPrefix("\(other.instance):") ?? true
    else { return [] }
    return known.accounts.missing(in: marks)
  }

  /// Whether what the leader before met still is so: WeChat has given this one no token since it
  /// leads, and that one, which would see another token, says so still.
  private func isUnrefuted(_ condition: Condition) -> Bool {
    guard condition.kind == .refreshFailing, let account = condition.account.flatMap({ keeper[$0] })
    else { return false }
    return account.copy.map { $0.version.epoch != keeper.election.leadership?.epoch } ?? true
  }

  // MARK: Making one

  func condition(
    _ kind: Condition.Kind, _ severity: Condition.Severity, _ account: CredentialID?,
    at moment: Moment?, _ fill: (inout Condition.Facts) -> Void = { _ in }
  ) -> Condition {
    condition(kind, severity, account, since: moment.map(known.wallClock), fill)
  }

  func condition(
    _ kind: Condition.Kind, _ severity: Condition.Severity, _ account: CredentialID?,
    since: Timestamp?, _ fill: (inout Condition.Facts) -> Void = { _ in }
  ) -> Condition {
    var facts = Condition.Facts()
    fill(&facts)
    var condition = Condition(
      kind, severity, account: account, since: since ?? known.wall, facts: facts)
    if since == nil, let remembered = remembered(condition.identity) {
      condition.since = remembered.since
    }
    return condition
  }

  /// Whether it was met that lately: by no clock that NTP or a person may set back, or it would be
  /// kept from people for as long.
  func isYoung(_ condition: Condition, _ span: Duration) -> Bool {
    remembered(condition.identity).map { known.now - $0.at < span } ?? true
  }

  static func cut(_ text: String) -> String {
    let most = Condition.Facts.longestReason
    return text.utf8.count <= most
      ? text : String(decoding: text.utf8.prefix(most), as: UTF8.self) + "…"
  }
}
