package import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The authorities that this machine trusts, as programs with OpenSSL find them.
///
/// NIOSSL's own search fails without a word (`unknownError([])`) where there are none, also when
/// the ones that count were given to it beside them.
package enum SystemAuthorities {
  /// Nothing is trusted here, and where was looked.
  package struct Missing: Error, Hashable, CustomStringConvertible {
    package let places: [String]

    package var description: String {
      "this machine has no CA bundle (looked for \(places.joined(separator: ", "))): install"
        + " ca-certificates, or set WCH_API_CA_FILE for WeChat and ca_file in Redis's URL"
    }
  }

  private static let files = [
    // Debian, Ubuntu, Arch, Alpine; Fedora; openSUSE; BSD and old Alpine.
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
  ]
  private static let directories = ["/etc/ssl/certs"]

  /// What is to be trusted: a bundle or a directory of hashed names, or both.
  ///
  /// `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of the usual ones, each of its own kind.
  package static func roots() throws(Missing) -> [NIOSSLAdditionalTrustRoots] {
    let file = variable("SSL_CERT_FILE")
    let directory = variable("SSL_CERT_DIR")
    let files = file.map { [$0] } ?? (directory == nil ? Self.files : [])
    let directories =
      directory.map { $0.split(separator: ":").map(String.init) }
      ?? (file == nil ? Self.directories : [])
    let found =
      [files.first(where: isReadable), directories.first(where: isReadable)].compactMap(\.self)
    guard !found.isEmpty else { throw Missing(places: files + directories) }
    return found.map { .file($0) }
  }

  /// A configuration of a client that trusts the machine's authorities and these besides.
  ///
  /// - Throws: `Missing` when both are none.
  package static func configuration(
    beside extra: [NIOSSLCertificate] = []
  ) throws(Missing) -> TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.trustRoots = .certificates(extra)
    do throws(Missing) {
      configuration.additionalTrustRoots = try roots()
    } catch {
      guard !extra.isEmpty else { throw error }
    }
    return configuration
  }

  private static func variable(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    let text = unsafe String(cString: value)
    return text.isEmpty ? nil : text
  }

  private static func isReadable(_ path: String) -> Bool { unsafe access(path, R_OK) == 0 }
}
