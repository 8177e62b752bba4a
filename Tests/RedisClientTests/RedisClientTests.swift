import RedisClient
import TestSupport
import Testing

@Suite("A client of a real server", .serialized)
struct RedisClientTests {
  @Test("replies come in the order of the commands, refusals among them")
  func pipeline() async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, events in
      let info = try await events.first(\.server)
      #expect(info.runID?.count == 40)
      #expect(info.version?.isEmpty == false)
      let replies = try await client.execute(
        [
          RedisCommand("SET", "k", "v"), RedisCommand("LPUSH", "k", "x"), RedisCommand("GET", "k"),
          RedisCommand("GET", "none"), RedisCommand("LRANGE", "none", "0", "-1"),
          RedisCommand("EVAL", "return {1,{'a',false}}", "0"), RedisCommand("NOSUCHCOMMAND", "x"),
        ], deadline: .soon)
      #expect(replies[0] == .status("OK"))
      #expect(replies[1].refusal?.kind == .wrongType)
      #expect(replies[2].text == "v")
      #expect(replies[3].isNull)
      #expect(replies[4] == .array([]))
      #expect(replies[5] == .array([.integer(1), .array([.bulk([97]), .null])]))
      #expect(replies[6].refusal?.kind == .unknownCommand)
    }
    server.stop()
  }

  @Test("a thousand concurrent callers each get their own reply")
  func concurrent() async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, _ in
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for number in 0..<1000 {
          group.addTask {
            try await client.execute(
              RedisCommand("ECHO", "\(number)"), deadline: .soon, waitForConnection: true
            ).text == "\(number)"
          }
        }
        for try await isOwn in group { #expect(isOwn) }
      }
    }
    server.stop()
  }

  @Test("a command without a connection fails at once as not sent, with the reason")
  func notConnected() async throws {
    // Nobody listens on port 1, and nobody else in these tests is given it.
    let port = 1
    let configuration = RedisConfiguration(endpoint: .init(.tcp(host: "127.0.0.1", port: port)))
    try await withClient(configuration) { client, events in
      let failure = try await events.first(\.connectFailure)
      #expect(failure == .unreachable("127.0.0.1:\(port)", reason: "connection refused"))
      await #expect(throws: RedisError.notSent(.notConnected(failure))) {
        try await client.execute(RedisCommand("PING"), deadline: .soon)
      }
    }
  }

  @Test("a command that waits for a connection fails as not sent when its deadline passes")
  func waitsInVain() async throws {
    // Nobody listens on port 1, and nobody else in these tests is given it.
    let port = 1
    let configuration = RedisConfiguration(endpoint: .init(.tcp(host: "localhost", port: port)))
    try await withClient(configuration) { client, events in
      _ = try await events.first(\.connectFailure)
      do throws(RedisError) {
        _ = try await client.execute(
          RedisCommand("PING"), deadline: .now + .milliseconds(50), waitForConnection: true)
        Issue.record("answered")
      } catch {
        guard case .notSent = error else {
          Issue.record("\(error)")
          return
        }
      }
    }
  }

  @Test("a host name that does not exist is named")
  func unresolved() async throws {
    let configuration = RedisConfiguration(
      endpoint: .init(.tcp(host: "no.such.host.invalid", port: 1)))
    try await withClient(configuration) { _, events in
      let failure = try await events.first(\.connectFailure)
      guard case .notResolved("no.such.host.invalid", _) = failure else {
        Issue.record("\(failure)")
        return
      }
    }
  }

  @Test("the next address of a host is tried when the first refuses")
  func everyAddress() async throws {
    // The server listens on 127.0.0.1 only; localhost may be ::1 first.
    let server = try await RedisServer.start()
    let endpoint = RedisEndpoint(.tcp(host: "localhost", port: server.port))
    try await withClient(RedisConfiguration(endpoint: endpoint)) { client, _ in
      let reply = try await client.execute(
        RedisCommand("PING"), deadline: .soon, waitForConnection: true)
      #expect(reply == .status("PONG"))
    }
    server.stop()
  }

  @Test("a crash of the server is reported, and its return with another run id")
  func reconnects() async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, events in
      let before = try await events.first(\.server)
      server.kill()
      guard case .connectionLost = try await events.first(\.loss) else {
        Issue.record("lost by another reason")
        return
      }
      _ = try await events.first(\.connectFailure)
      try await server.restart()
      let after = try await events.first(\.server)
      #expect(after.runID != before.runID)
      let reply = try await client.execute(RedisCommand("PING"), deadline: .soon)
      #expect(reply == .status("PONG"))
    }
    server.stop()
  }

  @Test(
    "a server that has become a replica is left once all replies are there, and tried again",
    arguments: [
      RedisCommand("SET", "k", "v"), RedisCommand("EVAL", "redis.call('SET', 'k', 'v')", "0"),
    ])
  func leavesReplica(write: RedisCommand) async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, events in
      let before = try await events.first(\.server)
      // A replica of a primary that nobody can reach; its connections stay.
      _ = try await client.execute(RedisCommand("REPLICAOF", "127.0.0.1", "1"), deadline: .soon)
      let replies = try await client.execute(
        [RedisCommand("GET", "k"), write, RedisCommand("ECHO", "x")], deadline: .soon)
      #expect(replies[0].isNull)
      let refusal = try #require(replies[1].refusal)
      #expect(refusal.kind == .readOnly)
      #expect(replies[2].text == "x")
      #expect(try await events.first(\.loss) == .readOnly(refusal))
      #expect(try await events.first(\.server) == before)
      let reply = try await client.execute(RedisCommand("ECHO", "y"), deadline: .soon)
      #expect(reply.text == "y")
    }
    server.stop()
  }

  @Test("the outcome of a command in flight is unknown when the server crashes")
  func crashInFlight() async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, events in
      _ = try await events.first(\.server)
      async let blocked = client.execute(RedisCommand("BLPOP", "list", "0"), deadline: .soon)
      try await server.waitForBlockedClient()
      server.kill()
      do {
        _ = try await blocked
        Issue.record("a reply came")
      } catch let error as RedisError {
        guard case .outcomeUnknown(.connectionLost) = error else {
          Issue.record("\(error)")
          return
        }
      }
    }
    server.stop()
  }

  @Test("a late reply reaches nobody, and the connection stays")
  func lateReply() async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, events in
      _ = try await events.first(\.server)
      await #expect(throws: RedisError.outcomeUnknown(.deadlinePassed)) {
        try await client.execute(
          RedisCommand("BLPOP", "list", "0"), deadline: .now + .seconds(1))
      }
      // Sent behind the blocked command: answered after it, and with its own reply.
      async let own = client.execute(RedisCommand("ECHO", "own"), deadline: .soon)
      try await server.command("RPUSH", "list", "late")
      #expect(try await own.text == "own")
      #expect(
        try await client.execute(RedisCommand("LLEN", "list"), deadline: .soon) == .integer(0))
    }
    server.stop()
  }

  @Test("a cancelled command ends at once, and its reply reaches nobody")
  func cancelled() async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, events in
      _ = try await events.first(\.server)
      let task = Task {
        try await client.execute(RedisCommand("BLPOP", "list", "0"), deadline: .soon)
      }
      try await server.waitForBlockedClient()
      task.cancel()
      await #expect(throws: RedisError.outcomeUnknown(.cancelled)) { try await task.value }
      async let own = client.execute(RedisCommand("ECHO", "own"), deadline: .soon)
      try await server.command("RPUSH", "list", "late")
      #expect(try await own.text == "own")
    }
    server.stop()
  }

  @Test("a cancelled blocking pop can close its connection, so that no item is taken for nobody")
  func cancelledPop() async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, events in
      _ = try await events.first(\.server)
      let task = Task {
        try await client.execute(
          RedisCommand("BLPOP", "list", "0"), deadline: .soon, onAbandonment: .closeConnection)
      }
      try await server.waitForBlockedClient()
      task.cancel()
      await #expect(throws: RedisError.outcomeUnknown(.cancelled)) { try await task.value }
      #expect(try await events.first(\.loss) == .cancelled)
      _ = try await events.first(\.server)
      try await server.command("RPUSH", "list", "kept")
      let length = try await client.execute(RedisCommand("LLEN", "list"), deadline: .soon)
      #expect(length.number == 1)
    }
    server.stop()
  }

  @Test("a command cancelled before it is sent is not sent")
  func cancelledBefore() async throws {
    let server = try await RedisServer.start()
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { client, events in
      _ = try await events.first(\.server)
      let task = Task {
        unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
        return try await client.execute(RedisCommand("INCR", "n"), deadline: .soon)
      }
      await #expect(throws: RedisError.notSent(.cancelled)) { try await task.value }
      await #expect(throws: RedisError.notSent(.deadlinePassed)) {
        try await client.execute(RedisCommand("INCR", "n"), deadline: .now)
      }
      #expect(try await client.execute(RedisCommand("EXISTS", "n"), deadline: .soon) == .integer(0))
    }
    server.stop()
  }

  @Test("a server that stays silent beyond its time is left, and its silence at the login is named")
  func unresponsive() async throws {
    let server = try await RedisServer.start()
    var configuration = RedisConfiguration(endpoint: server.endpoint)
    configuration.connectTimeout = .seconds(1)
    configuration.unresponsiveAfter = .seconds(1)
    try await withClient(configuration) { client, events in
      _ = try await events.first(\.server)
      server.pause()
      await #expect(throws: RedisError.outcomeUnknown(.deadlinePassed)) {
        try await client.execute(RedisCommand("PING"), deadline: .now + .seconds(1))
      }
      #expect(try await events.first(\.loss) == .unresponsive)
      let failure = try await events.first(\.connectFailure)
      #expect(failure == .handshakeTimedOut("127.0.0.1:\(server.port)"))
      server.resume()
      _ = try await events.first(\.server)
    }
    server.stop()
  }

  @Test("more commands than the bound are not sent")
  func bounded() async throws {
    let server = try await RedisServer.start()
    var configuration = RedisConfiguration(endpoint: server.endpoint)
    configuration.maximumInFlight = 2
    try await withClient(configuration) { client, events in
      _ = try await events.first(\.server)
      async let blocked = client.execute(RedisCommand("BLPOP", "list", "0"), deadline: .soon)
      try await server.waitForBlockedClient()
      await #expect(throws: RedisError.notSent(.tooManyInFlight(limit: 2))) {
        try await client.execute([RedisCommand("PING"), RedisCommand("PING")], deadline: .soon)
      }
      async let second = client.execute(RedisCommand("PING"), deadline: .soon)
      try await server.command("RPUSH", "list", "x")
      #expect(try await blocked.elements?.count == 2)
      #expect(try await second == .status("PONG"))
    }
    server.stop()
  }

  @Test("a client that has stopped sends nothing")
  func stopped() async throws {
    let server = try await RedisServer.start()
    let (client, events) = try await withClient(RedisConfiguration(endpoint: server.endpoint)) {
      client, events in
      _ = try await events.first(\.server)
      return (client, events)
    }
    #expect(try await events.first(\.loss) == .stopped)
    await #expect(throws: RedisError.notSent(.stopped)) {
      try await client.execute(RedisCommand("PING"), deadline: .soon, waitForConnection: true)
    }
    server.stop()
  }
}

