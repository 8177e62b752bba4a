import Logging
import Synchronization
import TokenCore

/// Lets accounts come and go while all else runs: everything that knows of them hears of it here.
///
/// The keeper is told, and lets what is under way end. Once it has let an account go, nothing of it
/// is left but its keys in Redis, which lapse by themselves.
final class AccountMoves: Sendable {
  let kept: KeptAccounts
  private let inbox: KeeperInbox
  private let metrics: MetricsRegistry
  private let health: HealthCenter
  private let logger: Logger
  private let forget: @Sendable (CredentialID) -> Void
  /// Protects who comes as soon as who had the name before is gone.
  private let waiting = Mutex<[Arrival]>([])

  /// An account and what of it is kept.
  struct Arrival {
    let account: Settings.Account
    let credentials: [NewAccount]
  }

  init(
    kept: KeptAccounts, inbox: KeeperInbox, metrics: MetricsRegistry, health: HealthCenter,
    logger: Logger, forget: @escaping @Sendable (CredentialID) -> Void
  ) {
    self.kept = kept
    self.inbox = inbox
    self.metrics = metrics
    self.health = health
    self.logger = logger
    self.forget = forget
  }

  /// Takes what the settings, read again, say of accounts.
  func take(_ change: SettingsChange, of fresh: Settings) {
    guard !change.added.isEmpty || !change.removed.isEmpty else { return }
    let credentials = fresh.credentials.sorted { $0.key < $1.key }
    let arrivals = change.added.map { account in
      Arrival(
        account: account,
        credentials: credentials.filter { $0.key.account == account.name }.map {
          NewAccount(name: $0.key, credential: $0.value)
        })
    }
    // Whose call is under way has the name until that has ended.
    let later = arrivals.filter { arrival in
      kept.leaving.contains(arrival.account.name)
        && !(kept[arrival.account.name]?.isSame(as: arrival.account) ?? true)
    }
    waiting.withLock { waiting in
      waiting.removeAll { change.removed.contains($0.account.name) }
      waiting += later
    }
    let names = Set(later.map(\.account.name))
    move(arrivals.filter { !names.contains($0.account.name) }, removing: change.removed)
    logger.tell(
      .accountsChanged, "Accounts are kept from now on, or no longer",
      .keyed([
        .accountsAdded: .list(change.added.map(\.name.description)),
        .accountsRemoved: .list(change.removed.map(\.description)),
        .accountCount: .number(fresh.accounts.count),
      ]))
  }

  /// Forgets those that the keeper has let go, and lets come who waited for that.
  func settle() {
    let leaving = kept.leaving
    guard !leaving.isEmpty else { return }
    let gone = inbox.look { view in
      leaving.filter { name in Self.credentials(of: name).allSatisfy { view.keeper[$0] == nil } }
    }
    guard !gone.isEmpty else { return }
    kept.forget(gone.sorted())
    for credential in gone.flatMap(Self.credentials) {
      metrics.forget(credential)
      forget(credential)
    }
    let arrivals = waiting.withLock { waiting in
      let free = waiting.filter { gone.contains($0.account.name) }
      waiting.removeAll { gone.contains($0.account.name) }
      return free
    }
    if !arrivals.isEmpty { move(arrivals, removing: []) }
  }

  private func move(_ arrivals: [Arrival], removing removed: [AccountName]) {
    // Before the keeper asks for anything of them.
    kept.change(adding: arrivals.map(\.account), removing: removed)
    let credentials = arrivals.flatMap(\.credentials)
    let apis = Dictionary(uniqueKeysWithValues: arrivals.map { ($0.account.name, $0.account.api) })
    metrics.preregister(
      credentials.map(\.name),
      endpoints: { MetricLabels.endpoints(of: $0.kind, apis[$0.account] ?? .token) })
    for arrival in arrivals { metrics.preregister(layoutsOf: arrival.account) }
    health.keep(AccountMarks(kept.all))
    inbox.post(
      .accountsChanged(added: credentials, removed: removed.flatMap(Self.credentials)))
  }

  /// Everything that may be kept of an account.
  private static func credentials(of account: AccountName) -> [CredentialID] {
    CredentialID.Kind.allCases.map { CredentialID(account, $0) }
  }
}

extension Settings.Account {
  /// Whether its tokens are those of the other, too.
  fileprivate func isSame(as other: Settings.Account) -> Bool {
    appID == other.appID && api == other.api && tickets == other.tickets
      && urls == other.urls && otherKeys == other.otherKeys && file == other.file
      && hook == other.hook
  }
}

extension MetricsRegistry {
  /// Lets the series of an account's layouts be there from the start.
  func preregister(layoutsOf account: Settings.Account) {
    for credential in account.credentials {
      let layouts = account.outputs.filter { !$0.outputs(of: credential.kind).isEmpty }
      preregister(layouts: layouts.map(\.layout.name), of: credential)
      if account.hook != nil { preregister(hookOf: credential) }
    }
    if account.file != nil { preregister(fileOf: CredentialID(account.name)) }
  }
}
