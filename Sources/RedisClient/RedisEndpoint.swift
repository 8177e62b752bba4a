import Dialing

/// Where a Redis server is and how to enter it: what a Redis URL says.
///
/// Its description is a URL with `***` in place of the password.
package struct RedisEndpoint: Hashable, Sendable {
  /// What to connect to.
  package enum Address: Hashable, Sendable {
    /// A host name or an IP address (IPv6 without brackets), and a port.
    case tcp(host: String, port: Int)
    /// The path of a Unix domain socket.
    case unix(path: String)
  }

  /// The files and the name that TLS works with; every file is PEM and is read at each connect, so
  /// that renewed certificates are picked up.
  package struct TLS: Hashable, Sendable {
    /// The certificates to trust; nil: those of the system.
    package var caFile: String? = nil
    /// Our own certificate and its chain, for servers that ask for one.
    package var certFile: String? = nil
    /// The key of our own certificate.
    package var keyFile: String? = nil
    /// The name that the server's certificate must have; nil: the host.
    package var serverName: String? = nil

    package init() {}
  }

  package var topology: RedisTopology
  /// Nil when the connection is plain.
  package var tls: TLS? = nil
  package var username: String? = nil
  package var password: RedisPassword? = nil
  package var database = 0

  package init(_ address: Address) { topology = .single(address) }
  package init(_ sentinels: SentinelSet) { topology = .sentinel(sentinels) }
  package init(cluster seeds: [Address]) { topology = .cluster(seeds) }

  /// Redis's own port.
  package static let defaultPort = 6379
}

/// A password of a Redis user: a secret, shown by no description.
package struct RedisPassword: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  /// The password itself, for `AUTH` only.
  package let revealed: String
  package init(_ password: String) { revealed = password }
  package var description: String { "***" }
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}

extension RedisEndpoint.Address: CustomStringConvertible {
  /// `host:port`, `[address]:port` or the path.
  package var description: String {
    switch self {
    case .tcp(let host, let port): "\(URLHost.inURL(host)):\(port)"
    case .unix(let path): path
    }
  }
}

extension SentinelSet {
  /// What the URL says of them in its query.
  fileprivate func parameters(hasTLS: Bool) -> [(String, String?)] {
    [
      ("master", primary), ("sentinel_user", username),
      ("sentinel_password", password.map { "\($0)" }),
      ("sentinel_tls", hasTLS && !self.hasTLS ? "off" : nil),
    ]
  }
}

extension RedisEndpoint: CustomStringConvertible, CustomReflectable {
  package var description: String {
    let user =
      switch (username, password) {
      case (nil, nil): ""
      case (nil, _?): ":***@"
      // A user without a password is often a password in the wrong place.
      case (_?, nil): "***@"
      case (let user?, _?): PercentEncoding.encoded(user) + ":***@"
      }
    var parameters: [(String, String?)] = [
      ("ca_file", tls?.caFile), ("cert_file", tls?.certFile), ("key_file", tls?.keyFile),
      ("server_name", tls?.serverName),
    ]
    let scheme = tls == nil ? "redis" : "rediss"
    let place: String
    switch topology {
    case .single(.tcp(let host, let port)):
      place = "\(scheme)://\(user)\(Address.tcp(host: host, port: port))/\(database)"
    case .single(.unix(let path)):
      place = "unix://" + user + PercentEncoding.encoded(path, keeping: "/")
      parameters.append(("db", database == 0 ? nil : "\(database)"))
    case .sentinel(let set):
      let hosts = set.sentinels.map(\.description).joined(separator: ",")
      place = "\(scheme)-sentinel://\(user)\(hosts)/\(database)"
      parameters = set.parameters(hasTLS: tls != nil) + parameters
    case .cluster(let seeds):
      let hosts = seeds.map(\.description).joined(separator: ",")
      place = "\(scheme)-cluster://\(user)\(hosts)"
    }
    let query = parameters.compactMap { name, value in
      value.map { "\(name)=\(PercentEncoding.encoded($0, keeping: "/*"))" }
    }
    return query.isEmpty ? place : place + "?" + query.joined(separator: "&")
  }

  package var customMirror: Mirror { Mirror(self, children: [:]) }
}
