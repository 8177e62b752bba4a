import NIOCore
import NIOPosix
import Testing
import WeChatSimulator

@Suite("The simulator on sockets", .serialized) struct SimulatorServerTests {
  /// Not 127.0.0.1: no other suite may take the port of a host that is down.
  private static let address = "127.10.0.1"

  /// Sends raw bytes and returns all that comes until the server closes the connection.
  private func exchange(_ port: Int, _ request: String) async throws -> String {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: Self.address, port: port) { channel in
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
    let simulator = Simulator(seed: 3, startingAt: 1_691_484_970_000, clockRate: 0)
    simulator.register(AppSettings(appID: "wx1", secret: "s1"))
    let server = try await SimulatorServer.start(simulator, hosts: hosts, address: Self.address)
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
      #expect(try await post("/faults", "[").hasPrefix("HTTP/1.1 400"))
    }
  }

  @Test(
    "a slip in a member's name or value is refused and changes nothing",
    arguments: [
      ("/faults", #"{"fault":"html","pth":"/x"}"#, "pth"),
      ("/faults", #"{"fault":"html","path":"/cgi-bin/token","cnt":1}"#, "cnt"),
      ("/faults", #"{"fault":"html","count":"1"}"#, "count"),
      ("/faults", #"{"fault":"html","path":"cgi-bin/token"}"#, "path"),
      ("/clock", #"{"advanc":1000}"#, "advanc"), ("/held/release", #"{"all":true}"#, "all"),
      ("/apps/wx1/events", #"{"event":"freezeSecret","afer":1}"#, "afer"),
    ])
  func refusesSlips(path: String, body: String, name: String) async throws {
    try await withServer { simulator, server in
      let answer = try await exchange(
        server.controlPort,
        "POST \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
          + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
      #expect(answer.hasPrefix("HTTP/1.1 400"), "\(answer)")
      #expect(answer.contains(name), "\(answer)")
      #expect(try await get(server.ports[0], target).contains("access_token"))
    }
  }

  @Test("the control API registers apps, moves the clock, lets things happen and switches hosts")
  func controlsAll() async throws {
    try await withServer { simulator, server in
      func expect(
        _ status: Int, _ method: String, _ path: String, _ body: String = "{}"
      ) async throws {
        let answer = try await exchange(
          server.controlPort,
          "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(method) \(path): \(answer)")
      }
      try await expect(200, "PUT", "/apps/wx2", #"{"secret":"s2","life":5000,"grace":1000}"#)
      #expect(simulator.settings(of: "wx2")?.life == 5000)
      try await expect(200, "PUT", "/apps/wx2", #"{"allowedAddresses":["10.0.0.1"]}"#)
      #expect(simulator.settings(of: "wx2")?.allowedAddresses == ["10.0.0.1"])
      try await expect(200, "PUT", "/apps/wx2", #"{"allowedAddresses":null}"#)
      #expect(simulator.settings(of: "wx2")?.allowedAddresses == nil)
      try await expect(400, "PUT", "/apps/wx2", #"{"lief":1}"#)
      try await expect(400, "PUT", "/apps/wx3", #"{"life":1}"#)

      let before = simulator.now
      try await expect(200, "POST", "/clock", #"{"advance":60000}"#)
      #expect(simulator.now == before + 60_000)

      try await expect(200, "POST", "/apps/wx1/events", #"{"event":"freezeSecret","after":600000}"#)
      #expect(simulator.settings(of: "wx1")?.secretState == .active)
      simulator.advance(by: 600_000)
      #expect(simulator.settings(of: "wx1")?.secretState == .frozen)
      try await expect(200, "POST", "/apps/wx1/events", #"{"event":"unfreezeSecret"}"#)
      try await expect(200, "POST", "/apps/wx1/events", #"{"event":"foreignToken"}"#)
      #expect(simulator.newestToken(of: "wx1") != nil)
      try await expect(400, "POST", "/apps/wx9/events", #"{"event":"foreignToken"}"#)
      try await expect(400, "POST", "/apps/wx1/events", #"{"event":"x"}"#)

      try await expect(200, "PUT", "/corps/c1", #"{"secret":"s","whenRepeated":"constant"}"#)
      #expect(simulator.corpApp(corpID: "c1", secret: "s")?.whenRepeated == .constant)
      let corpTarget = "/cgi-bin/gettoken?corpid=c1&corpsecret=s"
      #expect(try await get(server.ports[0], corpTarget).contains("access_token"))
      let corpToken = try #require(simulator.audit.events.last?.token)
      let kill = #"{"event":"killCurrentToken","secret":"s","after":1000}"#
      try await expect(200, "POST", "/corps/c1/events", kill)
      #expect(simulator.judge(corpToken).isLive)
      simulator.advance(by: 1000)
      #expect(simulator.judge(corpToken) == .dead(40001))
      try await expect(400, "POST", "/corps/c2/events", kill)
      try await expect(400, "POST", "/corps/c1/events", #"{"event":"x","secret":"s"}"#)
      try await expect(200, "PUT", "/latency", #"{"min":0,"max":1}"#)
      try await expect(400, "PUT", "/latency", #"{"min":2,"max":1}"#)
      try await expect(200, "PUT", "/wire", #"{"suffix":"hint","requiresEncryption":true}"#)
      #expect(try await get(server.ports[0], target).contains(#""errcode":43003"#))
      try await expect(200, "PUT", "/wire", #"{"requiresEncryption":false}"#)

      try await expect(200, "POST", "/hosts/0/down")
      await #expect(throws: (any Error).self) { try await get(server.ports[0], target) }
      try await expect(200, "POST", "/hosts/0/up")
      #expect(try await get(server.ports[0], target).contains("access_token"))
      try await expect(400, "POST", "/hosts/7/up")
      try await expect(200, "GET", "/apps")
      try await expect(200, "GET", "/hosts")
    }
  }

  @Test("the control API sets the clock's rate and skew, and the order of checks")
  func controlsClock() async throws {
    try await withServer { simulator, server in
      func send(_ method: String, _ path: String, _ body: String) async throws -> String {
        try await exchange(
          server.controlPort,
          "\(method) \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
      }
      _ = try await send("POST", "/clock", #"{"skew":3600000}"#)
      let now = simulator.now
      let answer = try await get(server.ports[0], "/cgi-bin/token?appid=wx1&secret=s1")
      #expect(answer.contains("\r\nDate: Tue, 08 Aug 2023 09:56:10 GMT\r\n"))
      // The skew is in what WeChat shows, not in how it reckons.
      #expect(answer.contains("rid: 64d2113a-"))
      #expect(simulator.now == now)

      let minute = try await send("POST", "/clock", #"{"rate":60}"#)
      #expect(minute.contains(#""rate":60.0"#))
      #expect(simulator.clockRate == 60)
      let stopped = try await send("POST", "/clock", #"{"rate":0}"#)
      #expect(stopped.contains(#""rate":0.0"#))
      let still = simulator.now
      #expect(try await get(server.controlPort, "/clock").contains(#"{"now":\#(still),"#))
      for body in [#"{"rate":-1}"#, #"{"rate":1e300}"#, #"{"advance":-1}"#, #"{"skew":"x"}"#] {
        #expect(try await send("POST", "/clock", body).hasPrefix("HTTP/1.1 400"), "\(body)")
      }
      #expect(simulator.now == still)

      _ = try await send("PUT", "/wire", #"{"checks":["appIDPresent","secret","grantType"]}"#)
      let wrong = try await get(server.ports[0], "/cgi-bin/token?appid=wx1&secret=x")
      #expect(wrong.contains(#""errcode":40125"#))
      #expect(try await send("PUT", "/wire", #"{"checks":["x"]}"#).hasPrefix("HTTP/1.1 400"))
    }
  }

  @Test("the control API judges tickets and tells how overlaps were used")
  func controlsTickets() async throws {
    try await withServer { simulator, server in
      _ = try await get(server.ports[0], target)
      let old = try #require(simulator.newestToken(of: "wx1"))
      _ = try await get(server.ports[0], target)
      let answer = try await get(
        server.ports[0], "/cgi-bin/ticket/getticket?type=jsapi&access_token=\(old)")
      let ticket = try #require(answer.firstMatch(of: /"ticket":"([^"]+)"/)).output.1
      let judge = "/judge?ticket=\(ticket)"
      #expect(try await get(server.controlPort, judge).contains(#"{"live":true}"#))
      let summary = try await get(server.controlPort, "/summary?appid=wx1")
      #expect(summary.contains(#""callsInOverlap":1,"callsWithDeadTokens":0"#))
      #expect(try await get(server.controlPort, "/audit?since=2").contains(#""overlap""#))
      simulator.advance(by: 7_200_000 + 3_600_000)
      #expect(try await get(server.controlPort, judge).contains(#"{"live":false}"#))
    }
  }

  @Test("a fault with a share meets that part of the requests")
  func sharesFaults() async throws {
    try await withServer { simulator, server in
      simulator.setFault(.errorCode(-1), count: nil, share: 0.5)
      for _ in 0..<40 { _ = try await get(server.ports[0], target) }
      let failed = simulator.audit.events.count { $0.code == -1 }
      #expect((5...35).contains(failed))
    }
  }
}
