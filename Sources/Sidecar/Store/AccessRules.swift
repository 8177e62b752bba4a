import TokenCore

/// The rights that the users of Redis need, as rules of `ACL SETUSER`.
package struct AccessRules: Sendable {
  private let layout: KeyLayout

  private let others: [String]
  private let isClustered: Bool
  private let dialect: Dialect

  /// What rules a server understands.
  package enum Dialect: Hashable, Sendable {
    /// Redis 6.0: commands and keys.
    case keys
    /// Redis 6.2: channels, too, and sentinels take rules.
    case channels
    /// Redis 7.0 and later, Valkey: keys that may only be read or only be written, too.
    case directions

    /// - Parameter version: as people write it, such as `7.2`; nil when it is none that has users.
    package init?(version: String) {
      let parts = version.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
      guard (1...3).contains(parts.count), let major = parts[0], parts.allSatisfy({ $0 != nil })
      else { return nil }
      let minor = parts.count > 1 ? parts[1] ?? 0 : 0
      switch (major, minor) {
      case (7..., _): self = .directions
      case (6, 2...): self = .channels
      case (6, _): self = .keys
      default: return nil
      }
    }
  }

  /// - Parameters:
  ///   - others: the keys of other software that are written.
  ///   - isClustered: whether Redis is a cluster.
  package init(
    layout: KeyLayout, others: [String] = [], isClustered: Bool = false,
    dialect: Dialect = .directions
  ) {
    self.layout = layout
    self.others = others
    self.isClustered = isClustered
    self.dialect = dialect
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
  /// Rights to read alone (`%R~`) are Redis 7's: before, nothing but its commands keeps an
  /// application from writing.
  package var reader: [String] {
    let (read, write) = dialect == .directions ? ("%R~", "%W~") : ("~", "~")
    return rules(
      keys: CredentialID.Kind.allCases.flatMap { kind in
        let credential = CredentialID(.unnamed, kind)
        let keys = [Output.Key.credential, .expiry].map { layout.key($0, credential) }
        // A ticket's second key begins as its first one does.
        return keys[1].hasPrefix(keys[0]) ? [keys[0]] : keys
      }.map { "\(read)\(KeyPattern($0))*" } + [
        "\(write)\(KeyPattern(layout.refreshRequests))"
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
    let channels = dialect == .keys ? [] : ["resetchannels", "&\(KeyPattern(layout.events))"]
    return ["resetkeys", "-@all"] + keys + channels + commands.map { "+\($0)" }
  }
}
