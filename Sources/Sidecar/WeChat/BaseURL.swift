import Dialing
import FoundationEssentials

/// The parts of a base URL.
struct BaseURL: Hashable {
  /// As it is dialled: see ``URLHost``.
  let host: String
  let port: Int
  let isHTTPS: Bool
  /// Without a slash at its end; mostly empty.
  let path: String

  /// In the usual spelling, without a slash at its end.
  var url: String { "\(isHTTPS ? "https" : "http")://\(authority)\(path)" }

  init(_ text: String) {
    let isHTTPS = !text.lowercased().hasPrefix("http://")
    let rest = text.firstRange(of: "://").map { text[$0.upperBound...] } ?? text[...]
    let whole = rest.prefix { $0 != "/" }
    // A user name before an @ has no place in a log.
    let authority = whole.lastIndex(of: "@").map { whole[$0...].dropFirst() } ?? whole
    let afterAddress = authority.hasPrefix("[") ? authority.firstIndex(of: "]") : nil
    let colon = authority[(afterAddress ?? authority.startIndex)...].firstIndex(of: ":")
    let host = authority[..<(colon ?? authority.endIndex)]
    self.isHTTPS = isHTTPS
    // Settings have checked it; what is no host is not reached, and says so.
    self.host = URLHost(host)?.name ?? String(host)
    port =
      colon.flatMap { Int(authority[$0...].dropFirst()) } ?? Self.usualPort(isHTTPS: isHTTPS)
    path = String(rest[whole.endIndex...].reversed().drop { $0 == "/" }.reversed())
  }

  private static func usualPort(isHTTPS: Bool) -> Int { isHTTPS ? 443 : 80 }

  /// Host and port, without the port that is usual.
  var authority: String {
    let shown = URLHost.inURL(host)
    return port == Self.usualPort(isHTTPS: isHTTPS) ? shown : "\(shown):\(port)"
  }
}
