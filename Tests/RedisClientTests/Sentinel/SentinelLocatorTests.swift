import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import RedisClient

/// Asking sentinels that answer in their own ways.
@Suite("Asking sentinels")
struct SentinelLocatorTests {
  typealias Address = RedisEndpoint.Address

  private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()

  private static func bulks(_ texts: [String]) -> String {
    "*\(texts.count)\r\n" + texts.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
  }

  /// Takes the beginning and the question, which come in one write.
  private static func sentinel(
    naming port: Int, epoch: Int, knowing others: [Int] = []
  ) async throws -> HostileServer {
    let known = others.map { bulks(["ip", "127.0.0.1", "port", "\($0)"]) }
    return try await HostileServer([
      .bytes(
        "+PONG\r\n" + bulks(["127.0.0.1", "\(port)"])
          + bulks(["flags", "master", "config-epoch", "\(epoch)"])
          + "*\(others.count)\r\n" + known.joined())
    ])
  }

  private static func locator(_ ports: [Int]) throws -> SentinelLocator {
    let set = SentinelSet(ports.map { .tcp(host: "127.0.0.1", port: $0) }, primary: "m")
    return try #require(RedisConfiguration(endpoint: RedisEndpoint(set)).sentinels)
  }

  private var deadline: ContinuousClock.Instant { .now + patience }

  @Test("one that hangs and one that is behind mislead nobody, wherever they are in the list")
  func hangingAndBehind() async throws {
    let hanging = try await HostileServer()
    let behind = try await Self.sentinel(naming: 1, epoch: 1)
    let right = try await Self.sentinel(naming: 2, epoch: 2)
    let locator = try Self.locator([hanging.port, behind.port, right.port])
    let found = try await locator.locate(by: deadline, on: eventLoop)
    #expect(found == .tcp(host: "127.0.0.1", port: 2))
    for server in [hanging, behind, right] { await server.stop() }
  }

  @Test("whoever asks at one time shares one asking, also when the first of them is called off")
  func single() async throws {
    // The others are given a moment for the one that hangs, so that all come within one asking.
    let hanging = try await HostileServer()
    let right = try await Self.sentinel(naming: 2, epoch: 2)
    let locator = try Self.locator([hanging.port, right.port])
    let sights = Mutex(0)
    locator.observe { _ in sights.withLock { $0 += 1 } }
    let deadline = deadline
    let first = Task { [eventLoop] in try await locator.locate(by: deadline, on: eventLoop) }
    try await withThrowingTaskGroup(of: Address.self) { group in
      for _ in 0..<20 {
        group.addTask { [eventLoop] in try await locator.locate(by: deadline, on: eventLoop) }
      }
      first.cancel()
      for try await address in group { #expect(address == .tcp(host: "127.0.0.1", port: 2)) }
    }
    #expect(sights.withLock { $0 } <= 2)
    for server in [hanging, right] { await server.stop() }
  }

  @Test("when none of the URL's answers any more, those are asked that they told of")
  func learned() async throws {
    let other = try await Self.sentinel(naming: 3, epoch: 3)
    let known = try await Self.sentinel(naming: 2, epoch: 2, knowing: [other.port])
    let locator = try Self.locator([known.port])
    let moved = Mutex<[Address]>([])
    let moves = try #require(locator.moves)
    _ = moves.observe { address in moved.withLock { $0.append(address) } }
    #expect(
      try await locator.locate(by: deadline, on: eventLoop) == .tcp(host: "127.0.0.1", port: 2))
    await known.stop()
    #expect(
      try await locator.locate(by: deadline, on: eventLoop) == .tcp(host: "127.0.0.1", port: 3))
    #expect(moved.withLock { $0 } == [.tcp(host: "127.0.0.1", port: 3)])
    await other.stop()
    await #expect(throws: RedisFailure.self) {
      try await locator.locate(by: deadline, on: eventLoop)
    }
  }

  @Test("an attempt at a place that the primary leaves is called off, also when it left before")
  func leaving() async throws {
    let moves = PrimaryMoves()
    let (a, b) = (Address.tcp(host: "a", port: 1), Address.tcp(host: "b", port: 1))
    let moved = RedisFailure.primaryMoved(to: "\(b)")
    let (started, start) = AsyncStream.makeStream(of: Void.self)
    let attempt = Task {
      try await moves.run(whileAt: a, discard: { (_: Int) in }) {
        start.yield()
        return try await Self.calledOff()
      }
    }
    for await _ in started { break }
    moves.tell(a)
    moves.tell(b)
    await #expect(throws: moved) { try await attempt.value }
    await #expect(throws: moved) {
      try await moves.run(whileAt: a, discard: { (_: Int) in }) {
        try await Self.calledOff()
      }
    }
    #expect(try await moves.run(whileAt: b, discard: { (_: Int) in }) { 2 } == 2)
  }

  /// What ends by being called off, and by nothing else.
  private static func calledOff() async throws -> Int {
    let (never, end) = AsyncStream.makeStream(of: Void.self)
    for await _ in never {}
    end.finish()
    throw CancellationError()
  }
}
