import TokenCore

/// The invariants of TokenCore.md#invariants, looked at after every step.
extension World {
  /// What the oracles remember about the whole system.
  struct Marks {
    struct Account {
      /// The highest commit of this lineage of the data.
      var committed: Version?
      /// How long applications have been reading a dead token, without a break.
      var deadFor: Int64 = 0
      var deadSince: Instant?
      /// What was published last, and when other tokens ceased to be.
      var published: String?
      var gone: [String: Instant] = [:]
      var hadTokenAt: Instant = 0
      /// When Redis lost what this account's record had of fetches.
      var losses: [Loss] = []
      /// What a foreign hand made endless: what shortens it later knows no better.
      var endless: Set<String> = []
      /// Tokens that an answer on the way repeated.
      var repeated: Set<String> = []
      /// The time for which Redis has been stating too long a life.
      var spell: Spell?
      /// The last cause of a trace in the record, and for how long it has stood since while a
      /// leader could do something about it.
      var cause: Cause?
      var causeStands: Instant = 0
      /// When a fetch could not succeed last.
      var hinderedAt: Instant = 0
      /// Whose order was carried out last about each output that lies apart.
      var apart: [Int: Rank] = [:]
      /// The last ends that the record stated.
      var ends: [RedisTime] = []
      /// When Redis's clock was stepped while the record looked like another AppID's.
      var clockSteppedUnseenAt: Instant = 0
      /// Since when what lies apart has differed from the record.
      var apartSince: Instant?
      /// Up to when it was counted how long the token was dead.
      var countedUntil: Instant = 0
    }

    /// A time without a break in which too long a life is stated.
    struct Spell {
      let since: Instant
      var hole: Hole?
      /// Whether the token died before the key did.
      var wasRead = false
    }

    /// Redis lost what it knew of an account's fetches.
    struct Loss {
      let at: Instant
      /// Whether another server has an earlier record, which names the one before.
      let isElsewhere: Bool
    }

    /// What may have killed a token, as the record has it.
    struct Cause: Equatable {
      let intent: Version?
      let last: RedisTime?
    }

    /// What a version was used for: by whom it was begun, and how often it was sent.
    struct Use {
      var replica: Int
      var life: Int
      /// Whether whoever began it had seen an epoch before.
      var hasHistory: Bool
      var begunAt: Instant
      var sends = 0
      var isCommitted = false
      /// Whether the BEGIN was taken by a primary that had been demoted.
      var isOfOldPrimary = false
    }

    var accounts: [Account] = []
    var highestEpoch: Epoch = .none
    var epochs: [String: Epoch] = [:]
    var grantedAt: Instant = 0
    var owners: [Epoch: (term: String, replica: Int, life: Int)] = [:]
    var uses: [[Version: Use]] = []
    var forks: [(since: Instant, end: Instant, members: Set<Int>)] = []
    /// When each account was fetched for while nothing was broken, lately.
    var calmFetches: [[Instant]] = []
    /// When fetches ended lately without anybody knowing how.
    var unanswered: [[Instant]] = []
    var orphanSince: Instant?
    var orphan: String?
    var quietBy: Instant?
    /// Since when the lock has been held without a break by a replica that leads.
    var ledSince: Instant?
    var clockSteppedAt: Instant = 0
    /// The last time that it was set forward: what is in doubt seems to be over for longer since.
    var clockSetForwardAt: Instant = 0
    /// How many fetches everything that happened so far allows (invariant 6).
    var allowedFetches = 0

    mutating func prepare(for number: Int) {
      accounts = Array(repeating: Account(), count: number)
      uses = Array(repeating: [:], count: number)
      calmFetches = Array(repeating: [], count: number)
      unanswered = Array(repeating: [], count: number)
    }
  }

  mutating func violate(_ rule: Violation.Rule, _ detail: String) {
    guard judges, verdict.violation == nil else { return }
    let violation = Violation(
      rule: rule, seconds: Double(now / millisecond) / 1000, detail: detail)
    trace("VIOLATION \(violation)")
    verdict.violation = violation
  }

  func isCalm(for span: Int64) -> Bool { now - disturbedUntil >= span }

  // MARK: Time passes

  /// So many accounts are all looked at after every step; of more, some in turn.
  private static let allLookedAt = 8
  private static let lookedAtInTurn = 3

