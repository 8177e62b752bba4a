/// Decides how much of the handshake a server gets: some proxies hang up on commands that they do
/// not know, where a server would refuse them.
///
/// After each hang-up the next attempt leaves out more, and after the last begins anew. What hung
/// up may as well have been a server that was not there at that moment: so, when an attempt with
/// less has passed, one with more is tried once more before the connection is used.
struct HandshakeManner: Hashable, Sendable {
  typealias Instant = ContinuousClock.Instant

  /// What is left out, a command more each time: neither is needed.
  private static let reductions: [[String]] = [[], ["CLIENT"], ["CLIENT", "INFO"]]

  /// A server that was found to hang up may have been replaced after so long.
  private static let memory: Duration = .seconds(3600)

  private var reduction = 0
  /// What has passed while one with more is being tried again.
  private var passed: Int?
  /// When one with more was found to be hung up on.
  private var settledAt: Instant?

  /// An attempt begins.
  ///
  /// - Returns: the commands that it leaves out.
  mutating func begin(at now: Instant) -> [String] {
    if let settledAt, settledAt.duration(to: now) >= Self.memory { self = HandshakeManner() }
    return Self.reductions[reduction]
  }

  /// The server has hung up on the handshake.
  ///
  /// - Returns: whether another one is worth an attempt at once: not when all were hung up on.
  mutating func hungUp(at now: Instant) -> Bool {
    if let passed {
      reduction = passed
      self.passed = nil
      settledAt = now
      return true
    }
    settledAt = nil
    reduction = (reduction + 1) % Self.reductions.count
    return reduction > 0
  }

  /// The handshake has passed.
  ///
  /// - Returns: whether the connection is to be used; else one with more is tried first.
  mutating func succeeded() -> Bool {
    guard reduction > 0, settledAt == nil else { return true }
    passed = reduction
    reduction -= 1
    return false
  }
}

/// Counts how often a server hung up on a command that it has never answered: once may be chance.
package struct HangUps: Hashable, Sendable {
  private var inARow = 0
  private let enough: Int

  package init(enough: Int = 3) { self.enough = enough }

  /// It has answered the command, be it with a refusal.
  package mutating func answered() { inARow = 0 }

  /// The connection was lost while the command waited for its answer.
  ///
  /// - Returns: whether that is why, by all that can be known.
  package mutating func lost(_ failure: RedisFailure) -> Bool {
    guard failure.isHangUp else { return false }
    inARow += 1
    return inARow >= enough
  }
}

extension RedisFailure {
  /// Whether the other side has closed the connection, without a word.
  package var isHangUp: Bool { if case .connectionLost = self { true } else { false } }
}

/// A command that a server, or a proxy before it, does not take.
package struct LackingCommand: Hashable, Sendable {
  package let name: String
  /// How that shows.
  package let failure: RedisFailure

  package init(_ name: String, _ failure: RedisFailure) {
    self.name = name
    self.failure = failure
  }
}
