package import TokenCore

/// Redis as the protocol uses it: the steps of TokenCore.md#the-algorithm executed on plain values.
///
/// Every command is atomic and sees one time, as a script does. Keys expire by the server's wall
/// clock, which the caller passes in: it can be stepped and can run at another rate.
package struct ModelRedis: Sendable {
  /// Everything that a wipe loses and a fail-over turns back.
  package struct Data: Hashable, Sendable {
    package var lock: Lock?
    package var epoch: EpochRecord?
    package var accounts: [Account]
    package var replicas: [Replica] = []
  }

  package struct Lock: Hashable, Sendable {
    package var holder: String
    /// Without one, the lock never lapses: only a foreign hand does that.
    package var expiresAt: RedisTime?
  }

  package struct EpochRecord: Hashable, Sendable {
    package var epoch: Epoch
    package var term: String
    package var lease: Duration
  }

  /// A string key, or one of another type.
  package struct Key: Hashable, Sendable {
    /// Nil when the key is of another type.
    package var text: String?
    package var expiresAt: RedisTime?

    package init(text: String?, expiresAt: RedisTime?) {
      self.text = text
      self.expiresAt = expiresAt
    }
  }

  /// The keys of one account.
  package struct Account: Hashable, Sendable {
    package let name: CredentialID
    package var token: Key?
    package var expiry: Key?
    /// What the outputs after these two hold.
    package var others: [Key?] = []
    /// Whose order was the last about an output that lies in another slot, by its place.
    package var fences: [Int: Rank] = [:]
    /// What was written to it last by an order.
    package var placed: [Int: String] = [:]
    package var state = State()

    /// What all outputs hold.
    var keys: (token: Key?, expiry: Key?, others: [Key?]) {
      get { (token, expiry, others) }
      set { (token, expiry, others) = newValue }
    }

    /// What the output in this place of their list holds.
    package subscript(output place: Int) -> Key? {
      get {
        switch place {
        case 0: token
        case 1: expiry
        default: others.indices.contains(place - 2) ? others[place - 2] : nil
        }
      }
      set {
        switch place {
        case 0: token = newValue
        case 1: expiry = newValue
        default:
          while others.count <= place - 2 { others.append(nil) }
          others[place - 2] = newValue
        }
      }
    }
  }

  /// The hash of one account; a missing one reads as an empty one.
  package struct State: Hashable, Sendable {
    package var fence: Epoch = .none
    package var committed: Version?
    package var parent: Version?
    package var intent: Intent?
    package var doubt: Doubt?
    package var runID: String?
    package var fetchedBy: String?
    package var fetchedAt: RedisTime?
    package var expiresAt: RedisTime?
    package var lifetime: Duration?
    /// The day that fetches are counted in, and how many were allowed.
    package var day: Int64 = 0
    package var fetchesToday = 0
    /// Stands for the digest of the committed token.
    package var digest: String?

    package init() {}
  }

  package var data: Data
  /// Which server this is; a restart or a fail-over brings another one.
  package var runID = "run-1"
  /// The parts of the protocol that the scripts have.
  let parts: Parts

  package init(accounts: [CredentialID], parts: Parts = .all) {
    data = Data(accounts: accounts.map { Account(name: $0) })
    self.parts = parts
  }

  // MARK: Commands

  /// Carries a command out at the server's time.
  package mutating func execute(_ command: StoreCommand, at now: RedisTime) -> StoreReply {
    expire(at: now)
    let scripts = AccountScripts(parts: parts, now: now)
    func changing(
      _ name: CredentialID, _ body: (AccountScripts, inout Account) -> StoreReply
    ) -> StoreReply {
      let index = data.accounts.firstIndex { $0.name == name } ?? data.accounts.count
      if index == data.accounts.count { data.accounts.append(Account(name: name)) }
      return body(scripts, &data.accounts[index])
    }
    switch command {
    case .pollLock:
      return .lock(
        holder: data.lock?.holder, remaining: data.lock?.expiresAt.map { $0 - now })
    case .acquire(let term, let lease, let floor):
      return acquire(term, lease: lease, floor: floor, at: now)
    case .renew(let term, let lease):
      guard data.lock?.holder == term.description else { return .lost }
      data.lock?.expiresAt = now + lease
      return .renewed
    case .release(let term):
      if data.lock?.holder == term.description { data.lock = nil }
      return .released
    case .look(let look):
      return changing(look.account) { .account($0.view(of: $1, look.outputs)) }
    case .takeOver(let takeOver):
      return changing(takeOver.account) { $0.takeOver(takeOver, &$1) }
    case .begin(let begin):
      return changing(begin.account) { $0.begin(begin, &$1) }
    case .resolve(let resolve):
      return changing(resolve.account) { $0.resolve(resolve, &$1) }
    case .commit(let commit):
      return changing(commit.account) { $0.commit(commit, &$1) }
    case .republish(let republish):
      return changing(republish.account) { $0.republish(republish, &$1) }
    case .mark(let mark):
      return changing(mark.account) { $0.mark(mark, &$1) }
    case .heartbeat(let heartbeat):
      return beat(heartbeat, at: now)
    }
  }

  /// Removes what has expired: Redis keeps a key for the whole of its last millisecond.
  package mutating func expire(at now: RedisTime) {
    if let at = data.lock?.expiresAt, at < now { data.lock = nil }
    for index in data.accounts.indices {
      if let at = data.accounts[index].token?.expiresAt, at < now {
        data.accounts[index].token = nil
      }
      if let at = data.accounts[index].expiry?.expiresAt, at < now {
        data.accounts[index].expiry = nil
      }
      for other in data.accounts[index].others.indices {
        if let at = data.accounts[index].others[other]?.expiresAt, at < now {
          data.accounts[index].others[other] = nil
        }
      }
    }
  }

  /// Loses everything.
  package mutating func wipe() {
    data = Data(accounts: data.accounts.map { Account(name: $0.name) })
  }

  // MARK: The lock

  private mutating func acquire(
    _ term: Term, lease: Duration, floor: Epoch, at now: RedisTime
  ) -> StoreReply {
    let me = term.description
    if let lock = data.lock, lock.holder != me || !parts.contains(.idempotentAcquire) {
      var left = lock.expiresAt.map { $0 - now } ?? .milliseconds(-1)
      if let record = data.epoch, record.term == lock.holder,
        left < .zero || left > record.lease
      {
        left = record.lease
        data.lock?.expiresAt = now + left
      }
      return .held(holder: lock.holder, remaining: left)
    }
    let isRepeated = data.lock != nil
    data.lock = Lock(holder: me, expiresAt: now + lease)
    if isRepeated, let record = data.epoch, record.term == me { return .acquired(record.epoch) }
    var next = (data.epoch?.epoch.rawValue ?? 0) + 1
    if parts.contains(.epochFloor) {
      next = max(next, floor.rawValue + 1, now.milliseconds)
    }
    data.epoch = EpochRecord(epoch: Epoch(next), term: me, lease: lease)
    return .acquired(Epoch(next))
  }

  // MARK: Replicas

  /// Replicas that were not seen for so long are forgotten.
  private static let replicaMemory: Duration = .seconds(60)
  /// Of so many others of one name is known.
  private static let namesakes = 7

  private mutating func beat(
    _ heartbeat: StoreCommand.Heartbeat, at now: RedisTime
  ) -> StoreReply {
    func isLive(_ replica: Replica) -> Bool { now - replica.seenAt <= ModelRedis.replicaMemory }
    let namesakes = data.replicas.filter { $0.instance == heartbeat.instance }
    let live = Set(data.replicas.filter(isLive).map(\.instance))
    let before = namesakes.first { $0.life == heartbeat.life } ?? namesakes.first
    let kept = namesakes.filter { $0.life != heartbeat.life && isLive($0) }
    // What is written under another name is removed with it only.
    data.replicas.removeAll { $0.instance == heartbeat.instance || !live.contains($0.instance) }
    let others = kept + data.replicas.filter(isLive)
    data.replicas += kept.prefix(ModelRedis.namesakes)
    // Who said something last comes first among those of its name.
    data.replicas.insert(
      Replica(
        instance: heartbeat.instance, isLeader: heartbeat.isLeader, seenAt: now,
        abdicatedAt: heartbeat.abdicates ? now : before?.abdicatedAt, life: heartbeat.life),
      at: 0)
    return .replicas(others, now: now)
  }
}
