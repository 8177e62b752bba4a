import TokenCore

/// The rights that the users of Redis need, as rules of `ACL SETUSER`.
package struct AccessRules: Sendable {
  private let layout: KeyLayout

  private let others: [String]
  private let isClustered: Bool

  /// - Parameters:
  ///   - others: the keys of other software that are written.
  ///   - isClustered: whether Redis is a cluster.
  package init(layout: KeyLayout, others: [String] = [], isClustered: Bool = false) {
    self.layout = layout
    self.others = others
    self.isClustered = isClustered
  }

  /// The commands that a replica gives, those of its scripts included.
  package static let replicaCommands = [
    "blpop", "client|setname", "del", "eval", "evalsha", "exists", "get", "hdel", "hget",
    "hgetall", "hincrby", "hmget", "hset", "info", "llen", "lrange", "ltrim", "persist",
    "pexpire", "ping", "pttl", "publish", "role", "rpush", "select", "set", "subscribe", "time",
  ]

  /// The commands that it gives in a cluster beside these.
  package static let clusterCommands = ["asking", "cluster|slots"]

  /// What a replica needs: its own keys and channel, and the commands of its scripts.
  package var replica: [String] {
    rules(
      keys: ["~\(KeyPattern(layout.prefix))*"] + others.map { "~\(KeyPattern($0))" },
      commands: Self.replicaCommands + (isClustered ? Self.clusterCommands : []))
  }

  /// What an application needs: to read the keys, tickets' included, to report a token that
  /// fails, to listen.
  ///
  /// Rights to read alone (`%R~`) are Redis 7's.
  package var reader: [String] {
    rules(
      keys: CredentialID.Kind.allCases.flatMap { kind in
        let credential = CredentialID(.unnamed, kind)
        let keys = [Output.Key.credential, .expiry].map { layout.key($0, credential) }
        // A ticket's second key begins as its first one does.
        return keys[1].hasPrefix(keys[0]) ? [keys[0]] : keys
      }.map { "%R~\(KeyPattern($0))*" } + [
        "%W~\(KeyPattern(layout.refreshRequests))"
      ],
      commands: [
        "client|setname", "exists", "get", "mget", "ping", "pttl", "rpush", "select",
        "subscribe", "ttl", "unsubscribe",
      ] + (isClustered ? Self.clusterCommands : []))
  }

  /// What a replica needs of sentinels, which have users of their own.
  ///
  /// To ask where the primary is, and to hear that it moves. Redis 6.2 is the first whose sentinels
  /// take rules.
  package static let sentinel =
    ["resetkeys", "resetchannels", "-@all", "&\(KeyPattern("+switch-master"))"]
    + [
      "ping", "sentinel|get-master-addr-by-name", "sentinel|master", "sentinel|sentinels",
      "subscribe",
    ].map { "+\($0)" }

  private func rules(keys: [String], commands: [String]) -> [String] {
    ["resetkeys", "resetchannels", "-@all"] + keys + ["&\(KeyPattern(layout.events))"]
      + commands.map { "+\($0)" }
  }
}
