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
    /// The keys of one command live in several slots.
    case crossSlot
    /// The cluster does not serve this slot now.
    case clusterDown
    /// The key's slot is moving, and the keys of one command are on both sides.
    case tryAgain
    /// The key holds another type than the command works on.
    case wrongType
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
    switch codeInScript ?? code {
    case "READONLY": .readOnly
    case "LOADING": .loading
    case "OOM": .outOfMemory
    case "NOPERM": .noPermission
    case "NOAUTH": .noAuth
    case "WRONGPASS": .wrongPassword
    case "NOREPLICAS": .noReplicas
    case "MISCONF": .misconfigured
    case "BUSY": .busy
    case "MASTERDOWN": .masterDown
    case "NOSCRIPT": .noScript
    case "MOVED": .moved
    case "ASK": .ask
    case "CROSSSLOT": .crossSlot
    case "CLUSTERDOWN": .clusterDown
    case "TRYAGAIN": .tryAgain
    case "WRONGTYPE": .wrongType
    // Redis before 6 has no WRONGPASS; 3.0 to 5 say so in words.
    case "ERR" where message.hasPrefix("ERR invalid password"): .wrongPassword
    default: .other
    }
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
  /// The message as far as it is the server's own words: what it quotes of the command is cut.
  package var description: String {
    // What an ACL refuses is named in quotes: a command, never its arguments.
    if kind == .noPermission, let name = refusedCommand {
      return "NOPERM the Redis user may not run `\(name)`: grant it (ACL SETUSER … +\(name))"
    }
    var shown = message[...]
    // "ERR unknown command 'AUTH', with args beginning with: 'user' 'password'" is how a server
    // without AUTH would put a password into a log.
    for quote in [", with args", "`", " '"] {
      if let cut = shown.firstRange(of: quote) {
        // Where the cut would leave nothing to read, the code still stands.
        shown = shown[..<cut.lowerBound]
      }
    }
    let text = String(shown.prefix(Self.longestShown)).filter { $0 >= " " && $0 != "\u{7f}" }
    return text.count < message.count ? text + "…" : text
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
}
