/// What is wrong with a Redis URL; never the password, nor any text that might be part of it.
package enum RedisURLError: Error, Hashable, Sendable {
  /// A part of a URL that can be named without showing it.
  package enum Part: String, Hashable, Sendable {
    case user
    case password
    case path
    case parameter = "query parameter"
  }

  case tooLong(limit: Int)
  case forbiddenCharacter
  case schemeMissing
  case schemeUnknown(String)
  /// As other clients write it; with what is written here.
  case foreignScheme(String)
  case foreignNameOfPrimary(String)
  case foreignSentinels(String)
  case fragmentForPrimary
  case primaryInPath
  case primaryMissing
  case primaryInvalid
  case needsSentinels(String)
  case sentinelTwice
  case tooManySentinels(limit: Int)
  case sentinelTLSInvalid
  case foreignClusterScheme(String)
  case foreignClusterParameter(String)
  case severalHosts
  case nodeTwice
  case tooManyNodes(limit: Int)
  case databaseInCluster
  case fragment
  case unescapedAtSign
  case hostMissing
  case hostInvalid
  case hostNotAllowed
  case portInvalid
  case databaseInvalid
  case databaseTwice
  case pathMissing
  case pathTooLong(limit: Int)
  case badPercentEncoding(Part)
  case notText(Part)
  case parameterUnknown(String)
  case parameterTwice(String)
  case parameterEmpty(String)
  case parameterWithoutValue
  case givenTwice(Part)
  case needsTLS(String)
  case certificateWithoutKey
  case keyWithoutCertificate
  case serverNameInvalid
}

extension RedisURLError: CustomStringConvertible {
  private static let sentinelForm =
    "write redis-sentinel://[user:password@]h1:26379,h2:26379/0?master=NAME, where user and"
    + " password are those of the data nodes"

  private static let clusterForm =
    "write redis-cluster://[user:password@]h1:6379,h2:6379"
  private static let schemes =
    "redis://, rediss://, unix://, redis-sentinel:// or redis-cluster://"

  package var description: String {
    switch self {
    case .tooLong(let limit): "the Redis URL is longer than \(limit) bytes"
    case .forbiddenCharacter:
      "the Redis URL has a space, a control character or a non-ASCII character: percent-encode it"
        + " (an international host name is written as xn--…)"
    case .schemeMissing: "the Redis URL has no scheme: write \(Self.schemes) in front"
    case .schemeUnknown(let scheme):
      "the scheme \(scheme):// is not known: use \(Self.schemes)"
    case .foreignScheme(let scheme):
      "\(scheme):// is another client's: \(Self.sentinelForm), rediss-sentinel:// with TLS"
    case .foreignNameOfPrimary(let name):
      "\(name) is another client's: write the name of the primary as ?master=NAME of a"
        + " redis-sentinel:// URL"
    case .foreignSentinels(let name):
      "\(name) is another client's: write the sentinels before the path, with commas, as in"
        + " redis-sentinel://h1:26379,h2:26379/0?master=NAME"
    case .fragmentForPrimary:
      "the Redis URL has a #: write the name of the primary as ?master=NAME (in a password # is"
        + " %23)"
    case .primaryInPath:
      "the path of a Sentinel URL is the number of a database: write the name of the primary as"
        + " ?master=NAME, as in redis-sentinel://h1,h2/0?master=NAME"
    case .primaryMissing:
      "the Sentinel URL does not name the primary: add ?master=NAME, the name in the sentinels'"
        + " `sentinel monitor`"
    case .primaryInvalid:
      "master is not a name that sentinels have: 1 to 128 visible ASCII characters"
    case .needsSentinels(let name):
      "\(name) is for sentinels: \(Self.sentinelForm)"
    case .sentinelTwice: "the Sentinel URL names a sentinel twice"
    case .tooManySentinels(let limit): "the Sentinel URL names more than \(limit) sentinels"
    case .sentinelTLSInvalid:
      "sentinel_tls can only be off: rediss-sentinel:// is TLS with sentinels and nodes"
    case .foreignClusterScheme(let scheme):
      "\(scheme):// is another client's: \(Self.clusterForm), rediss-cluster:// with TLS"
    case .foreignClusterParameter(let name):
      "\(name) is another client's: \(Self.clusterForm)"
    case .severalHosts:
      "the Redis URL names several hosts: of a cluster, \(Self.clusterForm); of sentinels,"
        + " redis-sentinel://h1:26379,h2:26379/0?master=NAME"
    case .nodeTwice: "the Cluster URL names a node twice"
    case .tooManyNodes(let limit):
      "the Cluster URL names more than \(limit) nodes: a few are enough, they know the others"
    case .databaseInCluster: "a cluster has database 0 only: leave the number out"
    case .fragment: "the Redis URL has a #: in a password write it as %23"
    case .unescapedAtSign:
      "the Redis URL has an @ that separates nothing: in a user or password write @ as %40, / as"
        + " %2F and ? as %3F"
    case .hostMissing: "the Redis URL has no host"
    case .hostInvalid:
      "the host of the Redis URL is neither a host name, an IPv4 address nor an IPv6 address in []"
    case .hostNotAllowed: "a unix:// URL has no host: write unix:///path with three slashes"
    case .portInvalid:
      "the port of the Redis URL is not a number from 1 to 65535 (in a password write / as %2F)"
    case .databaseInvalid: "the database of the Redis URL is not a number from 0 to 2147483647"
    case .databaseTwice: "the Redis URL gives the database twice, as path and as db="
    case .pathMissing: "the unix:// URL has no path to a socket"
    case .pathTooLong(let limit): "the path to the socket is longer than \(limit) bytes"
    case .badPercentEncoding(let part):
      "a % in the \(part.rawValue) is not followed by two hexadecimal digits: write % as %25"
    case .notText(let part): "the \(part.rawValue) is not UTF-8 text or has a zero byte"
    case .parameterUnknown(let name):
      "the query parameter \(name) is not known; known are"
        + " \(RedisURLParser.Parameter.allCases.map(\.rawValue).joined(separator: ", "))"
    case .parameterTwice(let name): "the query parameter \(name) is given twice"
    case .parameterEmpty(let name): "the query parameter \(name) is empty"
    case .parameterWithoutValue: "a query parameter is not written as name=value"
    case .givenTwice(let part):
      "the \(part.rawValue) is given twice, before the @ and as a query parameter"
    case .needsTLS(let name): "\(name) needs TLS: write rediss:// instead of redis:// or unix://"
    case .certificateWithoutKey: "cert_file is given without key_file"
    case .keyWithoutCertificate: "key_file is given without cert_file"
    case .serverNameInvalid: "server_name is not a host name"
    }
  }
}
