import RedisClient
import TokenCore

extension SettingsReader {
  /// Of a cluster, refuses keys of other software beside which nothing can be kept: what tells the
  /// orders about a key apart has to be in its slot.
  mutating func refuseUnfencedKeys(_ accounts: [Settings.Account], _ redis: Settings.Redis) {
    guard redis.endpoint.topology.isCluster else { return }
    let layout = KeyLayout(prefix: redis.keyPrefix)
    for account in accounts {
      let stray = account.otherKeys.first { HashSlot(of: layout.fence(of: $0)) != HashSlot(of: $0) }
      guard let stray else { continue }
      report(
        .combination,
        "in a Redis Cluster the braces in \(quoted(stray)), a key of other software, leave no name"
          + " for a key beside it: give that output another prefix")
    }
  }
}
