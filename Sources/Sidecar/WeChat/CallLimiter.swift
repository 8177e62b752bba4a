import NIOCore
import Synchronization

/// Lets so many calls through at a time; the others wait in the order in which they came.
///
/// Calls that can wait - probes - have at most half of the places, and come after all others: if
/// WeChat answers none of them, fetches go on.
final class CallLimiter: Sendable {
  private typealias Waiting = (id: UInt64, turn: EventLoopPromise<Bool>)

  private struct State {
    var free: Int
    /// So many places are kept for calls that cannot wait.
    let reserve: Int
    var last: UInt64 = 0
    /// As many as there are callers, who all have a deadline.
    var waiting: [Waiting] = []
    var patient: [Waiting] = []

    /// Takes the place of whoever is let through next, if anybody is.
    mutating func next() -> EventLoopPromise<Bool>? {
      if free > 0, !waiting.isEmpty {
        free -= 1
        return waiting.removeFirst().turn
      }
      guard free > reserve, !patient.isEmpty else { return nil }
      free -= 1
      return patient.removeFirst().turn
    }

    mutating func remove(_ id: UInt64) -> EventLoopPromise<Bool>? {
      if let index = waiting.firstIndex(where: { $0.id == id }) {
        return waiting.remove(at: index).turn
      }
      return patient.firstIndex { $0.id == id }.map { patient.remove(at: $0).turn }
    }
  }

  /// Protects who has a place and who waits for one; calls begin and end on any thread.
  private let state: Mutex<State>

  init(limit: Int) { state = Mutex(State(free: limit, reserve: limit / 2)) }

  /// Waits for a place; false when none was had in time, or the task was cancelled.
  ///
  /// Whoever gets one gives it back with `leave`.
  ///
  /// - Parameter canWait: whether others go first.
  func enter(
    before deadline: ContinuousClock.Instant, canWait: Bool = false, on loop: any EventLoop
  ) async -> Bool {
    let waiting = state.withLock { state -> Waiting? in
      guard state.free <= (canWait ? state.reserve : 0) else {
        state.free -= 1
        return nil
      }
      state.last += 1
      let waiter = (state.last, loop.makePromise(of: Bool.self))
      if canWait { state.patient.append(waiter) } else { state.waiting.append(waiter) }
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
      state.free += 1
      return state.next()
    }
    next?.succeed(true)
  }

  private func giveUp(_ id: UInt64) {
    state.withLock { $0.remove(id) }?.succeed(false)
  }
}
