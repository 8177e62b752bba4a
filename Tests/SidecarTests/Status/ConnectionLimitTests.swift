import Foundation
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing
import TokenCore

@testable import Sidecar

/// Clients that hold on to their connections, and what is left for the others.
@Suite struct ConnectionLimitTests {
  @Test func `when all places are taken the one that did nothing for the longest makes room`()
    async throws
  {
    try await withStatusServer(connectionLimit: 4) { port in
      var held: [HeldConnection] = []
      for _ in 0..<4 { held.append(try await HeldConnection(port: port)) }
      // The first has just been of use: the second is the one that is not.
      let first = try await held[0].exchange("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
      #expect(first.hasPrefix("HTTP/1.1 200"))
      #expect(try await statusCode(of: "/livez", port: port) == 200)
      try await held[1].waitForEnd()
      let again = try await held[0].exchange("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
      #expect(again.hasPrefix("HTTP/1.1 200"))
      for connection in held { connection.close() }
    }
  }

  @Test func `probes are answered while every place is held by clients that never read`()
    async throws
  {
    let source = FakeSource()
    try await withStatusServer(source: source, connectionLimit: 8) { port in
      var held: [HeldConnection] = []
      for _ in 0..<8 {
        let connection = try await HeldConnection(port: port, reads: false)
        connection.send(
          String(repeating: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 500))
        held.append(connection)
      }
      for _ in 0..<20 { #expect(try await statusCode(of: "/livez", port: port) == 200) }
      for connection in held { connection.close() }
    }
  }

  @Test(arguments: [
    "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    "GET / HTTP/1.1\r\nHos", "",
    String(repeating: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 2000),
  ])
  func `the end does not wait for a client that sends half of something or does not read`(
    sent: String
  ) async throws {
    try await withStatusServer { port in
      let connection = try await HeldConnection(port: port, reads: false)
      connection.send(sent)
      #expect(try await statusCode(of: "/livez", port: port) == 200)
    }
  }

  @Test func `requests sent ahead are answered in their order, and a client may have said all`()
    async throws
  {
    try await withStatusServer { port in
      let connection = try await HeldConnection(port: port)
      let count = 60
      let paths = (0..<count).map { $0 % 3 == 0 ? "/nowhere" : "/livez" }
      for path in paths {
        connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\nX: \(path)\r\n\r\n")
      }
      connection.endOutput()
      let text = try await connection.everything()
      let statuses = text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { $0.prefix(3) }
      #expect(statuses == paths.map { $0 == "/livez" ? "200" : "404" })
    }
  }

  @Test func `a body is waited for whose head came with requests before it`() async throws {
    try await withStatusServer { port in
      let connection = try await HeldConnection(port: port)
      let get = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
      let body = #"{"force":true}"#
      let post =
        "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        + "Content-Length: \(body.utf8.count)\r\n\r\n"
      let first = try await connection.exchange(
        String(repeating: get, count: 5) + post, answers: 5)
      #expect(first.components(separatedBy: "HTTP/1.1 200").count == 6)
      connection.send(body)
      #expect(try await connection.everything().contains("refreshed"))
    }
  }

  @Test func `a client that offers another protocol is answered, and the connection ends`()
    async throws
  {
    // The parser reads no more after it: the next request on the connection would never be.
    try await withStatusServer { port in
      let connection = try await HeldConnection(port: port)
      connection.send(
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
          + "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n")
      let text = try await connection.everything()
      #expect(text.hasPrefix("HTTP/1.1 200"))
      #expect(text.lowercased().contains("connection: close"))
    }
  }

  @Test func `a page is written out at most four times a second for all who ask, after a few`()
    async throws
  {
    let source = FakeSource()
    try await withStatusServer(source: source) { port in
      let start = NIODeadline.now()
      for _ in 0..<40 { _ = try await ask("/metrics", port: port) }
      let periods = (NIODeadline.now() - start).nanoseconds / RenderedPages.period.nanoseconds
      let most = periods + 1 + RenderedPages.burst
      #expect(source.answers.withLock { Int64($0.snapshots) } <= most)
    }
  }

  @Test(arguments: [(64, 16), (128, 80), (40, 8), (1024, 512), (1 << 40, 512)])
  func `the limit of descriptors leaves a reserve`(descriptors: UInt64, limit: Int) {
    #expect(StatusServer.connectionLimit(descriptors: descriptors) == limit)
  }
}

/// A client that keeps its connection.
private final class HeldConnection: Sendable {
  private let channel: any Channel
  private let gathered = Gathered()

  private final class Gathered: Sendable {
    let text = Mutex("")
    let hasEnded = Mutex(false)
  }

  private final class Handler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    let gathered: Gathered
    init(_ gathered: Gathered) { self.gathered = gathered }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      gathered.text.withLock { $0 += String(buffer: unwrapInboundIn(data)) }
    }
    func channelInactive(context: ChannelHandlerContext) {
      gathered.hasEnded.withLock { $0 = true }
    }
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }
  }

  init(port: Int, reads: Bool = true) async throws {
    let gathered = gathered
    channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelOption(.autoRead, value: reads)
      .channelOption(.allowRemoteHalfClosure, value: false)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Handler(gathered))
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
  }

  func send(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }

  func endOutput() { channel.close(mode: .output, promise: nil) }

  func close() { channel.close(promise: nil) }

  /// What comes of requests, until so many answers have begun.
  func exchange(_ text: String, answers: Int = 1) async throws -> String {
    let before = gathered.text.withLock { $0.count }
    send(text)
    try await waitUntil("an answer", within: patience) { [gathered] in
      gathered.text.withLock {
        $0.dropFirst(before).components(separatedBy: "HTTP/1.1 ").count > answers
      }
    }
    return gathered.text.withLock { String($0.dropFirst(before)) }
  }

  func waitForEnd() async throws {
    try await waitUntil("the end of the connection", within: patience) { [gathered] in
      gathered.hasEnded.withLock { $0 }
    }
  }

  func everything() async throws -> String {
    try await waitForEnd()
    return gathered.text.withLock { $0 }
  }
}
