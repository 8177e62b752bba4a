import Logging
import NIOCore
import NIOPosix
import RedisClient
import Synchronization
import TestSupport
import Testing

extension ContinuousClock.Instant {
  /// A deadline that a working client never meets.
  static var soon: Self { .now + patience }
}

/// What a client reported, in order, for tests that wait for the next of it.
final class Events<Element: Sendable>: Sendable {
  private let stream: AsyncStream<Element>
  private let continuation: AsyncStream<Element>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream() }

  func post(_ element: Element) { continuation.yield(element) }

  /// The next event for which the predicate holds; those before it are dropped.
  func first<Value: Sendable>(
    _ transform: @escaping @Sendable (Element) -> Value?
  ) async throws -> Value {
    try await withTimeLimit { [stream] in
      for await element in stream {
        if let value = transform(element) { return value }
      }
      throw TimedOut("an event", within: patience)
    }
  }
}

/// Runs a client while the body runs, and hands its events to the body.
func withClient<Value: Sendable>(
  _ configuration: RedisConfiguration,
  _ body: @escaping @Sendable (RedisClient, Events<ConnectionEvent>) async throws -> Value
) async throws -> Value {
  let events = Events<ConnectionEvent>()
  var configuration = configuration
  // On a busy machine the timeouts meant for production are no proof of anything.
  let usual = RedisConfiguration(endpoint: configuration.endpoint)
  if configuration.connectTimeout == usual.connectTimeout {
    configuration.connectTimeout = patience
  }
  if configuration.unresponsiveAfter == usual.unresponsiveAfter {
    configuration.unresponsiveAfter = patience
  }
  let client = RedisClient(
    configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
    logger: Logger(label: "test"), onEvent: { events.post($0) })
  return try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { await client.run() }
    defer { group.cancelAll() }
    return try await body(client, events)
  }
}

extension ConnectionEvent {
  var server: RedisServerInfo? { if case .connected(let info) = self { info } else { nil } }
  var connectFailure: RedisFailure? {
    if case .connectFailed(let failure) = self { failure } else { nil }
  }
  var loss: RedisFailure? { if case .disconnected(let failure) = self { failure } else { nil } }
}

/// Gives a wrong password first, as a file does that is about to be replaced.
final class Passwords: Sendable {
  private let isFirst = Atomic<Bool>(true)
  func next() -> String { isFirst.exchange(false, ordering: .relaxed) ? "wrong-one" : "old" }
}

func makeSubscriber(_ configuration: RedisConfiguration) -> RedisSubscriber {
  RedisSubscriber(
    configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
    logger: Logger(label: "test"))
}

extension RedisServer {
  /// Waits until a client hangs in a blocking pop.
  func waitForBlockedClient() async throws {
    try await withTimeLimit { [self] in
      while try await command("INFO", "clients").text?.contains("blocked_clients:1") != true {}
    }
  }
}
