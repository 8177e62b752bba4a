/// An account that is to be kept from now on.
package struct NewAccount: Hashable, Sendable {
  package let name: CredentialID
  package let credential: Credential

  package init(name: CredentialID, credential: Credential) {
    self.name = name
    self.credential = credential
  }
}

/// Accounts that come and go while the keeper runs (TokenCore.md#accounts-that-come-and-go).
extension Keeper {
  /// Keeps some accounts from now on, and others no longer; all else goes on as it is.
  ///
  /// One that comes knows nothing: it begins from what Redis has. One that comes again while it is
  /// still let end has never gone.
  mutating func change(
    adding added: [NewAccount], removing removed: [CredentialID], at now: Moment
  ) {
    for name in removed {
      guard let index = index(of: name), !table[index].isLeaving else { continue }
      table.update(index) { $0.isLeaving = true }
      leaving.append(name)
    }
    for account in added {
      guard let index = index(of: account.name) else { continue }
      table.update(index) { $0.isLeaving = false }
      leaving.removeAll { $0 == account.name }
    }
    letGo(at: now)
    // Other replicas hear of it at once, and this one of theirs, which may change a moment later.
    heartbeatAt = min(heartbeatAt, now)
    heartbeatSoon = Timing.changedReplica
    var names: Set<CredentialID> = []
    let new = added.filter { index(of: $0.name) == nil && names.insert($0.name).inserted }
    guard !new.isEmpty, shutdownBy == nil else { return }
    table.rearrange(adding: new.map { newcomer($0, at: now) }) { _ in false }
  }

  /// Forgets those who are no longer kept and have nothing under way.
  mutating func letGo(at now: Moment) {
    let gone = leaving.compactMap { index(of: $0) }
      .filter { !table[$0].hasUnfinishedBusiness(at: now) }.map { table[$0] }
    guard !gone.isEmpty else { return }
    sequenceFloor = gone.map(\.sequence).reduce(sequenceFloor, max)
    let names = Set(gone.map(\.name))
    leaving.removeAll(where: names.contains)
    table.rearrange(adding: []) { names.contains($0.name) }
    // What stood in the way of one that is gone stands in nobody's.
    if gone.contains(where: \.isRefused), !table.all.contains(where: \.isRefused) {
      conflict = nil
    }
  }

  private func newcomer(_ account: NewAccount, at now: Moment) -> AccountKeeper {
    var keeper = AccountKeeper(
      name: account.name, instance: instance, timing: timing, margins: margins,
      credential: account.credential)
    if election.leadership != nil {
      keeper.startedLeading(at: now)
      keeper.sequence = sequenceFloor
    }
    return keeper
  }
}
