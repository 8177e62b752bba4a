/// Something that happens to an app from outside: an operator's act, or another environment that
/// uses the same AppSecret.
public enum OperatorEvent: Sendable {
  /// The list of addresses is edited; nil switches it off.
  case allowAddresses([String]?)
  case secretState(AppSettings.SecretState)
  /// The AppSecret is replaced; whether live tokens die with it is unconfirmed.
  case resetSecret(String, killsTokens: Bool)
  case accountState(AppSettings.AccountState)
  case confirmation(AppSettings.AdministratorConfirmation)
  /// The current token of that kind dies early.
  case killCurrentToken(TokenKind)
  /// Another environment calls `/cgi-bin/token`, within the quota that it shares.
  case foreignToken
  /// Another environment forces `/cgi-bin/stable_token`, by the rules that hold for all.
  case foreignForce
  /// The day's quota of the path is used up.
  case exhaustQuota(path: String)
  /// The minute's quota of the path is used up.
  case exhaustMinute(path: String)
}

/// Something to come.
struct ScheduledEvent: Sendable {
  enum Occurrence: Sendable {
    case event(OperatorEvent, appID: String)
    /// The token that the WeCom app has then dies.
    case tokenKill(CorpApp.ID)
  }

  let time: Milliseconds
  let occurrence: Occurrence
}

extension WeChatModel {
  /// Lets the event happen at that time, or at the next call when it is past.
  ///
  /// Edits of WeChat's console act late: an address list after 1 to 10 minutes, a frozen secret
  /// after about 10.
  public mutating func schedule(_ event: OperatorEvent, for appID: String, at time: Milliseconds) {
    schedule(.event(event, appID: appID), at: time)
  }

  mutating func schedule(_ occurrence: ScheduledEvent.Occurrence, at time: Milliseconds) {
    let place = pending.firstIndex { $0.time > time } ?? pending.count
    pending.insert(ScheduledEvent(time: time, occurrence: occurrence), at: place)
  }

  /// Lets the event happen now.
  public mutating func apply(_ event: OperatorEvent, to appID: String, at now: Milliseconds) {
    guard apps[appID] != nil else { return }
    switch event {
    case .allowAddresses(let addresses): apps[appID]?.settings.allowedAddresses = addresses
    case .secretState(let state): apps[appID]?.settings.secretState = state
    case .resetSecret(let secret, let killsTokens):
      apps[appID]?.settings.secret = secret
      if killsTokens { TokenKind.allCases.forEach { killAll($0, of: appID, at: now) } }
    case .accountState(let state): apps[appID]?.settings.accountState = state
    case .confirmation(let confirmation): apps[appID]?.settings.confirmation = confirmation
    case .killCurrentToken(let kind): killCurrent(kind, of: appID, at: now)
    case .foreignToken:
      let path = "/cgi-bin/token"
      guard !isExhausted(path, of: appID, at: now) else { return }
      count(path, of: appID, at: now)
      _ = mint(.legacy, for: appID, at: now)
    case .foreignForce:
      let path = "/cgi-bin/stable_token"
      guard !isExhausted(path, of: appID, at: now) else { return }
      count(path, of: appID, at: now)
      _ = stableRecord(of: appID, forced: true, at: now)
    case .exhaustQuota(let path):
      guard let settings = apps[appID]?.settings else { return }
      let (limit, today) = (dailyQuota(of: path, settings), day(now))
      apps[appID]?.usage[path, default: PathUsage()].day.set(limit, on: today)
    case .exhaustMinute(let path):
      let (limit, thisMinute) = (apps[appID]?.settings.minuteQuota ?? 0, minute(now))
      apps[appID]?.usage[path, default: PathUsage()].minute.set(limit, on: thisMinute)
    }
  }

  private mutating func killCurrent(_ kind: TokenKind, of appID: String, at now: Milliseconds) {
    guard let token = apps[appID]?.slots[kind]?.current else { return }
    replace(token, at: now)
    apps[appID]?.slots[kind]?.current = nil
  }

  /// Ends the current token and those in their grace.
  private mutating func killAll(_ kind: TokenKind, of appID: String, at now: Milliseconds) {
    killCurrent(kind, of: appID, at: now)
    for token in apps[appID]?.slots[kind]?.previous ?? [] { replace(token, at: now) }
    apps[appID]?.slots[kind]?.previous = []
  }
}
