import Dialing

extension RedisEndpoint {
  /// Reads `redis://`, `rediss://`, `unix:///path`, `redis-sentinel://h1,h2/0?master=NAME`,
  /// `redis-cluster://h1,h2` URLs and both of these with TLS, strictly.
  ///
  /// User and password are percent-decoded once. Query parameters are `user`, `password`, `db`, and
  /// with TLS `ca_file`, `cert_file`, `key_file`, `server_name`; with sentinels `master`,
  /// `sentinel_user`, `sentinel_password` and `sentinel_tls=off`.
  package init(url: String) throws(RedisURLError) {
    self = try RedisURLParser.parse(url)
  }
}

/// The grammar of Redis URLs: RFC 3986's, narrowed to what Redis needs.
enum RedisURLParser {
  enum Parameter: String, CaseIterable {
    case user
    case password
    case db
    case caFile = "ca_file"
    case certFile = "cert_file"
    case keyFile = "key_file"
    case serverName = "server_name"
    case master
    case sentinelUser = "sentinel_user"
    case sentinelPassword = "sentinel_password"
    case sentinelTLS = "sentinel_tls"
  }

  /// What the schemes have in common, with and without TLS.
  enum Kind { case host, socket, sentinels, cluster }

  /// Room for a password of 1 KiB with every byte percent-encoded, and three file names.
  static let longestURL = 8192
  /// What `sockaddr_un` holds on Linux, without the final zero.
  static let longestSocketPath = 107
  private static let longestHost = 253
  private static let longestShownName = 32

  static func parse(_ url: String) throws(RedisURLError) -> RedisEndpoint {
    guard url.utf8.count <= longestURL else { throw .tooLong(limit: longestURL) }
    guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw .forbiddenCharacter }
    guard let mark = url.firstRange(of: "://") else { throw .schemeMissing }
    let scheme = url[..<mark.lowerBound].lowercased()
    let rest = url[mark.upperBound...]
    let kind = try kind(of: scheme)
    let hasTLS = scheme.hasPrefix("rediss")
    guard !rest.contains("#") else {
      throw kind == .sentinels ? .fragmentForPrimary : .fragment
    }

    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    let afterAuthority = rest[authority.endIndex...]
    let path = afterAuthority.prefix { $0 != "?" }
    let query = afterAuthority[path.endIndex...].dropFirst()
    guard afterAuthority.isEmpty || !afterAuthority.hasSuffix("?") else {
      throw .parameterWithoutValue
    }

