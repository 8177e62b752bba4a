import Dialing

/// Which server of those that there are takes the commands, and how it is found.
package enum RedisTopology: Hashable, Sendable {
  /// That one.
  case single(RedisEndpoint.Address)
  /// The primary that sentinels name.
  case sentinel(SentinelSet)
  /// In a cluster, whichever serves the key; these nodes are asked first, and are at least one.
  case cluster([RedisEndpoint.Address])

  package var isCluster: Bool { if case .cluster = self { true } else { false } }
}

/// The sentinels that watch a primary, as a URL names them.
///
/// Their user, password and TLS are their own: what the URL says of these is about the nodes with
/// the data.
package struct SentinelSet: Hashable, Sendable {
  /// Host and port of each, in the URL's order; at least one.
  package var sentinels: [RedisEndpoint.Address]
  /// What the sentinels call the primary.
  package var primary: String
  package var username: String? = nil
  package var password: RedisPassword? = nil
  /// Whether they speak TLS; with the files of the nodes' TLS, and names of their own.
  package var hasTLS = false

  package init(_ sentinels: [RedisEndpoint.Address], primary: String) {
    self.sentinels = sentinels
    self.primary = primary
  }

  /// The sentinels' own port.
  package static let defaultPort = 26379
  /// More than these in a URL are a mistake; each is asked at each attempt.
  static let mostSentinels = 16
}
