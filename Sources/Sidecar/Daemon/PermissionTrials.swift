import RedisClient
import TokenCore

/// One call a permission of the daemon, each of which changes nothing that anyone reads.
///
/// Redis asks its ACL before it looks at the arguments: a call with arguments that make no sense
/// tells whether it is allowed, and does nothing. `ACL DRYRUN` would tell the same, but a user
/// with no more rights than the daemon needs may not ask it.
struct PermissionTrials {
  /// One call, and what it tells.
  struct Trial {
    /// The command as rules of `ACL SETUSER` name it.
    let permission: String
    /// What it is about, as these rules name it: `~key` or `&channel`; nil for neither.
    let object: String?
    let command: RedisCommand

    /// Whether the daemon gives the command in scripts, or could do without.
    var isOfScripts: Bool { permission == "time" || permission == "publish" }
  }

  /// In this order; `SUBSCRIBE` changes the connection, so it comes last and alone.
  let commands: [Trial]
  let subscription: Trial
  /// Each key or kind of key that the daemon uses.
  let keys: [Trial]

  /// The rules that the daemon does without: it knows less of Redis then, or shows less there, or
  /// only the trials need them.
  private let optional: Set<String>

  /// Of the one key that is written, in milliseconds, in case that it may not be removed.
  private static let longestLife = "1000"

  /// - Parameters:
  ///   - others: the keys of other software that are written.
  ///   - isClustered: whether Redis is a cluster.
  init(
    layout: KeyLayout, credentials: [CredentialID], others: [String] = [], database: Int,
    isClustered: Bool = false
  ) {
    let probe = "\(layout.prefix)check"
    let state = layout.state(credentials.first ?? .unnamed)
    let reports = layout.refreshRequests
    // No number: refused where one is needed, after the ACL was asked.
    let nonsense = "nonsense"
    let unknownScript = String(repeating: "0", count: 40)
    let exists = "return redis.call('EXISTS', KEYS[1])"
    let calls: [(String, String?, [String])] = [
      ("blpop", "~\(reports)", ["BLPOP", reports, nonsense]),
      ("client|setname", nil, ["CLIENT", "SETNAME", "wch-sidecar-check"]),
      ("eval", "~\(layout.leader)", ["EVAL", exists, "1", layout.leader]),
      ("evalsha", "~\(layout.leader)", ["EVALSHA", unknownScript, "1", layout.leader]),
      ("exists", "~\(layout.leader)", ["EXISTS", layout.leader]),
      ("get", "~\(layout.leader)", ["GET", layout.leader]),
      ("hdel", "~\(layout.replicas)", ["HDEL", layout.replicas, "no replica"]),
      ("hget", "~\(state)", ["HGET", state, "epoch"]),
      ("hgetall", "~\(layout.replicas)", ["HGETALL", layout.replicas]),
      ("hincrby", "~\(state)", ["HINCRBY", state, "check", nonsense]),
      ("hmget", "~\(state)", ["HMGET", state, "epoch"]),
      ("hset", "~\(state)", ["HSET", state, "check", "a value", "no value"]),
      ("info", nil, ["INFO", "server"]),
      ("llen", "~\(reports)", ["LLEN", reports]),
      ("lrange", "~\(reports)", ["LRANGE", reports, "1", "0"]),
      ("ltrim", "~\(reports)", ["LTRIM", reports, nonsense, nonsense]),
      ("persist", "~\(state)", ["PERSIST", state]),
      ("ping", nil, ["PING"]),
      ("pttl", "~\(layout.leader)", ["PTTL", layout.leader]),
      ("publish", "&\(layout.events)", ["PUBLISH", layout.events, "{\"event\":\"check\"}"]),
      ("role", nil, ["ROLE"]),
      ("select", nil, ["SELECT", "\(database)"]),
      ("time", nil, ["TIME"]),
      // On a key of our own, which is made and removed again.
      ("set", "~\(probe)", ["SET", probe, "1", "PX", Self.longestLife]),
      ("rpush", "~\(probe)", ["RPUSH", probe, "1"]),
      ("pexpire", "~\(probe)", ["PEXPIRE", probe, Self.longestLife]),
      ("del", "~\(probe)", ["DEL", probe]),
    ]
    let clusterCalls: [(String, String?, [String])] =
      isClustered
      ? [("asking", nil, ["ASKING"]), ("cluster|slots", nil, ["CLUSTER", "SLOTS"])] : []
    commands = (calls + clusterCalls).map { Trial($0, $1, $2) }
    subscription = Trial("subscribe", "&\(layout.events)", ["SUBSCRIBE", layout.events])
    let names =
      [layout.leader, layout.epoch, layout.replicas, reports]
      + credentials.flatMap { credential in
        [
          layout.key(.credential, credential), layout.key(.expiry, credential),
          layout.state(credential),
        ]
      }
    keys = (names + others).map { Trial("exists", "~\($0)", ["EXISTS", $0]) }
    optional = Set(
      ["+client|setname", "+info", "+ping", "+role", "~\(probe)"]
        + (database == 0 ? ["+select"] : []))
  }

  /// Every command that is tried.
  var permissions: [String] { (commands + [subscription]).map(\.permission) }

  /// Whether the daemon keeps tokens without this rule.
  func isOptional(_ rule: String) -> Bool { optional.contains(rule) }
}

extension PermissionTrials.Trial {
  fileprivate init(_ permission: String, _ object: String?, _ words: [String]) {
    self.permission = permission
    self.object = object
    command = RedisCommand(words[0], Array(words.dropFirst()))
  }

  /// The key that it is about; nil for none.
  var key: String? { object.flatMap { $0.hasPrefix("~") ? String($0.dropFirst()) : nil } }

  /// What to grant, as a rule of `ACL SETUSER`, when the ACL refuses the call so.
  func missing(_ refusal: RedisServerError) -> String {
    // "… no permissions to run the 'get' command", "… to access one of the keys …".
    guard let object, !refusal.message.contains("to run the '") else { return "+\(permission)" }
    return object
  }
}
