import TestSupport
import Testing

@testable import RedisClient

@Suite("A client over TLS", .serialized)
struct TLSTests {
  /// A server with a certificate of authority `ca`, and what is needed to make more of them.
  private func start(
    alternativeName: String = "DNS:localhost,IP:127.0.0.1", days: Int = 2, arguments: [String] = []
  ) async throws -> (RedisServer, TestCertificates) {
    let certificates = try TestCertificates()
    try certificates.makeAuthority("ca")
    try certificates.makeCertificate(
      "server", alternativeName: alternativeName, signedBy: "ca", days: days)
    let server = try await RedisServer.start(
      tlsArguments: [
        "--tls-cert-file", certificates.path("server.pem"), "--tls-key-file",
        certificates.path("server.key"), "--tls-ca-cert-file", certificates.path("ca.pem"),
      ] + (arguments.isEmpty ? ["--tls-auth-clients", "no"] : arguments))
    return (server, certificates)
  }

  private func endpoint(
    _ server: RedisServer, _ certificates: TestCertificates, host: String = "localhost",
    _ parameters: String = ""
  ) throws -> RedisConfiguration {
    let port = try #require(server.tlsPort)
    return RedisConfiguration(
      endpoint: try RedisEndpoint(
        url: "rediss://\(host):\(port)?ca_file=\(certificates.path("ca.pem"))\(parameters)"))
  }

  private func connectFailure(_ configuration: RedisConfiguration) async throws -> RedisFailure {
    try await withClient(configuration) { _, events in try await events.first(\.connectFailure) }
  }

  private func expectConnected(_ configuration: RedisConfiguration) async throws {
    try await withClient(configuration) { client, events in
      let info = try await events.first(\.server)
      #expect(info.runID != nil)
      let reply = try await client.execute(RedisCommand("PING"), deadline: .soon)
      #expect(reply == .status("PONG"))
    }
  }

  @Test("a certificate of a trusted authority for the host name, or the address, is accepted")
  func accepted() async throws {
    let (server, certificates) = try await start()
    try await expectConnected(try endpoint(server, certificates))
    try await expectConnected(try endpoint(server, certificates, host: "127.0.0.1"))
    server.stop()
  }

  @Test("a certificate for another host is refused by name, unless that name is asked for")
  func wrongHost() async throws {
    let (server, certificates) = try await start(alternativeName: "DNS:redis.example")
    let failure = try await connectFailure(try endpoint(server, certificates))
    #expect(failure == .tls(.wrongHostName(expected: "localhost")))
    let address = try await connectFailure(
      try endpoint(server, certificates, host: "127.0.0.1"))
    #expect(address == .tls(.wrongHostName(expected: "127.0.0.1")))
    try await expectConnected(
      try endpoint(server, certificates, "&server_name=redis.example"))
    server.stop()
  }

  @Test("a certificate for the address alone is refused where a name is asked for")
  func addressForName() async throws {
    let (server, certificates) = try await start(alternativeName: "IP:127.0.0.1")
    let failure = try await connectFailure(try endpoint(server, certificates))
    #expect(failure == .tls(.wrongHostName(expected: "localhost")))
    let narrowed = try await connectFailure(
      try endpoint(server, certificates, host: "127.0.0.1", "&server_name=redis.example"))
    #expect(narrowed == .tls(.wrongHostName(expected: "redis.example")))
    try await expectConnected(try endpoint(server, certificates, host: "127.0.0.1"))
    server.stop()
  }

  @Test(
    "a certificate's name is compared label by label; only the first may be open",
    arguments: [
      ("redis.example", "redis.example", true), ("Redis.EXAMPLE", "redis.example.", true),
      ("*.redis.example", "a.redis.example", true), ("*.redis.example", "redis.example", false),
      ("*.redis.example", "a.b.redis.example", false), ("*.example", "redis.example", false),
      ("a*.redis.example", "ab.redis.example", false), ("redis.*.x", "redis.example.x", false),
      ("redis.example", "xredis.example", false), ("*", "redis", false),
    ])
  func names(pattern: String, name: String, isMatch: Bool) {
    #expect(NamedPeer.isMatch(pattern, name) == isMatch)
  }

  @Test("a certificate of an unknown authority is refused by name")
  func unknownAuthority() async throws {
    let (server, certificates) = try await start()
    try certificates.makeAuthority("other")
    var configuration = try endpoint(server, certificates)
    configuration.endpoint.tls?.caFile = certificates.path("other.pem")
    #expect(try await connectFailure(configuration) == .tls(.unknownAuthority))
    configuration.endpoint.tls?.caFile = nil
    #expect(try await connectFailure(configuration) == .tls(.unknownAuthority))
    server.stop()
  }

  @Test("an expired certificate is refused by name")
  func expired() async throws {
    let (server, certificates) = try await start(days: -1)
    #expect(try await connectFailure(try endpoint(server, certificates)) == .tls(.expired))
    server.stop()
  }

  @Test("a server that asks for a client certificate gets it, and refuses us without")
  func clientCertificate() async throws {
    let (server, certificates) = try await start(arguments: ["--tls-auth-clients", "yes"])
    let failure = try await connectFailure(try endpoint(server, certificates))
    #expect(failure == .tls(.clientCertificateRefused))
    try certificates.makeCertificate("client", alternativeName: "DNS:client", signedBy: "ca")
    let own = { (name: String) in
      "&cert_file=\(certificates.path(name + ".pem"))&key_file=\(certificates.path(name + ".key"))"
    }
    try await expectConnected(try endpoint(server, certificates, own("client")))
    try certificates.makeAuthority("other")
    try certificates.makeCertificate("stranger", alternativeName: "DNS:x", signedBy: "other")
    let refused = try await connectFailure(try endpoint(server, certificates, own("stranger")))
    #expect(refused == .tls(.clientCertificateRefused))
    server.stop()
  }

  @Test("a file that is missing or no certificate is named")
  func badFile() async throws {
    let (server, certificates) = try await start()
    var configuration = try endpoint(server, certificates)
    for name in ["missing.pem", "server.key"] {
      configuration.endpoint.tls?.caFile = certificates.path(name)
      guard case .tls(.file(let path, _)) = try await connectFailure(configuration) else {
        Issue.record("\(name) was taken")
        return
      }
      #expect(path == certificates.path(name))
    }
    server.stop()
  }

  @Test("a server without TLS is reported as such, or asked about when it says nothing")
  func plainServer() async throws {
    // Redis waits for the end of what it takes for a very odd command.
    let server = try await RedisServer.start()
    var configuration = RedisConfiguration(
      endpoint: try RedisEndpoint(url: "rediss://127.0.0.1:\(server.port)"))
    configuration.connectTimeout = .milliseconds(500)
    // A busy machine may take so long to connect at all.
    let isNamed = try await withClient(configuration) { _, events in
      try await events.first { $0.connectFailure == .tls(.handshakeTimedOut) ? true : nil }
    }
    #expect(isNamed)
    server.stop()
    configuration.connectTimeout = patience
    let web = try await HostileServer([.bytes("HTTP/1.1 400 Bad Request\r\n\r\n")])
    configuration.endpoint = try RedisEndpoint(url: "rediss://127.0.0.1:\(web.port)")
    let failure = try await connectFailure(configuration)
    #expect(failure == .tls(.notTLS))
    await web.stop()
  }
}
