package import TokenCore

/// What it takes to read a deployment's keys in Redis, while no daemon can be asked.
package struct RedisSettings: Sendable {
  package let redis: Settings.Redis
  /// The AppIDs of the accounts that the settings name, and of their tickets, as far as they can be
  /// read.
  package let accounts: [CredentialID: String]

  package var keyPrefix: String { redis.keyPrefix }

  /// The settings that are read, beside the accounts' names and AppIDs.
  package static let settings: [Setting] = [
    .config, .redisUrl, .redisUsername, .redisPassword, Setting.redisPassword.fileTwin,
    .redisSentinelPassword, Setting.redisSentinelPassword.fileTwin, .keyPrefix,
    .redisConnectTimeout,
  ].compactMap(\.self)

  /// Reads only what concerns Redis, and which accounts there are.
  ///
  /// - Throws: `SettingsError` with every problem of these at once.
  package static func load(
    arguments: [String], otherFlags: [String] = [], environment: [String: String],
    readFile: @escaping FileReader = RegularFile.read,
    listFiles: DirectoryReader = SmallDirectory.names
  ) throws(SettingsError) -> RedisSettings {
    let all = SettingsSources(
      arguments: arguments, otherFlags: otherFlags, environment: environment, readFile: readFile,
      listFiles: listFiles)
    var reader = SettingsReader(sources: all.concerning(settings), readFile: readFile)
    let redis = reader.redis()
    guard reader.problems.isEmpty else { throw SettingsError(problems: reader.problems) }
    var accounts: [CredentialID: String] = [:]
    func add(_ name: AccountName?, _ appID: Given?, tickets: Given?) {
      guard let name, let appID else { return }
      accounts[CredentialID(name)] = appID.text
      let words = (tickets?.text ?? "").split { $0 == "," || $0 == " " }
      for kind in CredentialID.Kind.allCases {
        guard let word = kind.ticketName, words.contains(word[...]) else { continue }
        accounts[CredentialID(name, kind)] = appID.text
      }
    }
    add(.unnamed, all[.appid], tickets: all[.tickets])
    for given in all.accounts {
      add(
        AccountName(given.name), given.values[Setting.appid.name],
        tickets: given.values[Setting.tickets.name])
    }
    return RedisSettings(redis: redis, accounts: accounts)
  }
}
