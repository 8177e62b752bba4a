/// A rule of TokenCore.md#invariants that does not hold.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
  package enum Rule: String, Sendable {
    /// A: what Redis states outlives the token, for longer than it takes to find out.
    case statedLife = "A, the stated life outlives the token"
    /// B: two replicas lead at once.
    case oneLeader = "B, one lock value at a time"
    /// B: an epoch is not above all before it.
    case epochsGrow = "B, epochs grow"
    /// C: the record goes back, or the token is another than its record's.
    case commitsGrow = "C, the token changes with the record, which grows"
    /// D: a request without a BEGIN of its own.
    case begunBeforeFetch = "D, one request a confirmed BEGIN"
    /// E: somebody else than the holder of the fence wrote the token, or lengthened its life.
    case fenceHolderWrites = "E, only the fence's holder writes"
    /// F: a copy in memory goes backwards.
    case copiesGrow = "F, copies grow"
    /// G: a request was sent after the lease.
    case sendWithinLease = "G, no request after the lease"
  }

  package let rule: Rule
  package let detail: String

  package var description: String { "\(rule.rawValue): \(detail)" }
}