@Suite("The beginning of a connection", .serialized)
struct HandshakeTests {
  @Test("the password is read again at each connect")
  func rotation() async throws {
    let server = try await RedisServer.start(password: "old")
    let passwords = Passwords()
    var configuration = RedisConfiguration(
      endpoint: .init(.tcp(host: "127.0.0.1", port: server.port)))
    configuration.password = { passwords.next() }
    try await withClient(configuration) { client, events in
      let failure = try await events.first(\.connectFailure)
      guard case .authenticationFailed(let error) = failure else {
        Issue.record("\(failure)")
        return
      }
      #expect(error.kind == .wrongPassword && !"\(failure)".contains("wrong-one"))
      _ = try await events.first(\.server)
    }
    server.stop()
  }

  @Test("a server that wants a password is reported as such")
  func passwordMissing() async throws {
    let server = try await RedisServer.start(password: "secret")
    let endpoint = RedisEndpoint(.tcp(host: "127.0.0.1", port: server.port))
    try await withClient(RedisConfiguration(endpoint: endpoint)) { _, events in
      let failure = try await events.first(\.connectFailure)
      guard case .authenticationFailed(let error) = failure else {
        Issue.record("\(failure)")
        return
      }
      #expect(error.kind == .noAuth)
    }
    server.stop()
  }

