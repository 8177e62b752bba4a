import NIOCore
import NIOSSL

extension Settings {
  /// A certificate and its key.
  package struct TLSFiles: Sendable, Hashable {
    package let certificate: String
    package let key: String

    package init(certificate: String, key: String) {
      self.certificate = certificate
      self.key = key
    }

    /// What a certificate chain and its key make, both in PEM.
    static func context(
      _ certificate: [UInt8], _ key: [UInt8]
    ) throws(FileProblem) -> NIOSSLContext {
      do {
        let chain = try NIOSSLCertificate.fromPEMBytes(certificate).map {
          NIOSSLCertificateSource.certificate($0)
        }
        guard !chain.isEmpty else { throw FileProblem("its file holds no PEM certificate") }
        let privateKey = try NIOSSLPrivateKey(bytes: key, format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(
          certificateChain: chain, privateKey: .privateKey(privateKey))
        configuration.minimumTLSVersion = .tlsv12
        // A client that does not say farewell is not waited for.
        configuration.shutdownTimeout = .milliseconds(500)
        return try NIOSSLContext(configuration: configuration)
      } catch let problem as FileProblem {
        throw problem
      } catch {
        throw FileProblem("the files are not a PEM certificate chain with its matching key")
      }
    }
  }
}
