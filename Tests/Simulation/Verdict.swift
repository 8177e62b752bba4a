/// An oracle's finding: which invariant was broken, when, and how.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
  /// The invariant or bound of PROTOCOL section 8.
  package enum Rule: String, CaseIterable, Sendable {
    case epochsGrow = "1: epochs grow"
    case oneLeader = "1: one leader by its own clock"
    case commitsGrow = "2: commits grow, and the token changes only with them"
    case begunBeforeFetch = "3: BEGIN before every request, one request a BEGIN"
    case convergence = "4: convergence"
    case deadToken = "5: no dead token for long"
    case tokenless = "5: a token where there is a leader"
    case fetchesAreFew = "6: fetches are few"
    case sendWithinLease = "7: no send later than the lease"
    case fenceHolderWrites = "8: only the fence's holder writes"
    case copiesGrow = "9: copies never go backwards"
    case noSecret = "10: no secret in a note"
    case noOverlap = "no fetch beside another one's, with a good token"
    case freshRepublish = "only a live copy is published again"
    case busyWaiting = "a wake is not due again at once"
    case orphanedLock = "a lock is led or given back"
    case leaderAfterHealing = "liveness: a leader"
    case tokenAfterHealing = "liveness: a usable token"
    case quietAfterHealing = "liveness: everything quiet"
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

/// What a run came to.
package struct Verdict: Sendable {
  package let seed: UInt64
  package internal(set) var violation: Violation?
  /// How long applications read a token that was dead.
  package internal(set) var deadSeconds: Double = 0
  /// The longest time without a break that they did.
  package internal(set) var worstDeadSeconds: Double = 0
  package internal(set) var tokenlessSeconds: Double = 0
  package internal(set) var fetches = 0
  package internal(set) var commits = 0
  package internal(set) var faults = 0
  package internal(set) var elections = 0
  package internal(set) var steps = 0
  /// How often the hole of PROTOCOL section 7 was entered.
  package internal(set) var holes = 0
  /// How often a token's every trace was lost, and everybody's memory of it.
  package internal(set) var forgotten = 0
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
