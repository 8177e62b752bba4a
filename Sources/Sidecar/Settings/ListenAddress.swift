import Dialing

/// Where the HTTP interface answers.
package enum ListenAddress: Hashable, Sendable, CustomStringConvertible {
  case off
  /// A host name or address (IPv6 without brackets) and a port; port 0 takes any free one.
  case tcp(host: String, port: Int)
  case unix(path: String)

  /// The longest path that `sockaddr_un` holds, without its NUL.
  static let longestUnixPath = 107

  /// Reads `host:port`, `[IPv6]:port`, `unix:/path` or `off`; nil for anything else.
  init?(_ text: String) {
    if text == "off" {
      self = .off
    } else if text.hasPrefix("unix:") {
      let path = String(text.dropFirst(5))
      guard path.hasPrefix("/"), (2...Self.longestUnixPath).contains(path.utf8.count),
        !path.utf8.contains(0)
      else { return nil }
      self = .unix(path: path)
    } else {
      guard let colon = text.lastIndex(of: ":") else { return nil }
      let digits = text[text.index(after: colon)...].utf8
      guard (1...5).contains(digits.count),
        digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
        let port = Int(text[text.index(after: colon)...]), port <= 65535
      else { return nil }
      var host = String(text[..<colon])
      if host.hasPrefix("["), host.hasSuffix("]") {
        host = String(host.dropFirst().dropLast())
        guard host.contains(":") else { return nil }
      } else if host.contains(":") {
        return nil
      }
      guard (1...253).contains(host.utf8.count),
        host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") })
      else { return nil }
      self = .tcp(host: host, port: port)
    }
  }

  package var description: String {
    switch self {
    case .off: "off"
    case .tcp(let host, let port): "\(URLHost.bracketed(host)):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}
