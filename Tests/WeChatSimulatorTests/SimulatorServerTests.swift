import NIOCore
import NIOHTTP1
import NIOPosix
import Testing
import WeChatSimulator

@Suite("The simulator on sockets") struct SimulatorServerTests {
  /// Sends raw bytes and returns all that comes until the server closes the connection.
  private func exchange(_ port: Int, _ request: String) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(ByteBuffer(string: request))
      var text = ""
      for try await part in inbound { text += String(buffer: part) }
      return text
    }
  }

  private func get(_ port: Int, _ target: String) async throws -> String {
    try await exchange(port, "GET \(target) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
  }

  private func withServer(
    hosts: Int = 1, _ body: (Simulator, SimulatorServer) async throws -> Void
  ) async throws {
    let simulator = Simulator(seed: 3, startingAt: 1_691_484_970_000)
    simulator.setClockRate(0)
    simulator.register(AppSettings(appID: "wx1", secret: "s1"))
    let server = try await SimulatorServer.start(simulator, hosts: hosts)
    do { try await body(simulator, server) } catch {
      await server.stop()
      throw error
    }
    await server.stop()
  }

  private let target = "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s1"

  @Test("an answer has WeChat's headers and compact JSON")
  func answers() async throws {
    try await withServer { simulator, server in
      let answer = try await get(server.ports[0], target)
      #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\nDate: Tue, 08 Aug 2023 08:56:10 GMT\r\n"))
      #expect(answer.contains("\r\nContent-Type: application/json; encoding=utf-8\r\n"))
      let token = try #require(simulator.newestToken(of: "wx1"))
      #expect(answer.hasSuffix("\r\n\r\n{\"access_token\":\"\(token)\",\"expires_in\":7200}"))
      #expect(simulator.audit.events[0].hasSecretInURL)
    }
  }

  @Test("held requests wait until they are released, and the audit counts them as parallel")
  func holds() async throws {
    try await withServer { simulator, server in
      simulator.setFault(.mintThenHold, endpoint: .token, count: 1)
      simulator.setFault(.holdBeforeMint, endpoint: .token, count: 1)
      async let first = get(server.ports[0], target)
      try await simulator.waitUntilHeld(count: 1)
      let minted = simulator.newestToken(of: "wx1")
      async let second = get(server.ports[0], target)
      try await simulator.waitUntilHeld(count: 2)
      #expect(simulator.newestToken(of: "wx1") == minted)
      #expect(simulator.releaseHeld() == 2)
      #expect(try await first.contains(minted ?? "?"))
      #expect(try await second.contains(simulator.newestToken(of: "wx1") ?? "?"))
      #expect(simulator.newestToken(of: "wx1") != minted)
      #expect(simulator.audit.maxParallelFetches(of: "wx1") == 2)
    }
  }

  @Test("a host that is down refuses connections, and comes back on its port")
  func takesHostsDown() async throws {
    try await withServer(hosts: 2) { _, server in
      await server.takeDown(host: 0)
      await #expect(throws: (any Error).self) { try await get(server.ports[0], target) }
      #expect(try await get(server.ports[1], target).contains("access_token"))
      try await server.bringUp(host: 0)
      #expect(try await get(server.ports[0], target).contains("access_token"))
    }
  }

  @Test("a wait for what does not happen ends with its deadline")
  func waitsBounded() async throws {
    let simulator = Simulator()
    await #expect(throws: SimulatorTimeout.self) {
      try await simulator.waitUntilHeld(within: .milliseconds(20))
    }
  }

  @Test("the control API switches faults, releases, judges and tells the audit")
  func controls() async throws {
    try await withServer { simulator, server in
      func post(_ path: String, _ body: String) async throws -> String {
        try await exchange(
          server.controlPort,
          "POST \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
      }
      #expect(
        try await post("/faults", #"{"fault":"errcode","value":40164,"count":1}"#).contains("true"))
      #expect(try await get(server.ports[0], target).contains(#"{"errcode":40164,"#))
      _ = try await get(server.ports[0], target)
      let token = try #require(simulator.newestToken(of: "wx1"))
      #expect(
        try await get(server.controlPort, "/judge?token=\(token)").contains(#"{"live":true}"#))
      #expect(try await get(server.controlPort, "/summary").contains(#""mints":1"#))
      #expect(try await get(server.controlPort, "/audit?since=1").contains(token))
      #expect(try await get(server.controlPort, "/nonsense").hasPrefix("HTTP/1.1 404"))
      #expect(try await post("/faults", "{}").hasPrefix("HTTP/1.1 400"))
    }
  }
}
