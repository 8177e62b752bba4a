import Synchronization

/// How much of the machine a test takes.
///
/// Tests that mostly wait run side by side, and one that measures a time runs alone. Those that
/// came first go first.
package final class MachineShare: Sendable {
  /// The one of this process.
  package static let shared = MachineShare(parts: 5)

  private struct State {
    var free: Int
    var waiting: [(parts: Int, continuation: CheckedContinuation<Void, Never>)] = []
  }

  private let parts: Int
  /// Protects the count and the queue; continuations are resumed outside of it.
  private let state: Mutex<State>

  private init(parts: Int) {
    self.parts = parts
    state = Mutex(State(free: parts))
  }

  /// Runs the body once enough of the machine is free.
  package func take<Result>(
    alone: Bool, _ body: () async throws -> Result
  ) async throws -> Result {
    let share = alone ? parts : 1
    await acquire(share)
    defer { release(share) }
    return try await body()
  }

  private func acquire(_ share: Int) async {
    await withCheckedContinuation { continuation in
      let mayGo = state.withLock { state in
        guard state.waiting.isEmpty, state.free >= share else {
          state.waiting.append((share, continuation))
          return false
        }
        state.free -= share
        return true
      }
      if mayGo { continuation.resume() }
    }
  }

  private func release(_ share: Int) {
    let next = state.withLock { state in
      state.free += share
      var next: [CheckedContinuation<Void, Never>] = []
      while let first = state.waiting.first, first.parts <= state.free {
        state.free -= first.parts
        next.append(first.continuation)
        state.waiting.removeFirst()
      }
      return next
    }
    for continuation in next { continuation.resume() }
  }
}
