import NIOCore

/// Decides to whom a connection's replies belong, and when its silence is to be broken.
///
/// Redis answers in order, so a reply belongs to the oldest exchange that lacks one. On a
/// subscribed connection nothing that the server sends is an answer.
struct Exchanges<Owner> {
  typealias Instant = ContinuousClock.Instant

  private enum State {
    /// Commands are written, and answered. Then: subscribed, ended.
    case open
    /// Messages come. Then: ended.
    case subscribed
    /// Nothing is read or written any more.
    case ended(RedisFailure)
  }

  private struct Exchange {
    let owner: Owner
    let count: Int
  }

  /// What to do with what came.
  enum Receipt {
    case nothing
    case complete(Owner, [RedisReply])
    case push(RedisReply)
    case fail(RedisFailure)
  }

  private var state: State = .open
  private var pending = CircularBuffer<Exchange>()
  /// What has come for the oldest of them.
  ///
  /// Not kept in its place there, where each reply would copy all those before it.
  private var replies: [RedisReply] = []
  /// When a byte was last written or read.
  private var usedAt: Instant
  /// When a byte was last read.
  private var heardAt: Instant
  private var keepAliveInterval: Duration? = nil

  /// A shorter silence is none: whoever closes a connection then does not do so for its silence.
  private static var shortestSilence: Duration { .milliseconds(900) }

  /// A server that has not answered a PING by then does nothing any more.
  private static var longestAnswer: Duration { .seconds(5) }

  init(at now: Instant) {
    usedAt = now
    heardAt = now
  }

  /// Why it has ended, once it has.
  var failure: RedisFailure? { if case .ended(let failure) = state { failure } else { nil } }
  var isSubscribed: Bool { if case .subscribed = state { true } else { false } }

  /// Commands are about to be written.
  ///
  /// - Returns: why they cannot be.
  mutating func sent(_ owner: Owner, count: Int, at now: Instant) -> RedisFailure? {
    if let failure { return failure }
    pending.append(Exchange(owner: owner, count: count))
    usedAt = now
    return nil
  }

  /// A command is about to be written that gets no reply; `false` when it cannot be.
  mutating func sentUnanswered(subscribing: Bool, at now: Instant) -> Bool {
    if case .ended = state { return false }
    if subscribing { state = .subscribed }
    usedAt = now
    return true
  }

  /// Bytes have come; `false` when nobody reads them.
  mutating func bytesCame(at now: Instant) -> Bool {
    if case .ended = state { return false }
    usedAt = now
    heardAt = now
    return true
  }

  mutating func received(_ reply: RedisReply) -> Receipt {
    switch state {
    case .ended: return .nothing
    case .subscribed: return .push(reply)
    case .open: break
    }
    guard let oldest = pending.first else {
      return .fail(reply.refusal.map(RedisFailure.refusedByServer) ?? .unmatchedReply)
    }
    if replies.isEmpty { replies.reserveCapacity(oldest.count) }
    replies.append(reply)
    guard replies.count == oldest.count else { return .nothing }
    pending.removeFirst()
    defer { replies = [] }
    return .complete(oldest.owner, replies)
  }

  /// The connection ends: the first failure is the end.
  ///
  /// - Returns: who gets no replies, and why; nil when it has ended before.
  mutating func failed(_ failure: RedisFailure) -> [(Owner, RedisFailure)]? {
    if case .ended = state { return nil }
    state = .ended(failure)
    defer {
      pending.removeAll()
      replies = []
    }
    // A refusal that came before the end, such as "max number of clients reached", says more.
    let refusal = replies.first?.refusal.map(RedisFailure.refusedByServer)
    return pending.enumerated().map { index, exchange in
      (exchange.owner, index == 0 ? refusal ?? failure : failure)
    }
  }

  /// The server has closed the connection.
  ///
  /// - Returns: what that is called.
  func closedByServer(at now: Instant) -> RedisFailure {
    let silence = usedAt.duration(to: now)
    return pending.isEmpty && silence >= Self.shortestSilence
      ? .closedWhenSilent(silence) : .connectionLost(reason: "the server closed it")
  }

  // MARK: Silences

  /// Sets how long a silence may be; nil: as long as it likes.
  mutating func keepAlive(every interval: Duration?) { keepAliveInterval = interval }

  /// How long nothing needs to be done about the silence; nil: ever.
  ///
  /// While a reply is awaited there is none: a blocked pop is no silence.
  func silenceLeft(at now: Instant) -> Duration? {
    guard let keepAliveInterval, failure == nil else { return nil }
    return pending.isEmpty
      ? max(.zero, keepAliveInterval - usedAt.duration(to: now)) : keepAliveInterval
  }

  /// Whether a subscription's PING has brought nothing: nobody waits for its answer else.
  func isDeaf(at now: Instant) -> Bool {
    guard let keepAliveInterval, isSubscribed else { return false }
    return heardAt.duration(to: now) >= keepAliveInterval + Self.longestAnswer
  }

  /// Whether the silence has to be broken now.
  func isTooSilent(at now: Instant) -> Bool {
    guard let keepAliveInterval, failure == nil else { return false }
    return pending.isEmpty && usedAt.duration(to: now) >= keepAliveInterval
  }
}
