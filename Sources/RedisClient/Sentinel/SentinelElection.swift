/// Decides from what sentinels say where the primary is.
///
/// The highest epoch wins, then the most votes: a sentinel that was away, or that sees nothing but
/// a former primary, names that one with a lower epoch. Right after a fail-over only the sentinel
/// that made it knows, so that nobody is believed before all have had a moment.
struct SentinelElection: Hashable {
  typealias Address = RedisEndpoint.Address

  /// Where the primary was by the last election.
  struct Known: Hashable {
    var address: Address
    var epoch: UInt64?
  }

  enum Verdict: Hashable {
    case wait
    case elected(Known)
    case failed(RedisFailure)
  }

  /// What the primary is called.
  private let primary: String
  /// Those of the settings, which may hold up each other for a moment.
  private let configured: [Address]
  private let known: Known?
  /// All that are asked, in order.
  private(set) var asked: [Address]
  private(set) var answers: [Address: SentinelAnswer] = [:]

  init(primary: String, configured: [Address], known: Known?) {
    self.primary = primary
    self.configured = configured
    self.known = known
    asked = configured
  }

  /// Others are asked, too, since none of the settings' may be left.
  mutating func ask(_ others: [Address]) { asked += others.filter { !asked.contains($0) } }

  mutating func heard(_ answer: SentinelAnswer, from sentinel: Address) {
    answers[sentinel] = answer
  }

  /// - Parameter isPatient: whether those that have not answered may still hold up the others.
  func verdict(isPatient: Bool) -> Verdict {
    let isComplete = asked.allSatisfy { answers[$0] != nil }
    if isPatient, configured.contains(where: { answers[$0] == nil }) { return .wait }
    let named = named
    guard !named.isEmpty else {
      if asked.contains(where: { answers[$0] == .doesNotKnow }) {
        return .failed(.primaryUnknown(primary, sentinels: places { $0 == .doesNotKnow }))
      }
      // That the others are late is no reason to give up those that may come.
      return isComplete ? .failed(.noSentinel(troubles)) : .wait
    }
    return elect(named)
  }

  private struct Vote {
    let address: Address
    let epoch: UInt64?
  }

  private var named: [Vote] {
    asked.compactMap { sentinel in
      guard case .names(let address, let epoch, _)? = answers[sentinel] else { return nil }
      return Vote(address: address, epoch: epoch)
    }
  }

  private func elect(_ votes: [Vote]) -> Verdict {
    guard let epoch = votes.compactMap(\.epoch).max() else { return elect(byMajorityOf: votes) }
    if let before = known?.epoch, epoch < before {
      // The few that can be heard may be those that missed the fail-over. When most say so, the
      // primary was watched anew, and epochs count from the beginning.
      let isMajority = votes.filter { $0.epoch != nil }.count * 2 > configured.count
      guard isMajority else { return .failed(.sentinelsBehind(places { $0 != nil })) }
    }
    let latest = votes.filter { $0.epoch == epoch }
    return .elected(Known(address: preferred(of: latest), epoch: epoch))
  }

  /// When none of them may be asked for epochs.
  private func elect(byMajorityOf votes: [Vote]) -> Verdict {
    let address = preferred(of: votes)
    guard votes.filter({ $0.address == address }).count * 2 > votes.count else {
      return .failed(.sentinelsDisagree(places { $0 != nil }))
    }
    return .elected(Known(address: address, epoch: nil))
  }

  /// The address with the most votes; among equals the one in use, then the first.
  private func preferred(of votes: [Vote]) -> Address {
    var counts: [Address: Int] = [:]
    for vote in votes { counts[vote.address, default: 0] += 1 }
    let most = counts.values.max()
    let best = votes.map(\.address).filter { counts[$0] == most }
    if let known, best.contains(known.address) { return known.address }
    guard let first = best.first else { preconditionFailure("There are votes to elect by") }
    return first
  }

  private func places(_ isMeant: (SentinelAnswer?) -> Bool) -> [String] {
    asked.filter { isMeant(answers[$0]) }.map { "\($0)" }
  }

  private var troubles: [SentinelTrouble] {
    asked.compactMap { sentinel in
      guard case .failed(let failure)? = answers[sentinel] else { return nil }
      return SentinelTrouble(sentinel: "\(sentinel)", failure: failure)
    }
  }
}

/// Why one sentinel was of no help.
package struct SentinelTrouble: Hashable, Sendable {
  package let sentinel: String
  package let failure: RedisFailure
}