  /// The accounts that a happening may change, and of many others a few.
  mutating func touched(by happening: Happening) -> [Int] {
    guard accounts.count > World.allLookedAt else { return Array(accounts.indices) }
    var touched: [Int] = []
    switch happening {
    case .arrive(let arrival):
      if let name = arrival.account { touched = [index(of: name)] }
    case .process(let call): touched = [calls[call].account]
    case .fault, .goOn, .heal, .check, .endFork, .rollOn, .move, .reread:
      return Array(accounts.indices)
    case .wake, .event, .answer, .stepTimedOut, .respond, .callTimedOut, .reconnect, .resume,
      .connectionLost, .restart, .endByForce, .request, .write:
      break
    }
    for _ in 0..<World.lookedAtInTurn {
      lookedAt = (lookedAt + 1) % accounts.count
      if !touched.contains(lookedAt) { touched.append(lookedAt) }
    }
    return touched
  }

  /// Before anything changes that may be every account's.
  mutating func accountAll() { account(Array(accounts.indices), until: now) }

  /// Counts how long the tokens in Redis have been dead, up to the next happening.
  mutating func account(_ touched: [Int], until next: Instant) {
    for index in touched {
      let from = marks.accounts[index].countedUntil
      guard next > from else { continue }
      marks.accounts[index].countedUntil = next
      guard let token = publishedToken(index) else {
        verdict.tokenlessSeconds += Double(next - from) / Double(second)
        marks.accounts[index].deadFor = 0
        marks.accounts[index].deadSince = nil
        continue
      }
      // The key may lapse before anything happens.
      let until = min(next, endOfToken(index))
      verdict.tokenlessSeconds += Double(next - until) / Double(second)
      guard let issue = weChat.issue(of: token, account: index),
        issue.diesAt < min(until, issue.endsAt)
      else {
        marks.accounts[index].deadFor = 0
        marks.accounts[index].deadSince = nil
        continue
      }
      // Nobody reads a server that does not answer.
      let begin = max(from, issue.diesAt, shards[recordShard(index)].answersFrom)
      guard begin < until else { continue }
      if marks.accounts[index].deadSince == nil {
        trace("DEAD \(token), hole \(overstatement(index)?.hole?.rawValue ?? "-")")
        marks.accounts[index].deadSince = begin
      }
      if let hole = overstatement(index)?.hole {
        verdict.deadByHole[hole, default: 0] += Double(until - begin) / Double(second)
      } else {
        verdict.unexcusedDeadSeconds += Double(until - begin) / Double(second)
      }
      marks.accounts[index].deadFor += until - begin
      verdict.deadSeconds += Double(until - begin) / Double(second)
      verdict.worstDeadSeconds = max(
        verdict.worstDeadSeconds, Double(marks.accounts[index].deadFor) / Double(second))
    }
  }

  /// What an application reads.
  func publishedToken(_ account: Int) -> String? {
    guard let key = redis.data.accounts[account].token, let text = key.text else { return nil }
    if let expiresAt = key.expiresAt, expiresAt <= redisTime { return nil }
    return text
  }

  // MARK: After every step

  mutating func observe(_ touched: [Int]) {
    for index in touched {
      statesNoMore(index)
      standsBriefly(index)
      hasToken(index)
      removedGoes(index)
      apartFollows(index)
      let token = publishedToken(index)
      if token != marks.accounts[index].published {
        if let before = marks.accounts[index].published { marks.accounts[index].gone[before] = now }
        marks.accounts[index].published = token
      }
      let committed = redis.data.accounts[index].state.committed
      if let committed, let before = marks.accounts[index].committed, committed < before {
        violate(.commitsGrow, "\(committed) after \(before)")
      }
      if committed != nil { marks.accounts[index].committed = committed }
    }
    marks.ledSince = isLed ? marks.ledSince ?? now : nil
    for replica in replicas.indices where replicas[replica].isAlive { leadsAlone(replica) }
    lockIsNotOrphaned()
  }

