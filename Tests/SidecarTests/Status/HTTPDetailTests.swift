import Foundation
import NIOCore
import TestSupport
import Testing

@testable import Sidecar

/// HTTP as others speak it: how a connection ends, and what is said to who asks wrongly.
@Suite("Details of HTTP") struct HTTPDetailTests {
  /// Sends that and reads to the end of the connection, for which nobody should have to wait.
  private func exchange(
    _ pieces: [String], closes: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> String {
    var answer = ""
    try await withStatusServer { port in
      answer = try await onThread {
        let socket = try RawSocket(port: port)
        defer { socket.close() }
        for piece in pieces {
          guard socket.sendAll(Array(piece.utf8), within: .seconds(5)) else { break }
        }
        var received: [UInt8] = []
        while true {
          switch socket.receive(within: .seconds(3)) {
          case .bytes(let bytes): received += bytes
          case .end, .reset: return String(decoding: received, as: UTF8.self)
          case .nothing:
            if closes {
              Issue.record("the connection was kept", sourceLocation: sourceLocation)
            }
            return String(decoding: received, as: UTF8.self)
          }
        }
      }
    }
    return answer
  }

  @Test(
    "the connection ends after the answer when the client says so, in whatever way",
    arguments: [
      "GET /livez HTTP/1.0\r\n\r\n", "GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n",
      "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: Close\r\n\r\n",
      "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close, TE\r\n\r\n",
      "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: TE\r\nConnection: CLOSE\r\n\r\n",
    ])
  func ends(request: String) async throws {
    let reply = try Reply(try await exchange([request]))
    #expect(reply.status == 200)
    #expect(reply.headers["connection"]?.lowercased() == "close")
    #expect(try reply.json()["status"] as? String == "ok")
  }

  @Test(
    "what the parser refuses is a problem that says so, and the connection ends",
    arguments: [
      ("GARBAGE\r\n\r\n", 400), ("GET /livez\r\n\r\n", 505),
      ("GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
      ("GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
      (
        "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 400
      ),
      (
        "GET /livez?\(String(repeating: "q", count: 40_000)) HTTP/1.1\r\nHost: localhost\r\n\r\n",
        414
      ),
      (
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: \(String(repeating: "x", count: 20_000))"
          + "\r\n\r\n", 431
      ),
    ])
  func refusals(request: String, status: Int) async throws {
    let reply = try Reply(try await exchange([request]))
    #expect(reply.status == status)
    #expect(reply.headers["content-type"] == "application/problem+json")
    #expect(try reply.json()["status"] as? Int == reply.status)
  }

  @Test("who asks whether to go on is told to, and then answered")
  func goesOn() async throws {
    try await withStatusServer { port in
      let text = try await onThread { () -> String in
        let socket = try RawSocket(port: port)
        defer { socket.close() }
        let body = "{\"force\":true}"
        let head =
          "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
          + "Connection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        _ = socket.sendAll(Array(head.utf8), within: .seconds(5))
        guard case .bytes(let interim) = socket.receive(within: .seconds(5)) else {
          return "no 100"
        }
        _ = socket.sendAll(Array(body.utf8), within: .seconds(5))
        var received = interim
        while case .bytes(let bytes) = socket.receive(within: .seconds(5)) { received += bytes }
        return String(decoding: received, as: UTF8.self)
      }
      #expect(text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "), "\(text)")
    }
  }

  @Test(
    "a chunk whose size is none is refused at once",
    arguments: ["10000000000000000", "-1", "0x5", ""])
  func endlessChunk(size: String) async throws {
    let reply = try Reply(
      try await exchange([
        "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "\(size)\r\nxxxx"
      ]))
    #expect([400, 413].contains(reply.status))
    #expect(reply.headers["content-type"] == "application/problem+json")
  }

  @Test(
    "a body that is too big gets its answer, and its sender does not stall",
    arguments: [
      "Connection: close\r\n", "",
    ])
  func bigBody(header: String) async throws {
    let megabytes = 20
    let text = try await exchange(
      [
        "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\n\(header)"
          + "Content-Length: \(megabytes << 20)\r\n\r\n"
      ] + Array(repeating: String(repeating: "x", count: 1 << 20), count: megabytes))
    let reply = try Reply(text)
    #expect(reply.status == 413)
    #expect(text.hasPrefix("HTTP/1.1 413 Content Too Large\r\n"))
    #expect(try reply.json()["type"] as? String == "/runbook#body_too_long")
  }
}
