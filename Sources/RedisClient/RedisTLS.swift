import NIOCore
import NIOSSL

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension RedisEndpoint.TLS {
  /// Why no connection can be made with these files; nil when one can.
  ///
  /// Blocks as long as it takes to read them.
  package var problem: RedisFailure? {
    do {
      _ = try makeContext()
      return nil
    } catch {
      return error
    }
  }

  /// Reads the files and makes what NIOSSL works with; blocks, so it is called off the event loop.
  func makeContext() throws(RedisFailure) -> NIOSSLContext {
    var configuration = TLSConfiguration.makeClientConfiguration()
    if let caFile {
      configuration.trustRoots = .certificates(
        try read(caFile) { try NIOSSLCertificate.fromPEMFile(caFile) })
    } else {
      do {
        configuration = try SystemAuthorities.configuration()
      } catch {
        throw .tls(.other("\(error)"))
      }
    }
    // A server that stands still must not keep the process from ending.
    configuration.shutdownTimeout = .seconds(1)
    if let certFile, let keyFile {
      configuration.certificateChain = try read(certFile) {
        try NIOSSLCertificate.fromPEMFile(certFile).map { .certificate($0) }
      }
      configuration.privateKey = .privateKey(
        try read(keyFile) { try NIOSSLPrivateKey(file: keyFile, format: .pem) })
    }
    do {
      return try NIOSSLContext(configuration: configuration)
    } catch {
      throw .tls(.other("the certificate and the key do not fit together, or cannot be used"))
    }
  }

  private func read<Content>(
    _ path: String, _ body: () throws -> Content
  ) throws(RedisFailure) -> Content {
    do {
      return try body()
    } catch {
      throw .tls(.file(path: path, reason: "it cannot be read, or is not PEM"))
    }
  }
}

extension RedisTLSFailure {
  /// Names an error of NIOSSL; nil when it is none.
  init?(_ error: any Error, expectedName: String?, certificate: () -> NIOSSLCertificate?) {
    switch error {
    case let error as NIOSSLExtraError where error == .failedToValidateHostname:
      self = .wrongHostName(expected: expectedName ?? "the host")
    case let error as NIOSSLExtraError: self = .other("\(error)")
    case NIOSSLError.handshakeFailed(let reason):
      self = Self(handshake: "\(reason)", certificate: certificate)
    case NIOSSLError.unableToValidateCertificate:
      self = .wrongHostName(expected: expectedName ?? "the host")
    case NIOSSLError.uncleanShutdown: return nil
    case let error as NIOSSLError: self = .other("\(error)")
    case let error as BoringSSLError: self = Self(handshake: "\(error)", certificate: certificate)
    default: return nil
    }
  }

  /// BoringSSL tells its reasons apart by names inside the text only.
  private init(handshake reason: String, certificate: () -> NIOSSLCertificate?) {
    let names: [(String, RedisTLSFailure)] = [
      ("CERTIFICATE_VERIFY_FAILED", .unknownAuthority),
      ("CERTIFICATE_REQUIRED", .clientCertificateRefused),
      ("ALERT_BAD_CERTIFICATE", .clientCertificateRefused),
      ("ALERT_UNKNOWN_CA", .clientCertificateRefused),
      ("ALERT_HANDSHAKE_FAILURE", .clientCertificateRefused),
      ("WRONG_VERSION_NUMBER", .notTLS),
    ]
    self = names.first { reason.contains($0.0) }?.1 ?? .other(reason)
    guard self == .unknownAuthority, let certificate = certificate() else { return }
    // BoringSSL says only that the verification failed; the certificate tells when it is valid.
    let now = time(nil)
    if certificate.notValidAfter < now { self = .expired }
    if certificate.notValidBefore > now { self = .notYetValid }
  }
}
