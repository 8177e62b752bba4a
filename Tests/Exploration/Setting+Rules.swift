import Simulation
import TokenCore

/// The invariants of TokenCore.md#invariants, looked at in every state.
extension Setting {
  /// What holds of a state by itself; A is judged by what comes of it (`outlives`).
  func judge(_ state: inout State) {
    for index in state.replicas.indices { leadsAlone(index, &state) }
  }

  private func leadsAlone(_ index: Int, _ state: inout State) {
    let replica = state.replicas[index]
    guard let leadership = replica.mind?.keeper.election.leadership,
      leadership.validUntil > state.moment, let leaseFrom = replica.leaseFrom,
      leaseFrom > state.lockDisturbedAt
    else { return }
    let holder = state.redis.data.lock?.holder
    if holder == leadership.term.description { return }
    state.violate(
      .oneLeader, "r\(index) believes that it leads; the lock is \(holder?.prefix(2) ?? "free")")
  }

  /// By how much what Redis states outlives the token, in words; nil when it does not.
  func outlives(in state: State) -> String? {
    let account = state.redis.data.accounts[0]
    guard let token = account.token?.text else { return nil }
    guard let end = account.token?.expiresAt else { return "\(token) has no end" }
    let death = state.weChat.death(of: token) ?? .min
    let stated = max(end, account.expiry?.expiresAt ?? end)
    var last = State.instant(of: stated)
    if let text = account.expiry?.text, let seconds = Int64(text) {
      last = max(last, State.instant(of: RedisTime(milliseconds: seconds * 1000)))
    }
    guard last > death else { return nil }
    let left = Moment(nanoseconds: last) - state.moment
    guard death > state.now else { return "\(token) is dead and stated for \(left)" }
    return "\(token) dies in \(Moment(nanoseconds: death) - state.moment) and is stated for \(left)"
  }

  /// Whether TokenCore.md#what-is-not gives up the token that Redis has.
  ///
  /// Of (a) it knows a request that left after the lease, by a process that is gone; of (b) one of
  /// before Redis lost every record, by a process that is gone or stands still: with a record that
  /// is only older the run id tells; of (e) that WeChat keeps one old token only.
  func isGivenUp(in state: State) -> Bool {
    if keepsOneOld { return true }
    guard let token = state.redis.data.accounts[0].token?.text,
      let killer = state.weChat.killer(of: token)
    else { return false }
    let replica = state.replicas[killer.replica]
    let isGone = replica.life != killer.life || replica.isPaused
    return isGone && (killer.isThroughHole || killer.decidedAt <= state.wipedAt)
  }

  /// After Redis has carried a command out.
  func changedWhatItMay(
    _ command: StoreCommand, _ reply: StoreReply, before: ModelRedis.Data, _ state: inout State
  ) {
    let (old, new) = (before.accounts[0], state.redis.data.accounts[0])
    if case .acquire(let term, _, _) = command, case .acquired(let epoch) = reply {
      granted(epoch, to: term, &state)
    }
    if let committed = old.state.committed, new.state.committed.map({ $0 < committed }) ?? true {
      state.violate(.commitsGrow, "the record goes back from \(committed)")
    }
    if let token = new.token?.text, token != new.state.digest {
      state.violate(.commitsGrow, "\(token) is not the record's")
    }
    let isOther = new.token != nil && new.token?.text != old.token?.text
    let isLonger = zip2(new.token?.expiresAt, old.token?.expiresAt).map { $0 > $1 } ?? false
    guard isOther || isLonger else { return }
    let fence: Epoch? =
      switch command {
      case .commit(let commit): commit.fence
      case .republish(let republish): republish.fence
      case .takeOver(let takeOver): takeOver.epoch
      // It takes back what the same attempt cut short, and publishes nothing.
      case .resolve: isOther ? nil : new.state.fence
      case .pollLock, .acquire, .renew, .release, .look, .begin, .mark, .heartbeat: nil
      }
    if fence != new.state.fence {
      state.violate(.fenceHolderWrites, "\(brief(command)), fence \(new.state.fence)")
    }
  }

  /// When Redis has given the lock to a term.
  private func granted(_ epoch: Epoch, to term: Term, _ state: inout State) {
    if let before = state.grants.last(where: { $0.epoch == epoch }) {
      // A term keeps its epoch, and has it again when Redis lost it; that two have one, within a
      // millisecond and a loss, Redis's clock cannot prevent.
      state.isOver = before.term != term && epoch.rawValue >= state.redisTime.milliseconds
      if state.isOver || before.term == term { return }
    }
    // What is granted beyond the clock, to exceed what was seen, may be lost with the grant.
    let isAhead = state.highestEpoch.rawValue >= state.redisTime.milliseconds
    if epoch <= state.highestEpoch, !isAhead {
      state.violate(.epochsGrow, "\(epoch) after \(state.highestEpoch)")
    }
    state.highestEpoch = epoch
    state.grants = state.grants.suffix(Grant.remembered - 1) + [Grant(epoch: epoch, term: term)]
  }

  /// When a replica sends what it writes under a fence.
  func holdsFence(_ fence: Epoch, _ index: Int, _ state: inout State) {
    let epoch = state.replicas[index].mind?.keeper.election.leadership?.epoch
    guard epoch != fence else { return }
    state.violate(.fenceHolderWrites, "r\(index) writes with \(fence), which it does not hold")
  }

  /// When a request leaves for WeChat.
  func mayBeSent(_ order: FetchOrder, _ index: Int, _ state: inout State) {
    if state.replicas[index].permitted != order.version {
      state.violate(.begunBeforeFetch, "r\(index) sends \(order.version)")
    }
    state.replicas[index].permitted = nil
    let end = state.replicas[index].leaseFrom.map { $0 + timing.validity.wholeNanoseconds }
    if state.now > end ?? -1 {
      state.violate(.sendWithinLease, "r\(index) sends \(order.version) after its lease")
    }
  }

  /// When an answer of Redis reaches a replica.
  func confirm(_ step: Step, _ reply: StoreReply, _ index: Int, _ state: inout State) {
    switch (step.command, reply) {
    case (.acquire, .acquired), (.renew, .renewed):
      let from = step.id.issuedAt.nanoseconds
      state.replicas[index].leaseFrom = max(state.replicas[index].leaseFrom ?? from, from)
    case (.begin(let begin), .began): state.replicas[index].permitted = begin.version
    default: break
    }
  }

  private func zip2<One, Other>(_ one: One?, _ other: Other?) -> (One, Other)? {
    one.flatMap { one in other.map { (one, $0) } }
  }
}

extension State {
  mutating func violate(_ rule: Violation.Rule, _ detail: String) {
    if violation == nil { violation = Violation(rule: rule, detail: detail) }
  }
}
