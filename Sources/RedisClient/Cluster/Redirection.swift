/// Where a node sends a command that it has not carried out: what `MOVED` and `ASK` say.
struct Redirect: Hashable {
  let slot: HashSlot
  /// Nil when the node does not know where.
  let address: RedisEndpoint.Address?

  /// Reads `MOVED 3999 127.0.0.1:6381`; the port stands behind the last colon, since an IPv6
  /// address has some, too.
  ///
  /// - Parameter asked: who said it.
  init?(_ message: String, from asked: RedisEndpoint.Address) {
    let words = message.split(separator: " ")
    guard words.count >= 3, let slot = Int(words[1]).flatMap({ HashSlot($0) }) else { return nil }
    self.slot = slot
    guard let colon = words[2].lastIndex(of: ":"),
      let port = Int(words[2][words[2].index(after: colon)...])
    else {
      address = nil
      return
    }
    var host = words[2][..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    address = RedisEndpoint.Address(host: String(host), port: port, toldBy: asked)
  }
}

/// Decides for one batch of one slot what its replies mean: that they are the answer, or that it is
/// sent once more, where and when.
///
/// Sent once more is only what was certainly not carried out. It reads no clock and draws no lots.
struct Redirection: Hashable {
  typealias Address = RedisEndpoint.Address
  typealias Instant = ContinuousClock.Instant

  /// Where the batch goes.
  enum Target: Hashable {
    /// To whom the map names.
    case owner
    /// There, behind `ASKING`: the slot is on its way to it, and some of its keys are there.
    case asked(Address)
  }

  enum Next: Hashable {
    /// To whoever sent it: no node does more about it.
    case answer
    case send(Target, after: Duration)
  }

  /// What else there is to do.
  struct Verdict: Hashable {
    var next: Next
    /// Another node serves the slot than the map says.
    var moved: Redirect?
    /// The map is old, or may be.
    var isMapDoubtful = false
    /// The connection may lead to another node than it did.
    var reconnects = false
    /// The slot is on its way, and the keys of one command are on both sides.
    var isSplit = false
  }

  /// Whether the batch waits at the node, and may have done so for long: it has no time left to do
  /// that elsewhere.
  let isBlocking: Bool
  private let deadline: Instant
  private var redirections = 0
  private var pause = Self.shortestPause

  /// Nodes that point at each other do so without end.
  static let mostRedirections = 5
  static let shortestPause: Duration = .milliseconds(100)
  static let longestPause: Duration = .milliseconds(500)

  init(deadline: Instant, isBlocking: Bool) {
    self.deadline = deadline
    self.isBlocking = isBlocking
  }

  /// - Parameters:
  ///   - node: who answered.
  ///   - spread: from 0 to below 1: how much of the half of a pause that is left to chance.
  mutating func judge(
    _ replies: [RedisReply], from node: Address, at now: Instant, spread: Double
  ) -> Verdict {
    for refusal in replies.lazy.compactMap(\.refusal) {
      switch refusal.kind {
      case .moved: return moved(refusal, from: node, at: now, spread)
      case .ask: return asked(refusal, from: node)
      case .tryAgain: return again(at: now, spread) { $0.isSplit = true }
      case .clusterDown:
        guard !isBlocking else { return Verdict(next: .answer, isMapDoubtful: true) }
        return again(at: now, spread) { $0.isMapDoubtful = true }
      case _ where refusal.code == "UNBLOCKED": return Verdict(next: .answer, isMapDoubtful: true)
      default: continue
      }
    }
    return Verdict(next: .answer)
  }

  private mutating func moved(
    _ refusal: RedisServerError, from node: Address, at now: Instant, _ spread: Double
  ) -> Verdict {
    guard let redirect = Redirect(refusal.message, from: node) else {
      return Verdict(next: .answer, isMapDoubtful: true)
    }
    let isElsewhere = redirect.address != nil && redirect.address != node
    redirections += 1
    guard !isBlocking, redirections <= Self.mostRedirections else {
      return Verdict(next: .answer, moved: isElsewhere ? redirect : nil, isMapDoubtful: true)
    }
    if isElsewhere {
      return Verdict(next: .send(.owner, after: .zero), moved: redirect, isMapDoubtful: true)
    }
    // It names itself, or nobody: there is nothing to do but to ask others.
    return again(at: now, spread) {
      $0.isMapDoubtful = true
      $0.reconnects = redirect.address == node
    }
  }

  private mutating func asked(_ refusal: RedisServerError, from node: Address) -> Verdict {
    redirections += 1
    guard redirections <= Self.mostRedirections,
      let address = Redirect(refusal.message, from: node)?.address
    else { return Verdict(next: .answer, isMapDoubtful: true) }
    return Verdict(next: .send(.asked(address), after: .zero))
  }

  /// After a pause, where the map says, as long as there is time for it.
  private mutating func again(
    at now: Instant, _ spread: Double, _ mark: (inout Verdict) -> Void
  ) -> Verdict {
    let wait = pause * (0.5 + spread / 2)
    pause = min(pause * 2, Self.longestPause)
    var verdict = Verdict(
      next: now + wait < deadline ? .send(.owner, after: wait) : .answer)
    mark(&verdict)
    return verdict
  }
}
