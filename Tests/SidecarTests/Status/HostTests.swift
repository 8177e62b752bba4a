import NIOCore
import TestSupport
import Testing

@testable import Sidecar

/// Without a bearer only this host may ask for the token, and by its own names: every way to write
/// another name must be seen through.
@Suite("Hosts that may ask") struct HostTests {
  private func status(ofHead lines: [String]) async throws -> Int {
    var status = 0
    try await withStatusServer { port in
      let head = (lines + ["Connection: close"]).joined(separator: "\r\n") + "\r\n\r\n"
      status = try await send(head, to: SocketAddress(ipAddress: "127.0.0.1", port: port)).status
    }
    return status
  }

  @Test(
    "a host that is no name of this one's loopback is refused",
    arguments: [
      "[::1].evil.com", "[::1]evil", "[::1]evil:80", "[localhost]", "[127.0.0.1]", "[::1", "::1]",
      "::1", "[]", "[::1%lo]", "[::2]", "127.+1.0.1", "127.0.0.1:99999", "127.0.0.1:+1",
      "127.0.0.1:1:2", "127.0.0.1.", "127.1", "127.0.0.256",
      "127.0.0.1.evil.com", "0x7f.0.0.1", "2130706433", "localhost:x", "localhost.evil.com",
      "localhost..", "evil.com/localhost", "localhost@evil.com",
      "evil.com@localhost", "localhost,evil.com", "localhost evil.com", "evil.com", "", " ",
    ])
  func refused(host: String) async throws {
    let status = try await status(ofHead: ["GET /v1/token HTTP/1.1", "Host: \(host)"])
    #expect([400, 403, 421].contains(status), "\(status)")
  }

  @Test(
    "every name of this host's loopback is served",
    arguments: [
      "localhost", "localhost:2130", "LOCALHOST", "LOCALHOST.", "localhost.:80", "127.0.0.1",
      "127.0.0.1:2130", "127.1.2.3", "[::1]", "[::1]:2130", "[0:0:0:0:0:0:0:1]", "[0::0001]",
    ])
  func served(host: String) async throws {
    #expect(try await status(ofHead: ["GET /v1/token HTTP/1.1", "Host: \(host)"]) == 200)
  }

  @Test(
    "two hosts, none, or one in the target that differs are refused",
    arguments: [
      ["GET /v1/token HTTP/1.1", "Host: localhost", "Host: evil.com"],
      ["GET /v1/token HTTP/1.1", "Host: evil.com", "Host: localhost"],
      ["GET /v1/token HTTP/1.1", "Host: localhost", "Host: localhost"],
      ["GET /v1/token HTTP/1.1"], ["GET /v1/token HTTP/1.0"],
      ["GET http://evil.com/v1/token HTTP/1.1", "Host: localhost"],
      ["GET http://evil.com/v1/token HTTP/1.1", "Host: evil.com"],
      ["GET http://localhost@evil.com/v1/token HTTP/1.1", "Host: localhost"],
      ["GET //evil.com/v1/token HTTP/1.1", "Host: localhost"],
    ])
  func ambiguous(lines: [String]) async throws {
    let status = try await status(ofHead: lines)
    #expect([400, 403, 404, 421].contains(status), "\(status)")
  }
}
