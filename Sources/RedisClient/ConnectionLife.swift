/// Decides for a connection that is kept: when one is opened, used, given up and opened again.
///
/// It reads no clock and draws no lots: both are handed to it.
struct ConnectionLife: Hashable, Sendable {
  typealias Instant = ContinuousClock.Instant

  enum State: Hashable, Sendable {
    /// Nobody has asked for a connection. Then: connecting, stopped.
    case idle
    /// One is being opened. Then: handshaking, resting, stopped.
    case connecting
    /// It stands, and the handshake lacks replies. Then: greeted, connecting, resting, stopped.
    case handshaking
    /// The handshake has passed, and whether this server is wanted is not known yet; it may have
    /// ended meanwhile. Then: ready, connecting, resting, stopped.
    case greeted(RedisServerInfo, ended: RedisFailure?)
    /// It is in use. Then: connecting, resting, closing.
    case ready(since: Instant)
    /// It is about to end, and no other follows. Then: stopped.
    case closing
    /// There is none until the next attempt. Then: connecting, stopped.
    case resting
    /// There never will be one again.
    case stopped
  }

  /// What has happened.
  enum Event: Hashable, Sendable {
    case started
    case opened
    case openingFailed(RedisFailure)
    /// The handshake has had its time; with the words for it.
    case handshakeTimePassed(RedisFailure)
    case handshakePassed(RedisServerInfo)
    case handshakeFailed(RedisFailure)
    /// It is tried with another handshake, at once.
    case handshakeChanged(RedisFailure)
    /// Why the server is not wanted, if it is not.
    case judged(objection: RedisFailure?)
    /// The connection has ended after its handshake.
    case ended(RedisFailure)
    /// Its user wants another one.
    case unwanted(RedisFailure)
    /// The server that takes writes is another one by now; with the words for it.
    case primaryMoved(RedisFailure)
    case restPassed
    case stopped
  }

  /// What is to be done.
  enum Action: Hashable, Sendable {
    /// Opens a connection, and says `opened` or `openingFailed`.
    case open
    /// Sends the first commands, and sees to it that they have their time and no more.
    case shakeHands
    /// Asks whether the server is wanted, once all is read that came with its replies.
    case judge(RedisServerInfo)
    /// Tells the user; `connected` is when the connection may be used.
    case tell(ConnectionEvent)
    /// Ends the connection if there is one, and whatever was to happen after some time.
    case close(RedisFailure)
    /// Says `restPassed` after so long.
    case rest(Duration)
  }

  private(set) var state: State = .idle
  private var backoff: Backoff
  /// Whether one that ended before it was used is told as connected, and then as lost.
  private let tellsOfUnused: Bool

  init(backoff: Backoff, tellsOfUnused: Bool = false) {
    self.backoff = backoff
    self.tellsOfUnused = tellsOfUnused
  }

  /// Takes in what has happened, and says what to do about it, in order.
  mutating func handle(
    _ event: Event, at now: Instant, using generator: inout some RandomNumberGenerator
  ) -> [Action] {
    switch event {
    case .started: started()
    case .opened: opened()
    case .openingFailed(let failure): state == .connecting ? retry(failure, &generator) : []
    case .handshakeTimePassed(let failure): state == .handshaking ? [.close(failure)] : []
    case .handshakePassed(let server): handshakePassed(server)
    case .handshakeFailed(let failure): state == .handshaking ? retry(failure, &generator) : []
    case .handshakeChanged(let failure): handshakeChanged(failure)
    case .judged(let objection): judged(objection, now, &generator)
    case .ended(let failure): ended(failure, now, &generator)
    case .unwanted(let failure): if case .ready = state { [.close(failure)] } else { [] }
    case .primaryMoved(let failure): primaryMoved(failure, &generator)
    case .restPassed: restPassed()
    case .stopped: stopped()
    }
  }

  private mutating func started() -> [Action] {
    guard state == .idle else { return [] }
    state = .connecting
    return [.open]
  }

  private mutating func opened() -> [Action] {
    switch state {
    case .connecting:
      state = .handshaking
      return [.shakeHands]
    // Nobody wants it any more.
    case .stopped: return [.close(.stopped)]
    case .idle, .handshaking, .greeted, .ready, .closing, .resting: return []
    }
  }

