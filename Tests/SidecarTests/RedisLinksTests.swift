import Logging
import NIOPosix
import RedisClient
import TestSupport
import Testing
import TokenCore

@testable import Sidecar

@Suite struct RedisLinksTests {
  @Test(
    "Redis is asked to hold a pop for whole seconds, never for none, which is without end",
    arguments: [
      (Duration.milliseconds(1), 1), (.milliseconds(999), 1), (.seconds(1), 1),
      (.milliseconds(1999), 1), (.seconds(5), 5),
    ])
  func popSeconds(timeout: Duration, seconds: Int) {
    #expect(RedisLinks.popSeconds(timeout) == Int64(seconds))
  }

  @Test("a report that a leader gives back comes to the list, and not to its own last wait")
  func givesBack() async throws {
    let server = try await RedisServer.start()
    defer { server.stop() }
    let layout = KeyLayout(prefix: "WCH_")
    let links = RedisLinks(
      configuration: RedisConfiguration(endpoint: server.endpoint), layout: layout,
      inbox: KeeperInbox(for: HintTests.keeper), popTimeout: .seconds(5),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
      logger: Logger(label: "test"), metrics: MetricsRegistry())
    try await server.withClient { client in
      func ask(_ words: String...) async throws -> RedisReply {
        try await client.execute(
          RedisCommand(words[0], Array(words.dropFirst())), deadline: .now + patience)
      }
      let running = Task { try await links.run() }
      // What is given back goes over another connection than the waits.
      try await waitUntil("commands can be sent", within: patience) { links.state.isConnected }
      for round in 0..<30 {
        links.listen(true)
        try await waitUntil("it waits", within: patience) {
          try await ask("CLIENT", "LIST").text?.contains("cmd=blpop") ?? false
        }
        links.listen(false)
        await links.giveBack(.rejected(AccessToken("t\(round)")))
        // Beside it may stand what was to end a wait that had not begun.
        let items = try await ask("LRANGE", layout.refreshRequests, "0", "-1").elements ?? []
        #expect(items.contains { $0.text == "t\(round)" }, "round \(round): \(items)")
        _ = try await ask("DEL", layout.refreshRequests)
      }
      running.cancel()
      _ = try? await running.value
    }
  }
}
