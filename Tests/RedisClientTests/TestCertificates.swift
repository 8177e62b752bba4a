import Foundation
import TestSupport

/// Certificates made by `openssl` for one test, in a directory that goes with them.
final class TestCertificates: Sendable {
  private let directory: URL

  init() throws {
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("tls\(UInt32.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: directory) }

  func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

  /// Makes `NAME.pem` and `NAME.key`, a certificate authority.
  func makeAuthority(_ name: String) throws {
    try openssl(
      ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=\(name)", "-out", path(name + ".pem")]
        + newKey(name))
  }

  /// Makes `NAME.pem` and `NAME.key`, signed by an authority and valid from now for so many days.
  func makeCertificate(
    _ name: String, alternativeName: String, signedBy authority: String, days: Int = 2
  ) throws {
    try Data("subjectAltName=\(alternativeName)".utf8)
      .write(to: directory.appendingPathComponent(name + ".ext"))
    try openssl(
      ["req", "-nodes", "-subj", "/CN=\(name)", "-out", path(name + ".csr")] + newKey(name))
    try openssl([
      "x509", "-req", "-in", path(name + ".csr"), "-CA", path(authority + ".pem"), "-CAkey",
      path(authority + ".key"), "-CAcreateserial", "-days", "\(days)", "-extfile",
      path(name + ".ext"), "-out", path(name + ".pem"),
    ])
  }

  private func newKey(_ name: String) -> [String] {
    [
      "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", path(name + ".key"),
    ]
  }

  private func openssl(_ arguments: [String]) throws {
    guard try ChildProcess(["openssl"] + arguments).succeeds() else {
      throw CertificateFailure(arguments: arguments)
    }
  }
}

struct CertificateFailure: Error {
  let arguments: [String]
}
