package import Simulation
import TokenCore

/// What may happen in an exploration, and how often.
package struct Setting: Sendable {
  /// The parts of the protocol that there are.
  package var parts: Parts = .all
  /// So many faults at most come together.
  package var faults = 1
  /// Whether WeChat keeps only one old token (TokenCore.md#what-is-not, e).
  package var keepsOneOld = false
  /// A fail-over loses up to so many of the last writes.
  package var lostWrites = 2
  /// Commands and answers of one replica may overtake each other, which one connection prevents.
  package var overtakes = false
  /// A follower's look at the account takes its time, too, and may be lost.
  package var splitsLooks = false
  /// Whether everything only takes its course.
  var isCalm = false
  /// Nothing happens later than this.
  var horizon: Instant = .max

  package init() {}

  /// The times of the protocol.
  package var rhythm = Rhythm.short
  var timing: Timing { rhythm.timing }

  /// So long after it was sent a command that was held up may be carried out.
  static let longestDelay: Duration = .seconds(60)

  /// So long the stated life may outlive the token while somebody who knows tells of it: a lease,
  /// a try and a look (TokenCore.md#invariants, A).
  var tolerance: Duration { timing.lease + timing.retry + timing.renew }

  static let account = CredentialID.unnamed

  /// A new process, with no memory.
  func keeper(_ replica: Int, life: Int) -> Keeper {
    guard let instance = InstanceID("r\(replica)") else { preconditionFailure("a good name") }
    var timing = timing
    if !parts.contains(.leaseCheck) { timing.lease = .seconds(100_000) }
    return Keeper(
      instance: instance, accounts: [Self.account], timing: timing, margins: Margins(),
      generator: EvenGenerator(replica: replica, life: life))
  }
}

/// One thing that may happen in a state.
enum Move: Hashable, Sendable {
  /// A replica's timer fires.
  case wake(Int)
  /// A step or a call of a replica is over without an answer.
  case giveUpStep(Int, Int)
  case giveUpCall(Int, Int)
  /// The connection of a replica stands again.
  case reconnect(Int)
  /// Redis carries a step out.
  case carryOut(Int, Int)
  /// Its answer reaches the replica.
  case answer(Int, Int)
  /// WeChat processes a call.
  case process(Int, Int)
  /// Its answer reaches the replica.
  case respond(Int, Int)
  case carryOutStray(Int)
  case processStray(Int)
  /// A replica that is gone starts again.
  case start(Int)
  /// A replica that stands still goes on.
  case resume(Int)
  /// The leader takes a request for another token.
  case request(Int)
  /// Nothing happens before the next moment that matters.
  case pass

  // Faults.

  case crash(Int)
  case pause(Int)
  /// The process stands still between its check and the sending of a request.
  case pauseAtGate(Int)
  /// The connection of a replica ends.
  case cut(Int)
  case loseStep(Int, Int)
  /// A step takes long, if no longer than its deadline.
  case slowStep(Int, Int)
  /// A command is held up, and may be carried out much later.
  case delayStep(Int, Int)
  case loseAnswer(Int, Int)
  case loseCall(Int, Int)
  /// WeChat sits on a request.
  case delayCall(Int, Int)
  case loseResponse(Int, Int)
  /// Another server, that has all but so many of the last writes; nil for none of them.
  case failOver(Int?)
  case flush
}

/// Times that keep the relations of TokenCore.md#timing, with as few events a minute as these allow
/// and all of them in one rhythm, so that what is quiet soon repeats itself: `EvenGenerator` makes
/// polls of the half of 10 s, or of 10 s, out of `retry`.
package enum Rhythm: String, CaseIterable, Sendable {
  /// A lease that a successor waits for as long as lost writes are looked for.
  case short
  /// A lease that is longer than that.
  case long

  var timing: Timing {
    switch self {
    case .short:
      Timing(
        lease: .milliseconds(26_500), renew: .seconds(10), retry: .milliseconds(6_250),
        tick: .seconds(20))
    case .long:
      Timing(
        lease: .seconds(50), renew: .seconds(20), retry: .milliseconds(12_500), tick: .seconds(20))
    }
  }
}
