import NIOCore
import Synchronization

/// Says where the server is that takes the commands; asked at every attempt to connect.
protocol PrimaryLocator: Sendable {
  /// - Parameter eventLoop: of connections that this may take.
  func locate(
    by deadline: ContinuousClock.Instant, on eventLoop: any EventLoop
  ) async throws(RedisFailure) -> RedisEndpoint.Address

  /// Who wants to hear that the primary has moved; nil: it never does.
  var moves: PrimaryMoves? { get }
}

/// One that knows.
struct FixedLocator: PrimaryLocator {
  let address: RedisEndpoint.Address
  let moves: PrimaryMoves? = nil

  func locate(
    by deadline: ContinuousClock.Instant, on eventLoop: any EventLoop
  ) async throws(RedisFailure) -> RedisEndpoint.Address { address }
}

/// Tells of each move of a primary to whoever wants to know.
final class PrimaryMoves: Sendable {
  typealias Observer = @Sendable (RedisEndpoint.Address) -> Void

  private struct State {
    var nextID: UInt64 = 0
    var observers: [UInt64: Observer] = [:]
    var last: RedisEndpoint.Address?
  }

  /// Protects who is told.
  private let state = Mutex(State())

  /// Calls back at each move until it is forgotten; the callback must not block.
  func observe(_ observer: @escaping Observer) -> UInt64 {
    state.withLock { state in
      state.nextID += 1
      state.observers[state.nextID] = observer
      return state.nextID
    }
  }

  func forget(_ id: UInt64) { state.withLock { $0.observers[id] = nil } }

  func tell(_ address: RedisEndpoint.Address) {
    let observers = state.withLock { state in
      state.last = address
      return Array(state.observers.values)
    }
    for observer in observers { observer(address) }
  }

  /// Where it was told to be last; nil before the first move.
  var last: RedisEndpoint.Address? { state.withLock { $0.last } }

  /// Runs the body as long as the primary stays where it is.
  ///
  /// - Parameters:
  ///   - discard: takes what the body has brought all the same after a move.
  /// - Throws: `primaryMoved`, and whatever the body throws.
  func run<Result: Sendable>(
    whileAt address: RedisEndpoint.Address, discard: @escaping @Sendable (Result) -> Void,
    _ body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    let (moves, continuation) = AsyncStream.makeStream(
      of: RedisEndpoint.Address.self, bufferingPolicy: .bufferingNewest(1))
    let id = observe { if $0 != address { continuation.yield($0) } }
    defer { forget(id) }
    // It may have moved before there was anybody to hear it.
    if let last, last != address { continuation.yield(last) }
    return try await withThrowingTaskGroup(of: Result?.self) { group in
      group.addTask { try await body() }
      group.addTask {
        for await moved in moves { throw RedisFailure.primaryMoved(to: "\(moved)") }
        return nil
      }
      let first: Swift.Result<Result?, any Error>
      do {
        first = .success(try await group.next() ?? nil)
      } catch {
        first = .failure(error)
      }
      group.cancelAll()
      while let late = await group.nextResult() {
        if case .success(let result?) = late { discard(result) }
      }
      guard let result = try first.get() else { throw RedisFailure.cancelled }
      return result
    }
  }
}
