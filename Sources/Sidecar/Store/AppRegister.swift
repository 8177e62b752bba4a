import Synchronization
package import TokenCore

/// What marks the records of each account as its AppID's, and the lock as this deployment's.
///
/// Accounts come and go. The mark of one that is gone stays: a step of its may still be on its way.
package final class AppRegister: Sendable {
  private struct State {
    var marks: [AccountName: TokenDigest] = [:]
    var first: AccountName?
  }

  /// Protects what steps read and a change of the settings writes.
  private let state = Mutex(State())

  package init(_ appIDs: [AccountName: String]) { keep(appIDs) }

  /// These are the accounts from now on.
  package func keep(_ appIDs: [AccountName: String]) {
    let marks = appIDs.mapValues(TokenStore.digest)
    state.withLock { state in
      state.marks.merge(marks) { $1 }
      state.first = marks.keys.min()
    }
  }

  /// What marks the records of the account.
  func mark(_ account: AccountName) -> TokenDigest { state.withLock { $0.marks[account] ?? "" } }

  /// What marks the lock: the first account's AppID.
  var lockMark: TokenDigest {
    state.withLock { state in state.first.flatMap { state.marks[$0] } ?? "" }
  }
}
