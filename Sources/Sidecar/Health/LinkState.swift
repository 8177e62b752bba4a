import RedisClient
import TokenCore

/// One of this replica's connections to Redis.
package enum RedisLink: String, Hashable, Sendable, CaseIterable {
  /// The protocol's steps, and whatever else is asked.
  case commands
  /// Listens to what replicas say to each other.
  case events
  /// Waits for applications' reports; only the leader has it.
  case reports

  /// What it is called on the status page.
  var name: Words {
    switch self {
    case .commands: Words("Commands", "命令连接")
    case .events: Words("Events", "事件连接")
    case .reports: Words("Reports", "上报连接")
    }
  }
}

/// What is known of one connection: unwanted → away ⇄ connected.
package struct LinkState: Hashable, Sendable {
  /// Whether there should be one: a replica that does not lead waits for no reports.
  package private(set) var isWanted: Bool
  package private(set) var isConnected = false
  /// Since when it is what it is, by the wall clock, for people; nil while it is not wanted.
  package private(set) var since: Timestamp?
  /// The `run_id` of the server that it leads to, or led to last; nil when that tells none.
  package private(set) var runID: String?
  /// What went wrong last, without secrets.
  package private(set) var lastError: String?
  /// The same, as far as it was met while connecting or connected.
  private(set) var lastFailure: RedisFailure?
  /// How often it was made anew.
  package private(set) var reconnects: Int64 = 0
  /// Whether it was connected since it is wanted.
  private(set) var wasConnected = false
  /// Since when it is what it is, by a clock that nobody sets.
  private(set) var changedAt: ContinuousClock.Instant
  /// Why Redis does not do there what the connection is for, as of the last try.
  var refusal: RedisFailure?

  package init(
    isWanted: Bool, at now: ContinuousClock.Instant = .now, since: Timestamp = .now
  ) {
    self.isWanted = isWanted
    changedAt = now
    self.since = isWanted ? since : nil
  }

  /// Wanted from now on, or no longer.
  mutating func want(_ isWanted: Bool, at now: ContinuousClock.Instant = .now) {
    let reconnects = reconnects
    self = LinkState(isWanted: isWanted, at: now)
    self.reconnects = reconnects
  }

  /// How long it was what it no longer is.
  mutating func connected(
    to server: RedisServerInfo, at now: ContinuousClock.Instant = .now
  ) -> Duration {
    if wasConnected { reconnects += 1 }
    wasConnected = true
    runID = server.runID
    return change(isConnected: true, at: now)
  }

  mutating func disconnected(
    _ failure: RedisFailure, at now: ContinuousClock.Instant = .now
  ) {
    lastError = "\(failure)"
    lastFailure = failure
    _ = change(isConnected: false, at: now)
  }

  /// - Parameter doubt: why that may be, as far as it can be seen on the settings.
  mutating func connectFailed(_ failure: RedisFailure, doubt: String? = nil) {
    lastError = doubt.map { "\(failure); \($0)" } ?? "\(failure)"
    lastFailure = failure
  }

  /// Remembers why it is of no use, or that it is of use again.
  mutating func refused(_ refusal: RedisFailure?) {
    self.refusal = refusal
    if let refusal { lastError = "\(refusal)" }
  }

  /// Whether what the connection is for must be done in another way.
  var isOfNoUse: Bool { isWanted && (!isConnected || refusal != nil) }

  /// Whether the server does not have the command that it is for.
  var lacksCommand: Bool { (refusal ?? lastFailure)?.lacksCommand ?? false }

  /// Whether it leads to another server than the one that is known by this run id.
  func isStranger(to runID: String?) -> Bool {
    guard isConnected, let own = self.runID, let runID else { return false }
    return own != runID
  }

  private mutating func change(isConnected: Bool, at now: ContinuousClock.Instant) -> Duration {
    defer {
      self.isConnected = isConnected
      changedAt = now
      since = .now
    }
    return changedAt.duration(to: now)
  }
}

/// What is known of a server that closes connections for their silence, and what helps.
///
/// Redis does so with `timeout`, some proxies too. One such end may be chance; two in a row, after
/// about the same silence, are a habit.
struct IdleTimeout: Sendable {
  /// How often a silence is broken; nil while there is no need.
  private(set) var interval: Duration?
  private var last: (silence: Duration, at: ContinuousClock.Instant)?

  /// No silence is broken more often.
  static let shortest: Duration = .milliseconds(400)
  /// Redis looks at its clients once a second, and reckons in whole seconds: it closes up to two
  /// seconds later than it was told to.
  private static let slack: Duration = .seconds(2)
  /// The next such end follows within a few more silences, or is another chance.
  private static let memory: Duration = .seconds(10)

  /// Takes such an end, and the timeout that the server tells; one that is zero, or longer than the
  /// silence was, is not what ended it.
  mutating func met(after silence: Duration, timeout: Duration) {
    guard timeout > .zero, silence + .milliseconds(100) >= timeout else { return last = nil }
    shorten(to: timeout / 2)
  }

  /// Takes such an end of which the server does not say whether it was a habit.
  mutating func met(after silence: Duration, at now: ContinuousClock.Instant = .now) {
    defer { last = (silence, now) }
    guard let last, abs((last.silence - silence).inSeconds) <= 2,
      last.at.duration(to: now) <= silence * 4 + Self.memory
    else { return }
    shorten(to: (silence - Self.slack) / 2)
  }

  /// Also when it was broken often enough, as one thought: then more often from now on.
  private mutating func shorten(to wanted: Duration) {
    interval = max(Self.shortest, min(wanted, interval.map { $0 / 2 } ?? wanted))
  }
}

extension RedisFailure {
  /// Whether nothing that a user is granted changes it.
  var lacksCommand: Bool {
    switch self {
    case .refused(_, let refusal): refusal.kind == .unknownCommand
    case .hungUp: true
    default: false
    }
  }

  /// What people are told when Redis is away because of it.
  var condition: Condition.Kind {
    switch self {
    case .notConnected(let failure?), .node(_, let failure): failure.condition
    case .authenticationFailed: .redisLogin
    case .readOnly: .redisWrites
    case .noSentinel, .primaryUnknown, .sentinelsDisagree, .sentinelsBehind: .primaryUnknown
    case .slotUnserved: .slotsUnserved
    case .refused(_, let error) where error.kind == .noPermission: .redisPermission
    case .notConnected(nil), .deadlinePassed, .cancelled, .stopped, .tooManyInFlight,
      .commandRefused, .notResolved, .lookUpTimedOut, .unreachable, .connectTimedOut, .tls,
      .handshakeTimedOut, .notReady, .refused, .refusedByServer, .connectionLost,
      .closedWhenSilent, .hungUp, .unwanted, .badReply, .unmatchedReply, .unresponsive, .notPrimary,
      .primaryMoved, .noClusterNode, .notClustered, .nodeLeft:
      .redisAway
    }
  }
}
