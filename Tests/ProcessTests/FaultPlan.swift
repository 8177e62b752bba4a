import WeChatSimulator

/// What goes wrong in one randomised run: drawn from its seed alone.
///
/// One event follows from the seed's remainder, so that as many seeds in a row as there are events
/// have each of them; what else happens is drawn.
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

  /// The life of a token, in milliseconds: it is refreshed 15 s before its end.
  static let life: Milliseconds = 40_000

  /// How long a replaced token lives, in milliseconds.
  ///
  /// A leader that goes on tries again within seconds: two lost answers and the waits after them
  /// take up to 5 s, and who just waited for the next refresh would show readers a dead token.
  /// Whoever succeeds one that is gone lets a doubt be over first, and counts on WeChat's 300 s.
  var grace: Milliseconds {
    switch fate {
    case .spared, .terminated: 9000
    case .killed, .paused: 300_000
    }
  }

  /// An event that some run is certain to have.
  private enum Event {
    case blow(Blow), hostDown, killedWhileHeld

    static let all = Blow.allCases.map(Event.blow) + [.hostDown, .killedWhileHeld]
  }

  /// So many seeds in a row have every event.
  static let cycle = UInt64(Event.all.count)

  init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    self.seed = seed
    replicas = .random(in: 2...3, using: &generator)
    let fate: Fate =
      Bool.random(using: &generator)
      ? .spared : Fate.allCases.randomElement(using: &generator) ?? .spared
    let isHostDown = Int.random(in: 0..<4, using: &generator) == 0
    var blows: [Blow] = []
    switch Event.all[Int(seed % Self.cycle)] {
    case .blow(let blow):
      blows = [blow]
      self.fate = fate
      self.isHostDown = isHostDown && fate == .spared
    case .hostDown:
      self.fate = fate
      self.isHostDown = true
    case .killedWhileHeld:
      self.fate = .killed
      self.isHostDown = isHostDown
    }
    // What still fits into the grace.
    let room = (self.fate == .spared ? 2 : 1) - blows.count - (self.isHostDown ? 1 : 0)
    for _ in 0..<Int.random(in: 0...room, using: &generator) {
      blows.append(Blow.allCases.randomElement(using: &generator) ?? .answerLost)
    }
    self.blows = blows.shuffled(using: &generator)
  }

  var description: String {
    let events = (isHostDown ? ["first host down"] : []) + blows.map { "\($0)" }
    return "seed \(seed): \(replicas) replicas, "
      + (events + ["leader \(fate)"]).joined(separator: ", ")
  }
}
