import TokenCore

/// One replica: a real keeper, and a model of the shell and the machine around it.
///
/// An object, since it is looked at after every step, and large to copy.
final class SimulatedReplica {
  /// A step at Redis that was sent and not answered.
  struct PendingStep {
    let id: Int
    let command: StoreCommand
    let step: StepID
    let sentAt: Instant
  }

  /// A call of WeChat that is not over.
  struct PendingCall {
    let id: Int
    let order: FetchOrder
    let sentAt: Moment
  }

  /// Actions that a pause or nothing else holds back.
  struct Held {
    var action: Keeper.Action
    /// Whether the pause came between the check of the lease and the send
    /// (TokenCore.md#what-is-not).
    var isPastCheck: Bool
    /// Whether the pause came between the decision and this.
    var isDelayed = false
    /// Whether the connection for a request took its time.
    var isConnected = false
  }

  let index: Int
  var clock: SkewedClock
  var keeper: Keeper
  var instance: InstanceID
  /// Counts lives; whatever was meant for an earlier one is dropped.
  var life = 0
  var isAlive = false
  var pausedUntil: Instant = 0
  /// Since when its clock stands, and when it last went on.
  var frozenAt: Instant?
  var thawedAt: Instant = 0
  /// What was not to be written any more.
  var withdrawn: Set<Version> = []
  /// Whether the next action is never answered.
  var leavesUnanswered = false
  var backlog: [World.Happening] = []
  var held: [Held] = []
  var isConnected = false
  var reconnects = 0
  var pendingSteps: [PendingStep] = []
  var pendingCalls: [PendingCall] = []
  var scheduledWake: Instant?
  var isEnding = false

  // What is cut, and until when.
  var requestsToRedisLostUntil: Instant = 0
  var repliesOfRedisLostUntil: Instant = 0
  var requestsToWeChatLostUntil: Instant = 0
  var answersOfWeChatLostUntil: Instant = 0
  var slowUntil: Instant = 0

  /// Since when it has been connected and has not been paused, as far as is known; or will be.
  private(set) var undisturbedSince: Instant = 0

  // What the oracles remember.
  var term: Term?
  var leaseFrom: Moment?
  var leaseFromInstant: Instant = 0
  var copies: [Version?]
  /// Wakes in a row at which nothing was done.
  var idleWakes = 0
  var lastFetchAt: [Moment?]

  init(index: Int, clock: SkewedClock, keeper: Keeper, instance: InstanceID, accounts: Int) {
    self.index = index
    self.clock = clock
    self.keeper = keeper
    self.instance = instance
    copies = Array(repeating: nil, count: accounts)
    lastFetchAt = Array(repeating: nil, count: accounts)
  }

  /// The lock's value by which its keeper believes to lead.
  ///
  /// Asked for after every step; the text is made once a term.
  var leadTerm: String? {
    guard let term = keeper.election.leadership?.term else { return nil }
    if named?.term != term { named = (term, term.description) }
    return named?.text
  }
  private var named: (term: Term, text: String)?

  func local(at instant: Instant) -> Moment { Moment(nanoseconds: clock.local(at: instant)) }

  /// Something hinders it up to then; an earlier, longer hindrance stands.
  func disturb(until instant: Instant) {
    undisturbedSince = max(undisturbedSince, instant)
  }

  func isPaused(at instant: Instant) -> Bool { instant < pausedUntil }
}