  @Test("a user without the right to CLIENT, INFO and PING is connected, and knows no run id")
  func limitedUser() async throws {
    let server = try await RedisServer.start()
    try await server.command(
      "ACL", "SETUSER", "app", "on", ">p@:/#%", "~*", "+get", "+select", "-info", "-client", "-ping"
    )
    let url = "redis://app:p%40%3A%2F%23%25@127.0.0.1:\(server.port)/3"
    var configuration = RedisConfiguration(endpoint: try RedisEndpoint(url: url))
    configuration.clientName = "a name with spaces"
    try await withClient(configuration) { client, events in
      let told = try await events.first(\.server)
      #expect(told.runID == nil && told.version == nil)
      #expect(told.address == .tcp(host: "127.0.0.1", port: server.port))
      #expect(try await client.execute(RedisCommand("GET", "x"), deadline: .soon).isNull)
      let refused = try await client.execute(RedisCommand("SET", "x", "y"), deadline: .soon)
      #expect(refused.refusal?.kind == .noPermission)
    }
    server.stop()
  }

  @Test("a database is selected, and one that does not exist is refused by name")
  func database() async throws {
    let server = try await RedisServer.start()
    var endpoint = server.endpoint
    endpoint.database = 9
    var configuration = RedisConfiguration(endpoint: endpoint)
    configuration.clientName = "wch-sidecar"
    try await withClient(configuration) { client, _ in
      let info = try await client.execute(
        RedisCommand("CLIENT", "INFO"), deadline: .soon, waitForConnection: true)
      #expect(info.text?.contains(" db=9 ") == true)
      #expect(info.text?.contains(" name=wch-sidecar ") == true)
    }
    endpoint.database = 16
    try await withClient(RedisConfiguration(endpoint: endpoint)) { _, events in
      guard case .refused("SELECT", _) = try await events.first(\.connectFailure) else {
        Issue.record("selected")
        return
      }
    }
    server.stop()
  }

