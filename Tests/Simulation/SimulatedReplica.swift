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
    var split: SplitStep
    /// What it has sent, by their numbers.
    var calls: [SplitStep.Call] = []
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
  private(set) var keeper: Keeper
  /// The lead by its keeper's reckoning, and when that wants to be woken, as of its last event:
  /// looked at after every step, for which the keeper is too large to copy.
  private(set) var leadership: Election.Leadership?
  private(set) var nextWake: Moment?
  /// The lock's value by which it believes to lead.
  private(set) var leadTerm: String?
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
  /// When it was first connected in this life.
  var metRedisAt: Instant?
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
  /// Whether it keeps each account.
  var keeps: [Bool]
  /// When it let each account go last that was configured no longer.
  var letGoAt: [Instant?]

  init(index: Int, clock: SkewedClock, keeper: Keeper, instance: InstanceID, accounts: Int) {
    self.index = index
    self.clock = clock
    self.keeper = keeper
    self.instance = instance
    copies = Array(repeating: nil, count: accounts)
    lastFetchAt = Array(repeating: nil, count: accounts)
    keeps = Array(repeating: true, count: accounts)
    letGoAt = lastFetchAt.map { _ in nil }
  }

  /// Begins a new life.
  func begin(_ keeper: Keeper, as instance: InstanceID) {
    self.keeper = keeper
    self.instance = instance
    metRedisAt = nil
    look()
  }

  /// Hands an event to the keeper; returns what it wants done.
  func handle(_ event: Keeper.Event, at moment: Moment) -> [Keeper.Action] {
    defer { look() }
    return keeper.handle(event, at: moment)
  }

  private func look() {
    let before = leadership?.term
    leadership = keeper.election.leadership
    nextWake = keeper.nextWake
    if leadership?.term != before { leadTerm = leadership?.term.description }
  }

  func local(at instant: Instant) -> Moment { Moment(nanoseconds: clock.local(at: instant)) }

  /// Something hinders it up to then; an earlier, longer hindrance stands.
  func disturb(until instant: Instant) {
    undisturbedSince = max(undisturbedSince, instant)
  }

  func isPaused(at instant: Instant) -> Bool { instant < pausedUntil }
}
