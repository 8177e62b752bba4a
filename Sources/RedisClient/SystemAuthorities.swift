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

  /// What is to be trusted: the path of a bundle, or else of a directory of hashed names.
  ///
  /// `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of the usual ones.
  package static func path() throws(Missing) -> String {
    let file = variable("SSL_CERT_FILE")
    let directory = variable("SSL_CERT_DIR")
    let given =
      (file.map { [$0] } ?? [])
      + (directory?.split(separator: ":").map(String.init) ?? [])
    let places = given.isEmpty ? files + directories : given
    guard let found = places.first(where: isReadable) else { throw Missing(places: places) }
    return found
  }

  /// A configuration of a client that trusts the machine's authorities and these besides.
  ///
  /// - Throws: `Missing` when both are none.
  package static func configuration(
    beside extra: [NIOSSLCertificate] = []
  ) throws(Missing) -> TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    do throws(Missing) {
      configuration.trustRoots = .file(try path())
      configuration.additionalTrustRoots = extra.isEmpty ? [] : [.certificates(extra)]
    } catch {
      guard !extra.isEmpty else { throw error }
      configuration.trustRoots = .certificates(extra)
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
