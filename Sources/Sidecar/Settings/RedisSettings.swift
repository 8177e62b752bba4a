package import TokenCore

/// What it takes to read a deployment's keys in Redis, while no daemon can be asked.
package struct RedisSettings: Sendable {
  package let redis: Settings.Redis
  /// The AppIDs of the accounts that the settings name, as far as they can be read.
  package let accounts: [AccountName: String]

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
    var accounts: [AccountName: String] = [:]
    if let appID = all[.appid] { accounts[.unnamed] = appID.text }
    for given in all.accounts {
      guard let name = AccountName(given.name), let appID = given.values[Setting.appid.name] else {
        continue
      }
      accounts[name] = appID.text
    }
    return RedisSettings(redis: redis, accounts: accounts)
  }
}
