/// An oracle's finding: which invariant was broken, when, and how.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
  /// The invariant of TokenCore.md#invariants.
  package enum Rule: String, CaseIterable, Sendable {
    case epochsGrow = "1: epochs grow"
    case oneLeader = "1: one leader by its own clock"
    case commitsGrow = "2: commits grow, and the token changes only with them"
    case begunBeforeFetch = "3: BEGIN before every request, one request a BEGIN"
    case deadToken = "A: the stated life is certain"
    case traceStands = "J: no trace stands long"
    case lapse = "J: a key lapses only where no fetch could succeed"
    case tokenless = "5: a token where there is a leader"
    case fetchesAreFew = "6: fetches are few"
    case sendWithinLease = "7: no send later than the lease"
    case fenceHolderWrites = "8: only the fence's holder writes"
    case copiesGrow = "9: copies never go backwards"
    case noSecret = "10: no secret in a note"
    case freshRepublish = "only a live copy is published again"
    case busyWaiting = "a wake is not due again at once"
    case orphanedLock = "a lock is led or given back"
    case leaderAfterHealing = "liveness: a leader"
    case tokenAfterHealing = "liveness: a usable token"
    case quietAfterHealing = "liveness: everything quiet"
    case ordersInTurn = "E: no older order about a key overtakes a later one"
    case recordFirst = "E: no key says more than its record has said"
    case apartFollows = "J: what lies in other slots is as the record has it"
    case removedGoes = "liveness: what is configured no longer goes"
    case workFollows = "only what may follow follows"
    case leaderAfterCrash = "liveness: a leader after a crash"
    case leaderAfterRelease = "liveness: a leader after a release"
    case tokenAfterWipe = "liveness: the copy is back after a wipe"
    case orderlyEnd = "liveness: an orderly end"
  }

  package let rule: Rule
  /// True time in seconds since the run's begin.
  package let seconds: Double
  package let detail: String

  package var description: String { "\(rule.rawValue), at \(seconds)s: \(detail)" }
}

/// What TokenCore.md#what-is-not lists, by its letter there.
package enum Hole: String, CaseIterable, Sendable {
  /// A request was sent long after its check, and whoever sent it is gone.
  case pausedSend = "a"
  /// Redis lost the trace of a fetch, and whoever knew of it is gone or away.
  case forgotten = "b"
  /// Two servers took writes.
  case fork = "c"
  /// Another party fetched.
  case foreign = "d"
  /// WeChat kept but one old token, and a second request killed it.
  case oneOld = "e"
  /// Another hand wrote to the keys.
  case tampered = "f"
  /// Redis's clock was set back: a token's own end, by as much as clocks may differ in its life.
  case steppedClock = "t"
  /// An old answer was repeated to whoever had never seen it.
  case repeated = "g"
}

/// What a run came to.
package struct Verdict: Sendable {
  package let seed: UInt64
  package internal(set) var violation: Violation?
  /// How long applications read a token that was dead.
  package internal(set) var deadSeconds: Double = 0
  /// The longest time without a break that they did.
  package internal(set) var worstDeadSeconds: Double = 0
  /// The same without what went through a hole.
  package internal(set) var unexcusedDeadSeconds: Double = 0
  package internal(set) var tokenlessSeconds: Double = 0
  package internal(set) var fetches = 0
  package internal(set) var commits = 0
  package internal(set) var faults = 0
  package internal(set) var elections = 0
  package internal(set) var steps = 0
  /// How often Redis stated too long a life, by that hole.
  package internal(set) var holes: [Hole: Int] = [:]
  /// How long applications read a token that was dead, by the hole; without one it is a finding.
  package internal(set) var deadByHole: [Hole: Double] = [:]
  /// How often, and for how long in all, too long a life was stated that nobody came to read.
  package internal(set) var overstated = 0
  package internal(set) var overstatedSeconds: Double = 0
  /// How often another party fetched with our AppSecret.
  package internal(set) var foreign = 0
  /// Whether two terms were given one epoch, the data being lost in between; such a run ends.
  package internal(set) var collisions = 0
  package internal(set) var replicaHours: Double = 0
  /// Which fault struck where.
  package internal(set) var strikes: Set<Strike> = []
  /// A digest of everything that happened, for comparing runs.
  package internal(set) var fingerprint: UInt64 = 0xCBF2_9CE4_8422_2325
}
