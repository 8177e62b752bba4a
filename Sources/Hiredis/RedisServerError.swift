/// An error reply of a Redis server: `READONLY You can't write against a read only replica`.
package struct RedisServerError: Error, Hashable, Sendable {
  /// What the refusal means to a client; the first word of the message tells.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// A write met a replica.
    case readOnly
    /// The server is still reading its data set from disk.
    case loading
    /// `maxmemory` is reached and nothing may be evicted.
    case outOfMemory
    /// The ACL forbids the command, key or channel.
    case noPermission
    /// The connection is not authenticated.
    case noAuth
    /// The user name or the password is wrong.
    case wrongPassword
    /// Fewer replicas are connected than `min-replicas-to-write` asks for.
    case noReplicas
    /// Writes are stopped since the server cannot persist them.
    case misconfigured
    /// A script or function has run too long and blocks the server.
    case busy
    /// A replica without its master refuses to serve old data.
    case masterDown
    /// `EVALSHA` named a script that the server does not have.
    case noScript
    /// The key's slot lives on another node.
    case moved
    /// The key's slot is moving to another node.
    case ask
    /// The keys of one command live in several slots, or a proxy before a cluster cannot tell that
    /// they do not: only steps that touch one slot each can be taken there.
    case crossSlot
    /// The cluster does not serve this slot now.
    case clusterDown
    /// The key's slot is moving, and the keys of one command are on both sides.
    case tryAgain
    /// The key holds another type than the command works on.
    case wrongType
    /// The server, or a proxy before it, does not have the command, or lets nobody give it.
    case unknownCommand
    /// A script called a command that the server does not have, or not in scripts.
    case unknownInScript
    /// The server does not speak the version of the protocol that was asked for.
    case wrongProtocol
    /// The server has as many clients as it takes.
    case tooManyClients
    /// Only clients on the server's own machine are let in.
    case protectedMode
    /// A script that has written cannot be ended.
    case unkillable
    /// Anything else; `code` tells the first word.
    case other
  }

  /// The whole message, for decisions; never for logs: `description` is for those.
  ///
  /// It may repeat arguments of the command, secrets among them.
  package let message: String

  package init(_ message: String) { self.message = message }

  /// The first word, by which Redis tells errors apart, such as `ERR` or `READONLY`.
  package var code: String { String(message.prefix { $0 != " " }) }

  /// What the refusal means, also when it ended a script.
  package var kind: Kind {
    let code = codeInScript ?? code
    return Self.kinds[code] ?? Self.phrases.first { ownWords.contains($0.words) }?.kind ?? .other
  }

  /// What the first words mean.
  private static let kinds: [String: Kind] = [
    "READONLY": .readOnly, "LOADING": .loading, "OOM": .outOfMemory, "NOPERM": .noPermission,
    "NOAUTH": .noAuth, "WRONGPASS": .wrongPassword, "NOREPLICAS": .noReplicas,
    "MISCONF": .misconfigured, "BUSY": .busy, "MASTERDOWN": .masterDown, "NOSCRIPT": .noScript,
    "MOVED": .moved, "ASK": .ask, "CROSSSLOT": .crossSlot, "CLUSTERDOWN": .clusterDown,
    "TRYAGAIN": .tryAgain, "WRONGTYPE": .wrongType, "NOPROTO": .wrongProtocol,
    "DENIED": .protectedMode, "UNKILLABLE": .unkillable,
  ]

  /// What some words mean where the first one tells nothing, in lower case; the first that fits.
  private static let phrases: [(words: String, kind: Kind)] = [
    // Redis before 6 has no WRONGPASS; 3.0 to 5 say so in words.
    ("err invalid password", .wrongPassword),
    ("max number of clients", .tooManyClients),
    // Of a script's own commands: Redis 6.0 and 6.2, then 7.0, then what came after it.
    ("the user executing the script can't", .noPermission),
    ("acl failure in script", .noPermission),
    // Proxies that send each command to one of many servers.
    ("same slot", .crossSlot), ("bad lua script", .crossSlot),
    ("command called from ", .unknownInScript), ("not allowed from script", .unknownInScript),
    ("unknown command", .unknownCommand), ("unsupported command", .unknownCommand),
    ("command not support", .unknownCommand), ("command is not support", .unknownCommand),
    ("command not allowed", .unknownCommand), ("command is not allowed", .unknownCommand),
  ]

  /// The message without what it quotes of the command, in lower case.
  ///
  /// A name that is quoted in the middle is left out, and the words behind it count: one proxy says
  /// `ERR command 'BLPOP' not support for normal user`.
  private var ownWords: String {
    let start = message.prefix(Self.longestShown).lowercased().prefix { $0 != "`" }
    let end = start.firstRange(of: ", with args")?.lowerBound ?? start.endIndex
    return Self.unquoted(start[..<end])
  }

  /// A text without what stands between two apostrophes, or behind one without another.
  private static func unquoted(_ text: Substring) -> String {
    guard let open = text.firstRange(of: " '") else { return String(text) }
    let rest = text[open.upperBound...]
    guard let close = rest.firstRange(of: "' ") else { return String(text[..<open.lowerBound]) }
    return text[..<open.lowerBound] + " " + rest[close.upperBound...]
  }

  /// The code of the refusal that ended a script: before version 7, Redis puts words of its own in
  /// front, as in `ERR Error running script (call to f_…): @user_script: 1: -READONLY You can't …`.
  private var codeInScript: String? {
    guard message.hasPrefix("ERR Error running script") else { return nil }
    return message.split(separator: " ").dropFirst()
      .map { $0.hasPrefix("-") ? $0.dropFirst() : $0 }
      .first { $0.utf8.count > 1 && $0.utf8.allSatisfy(Self.capitals.contains) }.map(String.init)
  }

  private static let capitals = UInt8(ascii: "A")...UInt8(ascii: "Z")
}

