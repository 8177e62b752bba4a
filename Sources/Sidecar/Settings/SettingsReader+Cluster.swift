import RedisClient
import TokenCore

extension SettingsReader {
  /// Of a cluster, refuses accounts whose keys are in several slots: a step of the protocol reads
  /// and writes them at once.
  mutating func refuseSplitKeys(_ accounts: [Settings.Account], _ redis: Settings.Redis) {
    guard redis.endpoint.topology.isCluster else { return }
    let layout = KeyLayout(prefix: redis.keyPrefix)
    for account in accounts {
      for credential in account.credentials {
        let state = layout.state(credential)
        let own = Output.own(Margins()).map { layout.key($0.key, credential) }
        let others = account.outputs.flatMap { $0.outputs(of: credential.kind) }
          .map { layout.key($0.key, credential) }
        let slot = HashSlot(of: state)
        if let stray = own.first(where: { HashSlot(of: $0) != slot }) {
          report(
            .combination,
            "in a Redis Cluster \(quoted(state)) and \(quoted(stray)) are on different nodes: let"
              + " \(Setting.keyPrefix.environmentName) begin with a tag, such as"
              + " `{wch}\(layout.prefix)`, or give the account a name (accounts in the file)")
          break
        }
        if let stray = others.first(where: { HashSlot(of: $0) != slot }) {
          report(
            .combination,
            "in a Redis Cluster \(quoted(state)) and \(quoted(stray)), a key of other software,"
              + " are on different nodes: leave that output out")
          break
        }
      }
    }
  }
}
