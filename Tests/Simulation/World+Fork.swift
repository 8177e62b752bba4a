import TokenCore

/// Two Redis servers that both take writes: a fail-over whose old primary does not know of it.
extension World {
  /// The old primary, and who is on its side of the partition.
  struct Fork {
    var redis: ModelRedis
    var clockStep: Int64
    let since: Instant
    let members: Set<Int>
  }

  /// Stands for the connection to a primary that was demoted.
  static let oldPrimary = -1

  /// A server that is told to takes no writes once its replicas are silent for so long.
  private static let replicaSilence: Int64 = 10 * second

  /// Whether a replica talks to the old primary.
  func isForked(_ replica: Int) -> Bool { fork?.members.contains(replica) ?? false }

  /// The server that a replica talks to.
  func server(of replica: Int) -> ModelRedis {
    if let fork, fork.members.contains(replica) { fork.redis } else { redis }
  }

  /// Who holds the lock at the server that a replica talks to.
  func holder(for replica: Int) -> String? {
    isForked(replica) ? fork?.redis.data.lock?.holder : redis.data.lock?.holder
  }

  /// What the old primary says to a write; nil when it carries it out.
  func refusalOfOldPrimary(_ call: SplitStep.Call) -> String? {
    guard let fork, plan.needsReplicas, call.writes, now - fork.since >= World.replicaSilence
    else { return nil }
    return "NOREPLICAS"
  }

  /// Does something as if the old primary were the only one.
  mutating func withOldPrimary<Result>(_ body: (inout World) -> Result) -> Result {
    swapServers()
    defer { swapServers() }
    return body(&self)
  }

  private mutating func swapServers() {
    guard var fork else { return }
    swap(&redis, &fork.redis)
    swap(&clockStep, &fork.clockStep)
    self.fork = fork
  }

  /// The leader's side of a partition keeps the old primary; the others get one that was promoted.
  mutating func beginFork() {
    guard fork == nil, slots == nil, now < plan.hours * hour - 30 * minute,
      now >= lockShard.answersFrom
    else { return }
    let holder = redis.data.lock?.holder
    guard
      let leader = replicas.firstIndex(where: {
        $0.isAlive && $0.isConnected && $0.leadTerm == holder
      })
    else { return }
    var members: Set = [leader]
    for replica in replicas.indices
    where replica != leader && members.count < replicas.count - 1 && chance.percent(25) {
      members.insert(replica)
    }
    guard members.count < replicas.count else { return }
    let length = chance.within(30...900) * second
    trace("FORK for \(length / second)s: \(members.sorted()) stay with the old primary")
    fork = Fork(redis: redis, clockStep: clockStep, since: now, members: members)
    let span = chance.within(10...1000) * millisecond
    let old = redis.data
    if let kept = history.first(where: { $0.at > now - span }) { redis.data = kept.data }
    clockStep += chance.within(-200...200) * millisecond
    lostWrites(since: old, isElsewhere: true)
    servers += 1
    redis.runID = "run-\(servers)"
    shards[0].generation = servers
    shards[0].downUntil = now + chance.within(50...15_000) * millisecond
    for replica in replicas.indices where replicas[replica].isAlive && !members.contains(replica) {
      loseConnection(replica)
    }
    disturb(until: now + length + 10 * second)
    queue.push(.endFork(since: now), at: now + length)
  }

  /// The old primary follows the promoted one, and so does whoever talked to it.
  mutating func endFork() {
    guard let fork else { return }
    trace("the fork ends")
    self.fork = nil
    forkEndedAt = now
    // What the old one had taken is gone.
    lockDisturbedAt = now
    storeDisturbedAt = now
    marks.forks.append((fork.since, now, fork.members))
    for account in accounts.indices {
      marks.accounts[account].losses.append(Marks.Loss(at: now, isElsewhere: false))
    }
    for replica in fork.members.sorted() where replicas[replica].isAlive { loseConnection(replica) }
  }
}
