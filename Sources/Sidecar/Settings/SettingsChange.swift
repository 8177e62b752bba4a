import TokenCore

/// What is different between the settings in use and those that were read again.
///
/// In effect at once: the log's level and secrets of whatever is there already. All else is built
/// into what runs, from the keeper's accounts to the connections: it waits for a restart.
package struct SettingsChange: Hashable, Sendable {
  /// Names as in the file, of what is taken at once.
  package private(set) var taken: [String] = []
  /// Names of what waits for a restart; of an account that is new or gone its name only.
  package private(set) var waiting: [String] = []

  /// - Parameters:
  ///   - known: what was read last.
  ///   - running: what the program was started with.
  ///   - fresh: what was read now.
  package init(since known: Settings, running: Settings, to fresh: Settings) {
    taken = Self.different(known.effective, fresh.effective).filter { name in
      Self.isLive(name) && Self.hasPlace(name, in: running, for: fresh)
    }
    waiting = Self.different(running.effective, fresh.effective).filter { name in
      !(Self.isLive(name) && Self.hasPlace(name, in: running, for: fresh))
    }
    let accounts = Set(running.accounts.map(\.name.rawValue))
    let others = Set(fresh.accounts.map(\.name.rawValue))
    waiting = Self.unique(
      waiting.map { name in
        let words = name.split(separator: ".")
        guard words.count == 3, words[0] == "accounts" else { return name }
        let account = String(words[1])
        return accounts.contains(account) == others.contains(account) ? name : "accounts.\(account)"
      })
  }

  /// Adds a secret that is another one, though it comes from where it came from.
  mutating func add(secret name: String) {
    if !taken.contains(where: { $0 == name || $0 == name + "File" }) { taken.append(name) }
  }

  package var isEmpty: Bool { taken.isEmpty && waiting.isEmpty }

  /// What is taken without a restart.
  private static func isLive(_ name: String) -> Bool {
    if name == Setting.logLevel.name { return true }
    let last = String(name.split(separator: ".").last ?? "")
    return [Setting.appsecret, .redisPassword, .redisSentinelPassword, .httpBearer].contains {
      secret in
      last == secret.name || last == secret.fileTwin?.name
    }
  }

  /// Whether what runs has such a thing at all: a bearer that nobody asked for before, or an
  /// account that is not kept, is no mere change of a secret.
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
    guard name != Setting.logLevel.name else { return true }
    let words = name.split(separator: ".")
    let account = words.count == 3 ? AccountName(String(words[1])) : .unnamed
    func appID(_ settings: Settings) -> String? {
      settings.accounts.first { $0.name == account }?.appID
    }
    return appID(running) != nil && appID(running) == appID(fresh)
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

extension Settings {
  /// Takes from fresh ones what may change while the program runs.
  ///
  /// - Parameter known: what was read last.
  /// - Returns: what was taken, and what waits for a restart.
  package func take(_ fresh: Settings, since known: Settings) -> SettingsChange {
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
    return change
  }
}
