/// A URL that may carry a password, as it may be shown: every message about a value goes through
/// here.
///
/// Not a parser: what looks like a password is hidden even when the URL is malformed, which is
/// when it is shown most.
struct RedactedURL: CustomStringConvertible {
  /// The URL with `***` for what is secret.
  let description: String
  /// Whether it carries a password, in the user part or in a parameter.
  let hasPassword: Bool

  private static let secretParameters = [
    "password", "sentinel_password", "pass", "passwd", "pwd", "secret", "token",
  ]
  /// Parameters that people look for; what is none of these may be anything, and is hidden.
  private static let harmlessParameters = [
    "db", "ca_file", "cert_file", "key_file", "server_name", "user", "master",
    "sentinel_user", "sentinel_tls",
  ]

  /// The text as it may be shown, be it a URL or not.
  ///
  /// - Parameter isWrong: whether nobody knows what the text is: then an `@` is enough to take
  ///   what is before it for a password, but in a path.
  static func shown(_ text: String, isWrong: Bool = false) -> String {
    let looksLikeOne =
      text.firstRange(of: "://") != nil || (isWrong && text.contains("@") && !text.hasPrefix("/"))
    return looksLikeOne ? RedactedURL(text).description : text
  }

  init(_ url: String) {
    var text = url
    var found = false
    let start = text.firstRange(of: "://")?.upperBound ?? text.startIndex
    // The last `@`: an unescaped one may stand in the password.
    if let at = text.lastIndex(of: "@"), at >= start {
      if let colon = text[start..<at].firstIndex(of: ":") {
        found = text.index(after: colon) < at
        text.replaceSubrange(text.index(after: colon)..<at, with: found ? "***" : "")
      } else {
        // A user's name, or a password whose colon was forgotten.
        text.replaceSubrange(start..<at, with: "***")
      }
    } else {
      // Without its `@` a password looks like a port.
      let end = text[start...].firstIndex { $0 == "/" || $0 == "?" } ?? text.endIndex
      let hosts = text[start..<end].split(separator: ",", omittingEmptySubsequences: false)
      let shown = hosts.map { host in
        let afterAddress = host.hasPrefix("[") ? host.firstIndex(of: "]") : host.startIndex
        guard let colon = host[(afterAddress ?? host.startIndex)...].firstIndex(of: ":"),
          !host[host.index(after: colon)...].utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return String(host) }
        found = true
        return "\(host[...colon])***"
      }
      if found { text.replaceSubrange(start..<end, with: shown.joined(separator: ",")) }
    }
    if let question = text.firstIndex(of: "?") {
      let query = text[text.index(after: question)...].split(
        separator: "&", omittingEmptySubsequences: false)
      let shown = query.map { item in
        let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, Self.harmlessParameters.contains(String(parts[0])) {
          return String(item)
        }
        guard parts.count == 2 else { return item.isEmpty ? "" : "***" }
        if Self.secretParameters.contains(parts[0].lowercased()) { found = true }
        return "\(parts[0])=***"
      }
      text = text[...question] + shown.joined(separator: "&")
    }
    description = text
    hasPassword = found
  }
}
