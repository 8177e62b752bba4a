/// What a replica does for one account; `successors` says what can follow what.
package enum Work: Hashable, Sendable {
  /// Another replica leads; the token is read.
  case follow
  /// Newly elected; TAKEOVER raises the fence.
  case takeOver
  /// Leading, with nothing under way.
  case hold
  /// Leading, reading what Redis has.
  case look
  /// Restoring damaged keys, or taking away what is over.
  case republish(restores: Bool)
  /// Committing again what Redis lost.
  case recommit
  /// BEGIN leaves the intent.
  case begin(Attempt)
  /// BEGIN is confirmed and the lease too short for a fetch.
  case waitForLease(Attempt)
  /// WeChat is asked.
  case fetch(Attempt)
  /// The new token is being published.
  case commit(Attempt, FetchedToken)
  /// Nothing was minted, and the intent is taken back.
  case resolve(Attempt)

  /// The same without what it is done with.
  package enum Kind: Int, Hashable, Sendable, CaseIterable {
    case follow, takeOver, hold, look, republish, recommit, begin, waitForLease, fetch, commit
    case resolve
  }

  package var kind: Kind {
    switch self {
    case .follow: .follow
    case .takeOver: .takeOver
    case .hold: .hold
    case .look: .look
    case .republish: .republish
    case .recommit: .recommit
    case .begin: .begin
    case .waitForLease: .waitForLease
    case .fetch: .fetch
    case .commit: .commit
    case .resolve: .resolve
    }
  }

  /// The fetch that is under way, from its BEGIN to its COMMIT or RESOLVE.
  package var attempt: Attempt? {
    switch self {
    case .begin(let attempt), .waitForLease(let attempt), .fetch(let attempt),
      .commit(let attempt, _), .resolve(let attempt):
      attempt
    case .follow, .takeOver, .hold, .look, .republish, .recommit: nil
    }
  }
}

extension Work.Kind {
  /// What can follow this work; tests compare it with what follows in all situations and faults.
  package var successors: Set<Work.Kind> {
    switch self {
    case .follow: [.takeOver]
    case .takeOver: [.hold, .follow]
    case .hold: [.look, .takeOver, .republish, .recommit, .begin, .follow]
    case .look: [.hold, .takeOver, .follow]
    case .republish: [.hold, .follow]
    case .recommit: [.hold, .follow]
    case .begin: [.waitForLease, .fetch, .resolve, .hold, .follow]
    case .waitForLease: [.fetch, .resolve, .follow]
    case .fetch: [.commit, .resolve, .hold, .follow]
    case .commit: [.hold, .follow]
    case .resolve: [.hold, .follow]
    }
  }
}

/// From which work to which others a keeper has gone: what tests and simulation compare with
/// `successors`.
package struct WorkSteps: Hashable, Sendable {
  /// A bit for each pair of kinds: copied with every account, so that it is no array.
  private var bits: UInt128 = 0

  package mutating func add(_ from: Work.Kind, _ next: Work.Kind) {
    bits |= Self.bit(from, next)
  }

  package mutating func formUnion(_ other: WorkSteps) {
    bits |= other.bits
  }

  private static func bit(_ from: Work.Kind, _ next: Work.Kind) -> UInt128 {
    1 << UInt128(from.rawValue * 11 + next.rawValue)
  }

  /// Every kind that has followed this one.
  package func after(_ kind: Work.Kind) -> Set<Work.Kind> {
    Set(Work.Kind.allCases.filter { bits & Self.bit(kind, $0) != 0 })
  }
}
