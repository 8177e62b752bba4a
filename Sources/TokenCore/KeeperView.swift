/// What others see of a keeper: a copy that is brought up to date account by account.
///
/// The keeper itself is never shared: whoever held a copy of it while it goes on would make it copy
/// all its accounts with the next event.
package struct KeeperView: Sendable {
  package internal(set) var election: Election
  /// Whether the connection to Redis stands, as far as is known.
  package internal(set) var storeIsConnected: Bool
  /// The other replicas, as of the last heartbeat.
  package internal(set) var replicas: [Replica]
  /// Why this replica may not lead although nobody else does.
  package internal(set) var conflict: Conflict?
  /// Who holds a lock that never lapses.
  package internal(set) var endlessHolder: String?
  /// Whether another live replica has this one's name.
  package internal(set) var isNamesake: Bool
  /// How many times the regular look at everything was taken.
  package internal(set) var ticks: Int64
  /// What Redis's clock showed, and when by ours.
  package internal(set) var redisClock: (time: RedisTime, at: Moment)?
  /// Every account, ordered by name.
  package private(set) var accounts: [AccountKeeper]

  init(
    election: Election, storeIsConnected: Bool, replicas: [Replica], conflict: Conflict?,
    endlessHolder: String?, isNamesake: Bool, ticks: Int64,
    redisClock: (time: RedisTime, at: Moment)?, accounts: [AccountKeeper]
  ) {
    self.election = election
    self.storeIsConnected = storeIsConnected
    self.replicas = replicas
    self.conflict = conflict
    self.endlessHolder = endlessHolder
    self.isNamesake = isNamesake
    self.ticks = ticks
    self.redisClock = redisClock
    self.accounts = accounts
  }

  /// Whether the replica leads right now by its own reckoning.
  package func isLeader(at now: Moment) -> Bool { election.isLeader(at: now) }

  /// Whether nobody can fetch as far as is known: this replica cannot begin to, and there was no
  /// other one when it last could.
  package var nobodyFetches: Bool { !storeIsConnected && replicas.isEmpty }

  /// The account of that name; nil when there is none.
  package subscript(account: CredentialID) -> AccountKeeper? {
    var low = 0
    var high = accounts.count
    while low < high {
      let middle = (low + high) / 2
      if accounts[middle].name < account { low = middle + 1 } else { high = middle }
    }
    return low < accounts.count && accounts[low].name == account ? accounts[low] : nil
  }

  mutating func replaceAll(with accounts: [AccountKeeper]) { self.accounts = accounts }

  mutating func replace(at place: Int, with account: AccountKeeper) { accounts[place] = account }
}
