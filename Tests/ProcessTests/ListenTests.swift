import NIOCore
import NIOPosix
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// An HTTP interface that cannot start.
@Suite struct ListenTests {
  /// Runs the daemon to its end, and expects that it has touched neither Redis nor WeChat.
  private static func refused(
    _ deployment: Deployment, _ listen: String, rounds: Int, saying words: [String]
  ) async throws {
    for _ in 1...rounds {
      let process = try SidecarProcess(
        environment: deployment.environment(instance: "a")
          .merging(["WCH_HTTP_LISTEN": listen]) { $1 }, instance: "refused")
      #expect(try await process.waitForExit(within: patience) == .code(1))
      let line = try #require(
        process.log.first { $0.message == "The HTTP interface cannot start" })
      #expect(line.level == "critical")
      for word in words {
        #expect(line.fields["error"]?.contains(word) == true, "\(line.text)")
        #expect(process.strayText.contains(word), "\(process.strayText)")
      }
      #expect(!process.errorText.contains("SocketAddressError"))
    }
    #expect(try await deployment.ask("DBSIZE").number == 0)
    #expect(deployment.simulator.audit.requests(to: .any) == 0)
  }

  @Test("a Unix socket in a folder that is not there: no lock, no fetch, exit 1")
  func missingFolder() async throws {
    try await Deployment.run { deployment in
      try await Self.refused(
        deployment, "unix:/nope/x", rounds: 10,
        saying: ["unix:/nope/x", "the folder does not exist", "WCH_HTTP_LISTEN"])
    }
  }

  @Test("a name without an address: no lock, no fetch, exit 1")
  func unknownHost() async throws {
    try await Deployment.run { deployment in
      // No name server need be asked about a label of 64 letters.
      let name = String(repeating: "n", count: 64) + ".invalid"
      try await Self.refused(
        deployment, "\(name):2130", rounds: 1,
        saying: ["\(name):2130", "has no address", "WCH_HTTP_LISTEN"])
    }
  }

  @Test("a port in use: no lock, no fetch, exit 1")
  func portInUse() async throws {
    try await Deployment.run { deployment in
      let taken = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .bind(host: "127.0.0.1", port: 0).get()
      let port = try #require(taken.localAddress?.port)
      try await Self.refused(
        deployment, "127.0.0.1:\(port)", rounds: 5,
        saying: ["port \(port) on 127.0.0.1", "WCH_HTTP_LISTEN"])
      try await taken.close().get()
    }
  }
}