  /// Whether the lock is held by a replica that leads here.
  private var isLed: Bool {
    guard let lock = redis.data.lock, lock.expiresAt.map({ $0 > redisTime }) ?? true else {
      return false
    }
    // By index: a replica is large, and this is asked after every step.
    return replicas.indices.contains {
      // Who stands still leads nobody, and who talks to a demoted primary nobody here.
      replicas[$0].isAlive && !replicas[$0].isPaused(at: now) && !isForked($0)
        && replicas[$0].leadTerm == lock.holder
    }
  }

  /// Until when the next fetch may be waited for: 36 s at most after an answer that did not come.
  func waitsUntil(_ index: Int) -> Instant {
    marks.unanswered[index].last.map { $0 + 40 * second } ?? 0
  }

  /// Whether the leader's last fetch failed, so that it waits for the next one, or just did not.
  func isFailing(_ index: Int) -> Bool {
    replicas.indices.contains {
      guard replicas[$0].isAlive, replicas[$0].leadership != nil else {
        return false
      }
      guard let kept = kept(index, by: $0) else { return true }
      if case .commit(let attempt, _) = kept.work {
        return replicas[$0].local(at: now) - attempt.beganAt < .seconds(10)
      }
      return kept.failures.last != nil
    }
  }

  private mutating func leadsAlone(_ index: Int) {
    guard let leadership = replicas[index].leadership,
      leadership.validUntil > replicas[index].local(at: now)
    else { return }
    if holder(for: index) == replicas[index].leadTerm { return }
    guard max(lockDisturbedAt, replicas[index].thawedAt) < replicas[index].leaseFromInstant else {
      return
    }
    if !plan.parts.contains(.leaseCheck) { return }
    violate(
      .oneLeader, "r\(index) believes it leads; the lock is \(redis.data.lock?.holder ?? "free")")
  }

  private mutating func lockIsNotOrphaned() {
    guard let lock = redis.data.lock else {
      marks.orphan = nil
      return
    }
    if marks.ledSince != nil {
      marks.orphan = nil
      return
    }
    if marks.orphan != lock.holder {
      marks.orphan = lock.holder
      marks.orphanSince = now
    }
    guard let since = marks.orphanSince, let epoch = marks.epochs[lock.holder],
      let owner = marks.owners[epoch], let expiresAt = lock.expiresAt, expiresAt > redisTime
    else { return }
    let replica = replicas[owner.replica]
    switch replica.keeper.election.state {
    case .acquiring(let term, _), .uncertain(let term, _):
      // It is repeated until an answer comes.
      if term.description == lock.holder { return }
    case .idle, .following, .polling, .leading: break
    }
    guard replica.isAlive, replica.life == owner.life, replica.isConnected,
      !replica.isPaused(at: now), replica.term?.description != lock.holder
    else { return }
    guard max(lockDisturbedAt, storeDisturbedAt) < since - 30 * second else { return }
    // At its end it gives back what it may have, once; what is granted later lapses by itself.
    let patience = 8 * second + (replica.isEnding ? timing.lease.wholeNanoseconds : 0)
    // Nobody can know while Redis does not answer, nor give anything back.
    let isServedSince = lockShard.servesFrom
    if now - max(since, replica.undisturbedSince, isServedSince) > patience {
      violate(.orphanedLock, "\(lock.holder) is held and not led")
    }
  }

  // MARK: At one effect

  /// After a wake: one may only change the keeper's mind, but several in a row are spinning.
  mutating func isNotBusy(
    _ event: Keeper.Event, _ actions: [Keeper.Action], _ replica: Int, at moment: Moment
  ) {
    guard case .woke = event, actions.isEmpty, let due = replicas[replica].nextWake,
      due <= moment
    else {
      replicas[replica].idleWakes = 0
      return
    }
    replicas[replica].idleWakes += 1
    guard replicas[replica].idleWakes > 2 else { return }
    violate(
      .busyWaiting,
      "r\(replica) is due at \(due), also after waking at \(moment): "
        + "\(replicas[replica].keeper.election.state), "
        + "\(replicas[replica].keeper.accounts.map { ($0.work, $0.flight, $0.traces.debts) })")
  }

  /// When a copy was published again.
  private mutating func published(_ republish: StoreCommand.Republish, _ replica: Int) {
    let index = index(of: republish.account)
    let token = republish.token.revealed
    // What is over is taken away by the same step.
    guard token != marks.accounts[index].published, token == publishedToken(index),
      let death = weChat.death(of: token, account: index), death <= now,
      let gone = marks.accounts[index].gone[token], now - gone > plan.grace,
      // At its own end it may be dead by no more than clocks differ.
      let over = overstatement(index), over.hole == nil
    else { return }
    violate(
      .freshRepublish, "r\(replica): \(token) is dead, and gone for \((now - gone) / second)s")
  }