  @Test("a Unix socket serves as well")
  func unixSocket() async throws {
    let server = try await RedisServer.start()
    let endpoint = try RedisEndpoint(url: "unix://\(server.socketPath)?db=1")
    try await withClient(RedisConfiguration(endpoint: endpoint)) { client, events in
      let info = try await events.first(\.server)
      #expect(info.runID != nil)
      let reply = try await client.execute(RedisCommand("PING"), deadline: .soon)
      #expect(reply == .status("PONG"))
    }
    let missing = RedisEndpoint(.unix(path: server.socketPath + "-missing"))
    try await withClient(RedisConfiguration(endpoint: missing)) { _, events in
      let failure = try await events.first(\.connectFailure)
      #expect(failure == .unreachable(server.socketPath + "-missing", reason: "no such file"))
    }
    server.stop()
  }

  @Test("a server with too many clients is reported in its own words")
  func tooManyClients() async throws {
    let server = try await RedisServer.start(arguments: ["--maxclients", "1"])
    try await withClient(RedisConfiguration(endpoint: server.endpoint)) { _, events in
      _ = try await events.first(\.server)
      try await withClient(RedisConfiguration(endpoint: server.endpoint)) { _, events in
        let failure = try await events.first(\.connectFailure)
        #expect("\(failure)".contains("max number of clients"))
      }
    }
    server.stop()
  }
}

@Suite("A subscriber of a real server", .serialized)
struct RedisSubscriberTests {
  @Test("messages arrive in order, also after the server has come back")
  func messages() async throws {
    let server = try await RedisServer.start()
    let subscriber = makeSubscriber(RedisConfiguration(endpoint: server.endpoint))
    let messages = Events<RedisMessage>()
    let subscribed = Events<Bool>()
    let events = Events<ConnectionEvent>()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        await subscriber.run(
          channels: ["one", "two"], onMessage: { messages.post($0) },
          onSubscribed: { subscribed.post(true) }, onEvent: { events.post($0) })
      }
      _ = try await subscribed.first { $0 }
      try await server.command("PUBLISH", "one", "a")
      try await server.command("PUBLISH", "three", "b")
      try await server.command("PUBLISH", "two", "c")
      #expect(try await messages.first { $0 } == RedisMessage(channel: "one", payload: [97]))
      #expect(try await messages.first { $0 } == RedisMessage(channel: "two", payload: [99]))
      try await server.restart()
      _ = try await events.first(\.loss)
      _ = try await subscribed.first { $0 }
      try await server.command("PUBLISH", "two", "d")
      #expect(try await messages.first { $0 } == RedisMessage(channel: "two", payload: [100]))
      group.cancelAll()
    }
    #expect(try await events.first(\.loss) == .stopped)
    server.stop()
  }

  @Test("a message beyond the limit ends the connection, and the subscriber comes back")
  func hugeMessage() async throws {
    let server = try await RedisServer.start()
    var configuration = RedisConfiguration(endpoint: server.endpoint)
    configuration.replyLimits.bulkBytes = 20_000
    let subscriber = makeSubscriber(configuration)
    let subscribed = Events<Bool>()
    let events = Events<ConnectionEvent>()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        await subscriber.run(
          channels: ["one"], onMessage: { _ in }, onSubscribed: { subscribed.post(true) },
          onEvent: { events.post($0) })
      }
      _ = try await subscribed.first { $0 }
      try await server.command("PUBLISH", "one", String(repeating: "x", count: 20_001))
      #expect(
        try await events.first(\.loss) == .badReply(.bulkTooLong(bytes: 20_001, limit: 20_000)))
      _ = try await subscribed.first { $0 }
      group.cancelAll()
    }
    server.stop()
  }

  @Test("a channel that the ACL forbids is reported")
  func forbidden() async throws {
    let server = try await RedisServer.start()
    try await server.command("ACL", "SETUSER", "app", "on", "nopass", "resetchannels", "+@all")
    var endpoint = server.endpoint
    endpoint.username = "app"
    let subscriber = makeSubscriber(RedisConfiguration(endpoint: endpoint))
    let events = Events<ConnectionEvent>()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        await subscriber.run(
          channels: ["one"], onMessage: { _ in }, onSubscribed: {}, onEvent: { events.post($0) })
      }
      guard case .refused("SUBSCRIBE", let error) = try await events.first(\.loss) else {
        Issue.record("another failure")
        return
      }
      #expect(error.kind == .noPermission)
      group.cancelAll()
    }
    server.stop()
  }
}
