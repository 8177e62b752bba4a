import WeChatSimulator

/// What goes wrong in one randomised run: drawn from its seed alone.
struct FaultPlan: CustomStringConvertible, Sendable {
  /// What becomes of one attempt at WeChat.
  enum Blow: CaseIterable {
    case answerLost, resetAfterMint, resetBeforeMint, lostBeforeMint, truncated, empty, html
    case htmlAfterMint, gatewayBeforeMint, gatewayAfterMint, slowLoris, late, systemError

    var fault: Fault {
      switch self {
      case .answerLost: .mintThenDrop
      case .resetAfterMint: .mintThenReset
      case .resetBeforeMint: .resetBeforeMint
      case .lostBeforeMint: .dropBeforeMint
      case .truncated: .truncatedBody
      case .empty: .emptyBody
      case .html: .html
      case .htmlAfterMint: Fault(commits: true, effect: .html)
      case .gatewayBeforeMint: .status(502)
      case .gatewayAfterMint: .status(504, afterMint: true)
      // A byte every 100 ms: the whole answer takes longer than the call may.
      case .slowLoris: .slowLoris(interval: 100)
      case .late: Fault(commits: true, effect: .delay(3000))
      case .systemError: .errorCode(-1)
      }
    }
  }

  /// What becomes of the leader while WeChat holds the answer of its last attempt.
  enum Fate: CaseIterable {
    case spared, killed, paused, terminated
  }

  let seed: UInt64
  let replicas: Int
  /// Whether the preferred host is down, so that the next one must do.
  let isHostDown: Bool
  let blows: [Blow]
  let fate: Fate

  /// The life of a token and of a replaced one, in milliseconds.
  ///
  /// The token in Redis dies `grace` after the first mint whose answer is lost. Two lost answers
  /// and the waits after them take up to 5 s, a leader killed after one about 7 s. Whoever just
  /// tries again when the token has expired shows readers a dead one for half a minute.
  static let (life, grace): (Milliseconds, Milliseconds) = (40_000, 9000)

  init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    self.seed = seed
    replicas = .random(in: 2...3, using: &generator)
    fate =
      Bool.random(using: &generator)
      ? .spared : Fate.allCases.randomElement(using: &generator) ?? .spared
    // What still fits into the grace.
    var room = fate == .spared ? 2 : 1
    isHostDown = .random(in: 0..<4, using: &generator) == 0
    if isHostDown { room -= 1 }
    let least = fate == .spared && !isHostDown ? 1 : 0
    var blows: [Blow] = []
    for _ in 0..<Int.random(in: min(least, room)...room, using: &generator) {
      blows.append(Blow.allCases.randomElement(using: &generator) ?? .answerLost)
    }
    self.blows = blows
  }

  var description: String {
    let events = (isHostDown ? ["first host down"] : []) + blows.map { "\($0)" }
    return "seed \(seed): \(replicas) replicas, "
      + (events + ["leader \(fate)"]).joined(separator: ", ")
  }
}
