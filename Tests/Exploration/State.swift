import Simulation
import TokenCore

/// Time in the explored world, in nanoseconds since its beginning: every clock shows it.
typealias Instant = Int64

/// Everything there is at one moment: two replicas, Redis, WeChat and what is on its way.
///
/// A value; what a step does not change is shared with the state before it.
struct State: Sendable {
  var now: Instant = 0
  var replicas: [Replica]
  var redis: ModelRedis
  /// What Redis had before its last writes, the latest last: what a fail-over turns back to.
  var history: [(data: ModelRedis.Data, writtenAt: Instant)] = []
  var weChat = Mint()
  /// Commands that nobody waits for any more and that may be carried out yet.
  var strayCommands: [StrayCommand] = []
  /// Requests that nobody waits for any more and that WeChat may process yet.
  var strayFetches: [StrayFetch] = []
  /// Applications' and people's requests for another token that nobody has taken yet.
  var requests = 0
  /// Whether WeChat has processed a request and nothing has happened since.
  var hasJustMinted = false
  var faults = 0
  /// How many servers there have been.
  var servers = 1
  /// When Redis lost every record last.
  var wipedAt: Instant = -1
  /// When a fault took the lock away last.
  var lockDisturbedAt: Instant = -1
  var highestEpoch: Epoch = .none
  /// What was granted lately, and to whom.
  var grants: [Grant] = []
  /// Whether two terms have one epoch, so that nothing that follows can be judged.
  var isOver = false
  /// What broke, if anything did.
  var violation: Violation?

  var moment: Moment { Moment(nanoseconds: now) }
  var redisTime: RedisTime { Self.redisTime(at: now) }

  /// Redis's clock shows a date of this decade, in whole milliseconds.
  static let redisOrigin: Int64 = 1_780_000_000_000

  static func redisTime(at instant: Instant) -> RedisTime {
    RedisTime(milliseconds: redisOrigin + instant / 1_000_000)
  }

  static func instant(of time: RedisTime) -> Instant {
    (time.milliseconds - redisOrigin) * 1_000_000
  }
}

/// An epoch that Redis gave to a term.
struct Grant: Sendable {
  let epoch: Epoch
  let term: Term

  /// More than these are not looked at: what is older is below Redis's clock.
  static let remembered = 4
}

/// One replica: a keeper, and what its shell knows.
struct Replica: Sendable {
  /// Nil when the process is gone.
  var mind: Mind?
  var life = 0
  var isConnected = false
  var isPaused = false
  /// Whether the connection ended while it stood still.
  var isCut = false
  /// When its connection stands again at the latest.
  var reconnectAt: Instant?
  /// The steps at Redis that were sent and not answered, in this order.
  var steps: [Step] = []
  /// The calls of WeChat that are not over.
  var calls: [Call] = []

  // What the rules remember.

  /// The attempt that Redis confirmed and that was not sent.
  var permitted: Version?
  /// When the last step was sent that confirmed the lock.
  var leaseFrom: Instant?
}

extension Replica {
  /// Whether an answer is there that could come before anything else.
  var hasPromptAnswer: Bool {
    for case .answered(_, isPrompt: true) in steps.lazy.map(\.stage) { return true }
    for case .answered(_, isPrompt: true) in calls.lazy.map(\.stage) { return true }
    return false
  }

  /// Something else came before the answers that are there.
  mutating func delayAnswers() {
    for place in steps.indices {
      if case .answered(let letter, isPrompt: true) = steps[place].stage {
        steps[place].stage = .answered(letter, isPrompt: false)
      }
    }
    for place in calls.indices {
      if case .answered(let outcome, isPrompt: true) = calls[place].stage {
        calls[place].stage = .answered(outcome, isPrompt: false)
      }
    }
  }
}

/// A keeper that states share.
final class Mind: Sendable {
  let keeper: Keeper
  init(_ keeper: Keeper) { self.keeper = keeper }
}