extension RedisServerError: CustomStringConvertible, CustomReflectable {
  /// The message as far as it is the server's own words, what it quotes of the command cut, and
  /// what the refusal comes from and what helps, where that is known.
  package var description: String {
    // What an ACL refuses is named in quotes: a command, never its arguments.
    if kind == .noPermission, let name = refusedCommand {
      return "NOPERM the Redis user may not run `\(name)`: grant it (ACL SETUSER … +\(name))"
    }
    guard let advice = kind.advice else { return withoutAdvice }
    let words = shown(Self.longestBeforeAdvice)
    return "\(words) (\(advice.cause); \(advice.remedy))"
  }

  /// The message as far as it is the server's own words, without what helps against it.
  package var withoutAdvice: String { shown(Self.longestShown) }

  private func shown(_ longest: Int) -> String {
    var shown = message[...]
    // "ERR unknown command 'AUTH', with args beginning with: 'user' 'password'" is how a server
    // without AUTH would put a password into a log.
    for quote in [", with args", "`", " '"] {
      if let cut = shown.firstRange(of: quote) {
        // Where the cut would leave nothing to read, the code still stands.
        shown = shown[..<cut.lowerBound]
      }
    }
    let text = String(shown.prefix(longest)).filter { $0 >= " " && $0 != "\u{7f}" }
    if let unknownCommand {
      return text + (text.hasSuffix(" ") ? "" : " ") + "`\(unknownCommand)`"
    }
    return text.count < message.count ? text + "…" : text
  }

  /// The command that the server does not have, as far as it is one that is given here.
  ///
  /// A connection that has lost its place may take an argument for a command.
  package var unknownCommand: String? {
    guard kind == .unknownCommand else { return nil }
    return message.split { " ,.'`\"".contains($0) }.lazy.map { $0.uppercased() }
      .first(where: Self.commands.contains)
  }

  /// What clients here ask servers for, as far as one may lack it.
  package static let commands: Set<String> = [
    "ACL", "ASKING", "AUTH", "BLPOP", "CLIENT", "CLUSTER", "CONFIG", "DEL", "EVAL", "EVALSHA",
    "EXISTS", "GET", "HDEL", "HELLO", "HGET", "HGETALL", "HINCRBY", "HMGET", "HSET", "INFO", "LLEN",
    "LRANGE", "LTRIM", "PERSIST", "PEXPIRE", "PING", "PTTL", "PUBLISH", "ROLE", "RPUSH", "SCAN",
    "SELECT", "SENTINEL", "SET", "SUBSCRIBE", "TIME",
  ]

  /// Whether it is this command itself that is refused, to everybody or to this user, and not a key
  /// or what a script does.
  package func refuses(_ command: String) -> Bool {
    switch kind {
    case .unknownCommand: unknownCommand ?? command == command
    case .noPermission: refusedCommand?.prefix { $0 != "|" }.uppercased() == command
    default: false
    }
  }

  /// The command that an ACL refuses, from "… no permissions to run the 'evalsha' command".
  private var refusedCommand: Substring? {
    guard let start = message.firstRange(of: "run the '")?.upperBound else { return nil }
    let name = message[start...].prefix { $0.isASCII && ($0.isLetter || "|-_".contains($0)) }
    return name.isEmpty || !message[name.endIndex...].hasPrefix("'") ? nil : name
  }

  package var customMirror: Mirror { Mirror(self, children: [:]) }

  /// Longer messages are cut in descriptions: a log line is not the place for a script's trace.
  private static let longestShown = 200
  /// What helps has to be read, too, where long reasons are cut.
  private static let longestBeforeAdvice = 96
}
