import TokenCore

/// What the status is made of.
extension KeeperStatus {
  func role(_ view: KeeperInbox.View, at now: Moment) -> StatusSnapshot.Role {
    if view.isStopping { return .stopping }
    if view.keeper.isLeader(at: now) { return .leader }
    if !view.keeper.storeIsConnected { return .isolated }
    return view.keeper.election.holder == nil ? .candidate : .follower
  }

  func leader(_ keeper: KeeperView, isLeader: Bool) -> String? {
    if isLeader { return settings.instance.rawValue }
    return keeper.election.holder.map { holder in
      String(holder.prefix { $0 != ":" })
    }
  }

  func account(
    _ account: AccountKeeper, keeper: KeeperView, isLeader: Bool, at now: Moment
  ) -> StatusSnapshot.Account {
    let tally = journal.tally(account.name)
    let configured = accounts[account.name.account]
    let copy = account.statedRemaining(at: now) > .zero ? account.copy : nil
    let expiry = copy.flatMap { _ in clientExpiry(account, keeper: keeper, at: now) }
    let remaining = copy.map {
      account.statedRemaining(at: now) - account.margins.client(lifetime: $0.lifetime)
    }
    return .init(
      name: account.name, hasToken: copy != nil, expiresAt: expiry,
      remainingSeconds: remaining.map { Int64($0.inSeconds.rounded(.down)) },
      refreshesSucceeded: tally.refreshesSucceeded, refreshesFailed: tally.refreshesFailed,
      lastFailure: tally.lastFailure,
      nextRefreshAt: isLeader
        ? (account.wanted?.notBefore ?? account.refreshAt).map { wallClock($0, from: now) } : nil,
      phase: account.work.word, fetchedBy: account.published.fetchedBy,
      life: copy.flatMap { life(of: account, $0, at: now) },
      appID: configured.map { Self.shortened($0.appID) }, api: configured?.api)
  }

  func life(
    of account: AccountKeeper, _ copy: Copy, at now: Moment
  ) -> StatusSnapshot.Life? {
    guard let end = account.statedEnd, let refreshAt = account.refreshAt else { return nil }
    return .init(
      bornAt: wallClock(copy.expiresAt - copy.lifetime, from: now),
      refreshAt: wallClock(refreshAt, from: now),
      trustedUntil: wallClock(
        end - account.margins.client(lifetime: copy.lifetime), from: now),
      endsAt: wallClock(end, from: now), seenAt: wallClock(copy.seenAt, from: now))
  }

  /// So many characters at each end tell one AppID from another.
  static let shownOfAppID = 6

  static func shortened(_ appID: String) -> String {
    guard appID.count > shownOfAppID * 2 else { return appID }
    return "\(appID.prefix(shownOfAppID))…\(appID.suffix(shownOfAppID))"
  }

  /// `WCH_expires_in` of the token in memory: from Redis's own record when it was read, else by
  /// Redis's clock as it was last seen.
  func clientExpiry(
    _ account: AccountKeeper, keeper: KeeperView, at now: Moment
  ) -> Int64? {
    keeper.clientExpiry(of: account, at: now)
  }

  /// A moment as this machine's wall clock shows it: for people, not for decisions.
  func wallClock(_ moment: Moment, from now: Moment) -> Timestamp {
    Timestamp(milliseconds: Timestamp.now.milliseconds + (moment - now).wholeMilliseconds)
  }
}

extension KeeperView {
  /// Until when clients trust what an account has in memory; nil when that is not sure to live.
  func clientExpiry(of account: AccountKeeper, at now: Moment) -> Int64? {
    guard let token = account.freshest(at: now, nobodyFetches: true) else { return nil }
    let margin = account.margins.client(lifetime: token.lifetime)
    if let copy = account.copy, copy.token == token.token, let stated = account.stated,
      stated.version == copy.version
    {
      return account.margins.clientExpiry(end: stated.recordedEnd, lifetime: copy.lifetime)
    }
    guard let clock = redisClock else {
      let left = token.expiresAt - margin - now
      return (Timestamp.now.milliseconds + left.wholeMilliseconds) / 1000
    }
    return (clock.time + (token.expiresAt - margin - clock.at)).milliseconds / 1000
  }
}

extension FetchFailure {
  /// The failure with what an operator needs to act on it.
  var told: String {
    reason + (egressAddress.map { " (WeChat sees \($0))" } ?? "")
  }
}

extension Duration {
  /// The duration for people: seconds, and minutes once there are some.
  var roughly: String {
    let seconds = max(1, Int64(inSeconds.rounded()))
    return seconds < 120 ? "\(seconds) s" : "\(seconds / 60) min"
  }
}

extension Work {
  /// The state in a word, for `/v1/status`.
  package var word: String {
    switch self {
    case .follow: "following"
    case .takeOver: "taking_over"
    case .hold, .look: "holding"
    case .republish, .recommit: "repairing"
    case .begin, .waitForLease: "beginning"
    case .fetch: "fetching"
    case .commit: "committing"
    case .resolve: "resolving"
    }
  }
}
