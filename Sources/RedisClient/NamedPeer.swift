import NIOCore
package import NIOSSL

/// TLS with a server that is known by its name: the certificate must have that name.
///
/// NIOSSL alone is content when it has the connection's address instead. There are public
/// authorities that certify addresses: whoever bends the look-up of the name to an address of his
/// own could then show a certificate of that address, and TLS is there against just that. By
/// RFC 9525 (section 6.3) names are compared with names only.
package enum NamedPeer {
  /// A handler for a connection to that server.
  ///
  /// Both names with an underscore are NIOSSL's, and not stable by its word: without them this is
  /// not built. By them nothing is sent before the comparison.
  package static func handler(
    context: NIOSSLContext, name: String
  ) throws -> NIOSSLClientHandler {
    guard context.configuration.certificateVerification == .fullVerification else {
      return try NIOSSLClientHandler(context: context, serverHostname: name)
    }
    return try NIOSSLClientHandler._makeSSLClientHandler(context: context, serverHostname: name) {
      certificate, channel in
      channel.eventLoop.makeCompletedFuture {
        let names = certificate._subjectAlternativeNames()
        // Without any, NIOSSL has compared the common name.
        guard !names.isEmpty else { return }
        let isNamed = names.contains {
          $0.nameType == .dnsName && isMatch(String(decoding: $0.contents, as: UTF8.self), name)
        }
        if !isNamed { throw NIOSSLExtraError.failedToValidateHostname }
      }
    }
  }

  /// Whether a certificate's name is that of a host; its first label may be `*`.
  static func isMatch(_ pattern: String, _ name: String) -> Bool {
    let pattern = labels(pattern)
    let name = labels(name)
    guard pattern.count == name.count, pattern.count > 0 else { return false }
    // A wildcard stands for one label, and not for a whole domain of the first level.
    let isFirstOpen = pattern[0] == "*" && pattern.count > 2
    return (isFirstOpen || pattern[0] == name[0]) && pattern.dropFirst() == name.dropFirst()
  }

  private static func labels(_ name: String) -> [Substring] {
    var text = name.lowercased()[...]
    if text.hasSuffix(".") { text = text.dropLast() }
    return text.split(separator: ".", omittingEmptySubsequences: false)
  }
}