    let (userInfo, host) = try splitAuthority(authority)
    guard userInfo != nil || !afterAuthority.contains("@") else { throw .unescapedAtSign }
    var endpoint =
      switch kind {
      case .host: try hostEndpoint(host: host, path: path)
      case .socket: try socketEndpoint(host: host, path: path)
      case .sentinels: try sentinelEndpoint(hosts: host, path: path, hasTLS: hasTLS)
      case .cluster: try clusterEndpoint(hosts: host, path: path)
      }
    if hasTLS { endpoint.tls = .init() }
    if let userInfo {
      let user = userInfo.prefix { $0 != ":" }
      endpoint.username = try decode(user, .user).nonEmpty
      endpoint.password = try decode(userInfo[user.endIndex...].dropFirst(), .password).nonEmpty
        .map { RedisPassword($0) }
    }
    let hasDatabaseInPath = kind != .socket && path.count > 1
    try readQuery(query, into: &endpoint, hasDatabaseInPath: hasDatabaseInPath)
    if case .sentinel(let set) = endpoint.topology, set.primary.isEmpty { throw .primaryMissing }
    return endpoint
  }

  static func kind(of scheme: String) throws(RedisURLError) -> Kind {
    switch scheme {
    case "redis", "rediss": return .host
    case "unix": return .socket
    case "redis-sentinel", "rediss-sentinel": return .sentinels
    case "redis-cluster", "rediss-cluster": return .cluster
    case "redis+cluster", "rediss+cluster", "redis-clusters", "cluster":
      throw .foreignClusterScheme(scheme)
    case "sentinel", "sentinels", "redis+sentinel", "rediss+sentinel", "redis-sentinels":
      throw .foreignScheme(scheme)
    default:
      // Anything that does not look like a scheme may be a password with :// in it.
      guard scheme.utf8.count <= 16, let first = scheme.utf8.first,
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
        scheme.allSatisfy({ $0.isLetter || $0 == "+" || $0 == "-" })
      else { throw .schemeMissing }
      throw .schemeUnknown(scheme)
    }
  }

  private static func splitAuthority(
    _ authority: Substring
  ) throws(RedisURLError) -> (userInfo: Substring?, host: Substring) {
    guard let at = authority.firstIndex(of: "@") else { return (nil, authority) }
    let host = authority[authority.index(after: at)...]
    guard !host.contains("@") else { throw .unescapedAtSign }
    return (authority[..<at], host)
  }

  private static func hostEndpoint(
    host authority: Substring, path: Substring
  ) throws(RedisURLError) -> RedisEndpoint {
    guard !authority.contains(",") else { throw .severalHosts }
    let place = try place(authority)
    var endpoint = RedisEndpoint(
      .tcp(host: place.host.name, port: place.port ?? RedisEndpoint.defaultPort))
    if path.count > 1 { endpoint.database = try database(path.dropFirst()) }
    return endpoint
  }

  static func place(_ authority: Substring) throws(RedisURLError) -> URLAuthority {
    do throws(URLAuthority.Problem) {
      return try URLAuthority(authority)
    } catch {
      switch error {
      case .hostMissing: throw .hostMissing
      case .hostInvalid: throw .hostInvalid
      case .portInvalid: throw .portInvalid
      }
    }
  }

  private static func socketEndpoint(
    host: Substring, path: Substring
  ) throws(RedisURLError) -> RedisEndpoint {
    guard host.isEmpty else { throw .hostNotAllowed }
    guard path.count > 1 else { throw .pathMissing }
    let decoded = try decode(path, .path)
    guard decoded.utf8.count <= longestSocketPath else {
      throw .pathTooLong(limit: longestSocketPath)
    }
    return RedisEndpoint(.unix(path: decoded))
  }

  private static func readQuery(
    _ query: Substring, into endpoint: inout RedisEndpoint, hasDatabaseInPath: Bool
  ) throws(RedisURLError) {
    guard !query.isEmpty else { return }
    var seen: Set<Parameter> = []
    for pair in query.split(separator: "&", omittingEmptySubsequences: false) {
      let name = pair.prefix { $0 != "=" }
      guard !name.isEmpty, name.endIndex < pair.endIndex else { throw .parameterWithoutValue }
      guard let parameter = Parameter(rawValue: String(name)) else {
        // What does not look like a name may be a part of a password.
        guard name.utf8.count <= longestShownName, name.allSatisfy({ $0.isLetter || $0 == "_" })
        else { throw .parameterUnknown("…") }
        throw foreignParameter(name) ?? .parameterUnknown(String(name))
      }
      guard seen.insert(parameter).inserted else { throw .parameterTwice(parameter.rawValue) }
      let part: RedisURLError.Part =
        parameter == .password || parameter == .sentinelPassword ? .password : .parameter
      let value = try decode(pair[name.endIndex...].dropFirst(), part)
      guard !value.isEmpty else { throw .parameterEmpty(parameter.rawValue) }
      switch parameter {
      case .user:
        guard endpoint.username == nil else { throw .givenTwice(.user) }
        endpoint.username = value
      case .password:
        guard endpoint.password == nil else { throw .givenTwice(.password) }
        endpoint.password = RedisPassword(value)
      case .db:
        guard !hasDatabaseInPath else { throw .databaseTwice }
        endpoint.database = try database(value[...])
        guard !endpoint.topology.isCluster || endpoint.database == 0 else {
          throw .databaseInCluster
        }
      case .master, .sentinelUser, .sentinelPassword, .sentinelTLS:
        try read(parameter, value, into: &endpoint)
      case .caFile, .certFile, .keyFile, .serverName:
        guard endpoint.tls != nil else { throw .needsTLS(parameter.rawValue) }
        switch parameter {
        case .caFile: endpoint.tls?.caFile = value
        case .certFile: endpoint.tls?.certFile = value
        case .keyFile: endpoint.tls?.keyFile = value
        case .serverName, .user, .password, .db, .master, .sentinelUser, .sentinelPassword,
          .sentinelTLS:
          guard isHostName(value[...]) else { throw .serverNameInvalid }
          endpoint.tls?.serverName = value
        }
      }
    }
    guard endpoint.tls?.certFile == nil || endpoint.tls?.keyFile != nil else {
      throw .certificateWithoutKey
    }
    guard endpoint.tls?.keyFile == nil || endpoint.tls?.certFile != nil else {
      throw .keyWithoutCertificate
    }
  }

  private static func isHostName(_ name: Substring) -> Bool {
    (1...longestHost).contains(name.utf8.count)
      && name.utf8.allSatisfy { PercentEncoding.isUnreserved($0) && $0 != UInt8(ascii: "~") }
  }

  /// A decimal number of digits only: no sign, as `Int` would take it.
  static func database(_ digits: Substring) throws(RedisURLError) -> Int {
    guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let number = Int(digits), number <= Int32.max
    else { throw .databaseInvalid }
    return number
  }

  private static func decode(
    _ text: Substring, _ part: RedisURLError.Part
  ) throws(RedisURLError) -> String {
    guard let decoded = PercentEncoding.decoded(text.utf8) else { throw .badPercentEncoding(part) }
    guard !decoded.contains(0), let string = String(validating: decoded, as: UTF8.self) else {
      throw .notText(part)
    }
    return string
  }
}

extension String {
  fileprivate var nonEmpty: String? { isEmpty ? nil : self }
}