  private mutating func handshakePassed(_ server: RedisServerInfo) -> [Action] {
    guard state == .handshaking else { return [] }
    state = .greeted(server, ended: nil)
    return [.judge(server)]
  }

  private mutating func handshakeChanged(_ failure: RedisFailure) -> [Action] {
    guard state == .handshaking else { return [] }
    state = .connecting
    return [.close(failure), .tell(.connectFailed(failure)), .open]
  }

  private mutating func judged(
    _ objection: RedisFailure?, _ now: Instant, _ generator: inout some RandomNumberGenerator
  ) -> [Action] {
    guard case .greeted(let server, let ended) = state else { return [] }
    if let objection { return retry(objection, &generator) }
    if let ended {
      guard tellsOfUnused else { return retry(ended, &generator) }
      return [
        .tell(.connected(server)), .tell(.disconnected(ended)), next(after: ended, &generator),
      ]
    }
    state = .ready(since: now)
    return [.tell(.connected(server))]
  }

  private mutating func ended(
    _ failure: RedisFailure, _ now: Instant, _ generator: inout some RandomNumberGenerator
  ) -> [Action] {
    switch state {
    case .greeted(let server, nil):
      state = .greeted(server, ended: failure)
      return []
    case .ready(let start):
      // A server that accepts and drops at once must not be met every 50 ms.
      if start.duration(to: now) >= backoff.cap { backoff.reset() }
      return [.tell(.disconnected(failure)), next(after: failure, &generator)]
    case .closing:
      state = .stopped
      return [.tell(.disconnected(failure))]
    case .idle, .connecting, .handshaking, .greeted, .resting, .stopped: return []
    }
  }

  /// What ends a connection to the former primary comes of it: the next attempt asks where to go.
  private mutating func primaryMoved(
    _ failure: RedisFailure, _ generator: inout some RandomNumberGenerator
  ) -> [Action] {
    switch state {
    case .ready: return [.close(failure)]
    case .handshaking, .greeted: return retry(failure, &generator)
    case .resting: return restPassed()
    // One that is being opened ends by itself then.
    case .idle, .connecting, .closing, .stopped: return []
    }
  }

  private mutating func restPassed() -> [Action] {
    guard state == .resting else { return [] }
    state = .connecting
    return [.open]
  }

  private mutating func stopped() -> [Action] {
    switch state {
    case .closing, .stopped: return []
    case .ready: state = .closing
    case .idle, .connecting, .handshaking, .greeted, .resting: state = .stopped
    }
    return [.close(.stopped)]
  }

  /// Counts an attempt as failed.
  private mutating func retry(
    _ failure: RedisFailure, _ generator: inout some RandomNumberGenerator
  ) -> [Action] {
    [.close(failure), .tell(.connectFailed(failure)), next(after: failure, &generator)]
  }

  /// Rests before the next attempt, unless it is known to lead elsewhere.
  private mutating func next(
    after failure: RedisFailure, _ generator: inout some RandomNumberGenerator
  ) -> Action {
    if case .primaryMoved = failure {
      state = .connecting
      return .open
    }
    state = .resting
    if failure.needsOperator { backoff.jumpToCap() }
    let delay = backoff.delay(using: &generator)
    switch failure {
    // A fail-over has been met half-way; what ends it comes in a moment.
    case .notPrimary:
      return .rest(max(delay, Self.halfWay + Self.spread(Self.halfWay / 2, &generator)))
    // All who met the former primary met it at once, and would meet the next one so.
    case .readOnly:
      return .rest(min(backoff.cap, delay + Self.spread(Self.longestSpread, &generator)))
    // Whoever listens hears the same until somebody has changed the server, and does without.
    case .refused(command: "SUBSCRIBE", _), .hungUp(commands: "SUBSCRIBE"):
      return .rest(Self.untilChanged - Self.spread(Self.untilChanged / 10, &generator))
    default: return .rest(delay)
    }
  }

  private static let untilChanged: Duration = .seconds(60)
  private static let halfWay: Duration = .milliseconds(200)
  private static let longestSpread: Duration = .milliseconds(200)

  private static func spread(
    _ most: Duration, _ generator: inout some RandomNumberGenerator
  ) -> Duration {
    // As `Backoff` draws, since this must end with any generator.
    most * (Double(generator.next() >> 11) / Double(1 << 53))
  }
}
