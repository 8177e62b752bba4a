import NIOCore

/// The host of a URL, in any spelling that RFC 3986 has for it, read as curl reads it.
///
/// Upper case, a final dot, percent-encoded characters, IPv4 addresses in the forms of `inet_aton`
/// (`127.1`, `0x7f.1`), IPv6 addresses in brackets with a zone (RFC 6874: `%25eth0`; `%eth0` too).
/// What may stand in a host by RFC 3986 and in no name (`!$&'()*+,;=`) is refused, as by curl, and
/// so is what is not ASCII: such names are written in their ASCII form, `xn--…`.
package struct URLHost: Hashable, Sendable {
  /// What is dialled: a name in lower case, or an address without brackets, the zone after a `%`.
  package let name: String

  /// A domain name's length in text, RFC 1035; a final dot does not count.
  private static let longest = 253

  /// - Parameter text: the part of the URL without user and port.
  package init?(_ text: some StringProtocol) {
    if text.hasPrefix("[") {
      guard text.hasSuffix("]"), let name = Self.address(text.dropFirst().dropLast()) else {
        return nil
      }
      self.name = name
      return
    }
    guard let decoded = PercentEncoding.decoded(text.utf8), !decoded.isEmpty,
      decoded.allSatisfy(PercentEncoding.isUnreserved)
    else { return nil }
    let name = String(decoding: decoded, as: UTF8.self).lowercased()
    guard Self.withoutFinalDot(name).utf8.count <= Self.longest else { return nil }
    // As curl does: the certificate and the Host field then have the usual form, too.
    self.name = SystemResolver.address(name)?.ipAddress ?? name
  }

  /// The host as it stands in a URL before its port: an IPv6 address in brackets, its zone as
  /// RFC 6874 has it.
  package static func inURL(_ host: String) -> String {
    bracketed(host.contains(":") ? host.replacing("%", with: "%25", maxReplacements: 1) : host)
  }

  /// The host as it stands before its port elsewhere: an IPv6 address in brackets.
  package static func bracketed(_ host: String) -> String {
    host.contains(":") ? "[\(host)]" : host
  }

  /// Whether whatever is sent there stays on this machine.
  package static func isLoopback(_ host: String) -> Bool {
    host == "localhost" || host == "localhost." || host.hasPrefix("127.") || host == "::1"
  }

  /// What a certificate must name, and what TLS announces: neither a final dot nor a zone.
  package static func certificateName(of host: String) -> String {
    if host.contains(":") { return String(host.prefix { $0 != "%" }) }
    return String(withoutFinalDot(host))
  }

  /// An IPv6 address, with or without a zone.
  private static func address(_ text: some StringProtocol) -> String? {
    let address = text.prefix { $0 != "%" }
    guard address.contains(":"), let parsed = SystemResolver.address(String(address)),
      parsed.protocol == .inet6
    else { return nil }
    guard address.endIndex < text.endIndex else { return address.lowercased() }
    var zone = text[address.endIndex...].dropFirst()
    if zone.hasPrefix("25") { zone = zone.dropFirst(2) }
    guard let decoded = PercentEncoding.decoded(zone.utf8), !decoded.isEmpty,
      decoded.allSatisfy(PercentEncoding.isUnreserved)
    else {
      return nil
    }
    return "\(address.lowercased())%\(String(decoding: decoded, as: UTF8.self))"
  }

  private static func withoutFinalDot(_ name: String) -> Substring {
    name.hasSuffix(".") && name.utf8.count > 1 ? name.dropLast() : name[...]
  }
}
