import Synchronization
import TokenCore

/// Leave to write one request, which can be taken back as long as nothing is written.
package final class SendPermit: Sendable {
  private let withdrawn = Atomic(false)

  package init() {}

  package var isWithdrawn: Bool { withdrawn.load(ordering: .acquiring) }

  /// Whoever asks from now on may not write.
  package func withdraw() { withdrawn.store(true, ordering: .releasing) }
}

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
  private let permit: SendPermit?
  /// Of the whole call: what it sends is of no use later.
  let timeout: Duration

  init(notAfter: ContinuousClock.Instant, permit: SendPermit? = nil, timeout: Duration) {
    self.notAfter = notAfter
    self.permit = permit
    self.timeout = timeout
  }

  /// Asks to write the head now; true at most once.
  func pass() -> Bool {
    state.withLock { state in
      guard case .open = state else { return false }
      let now = ContinuousClock.now
      guard now <= notAfter, permit?.isWithdrawn != true else {
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
