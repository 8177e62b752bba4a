import TokenCore

/// One run: keepers, Redis, WeChat, the network between them and everything that goes wrong.
///
/// A single queue of happenings, ordered by time and then by scheduling; nothing in it looks at a
/// real clock, starts a task or depends on the order of a hash table, so that a seed replays.
package struct World {
  /// Something that happens at an instant; in a box, since it is moved often and is large.
  indirect enum Happening {
    case wake(replica: Int, life: Int)
    case event(replica: Int, life: Int, Keeper.Event)
    case arrive(Arrival)
    case answer(
      replica: Int, life: Int, step: Int, call: Int, Result<SplitStep.Reply, StoreFailure>)
    case stepTimedOut(replica: Int, life: Int, step: Int)
    case process(call: Int)
    case respond(replica: Int, life: Int, call: Int, FetchOutcome)
    case callTimedOut(replica: Int, life: Int, call: Int)
    case reconnect(replica: Int, life: Int)
    case resume(replica: Int)
    case connectionLost(replica: Int, life: Int)
    case restart(replica: Int, life: Int)
    case endByForce(replica: Int, life: Int)
    case rollOn(next: Int)
    case request(Report, until: Instant)
    /// An account is configured no longer, or again.
    case move
    /// A replica reads which accounts are configured.
    case reread(replica: Int, life: Int)
    case fault
    case goOn
    case write(replica: Int, life: Int, FetchOrder, SimulatedReplica.Held)
    case endFork(since: Instant)
    case heal
    case check(Check)
  }

  /// A command on its way to Redis.
  struct Arrival {
    let replica: Int
    let life: Int
    let step: Int
    /// Which of the step's calls it is.
    let call: Int
    let sent: SplitStep.Call
    let shard: Int
    let connection: Int
    let sentAt: Instant
  }

  /// A call of WeChat, as the world sees it.
  struct Call {
    let replica: Int
    let life: Int
    let account: Int
    let order: FetchOrder
    let sentAt: Instant
    let sentLocally: Moment
    /// Whether it was sent after the lease, the process having been paused past the check.
    let isThroughHole: Bool
    /// Whether the process was paused between the decision and the send at all.
    let wasHeld: Bool
    var isProcessed = false
  }

  /// What is looked at once the faults have stopped.
  enum Check {
    case leader, token, quiet, crashed, successor, released, heir, flushed, restored, end
  }

  let plan: Plan
  let accounts: [CredentialID]
  private let byName: [CredentialID: Int]
  var now: Instant = 0
  var chance: SplitMix64
  var queue = EventQueue<Happening>()
  var replicas: [SimulatedReplica] = []
  var calls: [Call] = []
  var steps = 0
  var verdict: Verdict

  var redis: ModelRedis
  /// Recent contents of Redis, oldest first: what a fail-over may turn back to.
  var history: [(at: Instant, data: ModelRedis.Data)] = []
  let redisClock: SkewedClock
  var clockStep: Int64 = 0
  /// Where keys lie in several slots.
  let slots: ModelRedis.Slots?
  /// Redis's servers: one, or one for each part of the slots.
  var shards: [Shard]
  /// Until when Redis has no memory left.
  var redisIsFullUntil: Instant = 0
  var servers = 1
  /// The old primary, as long as it takes writes beside the new one.
  var fork: Fork?
  var forkEndedAt: Instant = 0
  /// Accounts whose record is not ours.
  var hidden: [Int: Hidden] = [:]

  /// Which accounts are configured, and when that changed.
  var configured: [Configured] = []

  var weChat: ModelWeChat
  var straggleNext = false
  var loseNextAnswer = false
  var refuseUntil: Instant = 0
  var refusal = 0
  /// What WeChat refuses the next request with, once.
  var refuseNext: Int?
  /// Until when so many answers in a hundred are lost, whoever asked.
  var answersLostUntil: Instant = 0
  var answersLost: Int64 = 100
  /// Until when earlier answers come back, and whether WeChat is asked all the same.
  var repeatsUntil: Instant = 0
  var repeatsReach = false
  /// Each account's last answer that came through.
  var lastAnswers: [(token: String, lifetime: Int64)?] = []
  var sendsSlowlyUntil: Instant = 0

  var isHealed = false
  /// Whether the next refresh by schedule falls into hole (a) of TokenCore.md#what-is-not.
  package var opensHole = false
  /// The life of the replica that is in it.
  var lifeInHole: Int?
  var armed: Armed?
  /// Where faults have not been armed yet.
  var places: [(Boundary, Strike.Effect)] = []
  /// Which of many accounts was looked at last.
  var lookedAt = 0
  /// When the next fault comes by itself.
  var faultDue: Instant = 0
  /// When the armed fault struck last.
  var struckAt: Instant?
  /// Until then something is broken, or its consequences are allowed to last.
  var disturbedUntil: Instant = 0
  /// When the lock was last taken away by a fault.
  var lockDisturbedAt: Instant = 0
  /// When Redis last lost anything that was written to it.
  var storeDisturbedAt: Instant = 0
  var marks = World.Marks()
  var healedAt: Instant = 0
  let timing = Timing()

  /// Takes the lines of the trace, when anyone wants them.
  var log: ((String) -> Void)?

  /// Whether a violation ends the run; a run that only measures goes on to the end.
  let judges: Bool

  package init(plan: Plan, judges: Bool = true, log: ((String) -> Void)? = nil) {
    self.plan = plan
    self.judges = judges
    self.log = log
    accounts = (0..<plan.accounts).compactMap { index in
      index == 0 ? .unnamed : CredentialID("a\(1000 + index)")
    }
    chance = SplitMix64(seed: plan.seed)
    verdict = Verdict(seed: plan.seed)
    redis = ModelRedis(accounts: accounts, parts: plan.parts)
    slots = plan.slots
    shards = Array(repeating: Shard(), count: plan.slots?.shards ?? 1)
    weChat = ModelWeChat(
      accounts: plan.accounts, grace: plan.grace, keepsOneOld: plan.keepsOneOld)
    configured = Array(repeating: Configured(), count: plan.accounts)
    lastAnswers = Array(repeating: nil, count: plan.accounts)
    byName = Dictionary(uniqueKeysWithValues: zip(accounts, accounts.indices))
    redisClock = SkewedClock(
      offset: 1_780_000_000 * second, partsPerMillion: chance.within(-10_000...10_000))
    marks.prepare(for: plan.accounts)
    for index in 0..<plan.replicas {
      let clock = SkewedClock(
        offset: chance.within(0...1000) * second, partsPerMillion: chance.within(-10_000...10_000))
      let (instance, keeper) = birth(index, life: 0)
      replicas.append(
        SimulatedReplica(
          index: index, clock: clock, keeper: keeper, instance: instance, accounts: plan.accounts))
    }
  }

  /// How many accounts the plan drew.
  package var numberOfAccounts: Int { accounts.count }

  /// Runs the plan to its end, or to the first violation.
  package mutating func run() -> Verdict {
    let chaosEnds = plan.hours * hour
    for index in replicas.indices {
      queue.push(.restart(replica: index, life: 0), at: chance.below(3 * second))
    }
    scheduleFault(at: plan.betweenFaults / 2 + chance.below(plan.betweenFaults))
    if plan.profile == .single { queue.push(.goOn, at: 5 * minute) }
    if plan.moves { queue.push(.move, at: chance.within(1...20) * minute) }
    if judges { queue.push(.heal, at: chaosEnds) }
    while verdict.violation == nil, let (time, happening) = queue.pop() {
      if !judges, time > chaosEnds { break }
      let touched = touched(by: happening)
      account(touched, until: time)
      now = time
      steps += 1
      take(happening)
      observe(touched)
      if isOver { break }
    }
    accountAll()
    fetchedLittle()
    wentOnInOrder()
    verdict.steps = steps
    verdict.replicaHours = Double(now) / Double(hour) * Double(plan.replicas)
    return verdict
  }

  var isOver = false

  mutating func take(_ happening: Happening) {
    switch happening {
    case .wake(let replica, let life):
      // A wake that an earlier one has overtaken is none.
      guard replicas[replica].life == life, replicas[replica].scheduledWake == now else { return }
      if replicas[replica].isPaused(at: now) {
        // The timer is late by the rest of the pause; resuming looks at it anyway.
        replicas[replica].scheduledWake = nil
        return
      }
      replicas[replica].scheduledWake = nil
      let moment = replicas[replica].local(at: now)
      if let due = replicas[replica].nextWake, due <= moment {
        handle(.woke, replica)
      } else {
        scheduleWake(replica)
      }
    case .event(let replica, let life, let event):
      guard isReady(replica, life, happening) else { return }
      handle(event, replica)
    case .arrive(let arrival): arrive(arrival)
    case .answer(let replica, let life, let step, let call, let result):
      guard isReady(replica, life, happening) else { return }
      answered(replica, step, call, result)
    case .stepTimedOut(let replica, let life, let step):
      guard isReady(replica, life, happening) else { return }
      timedOut(replica, step)
    case .process(let call): process(call)
    case .respond(let replica, let life, let call, let outcome):
      guard isReady(replica, life, happening) else { return }
      responded(replica, call, outcome)
    case .callTimedOut(let replica, let life, let call):
      guard isReady(replica, life, happening) else { return }
      responded(
        replica, call,
        .unknown(FetchFailure(.transient, reason: "no answer in time", isTransport: true)))
    case .reconnect(let replica, let life):
      guard isReady(replica, life, happening) else { return }
      reconnect(replica)
    case .connectionLost(let replica, let life):
      guard isReady(replica, life, happening) else { return }
      disconnect(replica)
    case .resume(let replica): resume(replica)
    case .restart(let replica, let life):
      guard replicas[replica].life == life, !replicas[replica].isAlive else { return }
      restart(replica)
    case .endByForce(let replica, let life):
      guard replicas[replica].life == life, replicas[replica].isAlive else { return }
      if isCalm(for: 30 * second), !replicas[replica].isPaused(at: now) {
        violate(.orderlyEnd, "r\(replica) does not end")
      }
      kill(replica, restartAfter: second)
    case .rollOn(let next): rollOn(next)
    case .request(let report, let end): request(report, until: end)
    case .move: move()
    case .reread(let replica, let life):
      guard isReady(replica, life, happening) else { return }
      reread(replica)
    case .fault: nextFault()
    case .goOn: goOn()
    case .write(let replica, let life, let order, let held):
      guard isReady(replica, life, happening) else { return }
      write(order, held, replica)
    case .endFork(let since):
      guard fork?.since == since else { return }
      endFork()
    case .heal: heal()
    case .check(let check): self.check(check)
    }
  }

  /// Whether a replica can take something now; while it is paused, its inbox grows.
  private mutating func isReady(_ replica: Int, _ life: Int, _ happening: Happening) -> Bool {
    guard replicas[replica].life == life, replicas[replica].isAlive else { return false }
    guard replicas[replica].isPaused(at: now) else { return true }
    replicas[replica].backlog.append(happening)
    return false
  }

  func trace(_ line: @autoclosure () -> String) {
    guard let log else { return }
    log("\(Double(now / millisecond) / 1000) \(line())")
  }

  /// Redis's wall clock.
  var redisTime: RedisTime {
    RedisTime(milliseconds: (redisClock.local(at: now) + clockStep) / millisecond)
  }

  func index(of account: CredentialID) -> Int { byName[account] ?? 0 }

  mutating func mix(_ value: UInt64) {
    verdict.fingerprint = (verdict.fingerprint ^ value) &* 0x100_0000_01B3
  }
}
