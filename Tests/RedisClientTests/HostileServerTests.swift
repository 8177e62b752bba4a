import RedisClient
import TestSupport
import Testing

@Suite("A client of a hostile server", .serialized)
struct HostileServerTests {
  private func configuration(port: Int, timeout: Duration = patience) -> RedisConfiguration {
    var configuration = RedisConfiguration(endpoint: .init(.tcp(host: "127.0.0.1", port: port)))
    configuration.connectTimeout = timeout
    configuration.unresponsiveAfter = timeout
    return configuration
  }

  /// How the first attempt to connect to such a server fails.
  private func connectFailure(
    _ server: HostileServer, timeout: Duration = patience
  ) async throws -> RedisFailure {
    let configuration = configuration(port: server.port, timeout: timeout)
    let failure = try await withClient(configuration) { _, events in
      try await events.first(\.connectFailure)
    }
    await server.stop()
    return failure
  }

  /// How a command fails that such a server answers after a good handshake, and the connection.
  private func commandFailure(
    _ answer: HostileServer.Answer, timeout: Duration = patience
  ) async throws -> (command: RedisError?, connection: RedisFailure) {
    let server = try await HostileServer([HostileServer.handshake, answer])
    let configuration = configuration(port: server.port, timeout: timeout)
    let result = try await withClient(configuration) { client, events in
      _ = try await events.first(\.server)
      var error: RedisError? = nil
      do throws(RedisError) {
        _ = try await client.execute(RedisCommand("GET", "x"), deadline: .now + timeout)
      } catch let thrown {
        error = thrown
      }
      return (error, try await events.first(\.loss))
    }
    await server.stop()
    return result
  }

