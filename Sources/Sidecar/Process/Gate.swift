import ServiceLifecycle
import Synchronization

/// Closed until somebody opens it, once and for all who wait.
final class Gate: Sendable {
  private struct State {
    var isOpen = false
    var waiting: [AsyncStream<Void>.Continuation] = []
  }

  /// Protects whether it is open, and who waits until it is.
  private let state = Mutex(State())

  /// Lets everybody pass from now on.
  func open() {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      state.isOpen = true
      return state.waiting
    }
    for continuation in waiting { continuation.finish() }
  }

  /// Waits until it is open; false when the task was cancelled before.
  func passed() async -> Bool {
    let (opened, continuation) = AsyncStream.makeStream(of: Void.self)
    let isOpen = state.withLock { state in
      if !state.isOpen { state.waiting.append(continuation) }
      return state.isOpen
    }
    if isOpen { return true }
    for await _ in opened {}
    return state.withLock { $0.isOpen }
  }
}

/// A service that does not begin before a gate is open.
///
/// When the group is to end before, it ends without having begun.
struct Gated: Service {
  private let service: any Service
  private let gate: Gate

  init(_ service: any Service, behind gate: Gate) {
    self.service = service
    self.gate = gate
  }

  func run() async throws {
    guard await cancelWhenGracefulShutdown({ await gate.passed() }) else { return }
    try await service.run()
  }
}
