import Dialing

/// Sentinels in URLs: several hosts, the name of the primary, and what is the sentinels' own.
extension RedisURLParser {
  /// As other clients call the name of the primary; lettuce, go-redis, fred and others.
  private static let namesOfPrimary: Set<String> = [
    "sentinelMasterId", "master_name", "masterName", "sentinelServiceName", "service_name",
    "serviceName", "master_id", "mastername", "sentinel_master", "sentinelMaster",
  ]
  /// As others list the sentinels.
  private static let listsOfSentinels: Set<String> = ["addr", "node", "nodes", "sentinels"]
  /// As others say that it is a cluster, in a URL of one host.
  private static let clusterParameters: Set<String> = [
    "cluster", "is_cluster", "isCluster", "cluster_mode", "clusterMode", "startup_nodes",
  ]
  private static let longestPrimary = 128

  static func sentinelEndpoint(
    hosts: Substring, path: Substring, hasTLS: Bool
  ) throws(RedisURLError) -> RedisEndpoint {
    let sentinels = try addresses(hosts, defaultPort: SentinelSet.defaultPort)
    guard Set(sentinels).count == sentinels.count else { throw .sentinelTwice }
    guard sentinels.count <= SentinelSet.mostSentinels else {
      throw .tooManySentinels(limit: SentinelSet.mostSentinels)
    }
    var set = SentinelSet(sentinels, primary: "")
    set.hasTLS = hasTLS
    var endpoint = RedisEndpoint(set)
    if path.count > 1 {
      let digits = path.dropFirst()
      // Others write /NAME or /NAME/DATABASE.
      guard digits.first.map({ $0.isASCII && $0.isNumber }) == true, !digits.contains("/") else {
        throw .primaryInPath
      }
      endpoint.database = try database(digits)
    }
    return endpoint
  }

  static func read(
    _ parameter: Parameter, _ value: String, into endpoint: inout RedisEndpoint
  ) throws(RedisURLError) {
    guard case .sentinel(var set) = endpoint.topology else {
      throw .needsSentinels(parameter.rawValue)
    }
    switch parameter {
    case .master:
      guard isNameOfPrimary(value) else { throw .primaryInvalid }
      set.primary = value
    case .sentinelUser: set.username = value
    case .sentinelPassword: set.password = RedisPassword(value)
    case .sentinelTLS:
      guard value == "off" else { throw .sentinelTLSInvalid }
      set.hasTLS = false
    case .user, .password, .db, .caFile, .certFile, .keyFile, .serverName: break
    }
    endpoint.topology = .sentinel(set)
  }

  /// What to write in the place of another client's parameter; nil when it is none.
  static func foreignParameter(_ name: Substring) -> RedisURLError? {
    if namesOfPrimary.contains(String(name)) { return .foreignNameOfPrimary(String(name)) }
    if clusterParameters.contains(String(name)) { return .foreignClusterParameter(String(name)) }
    if listsOfSentinels.contains(String(name)) { return .foreignSentinels(String(name)) }
    return nil
  }

  /// Hosts with commas between them.
  static func addresses(
    _ hosts: Substring, defaultPort: Int
  ) throws(RedisURLError) -> [RedisEndpoint.Address] {
    var addresses: [RedisEndpoint.Address] = []
    for host in hosts.split(separator: ",", omittingEmptySubsequences: false) {
      let place = try place(host)
      addresses.append(.tcp(host: place.host.name, port: place.port ?? defaultPort))
    }
    return addresses
  }

  /// What Redis takes in its configuration: no white space, as it parts the words there.
  private static func isNameOfPrimary(_ name: String) -> Bool {
    (1...longestPrimary).contains(name.utf8.count)
      && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
  }
}
