import Synchronization
import TokenCore

/// Wakes those who wait for something to become of an account.
///
/// What they wait for they look up themselves: a bell only says that it is worth a look. Ringing
/// costs nothing while nobody waits, else as much as there are waiters.
final class Bells: Sendable {
  /// One waiter's bell: rung once for any number of changes since it last looked.
  struct Bell: Sendable {
    fileprivate let id: UInt64
    /// Ends when the bell is given back.
    let rings: AsyncStream<Void>
    fileprivate let continuation: AsyncStream<Void>.Continuation

    /// Has its waiter look.
    func ring() { continuation.yield() }

    /// Ends the wait, once its time is over.
    func end() { continuation.finish() }
  }

  private struct State {
    var last: UInt64 = 0
    /// Who waits for all accounts has none.
    var waiting: [UInt64: (account: CredentialID?, continuation: AsyncStream<Void>.Continuation)] =
      [:]
  }

  /// Protects who waits: the keeper's loop rings, requests come and go.
  private let state = Mutex(State())

  /// - Parameter account: nil for all.
  func bell(for account: CredentialID?) -> Bell {
    let (rings, continuation) = AsyncStream.makeStream(
      of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let id = state.withLock { state in
      state.last += 1
      state.waiting[state.last] = (account, continuation)
      return state.last
    }
    return Bell(id: id, rings: rings, continuation: continuation)
  }

  func giveBack(_ bell: Bell) {
    state.withLock { $0.waiting[bell.id] = nil }
    bell.continuation.finish()
  }

  func ring(_ accounts: [CredentialID]) {
    guard !accounts.isEmpty else { return }
    let rung = state.withLock { state in
      state.waiting.isEmpty
        ? []
        : state.waiting.values.filter { $0.account.map(accounts.contains) ?? true }
          .map(\.continuation)
    }
    for continuation in rung { continuation.yield() }
  }
}
