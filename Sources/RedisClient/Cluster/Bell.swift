import NIOCore
import Synchronization

/// Rings for all who wait for it.
final class Bell: Sendable {
  private struct State {
    var turn: UInt64 = 0
    var nextID: UInt64 = 0
    var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
  }

  /// Protects who waits.
  private let state = Mutex(State())

  /// How often it has rung: what is looked at after this is taken, and before waiting, is not
  /// missed.
  var turn: UInt64 { state.withLock { $0.turn } }

  func ring() {
    let waiting = state.withLock { state in
      state.turn += 1
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Returns when it has rung since that turn, when the deadline has passed, or when the task is
  /// cancelled.
  func wait(
    since turn: UInt64, by deadline: ContinuousClock.Instant?, on eventLoop: any EventLoop
  ) async {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    let timer = deadline.map { deadline in
      eventLoop.scheduleTask(in: TimeAmount(until: deadline)) { [self] in end(id) }
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if state.turn != turn || Task.isCancelled || deadline.map({ $0 <= .now }) == true {
            return true
          }
          state.waiting[id] = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      end(id)
    }
    timer?.cancel()
  }

  private func end(_ id: UInt64) {
    state.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
  }
}