  /// After Redis has executed a command.
  mutating func executed(
    _ arrival: Arrival, _ command: StoreCommand, _ reply: StoreReply, before: ModelRedis.Data?
  ) {
    if let before { changedWhatItMay(arrival, command, reply, before: before) }
    switch (command, reply) {
    case (.acquire(let term, _, _), .acquired(let epoch)):
      let name = term.description
      // A term keeps its epoch as long as the lock is its own, and has an earlier one again when
      // Redis lost the later one.
      if marks.owners[epoch]?.term == name {
        marks.epochs[name] = epoch
      } else {
        // Only a loss of the data together with a clock that was set back, or with a second grant
        // in the same millisecond, can defeat `TIME`.
        let isExcused =
          redisTime.milliseconds <= marks.highestEpoch.rawValue
          && storeDisturbedAt >= marks.grantedAt
          // Two servers that both grant have two clocks.
          || fork != nil || forkEndedAt >= marks.grantedAt
        if epoch <= marks.highestEpoch, !isExcused {
          violate(.epochsGrow, "\(epoch) after \(marks.highestEpoch)")
        }
        if marks.owners[epoch] != nil {
          // Two terms with one epoch: nothing that follows can be judged.
          verdict.collisions += 1
          isOver = true
        }
        if epoch <= marks.highestEpoch { marks.highestEpoch = .none }
        marks.epochs[name] = epoch
        marks.highestEpoch = max(marks.highestEpoch, epoch)
        marks.grantedAt = now
        marks.owners[epoch] = (name, arrival.replica, arrival.life)
      }
    case (.begin(let begin), .began):
      let account = index(of: begin.account)
      if marks.uses[account][begin.version] == nil {
        marks.uses[account][begin.version] = Marks.Use(
          replica: arrival.replica, life: arrival.life, hasHistory: begin.hasHistory,
          begunAt: now, isOfOldPrimary: arrival.connection == World.oldPrimary)
      }
    case (.commit(let commit), .committed):
      verdict.commits += commit.isRecommit ? 0 : 1
      marks.uses[index(of: commit.account)][commit.version]?.isCommitted = true
      if commit.isRecommit, !plan.parts.contains(.recommit) { break }
      wrote(arrival, commit.account, fence: commit.fence)
    case (.mark, .marked): marks.allowedFetches += 2
    case (.republish(let republish), .republished(wrote: true)):
      published(republish, arrival.replica)
      // Keys that are over are taken away by it, which only shortens a life.
      if publishedToken(index(of: republish.account)) != nil {
        wrote(arrival, republish.account, fence: republish.fence)
      }
    default: break
    }
  }

  private mutating func wrote(_ arrival: Arrival, _ name: CredentialID, fence: Epoch) {
    let state = redis.data.accounts[index(of: name)].state
    let owner = marks.owners[fence]
    guard owner?.replica == arrival.replica, owner?.life == arrival.life,
      state.fence == fence
    else {
      violate(.fenceHolderWrites, "r\(arrival.replica) wrote with \(fence), fence \(state.fence)")
      return
    }
  }

  /// When a request leaves for WeChat.
  mutating func sent(_ id: Int) {
    let call = calls[id]
    let order = call.order
    let replica = replicas[call.replica]
    if var use = marks.uses[call.account][order.version], use.replica == call.replica,
      use.life == call.life, use.sends == 0
    {
      use.sends = 1
      marks.uses[call.account][order.version] = use
    } else {
      violate(.begunBeforeFetch, "r\(call.replica) sends \(order.version)")
    }
    if let last = replica.lastFetchAt[call.account], call.sentLocally - last < .seconds(1),
      !call.wasHeld
    {
      violate(.fetchesAreFew, "r\(call.replica) fetches twice within a second")
    }
    if !call.wasHeld {
      replicas[call.replica].lastFetchAt[call.account] = call.sentLocally
    }
    let isPermitted = replica.leaseFrom.map { call.sentLocally <= $0 + timing.validity } ?? false
    if !isPermitted, !call.isThroughHole {
      violate(.sendWithinLease, "r\(call.replica) sends \(order.version) after its lease")
    }
  }

