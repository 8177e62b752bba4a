import Dialing

/// A base URL of WeChat's: a scheme, a host, mostly no port and no path.
package struct BaseURL: Hashable, Sendable, CustomStringConvertible {
  /// As it was given, without a slash at its end.
  package let text: String
  /// As it is dialled: see ``URLHost``.
  let host: String
  let port: Int
  let isHTTPS: Bool
  /// Without a slash at its end; mostly empty.
  let path: String

  /// In the usual spelling, without a slash at its end.
  var url: String { "\(isHTTPS ? "https" : "http")://\(authority)\(path)" }

  /// Reads `http(s)://host[:port][/path]`, without blanks around it; nil for anything else.
  package init?(_ given: some StringProtocol) {
    var text = Substring(given).drop { $0 == " " }
    while text.last == " " || text.last == "/" { text.removeLast() }
    let schemes = ["https://", "http://"]
    guard let scheme = schemes.first(where: text.lowercased().hasPrefix),
      isVisibleASCII(String(text)), !text.contains(where: { "?#@\\\"<>".contains($0) })
    else { return nil }
    let whole = text.dropFirst(scheme.count).prefix { $0 != "/" }
    guard let authority = try? URLAuthority(whole) else { return nil }
    self.text = String(text)
    isHTTPS = scheme == schemes[0]
    host = authority.host.name
    port = authority.port ?? Self.usualPort(isHTTPS: isHTTPS)
    path = String(text[whole.endIndex...])
  }

  private static func usualPort(isHTTPS: Bool) -> Int { isHTTPS ? 443 : 80 }

  /// Host and port, without the port that is usual.
  var authority: String {
    let shown = URLHost.inURL(host)
    return port == Self.usualPort(isHTTPS: isHTTPS) ? shown : "\(shown):\(port)"
  }

  package var description: String { text }
}
