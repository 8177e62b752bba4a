import Synchronization
package import TokenCore

/// The accounts that are kept, as all who need more than their names find them.
///
/// They come and go while the program runs. One that is no longer kept stays here until the keeper
/// has let it go: its call may be under way.
package final class KeptAccounts: Sendable {
  private struct State {
    var all: [AccountName: Settings.Account]
    var leaving: Set<AccountName> = []
  }

  /// Protects what a change of the settings writes and everybody reads.
  private let state: Mutex<State>
  /// What marks their records.
  package let apps: AppRegister

  package init(_ accounts: [Settings.Account]) {
    state = Mutex(State(all: Dictionary(uniqueKeysWithValues: accounts.map { ($0.name, $0) })))
    apps = AppRegister(Self.appIDs(accounts))
  }

  /// An account that is kept, or is still let end.
  package subscript(name: AccountName) -> Settings.Account? { state.withLock { $0.all[name] } }

  /// Those that are kept, ordered by name.
  package var all: [Settings.Account] {
    state.withLock { state in
      state.all.values.filter { !state.leaving.contains($0.name) }
    }.sorted { $0.name < $1.name }
  }

  /// Their names, in order.
  package var names: [AccountName] { all.map(\.name) }

  /// Those that are no longer kept, and were not forgotten yet.
  package var leaving: Set<AccountName> { state.withLock { $0.leaving } }

  /// Keeps some from now on, and others no longer.
  package func change(adding added: [Settings.Account], removing removed: [AccountName]) {
    state.withLock { state in
      state.leaving.formUnion(removed.filter { state.all[$0] != nil })
      for account in added {
        state.leaving.remove(account.name)
        state.all[account.name] = account
      }
    }
    apps.keep(Self.appIDs(all))
  }

  /// Nothing is under way any more for these, which are no longer kept.
  package func forget(_ names: [AccountName]) {
    state.withLock { state in
      for name in names where state.leaving.remove(name) != nil { state.all[name] = nil }
    }
  }

  private static func appIDs(_ accounts: [Settings.Account]) -> [AccountName: String] {
    Dictionary(uniqueKeysWithValues: accounts.map { ($0.name, $0.appID) })
  }
}