/// A command, and how far it has come.
struct Step: Sendable {
  enum Stage: Sendable {
    case sent
    /// `isPrompt` until time passes or its replica does something else first.
    case answered(Letter<StoreReply>, isPrompt: Bool)
    case lost
  }

  let letter: Letter<StoreCommand>
  let id: StepID
  var stage: Stage = .sent
  /// Whether time may pass before it is answered.
  var isSlow = false

  var command: StoreCommand { letter.content }
}

/// What is long and is shared by states.
final class Letter<Content: Sendable>: Sendable {
  let content: Content
  init(_ content: Content) { self.content = content }
}

/// A call of WeChat, and how far it has come.
struct Call: Sendable {
  enum Stage: Sendable {
    case sent
    /// Its process stands still between the check and the sending.
    case held
    /// `isPrompt` until time passes or its replica does something else first.
    case answered(FetchOutcome, isPrompt: Bool)
    case lost
  }

  let order: FetchOrder
  var request: Request
  let sentAt: Instant
  /// When it was written.
  var openAt: Instant
  var stage: Stage = .sent
}

struct StrayCommand: Sendable {
  let replica: Int
  let letter: Letter<StoreCommand>
  /// Later than this it does not come.
  let until: Instant
}

/// Who asked WeChat, and when.
struct Request: Sendable {
  let version: Version
  let replica: Int
  let life: Int
  /// When it was decided to send it; its BEGIN was confirmed before.
  let decidedAt: Instant
  /// Whether it was written after the lease, its process having stood still past the check.
  var isThroughHole = false
}

struct StrayFetch: Sendable {
  let request: Request
  /// Later than this it is not processed.
  let until: Instant
  /// When it was written, if its process wrote it late.
  var openAt: Instant?
}

/// WeChat's token endpoint in `token` mode, for one credential: the last request that it processes
/// wins, and every earlier token dies within the grace.
struct Mint: Sendable {
  struct Issue: Sendable {
    let token: Int
    var diesAt: Instant
    let request: Request
  }

  static let lifetime: Duration = .seconds(7200)
  static let grace: Duration = .seconds(300)

  /// What was issued and lives, the newest last.
  private(set) var issues: [Issue] = []
  private var count = 0

  /// Processes a request at an instant; returns the number of the token.
  mutating func mint(_ request: Request, at now: Instant, keepsOneOld: Bool) -> Int {
    count += 1
    issues.removeAll { $0.diesAt <= now }
    let last = issues.count - 1
    for index in issues.indices {
      let end = keepsOneOld && index < last ? now : now + Self.grace.wholeNanoseconds
      issues[index].diesAt = min(issues[index].diesAt, end)
    }
    issues.append(
      Issue(token: count, diesAt: now + Self.lifetime.wholeNanoseconds, request: request))
    return count
  }

  /// When a token dies; nil when it is dead for long or never was.
  func death(of token: String) -> Instant? {
    for issue in issues.reversed() where Self.name(issue.token) == token { return issue.diesAt }
    return nil
  }

  /// The request that ended a token's life; nil while none has.
  func killer(of token: String) -> Request? {
    guard let place = issues.firstIndex(where: { Self.name($0.token) == token }),
      place + 1 < issues.endIndex
    else { return nil }
    return issues[place + 1].request
  }

  static func name(_ token: Int) -> String { "T\(token)" }
}

/// Numbers that are the same in every high bit, so that what is drawn from them is always the same,
/// and differ in the low ones, so that no two names do.
struct EvenGenerator: RandomNumberGenerator, Sendable {
  private var count: UInt64

  /// - Parameters:
  ///   - replica: Replicas claim epochs that differ: what chance sees to otherwise.
  init(replica: Int, life: Int) {
    count = UInt64(replica + 1) << 49 | UInt64(life) << 16
  }

  mutating func next() -> UInt64 {
    count += 1
    return count
  }
}
