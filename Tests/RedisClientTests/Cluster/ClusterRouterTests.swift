import Logging
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import RedisClient

/// A client of nodes that answer as a script has it.
@Suite("Commands in a cluster", .timeLimit(.minutes(3)))
struct ClusterRouterTests {
  /// Runs the body with a client of two nodes; the first is the seed, and says that it serves all.
  private func run(
    home: String? = nil, seed: ScriptedNode.Script? = nil,
    onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in },
    _ body: @escaping @Sendable (RedisClient, ScriptedNode, ScriptedNode) async throws -> Void
  ) async throws {
    let (a, b) = (try await ScriptedNode(), try await ScriptedNode())
    a.answer(seed ?? { _ in ScriptedNode.slots([(0, a.port)]) })
    let configuration = RedisConfiguration(endpoint: RedisEndpoint(cluster: [a.address]))
    let client = RedisClient(
      configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
      home: home, logger: Logger(label: "test"), onEvent: onEvent)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await client.run() }
      defer { group.cancelAll() }
      try await body(client, a, b)
    }
    await a.stop()
    await b.stop()
  }

  /// Both name the same owner of everything.
  private static func serve(
    _ port: Int, _ nodes: [ScriptedNode],
    _ script: @escaping @Sendable (Int, ScriptedNode.Call) -> String?
  ) {
    for (number, node) in nodes.enumerated() {
      node.answer { call in
        call.words[0] == "CLUSTER" ? ScriptedNode.slots([(0, port)]) : script(number, call)
      }
    }
  }

  private func value(_ client: RedisClient, within limit: Duration = patience) async throws
    -> RedisReply
  {
    try await client.execute(
      RedisCommand("GET", "k"), key: "k", deadline: .now + limit, waitForConnection: true)
  }

  @Test("MOVED is followed, and the next command goes there at once")
  func moved() async throws {
    try await run { client, a, b in
      Self.serve(a.port, [a, b]) { number, _ in
        number == 0 ? "-MOVED 7629 127.0.0.1:\(b.port)\r\n" : "$1\r\nx\r\n"
      }
      let reply = try await value(client)
      #expect(reply.text == "x")
      #expect(a.calls == [["GET", "k"]] && b.calls == [["GET", "k"]])
    }
  }

  @Test("nodes that send it to and fro are left after five times, with their last word")
  func loop() async throws {
    try await run { client, a, b in
      Self.serve(a.port, [a, b]) { number, _ in
        "-MOVED 7629 127.0.0.1:\(number == 0 ? b.port : a.port)\r\n"
      }
      let reply = try await value(client)
      #expect(reply.refusal?.kind == .moved)
      #expect(a.calls.count + b.calls.count <= 6)
    }
  }

  @Test("a node that says MOVED to itself is met on another connection")
  func itself() async throws {
    try await run { client, a, b in
      let first = Mutex<Int?>(nil)
      Self.serve(a.port, [a, b]) { _, call in
        let isFirst = first.withLock { first in
          first = first ?? call.connection
          return first == call.connection
        }
        return isFirst ? "-MOVED 7629 127.0.0.1:\(a.port)\r\n" : "$1\r\nx\r\n"
      }
      let reply = try await value(client)
      #expect(reply.text == "x")
    }
  }

  @Test("MOVED without a host leads to the same host, and ? to a look at the map")
  func places() async throws {
    for text in [":PORT", "?:PORT"] {
      try await run { client, a, b in
        a.answer { call in
          if call.words[0] == "CLUSTER" {
            let hasFailed = !a.calls.isEmpty
            return ScriptedNode.slots([(0, hasFailed ? b.port : a.port)])
          }
          return "-MOVED 7629 \(text.replacing("PORT", with: "\(b.port)"))\r\n"
        }
        b.answer { call in
          call.words[0] == "CLUSTER" ? ScriptedNode.slots([(0, b.port)]) : "$1\r\nx\r\n"
        }
        let reply = try await value(client)
        #expect(reply.text == "x")
      }
    }
  }

  @Test("ASK sends the command behind ASKING, and the map stays")
  func asked() async throws {
    try await run { client, a, b in
      Self.serve(a.port, [a, b]) { number, call in
        switch (number, call.words[0]) {
        case (0, _): "-ASK 7629 127.0.0.1:\(b.port)\r\n"
        case (_, "ASKING"): "+OK\r\n"
        default: "$1\r\nx\r\n"
        }
      }
      let reads = [RedisCommand("GET", "k"), RedisCommand("PTTL", "k")]
      let replies = try await client.execute(
        reads, key: "k", deadline: .now + patience, waitForConnection: true)
      #expect(replies.map(\.text) == ["x", "x"])
      #expect(b.calls == [["ASKING"], ["GET", "k"], ["ASKING"], ["PTTL", "k"]])
      let reply = try await value(client)
      #expect(reply.text == "x")
      #expect(a.calls.count == 3)
    }
  }

  @Test("ASK without end is left after five times; a refused ASKING is told")
  func endlessAsk() async throws {
    try await run { client, a, b in
      Self.serve(a.port, [a, b]) { number, call in
        if call.words[0] == "ASKING" { return "+OK\r\n" }
        return "-ASK 7629 127.0.0.1:\(number == 0 ? b.port : a.port)\r\n"
      }
      let reply = try await value(client)
      #expect(reply.refusal?.kind == .ask)
      #expect((a.calls + b.calls).filter { $0 == ["GET", "k"] }.count == 6)
      Self.serve(a.port, [a, b]) { number, call in
        call.words[0] == "ASKING"
          ? "-NOPERM this user has no permissions to run the 'asking' command\r\n"
          : "-ASK 7629 127.0.0.1:\(b.port)\r\n"
      }
      let last = try await value(client)
      #expect(last.refusal?.kind == .noPermission)
    }
  }

  @Test("TRYAGAIN is tried again at the same node until the deadline, CLUSTERDOWN after a new map")
  func again() async throws {
    try await run { client, a, b in
      let count = Mutex(0)
      Self.serve(a.port, [a, b]) { _, _ in
        let turn = count.withLock { count in
          count += 1
          return count
        }
        return turn <= 2 ? "-TRYAGAIN no\r\n" : turn == 3 ? "-CLUSTERDOWN no\r\n" : "$1\r\nx\r\n"
      }
      let reply = try await value(client)
      #expect(reply.text == "x")
      #expect(a.calls.count == 4 && b.calls == [])
      Self.serve(a.port, [a, b]) { _, _ in "-TRYAGAIN no\r\n" }
      let last = try await value(client, within: .milliseconds(300))
      #expect(last.refusal?.kind == .tryAgain)
    }
  }

  @Test("after a timeout no other node is tried, though the map names one by then")
  func timeout() async throws {
    try await run { client, a, b in
      Self.serve(a.port, [a, b]) { number, _ in number == 0 ? nil : "$1\r\nx\r\n" }
      await #expect(throws: RedisError.outcomeUnknown(.deadlinePassed)) {
        try await value(client, within: .milliseconds(300))
      }
      #expect(b.calls == [])
    }
  }

  @Test("what waits for a connection goes to whoever serves the slot next")
  func rerouted() async throws {
    try await run { client, a, b in
      // Nobody listens there, until the map is asked for once more than it takes to find that out.
      let gone = try FreePort.pick()
      let asked = Mutex(0)
      for node in [a, b] {
        node.answer { call in
          guard call.words[0] == "CLUSTER" else { return "$1\r\nx\r\n" }
          let count = asked.withLock { asked in
            asked += 1
            return asked
          }
          return ScriptedNode.slots([(0, count < 4 ? gone : b.port)])
        }
      }
      let reply = try await value(client)
      #expect(reply.text == "x")
      #expect(b.calls == [["GET", "k"]])
    }
  }

  @Test("the home is told as connected, as lost when its slot moves, and connected again")
  func home() async throws {
    let events = Events<ConnectionEvent>()
    try await run(home: "k", onEvent: { events.post($0) }) { client, a, b in
      let server = try await events.first { $0.server }
      #expect(server.runID == nil && server.version == "7.0.15" && server.address == a.address)
      for node in [a, b] {
        node.answer { call in
          call.words[0] == "CLUSTER"
            ? ScriptedNode.slots([(0, b.port)])
            : node.port == a.port ? "-MOVED 7629 127.0.0.1:\(b.port)\r\n" : "$1\r\nx\r\n"
        }
      }
      let reply = try await value(client)
      #expect(reply.text == "x")
      #expect(try await events.first { $0.loss } == .nodeLeft("127.0.0.1:\(a.port)"))
      #expect(try await events.first { $0.server }.address == b.address)
    }
  }

  @Test("a seed that is in no cluster is told, with what to write")
  func notClustered() async throws {
    let events = Events<ConnectionEvent>()
    try await run(
      home: "k", seed: { _ in "-ERR This instance has cluster support disabled\r\n" },
      onEvent: { events.post($0) }
    ) { client, a, _ in
      let failure = try await events.first { $0.connectFailure }
      #expect("\(failure)".contains("write redis:// in place of redis-cluster://"))
      #expect(failure.needsOperator)
      await #expect(throws: RedisError.notSent(.notConnected(failure))) {
        try await client.execute(RedisCommand("GET", "k"), key: "k", deadline: .soon)
      }
      a.answer { call in call.words[0] == "CLUSTER" ? ScriptedNode.slots([(0, a.port)]) : "+x\r\n" }
      let reply = try await value(client)
      #expect(reply.text == "x")
    }
  }
}