  @Test(
    "bytes that are not Redis's end the attempt with the reason",
    arguments: [
      (
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        RedisFailure.badReply(.malformed("Protocol error, got \"H\" as reply type byte"))
      ),
      ("*2147483647\r\n", .badReply(.tooManyValues(limit: 16_384))),
      ("$536870912\r\n", .badReply(.bulkTooLong(bytes: 536_870_912, limit: 1_048_576))),
      (String(repeating: "*1\r\n", count: 1000), .badReply(.tooDeep(limit: 7))),
      (
        "-ERR max number of clients reached\r\n",
        .refusedByServer(RedisServerError("ERR max number of clients reached"))
      ),
      ("+HELLO\r\n", .unmatchedReply),
    ])
  func greeting(bytes: String, failure: RedisFailure) async throws {
    let server = try await HostileServer(greeting: .bytes(bytes))
    let isPlainReply = bytes.hasPrefix("-") || bytes.hasPrefix("+")
    let actual = try await connectFailure(
      server, timeout: isPlainReply ? .milliseconds(500) : patience)
    // A greeting may also arrive when the handshake has been written: then it answers a command.
    if failure == .unmatchedReply {
      #expect(actual == failure || actual == .handshakeTimedOut("127.0.0.1:\(server.port)"))
    } else if case .refusedByServer = failure {
      #expect(
        "\(actual)".contains("max number")
          || actual == .handshakeTimedOut("127.0.0.1:\(server.port)")
      )
    } else {
      #expect(actual == failure)
    }
  }

  @Test("a server that drips its answers has the connect timeout for all of them")
  func drip() async throws {
    let server = try await HostileServer([.drip("$1000\r\n" + String(repeating: "x", count: 1000))])
    let start = ContinuousClock.now
    let failure = try await connectFailure(server, timeout: .milliseconds(500))
    #expect(failure == .handshakeTimedOut("127.0.0.1:\(server.port)"))
    #expect(start.duration(to: .now) < .seconds(10))
  }

  @Test("a server that accepts and stays silent has the connect timeout")
  func silence() async throws {
    let server = try await HostileServer()
    let failure = try await connectFailure(server, timeout: .milliseconds(500))
    #expect(failure == .handshakeTimedOut("127.0.0.1:\(server.port)"))
  }

  @Test("a server that resets, or ends its direction, during the handshake has hung up on it")
  func endsDuringHandshake() async throws {
    for answer in [HostileServer.Answer.reset, .halfClose] {
      let failure = try await connectFailure(try await HostileServer([answer]))
      #expect(failure == .hungUp(commands: "INFO, PING"))
    }
  }

  @Test("a server that refuses and closes is reported in its own words")
  func refusesAndCloses() async throws {
    let text = "DENIED Redis is running in protected mode"
    for answer in [HostileServer.Answer.lastBytes("-\(text)\r\n"), .bytes("-\(text)\r\n")] {
      let failure = try await connectFailure(
        try await HostileServer([answer]), timeout: .seconds(10))
      #expect(failure == .refusedByServer(RedisServerError(text)))
    }
  }

  @Test("a dripping answer keeps neither its command nor its connection beyond their time")
  func dripsAnswer() async throws {
    let text = "$9000\r\n" + String(repeating: "x", count: 9000)
    let (command, connection) = try await commandFailure(.drip(text), timeout: .seconds(3))
    #expect(command == .outcomeUnknown(.deadlinePassed))
    #expect(connection == .unresponsive)
  }

  @Test("a reset and a half-close leave the outcome unknown", arguments: [true, false])
  func ends(isReset: Bool) async throws {
    let (command, connection) = try await commandFailure(isReset ? .reset : .halfClose)
    guard case .connectionLost = connection else {
      Issue.record("\(connection)")
      return
    }
    #expect(command == .outcomeUnknown(connection))
  }

  @Test(
    "an answer that exceeds a limit leaves the outcome unknown and ends the connection",
    arguments: [
      (
        "garbage", RedisFailure.badReply(.malformed("Protocol error, got \"g\" as reply type byte"))
      ),
      ("*2147483647\r\n", .badReply(.tooManyValues(limit: 16_384))),
      ("$9223372036854775807\r\n", .badReply(.bulkTooLong(bytes: .max, limit: 1_048_576))),
      (String(repeating: "*1\r\n", count: 8), .badReply(.tooDeep(limit: 7))),
    ])
  func exceeds(bytes: String, failure: RedisFailure) async throws {
    let (command, connection) = try await commandFailure(.bytes(bytes))
    #expect(command == .outcomeUnknown(failure) && connection == failure)
  }

  @Test("a refusal of writes inside a script's error, as before Redis 7, ends the connection")
  func readOnlyInScript() async throws {
    let text =
      "ERR Error running script (call to f_6b1b): @user_script:1: @user_script: 1: "
      + "-READONLY You can't write against a read only replica."
    let (command, connection) = try await commandFailure(.bytes("-\(text)\r\n"))
    #expect(command == nil)
    #expect(connection == .readOnly(RedisServerError(text)))
  }

  @Test("an endless line is refused while it is still coming")
  func endlessLine() async throws {
    let (command, connection) = try await commandFailure(
      .endless("+" + String(repeating: "x", count: 1000)))
    #expect(connection == .badReply(.lineTooLong(limit: 16_384)))
    #expect(command == .outcomeUnknown(connection))
  }

  @Test("an endless string is refused by its header")
  func endlessBulk() async throws {
    let (_, connection) = try await commandFailure(
      .endless("$99999999\r\n" + String(repeating: "x", count: 1000)))
    #expect(connection == .badReply(.bulkTooLong(bytes: 99_999_999, limit: 1_048_576)))
  }

  @Test("a reply that nobody asked for ends the connection after the one that was asked for")
  func unmatched() async throws {
    let (command, connection) = try await commandFailure(.bytes("+own\r\n+other\r\n"))
    #expect(command == nil)
    #expect(connection == .unmatchedReply)
  }

  @Test("endless good replies to nobody are refused by the first")
  func endlessReplies() async throws {
    let (_, connection) = try await commandFailure(.endless(":1\r\n:2\r\n"))
    #expect(connection == .unmatchedReply)
  }

  @Test("a subscriber leaves a server that confirms nothing, or sends what is no message")
  func subscriber() async throws {
    for (answer, failure) in [
      (HostileServer.Answer.silence, RedisFailure.unresponsive),
      (.bytes("+OK\r\n"), .unmatchedReply),
      (.bytes("*3\r\n+subscribe\r\n+other\r\n:1\r\n"), .unmatchedReply),
    ] {
      let server = try await HostileServer([HostileServer.handshake, answer])
      let subscriber = makeSubscriber(configuration(port: server.port, timeout: .seconds(3)))
      let events = Events<ConnectionEvent>()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          await subscriber.run(
            channels: ["one"], onMessage: { _ in }, onSubscribed: {}, onEvent: { events.post($0) })
        }
        let loss = try await events.first(\.loss)
        #expect(loss == failure)
        group.cancelAll()
      }
      await server.stop()
    }
  }
}