  /// After a keeper has taken an event.
  mutating func remember(_ replica: Int) {
    for index in accounts.indices {
      guard let kept = kept(index, by: replica) else {
        letGo(index, by: replica)
        continue
      }
      replicas[replica].keeps[index] = true
      guard let version = kept.copy?.version else { continue }
      if let before = replicas[replica].copies[index], version < before {
        violate(.copiesGrow, "r\(replica) has \(version) after \(before)")
      }
      replicas[replica].copies[index] = version
    }
  }

  /// When Redis's confirmation of the lock reaches a replica.
  mutating func confirmLease(
    _ step: SimulatedReplica.PendingStep, _ result: Result<StoreReply, StoreFailure>,
    _ replica: Int
  ) {
    let confirmed: Term
    switch (step.command, result) {
    case (.acquire(let term, _, _), .success(.acquired)): confirmed = term
    case (.renew(let term, _), .success(.renewed)): confirmed = term
    default: return
    }
    if replicas[replica].term == confirmed, let from = replicas[replica].leaseFrom,
      from > step.step.issuedAt
    {
      return
    }
    replicas[replica].term = confirmed
    replicas[replica].leaseFrom = step.step.issuedAt
    replicas[replica].leaseFromInstant = step.sentAt
  }

  mutating func noted(_ note: Note, _ replica: Int) {
    let text = "\(note)"
    trace("r\(replica) notes \(text)")
    if namesToken(text) {
      violate(.noSecret, "r\(replica) notes a token")
    }
    if case .becameLeader = note { verdict.elections += 1 }
    switch note {
    case .becameLeader: marks.allowedFetches += 2 * accounts.count
    case .refreshed(_, .schedule, _, _, _): marks.allowedFetches += 1
    // Of a token that lives so briefly the next one is due before a doubt can be settled.
    case .refreshed(_, .doubt, _, let lifetime, _)
    where lifetime - Margins().refresh(lifetime: lifetime) <= .seconds(110):
      marks.allowedFetches += 1
    case .refreshFailed(let name, _, _, let isUnknown, _, _):
      marks.allowedFetches += 2
      if isUnknown { marks.unanswered[index(of: name)].append(now) }
    case .deposed, .diedEarly: marks.allowedFetches += 2
    case .refreshed, .marked, .steppedDown, .adopted, .refreshStarted, .repaired, .recommitted,
      .overwritten,
      .reported, .storeStepFailed, .conflict, .lockNeverLapses,
      .nameIsShared:
      break
    }
  }

  /// Whether a text has a token in it: `T`, the number of an account, a dash.
  private func namesToken(_ text: String) -> Bool {
    var isAfterT = false
    var hasDigits = false
    for byte in text.utf8 {
      if isAfterT, byte == UInt8(ascii: "-"), hasDigits { return true }
      let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      hasDigits = isAfterT && isDigit
      isAfterT = byte == UInt8(ascii: "T") || hasDigits
    }
    return false
  }

  /// When WeChat has processed a request: with nothing broken it is not asked again and again.
  mutating func processed(_ index: Int) {
    guard isCalm(for: 5 * minute) else {
      marks.calmFetches[index] = []
      return
    }
    marks.calmFetches[index].removeAll { $0 < now - 10 * minute }
    marks.calmFetches[index].append(now)
    // An answer that is lost costs another fetch at once, and one when its sweep is due.
    marks.unanswered[index].removeAll { $0 < now - 12 * minute }
    let allowed = 12 + 40 * minute / plan.shortestLife + 2 * Int64(marks.unanswered[index].count)
    if marks.calmFetches[index].count > Int(allowed) {
      violate(.fetchesAreFew, "account \(accounts[index]): more than \(allowed) in 10 min")
    }
  }

  /// At the end of a run: WeChat was asked no more often than what happened gave reason for.
  mutating func fetchedLittle() {
    let allowed = accounts.count + marks.allowedFetches
    guard verdict.fetches > allowed else { return }
    violate(.fetchesAreFew, "\(verdict.fetches) fetches, and reasons for \(allowed)")
  }
}
