/// The host and the port of a URL, RFC 3986 section 3.2, without a user.
package struct URLAuthority: Hashable, Sendable {
  package enum Problem: Error, Hashable {
    case hostMissing
    case hostInvalid
    case portInvalid
  }

  package let host: URLHost
  /// From 1 to 65535; nil when none is given, be it after a colon.
  package let port: Int?

  package init(_ text: Substring) throws(Problem) {
    let end = text.hasPrefix("[") ? text.firstIndex(of: "]").map(text.index(after:)) : nil
    let name = text[..<(end ?? text.firstIndex(of: ":") ?? text.endIndex)]
    guard !name.isEmpty else { throw .hostMissing }
    guard let host = URLHost(name) else { throw .hostInvalid }
    self.host = host
    let rest = text[name.endIndex...]
    guard !rest.isEmpty, rest != ":" else {
      port = nil
      return
    }
    // Digits only: no sign, as `Int` would take it. There may be zeros before the others.
    let digits = rest.dropFirst()
    guard rest.hasPrefix(":"),
      digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let number = Int(digits), (1...65_535).contains(number)
    else { throw .portInvalid }
    port = number
  }
}
