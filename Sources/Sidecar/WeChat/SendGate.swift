import Synchronization
import TokenCore

/// One attempt's passage from "nothing was sent" to "it may have been": exactly one request head
/// passes, and none after its time.
final class SendGate: Sendable {
  private enum State {
    /// Followed by `sent`, `refused` or `closed`.
    case open
    case sent(Moment)
    /// The head came too late and was not written.
    case refused
    /// The call has ended; nothing may be written any more.
    case closed
  }

  /// How an attempt ended, as far as the sending goes.
  enum Passage: Hashable {
    case notSent
    case tooLate
    case sent(Moment)
  }

  /// Guards the one passage between the event loop that writes and the task that waits.
  private let state = Mutex(State.open)
  private let notAfter: ContinuousClock.Instant
  /// Of the whole call: what it sends is of no use later.
  let timeout: Duration

  init(notAfter: ContinuousClock.Instant, timeout: Duration) {
    self.notAfter = notAfter
    self.timeout = timeout
  }

  /// Asks to write the head now; true at most once.
  func pass() -> Bool {
    state.withLock { state in
      guard case .open = state else { return false }
      let now = ContinuousClock.now
      guard now <= notAfter else {
        state = .refused
        return false
      }
      state = .sent(MonotonicClock.moment(of: now))
      return true
    }
  }

  /// Closes the gate and tells whether the head was written.
  func close() -> Passage {
    state.withLock { state in
      switch state {
      case .open, .closed:
        state = .closed
        return .notSent
      case .refused: return .tooLate
      case .sent(let moment): return .sent(moment)
      }
    }
  }
}
