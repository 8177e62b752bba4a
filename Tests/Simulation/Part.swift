/// A part of the protocol that a planted bug takes away; each must be missed by an oracle.
package enum Part: String, CaseIterable, Sendable {
  /// Scripts compare the epoch with the account's fence.
  case fence
  /// A replica stops when its own lease is over, and no request is written after that.
  case leaseCheck = "lease-check"
  /// BEGIN leaves the intent of a fetch.
  case intent
  /// An intent that another BEGIN finds is part of the doubt.
  case fold
  /// What may have killed the token is kept as a doubt.
  case doubt
  /// The keys end when the doubt and the intent say.
  case bound
  /// A doubt ends only with a fetch that began when all of it was over.
  case straggling
  /// Whoever stops leading says what it published last, and what may have killed it.
  case mark
  /// What Redis lost is committed again.
  case recommit
  /// The lease counts from before the sending of the step, not from the answer.
  case leaseFromSend = "lease-from-send"
  /// An epoch exceeds all that were ever seen, also after a wipe.
  case epochFloor = "epoch-floor"
  /// A lock whose granting was not answered is had, or given back: ACQUIRE repeated by the holder
  /// succeeds again, and a follower that finds its own lock releases it.
  case idempotentAcquire = "idempotent-acquire"
  /// A copy is published again for no longer than it is certain to live.
  case freshCopy = "fresh-copy"
  /// The server that a commit saw is recorded and compared.
  case runID = "run-id"
  /// A COMMIT that is carried out late counts the token's age from its BEGIN.
  case commitAge = "commit-age"
  /// Where keys lie in several slots, an order about one of them that comes after a later one, or
  /// much too late, writes nothing.
  case apartFence = "apart-fence"
  /// There, what lies apart is written after the record, not before.
  case recordFirst = "record-first"
  /// There, the server that is compared is the record's, not the lock's.
  case ownServer = "own-server"
  /// Not a part, but a wasteful habit of other systems, planted by taking this away: a new leader
  /// keeps a good token instead of fetching a new one always.
  case adoption
}

/// A set of parts.
package struct Parts: OptionSet, Hashable, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The set of one part.
  package init(_ part: Part) {
    let index = Part.allCases.firstIndex(of: part) ?? 0
    rawValue = 1 << UInt32(index)
  }

  /// The set of several parts.
  package init(_ parts: [Part]) { self = parts.reduce(into: []) { $0.insert(Parts($1)) } }

  /// The whole protocol.
  package static let all = Parts(Part.allCases)

  package static let fence = Parts(.fence)
  package static let leaseCheck = Parts(.leaseCheck)
  package static let intent = Parts(.intent)
  package static let fold = Parts(.fold)
  package static let doubt = Parts(.doubt)
  package static let bound = Parts(.bound)
  package static let straggling = Parts(.straggling)
  package static let mark = Parts(.mark)
  package static let recommit = Parts(.recommit)
  package static let leaseFromSend = Parts(.leaseFromSend)
  package static let epochFloor = Parts(.epochFloor)
  package static let idempotentAcquire = Parts(.idempotentAcquire)
  package static let freshCopy = Parts(.freshCopy)
  package static let runID = Parts(.runID)
  package static let commitAge = Parts(.commitAge)
  package static let apartFence = Parts(.apartFence)
  package static let recordFirst = Parts(.recordFirst)
  package static let ownServer = Parts(.ownServer)
  package static let adoption = Parts(.adoption)

  /// `SET NX PX` and a plain `SET`: how most systems do it.
  package static let plainLock = all.subtracting(
    Parts([
      .fence, .intent, .fold, .doubt, .bound, .straggling, .mark, .recommit, .runID, .commitAge,
    ]))
  /// The same, with the write fenced.
  package static let fencedWrite = plainLock.union(.fence)
  /// The same again, and every new leader fetches first.
  package static let alwaysRefetch = fencedWrite.subtracting(.adoption)
}
