import NIOCore
import Synchronization

/// Lets so many calls through at a time; the others wait in the order in which they came.
final class CallLimiter: Sendable {
  private struct State {
    var free: Int
    var last: UInt64 = 0
    /// As many as there are callers, who all have a deadline.
    var waiting: [(id: UInt64, turn: EventLoopPromise<Bool>)] = []
  }

  /// Protects who has a place and who waits for one; calls begin and end on any thread.
  private let state: Mutex<State>

  init(limit: Int) { state = Mutex(State(free: limit)) }

  /// Waits for a place; false when none was had in time, or the task was cancelled.
  ///
  /// Whoever gets one gives it back with `leave`.
  func enter(before deadline: ContinuousClock.Instant, on loop: any EventLoop) async -> Bool {
    let waiting = state.withLock { state -> (id: UInt64, turn: EventLoopPromise<Bool>)? in
      guard state.free == 0 else {
        state.free -= 1
        return nil
      }
      state.last += 1
      let waiter = (state.last, loop.makePromise(of: Bool.self))
      state.waiting.append(waiter)
      return waiter
    }
    guard let waiting else { return true }
    let left = ContinuousClock.now.duration(to: deadline)
    let alarm = loop.scheduleTask(in: .init(max(.zero, left))) { self.giveUp(waiting.id) }
    defer { alarm.cancel() }
    return await withTaskCancellationHandler {
      (try? await waiting.turn.futureResult.get()) ?? false
    } onCancel: {
      giveUp(waiting.id)
    }
  }

  /// Gives the place to who waits longest.
  func leave() {
    let next = state.withLock { state -> EventLoopPromise<Bool>? in
      guard !state.waiting.isEmpty else {
        state.free += 1
        return nil
      }
      return state.waiting.removeFirst().turn
    }
    next?.succeed(true)
  }

  private func giveUp(_ id: UInt64) {
    let turn = state.withLock { state -> EventLoopPromise<Bool>? in
      guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
      return state.waiting.remove(at: index).turn
    }
    turn?.succeed(false)
  }
}
