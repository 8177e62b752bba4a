package import TokenCore

/// What is different between the settings in use and those that were read again.
///
/// In effect at once: which accounts there are, the log's level, and secrets of whatever is there
/// already. All else is built into what runs, from an account's endpoint to the connections: it
/// waits for a restart.
package struct SettingsChange: Sendable {
  /// Names as in the file, of what is taken at once; of an account that is new or gone its name
  /// only.
  package private(set) var taken: [String] = []
  /// Names of what waits for a restart.
  package private(set) var waiting: [String] = []
  /// Accounts that are to be kept from now on.
  package let added: [Settings.Account]
  /// Accounts that are to be kept no longer.
  package let removed: [AccountName]

  /// - Parameters:
  ///   - known: what was read last.
  ///   - running: what is in use.
  ///   - fresh: what was read now.
  package init(since known: Settings, running: Settings, to fresh: Settings) {
    let (before, after) = (Set(running.accounts.map(\.name)), Set(fresh.accounts.map(\.name)))
    added = fresh.accounts.filter { !before.contains($0.name) }
    removed = running.accounts.map(\.name).filter { !after.contains($0) }
    let moved = before.symmetricDifference(after)
    func isLive(_ name: String) -> Bool {
      if let account = AccountSetting(name)?.account, moved.contains(account) { return true }
      return Self.isLive(name) && Self.hasPlace(name, in: running, for: fresh)
    }
    taken = Self.different(known.effective, fresh.effective).filter(isLive)
    waiting = Self.different(running.effective, fresh.effective).filter { !isLive($0) }
    taken = Self.unique(
      taken.map { name in
        guard let account = AccountSetting(name)?.account, moved.contains(account),
          account != .unnamed
        else { return name }
        return "accounts.\(account)"
      })
  }

  /// Adds a secret that is another one, though it comes from where it came from.
  mutating func add(secret name: String) {
    if !taken.contains(where: { $0 == name || $0 == name + "File" }) { taken.append(name) }
  }

  package var isEmpty: Bool { taken.isEmpty && waiting.isEmpty }

  /// What is taken without a restart.
  private static func isLive(_ name: String) -> Bool {
    if [Setting.logLevel.name, Setting.accountsDir.name].contains(name) { return true }
    let last = AccountSetting(name)?.member ?? name
    return [Setting.appsecret, .redisPassword, .redisSentinelPassword, .httpBearer].contains {
      secret in
      last == secret.name || last == secret.fileTwin?.name
    }
  }

  /// Whether what runs has such a thing at all: a bearer that nobody asked for before, or the
  /// secret of another AppID, is no mere change of a secret.
  private static func hasPlace(_ name: String, in running: Settings, for fresh: Settings) -> Bool {
    if name.hasPrefix(Setting.httpBearer.name) {
      return (running.http.bearer == nil) == (fresh.http.bearer == nil)
    }
    if name.hasPrefix(Setting.redisPassword.name) {
      return (running.redis.password == nil) == (fresh.redis.password == nil)
    }
    if name.hasPrefix(Setting.redisSentinelPassword.name) {
      return (running.redis.sentinelPassword == nil) == (fresh.redis.sentinelPassword == nil)
    }
    guard let account = AccountSetting(name)?.account else { return true }
    func appID(_ settings: Settings) -> String? {
      settings.accounts.first { $0.name == account }?.appID
    }
    return appID(running) == appID(fresh)
  }

  /// The names of what one has otherwise than the other, or not at all.
  private static func different(
    _ before: [Settings.Effective], _ after: [Settings.Effective]
  ) -> [String] {
    func values(_ all: [Settings.Effective]) -> [String: String] {
      Dictionary(all.map { ($0.name, $0.value) }) { first, _ in first }
    }
    let (old, new) = (values(before), values(after))
    return unique((after + before).map(\.name).filter { old[$0] != new[$0] })
  }

  private static func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }
}

/// A setting that is one account's: `accounts.shop.appid`, or `appid` of the unnamed account.
private struct AccountSetting {
  let account: AccountName
  let member: String

  /// The settings that are the unnamed account's alone.
  private static let unnamed: Set<String> = [
    Setting.appid.name, Setting.appsecret.name, Setting.appsecret.name + "File",
    Setting.tickets.name, Setting.outputs.name,
  ]

  init?(_ name: String) {
    guard name.hasPrefix("accounts."), let dot = name.lastIndex(of: ".") else {
      guard Self.unnamed.contains(name) else { return nil }
      (account, member) = (.unnamed, name)
      return
    }
    // A name may have dots of its own.
    let start = name.index(name.startIndex, offsetBy: "accounts.".count)
    guard start < dot, let account = AccountName(String(name[start..<dot])) else { return nil }
    self.account = account
    member = String(name[name.index(after: dot)...])
  }
}

extension Settings {
  /// Takes from fresh ones what may change while the program runs.
  ///
  /// - Parameter known: what was read last.
  /// - Returns: what was taken, and what waits for a restart.
  package mutating func take(_ fresh: Settings, since known: Settings) -> SettingsChange {
    var change = SettingsChange(since: known, running: self, to: fresh)
    for account in accounts {
      guard let other = fresh.accounts.first(where: { $0.name == account.name }),
        other.appID == account.appID, account.secret.take(other.secret)
      else { continue }
      let name = Setting.appsecret.name
      change.add(secret: account.name == .unnamed ? name : "accounts.\(account.name).\(name)")
    }
    if let password = redis.password, let other = fresh.redis.password, password.take(other) {
      change.add(secret: Setting.redisPassword.name)
    }
    if let password = redis.sentinelPassword, let other = fresh.redis.sentinelPassword,
      password.take(other)
    {
      change.add(secret: Setting.redisSentinelPassword.name)
    }
    if let bearer = http.bearer, let other = fresh.http.bearer, bearer.take(other) {
      change.add(secret: Setting.httpBearer.name)
    }
    take(change, of: fresh)
    return change
  }

  /// Has the accounts that there are from now on.
  private mutating func take(_ change: SettingsChange, of fresh: Settings) {
    let moved = Set(change.added.map(\.name) + change.removed)
    guard !moved.isEmpty else { return }
    accounts = (accounts.filter { !moved.contains($0.name) } + change.added)
      .sorted { $0.name < $1.name }
    func isMoved(_ setting: Effective) -> Bool {
      AccountSetting(setting.name).map { moved.contains($0.account) } ?? false
    }
    effective = effective.filter { !isMoved($0) } + fresh.effective.filter(isMoved)
  }
}
