import ArgumentParser
import RedisClient
import Sidecar

/// `acl`: the rights that Redis users need.
struct AccessControl: SettingsVerb {
  static let configuration = CommandConfiguration(
    commandName: "acl",
    abstract: """
      Print the Redis rights of a replica, of an application that reads (--reader), or of a \
      replica at the sentinels (--sentinel).
      """,
    discussion: """
      One command for a shell, that makes a user whose name and password are yours to set; for \
      Redis 7.0 and later and Valkey, or by --redis-version for 6.0 or 6.2, where keys cannot be \
      given for reading alone. Put your own password in the place of PASSWORD, and options such \
      as -h and --user behind redis-cli. It asks nobody: the key prefix and the Redis URL of the \
      settings are all that it needs. Users of a Redis Cluster are each node's own: give the \
      command to every node.
      """)

  @Flag(help: "The rights of an application: read the token, report it, listen.")
  var reader = false

  @Flag(help: "The rights of a replica at each sentinel, which has users of its own.")
  var sentinel = false

  @Option(help: "The version of the Redis that the rules are for: 6.0, 6.2, 7.0 or later.")
  var redisVersion = "7.0"

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  func run() throws {
    guard let dialect = AccessRules.Dialect(version: redisVersion) else {
      throw Failure(
        .usage,
        "wch-sidecar acl: --redis-version \(redisVersion): Redis has users since 6.0; write 6.0,"
          + " 6.2, 7.0 or a later one")
    }
    if sentinel, dialect == .keys {
      throw Failure(
        .usage,
        "wch-sidecar acl: sentinels of Redis 6.0 know a password (requirepass) and no users")
    }
    let settings = try Setup.load(self, requiresAccount: false).0
    guard !(reader && sentinel) else {
      throw Failure(.usage, "wch-sidecar acl: give --reader or --sentinel, not both")
    }
    let rules = AccessRules(
      layout: KeyLayout(prefix: settings.redis.keyPrefix),
      others: settings.accounts.flatMap(\.otherKeys),
      isClustered: settings.redis.endpoint.topology.isCluster, dialect: dialect)
    let (user, rights) =
      reader
      ? ("wch-reader", rules.reader)
      : ("wch-sidecar", sentinel ? AccessRules.sentinel : rules.replica)
    let place = sentinel ? ["-p", "26379"] : []
    let words = ["redis-cli"] + place + ["ACL", "SETUSER", user, "on", ">PASSWORD"] + rights
    print(words.map(Self.quoted).joined(separator: " "))
  }

  /// A word as every shell of the Bourne family reads it back.
  private static func quoted(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "+-_./:@%".utf8.contains(byte)
      }
    }
    return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
  }
}
