/// How many of an account's fetches those may cause who say that its token is dead.
///
/// Limits delay, they never drop: what meets one is remembered, once an account, and served when
/// the limit allows (TokenCore.md#when-something-fails). Scheduled refreshes are never held up by
/// them.
package struct ReportLedger: Hashable, Sendable {
  /// What an account's kind of token allows.
  package struct Limits: Hashable, Sendable {
    /// Between two fetches caused by reports.
    package var spacing: Duration
    /// So many of them.
    package var count: Int
    /// … in so long.
    package var window: Duration

    /// `token`: each costs one of the day's calls, and kills the token before.
    package static let token = Limits(spacing: .seconds(30), count: 20, window: .seconds(3600))
    /// `stable_token`: WeChat forces 20 times a day, 30 s apart (WeChat.md#habits).
    package static let stableToken = Limits(
      spacing: .seconds(30), count: 20, window: .seconds(86_400))
  }

  /// A fetch that was asked for and is not begun.
  package struct Asked: Hashable, Sendable {
    package let trigger: Trigger
    package internal(set) var notBefore: Moment
    /// Whether it waits because WeChat refused it.
    var isRefused = false
  }

  package private(set) var asked: Asked?
  /// When fetches for reports began, the newest last; as many as a window may hold.
  private(set) var begun: [Moment] = []
  private let limits: Limits

  /// While the day's budget is used up, it is looked at again this often.
  ///
  /// It is counted by days that end at WeChat's midnight, which no clock here knows. One fetch in
  /// so long is let through all the same, since limits delay and never drop: at most 96 a day, out
  /// of the half that the budget leaves.
  package static let budgetWait: Duration = .seconds(900)

  package init(limits: Limits) { self.limits = limits }

  /// Takes a request; returns when it may be served, which is now unless a limit is met.
  package mutating func ask(_ trigger: Trigger, at now: Moment, hasBudget: Bool) -> Moment {
    if let asked { return asked.notBefore }
    let notBefore = hasBudget ? earliest(at: now) : max(earliest(at: now), now + Self.budgetWait)
    asked = Asked(trigger: trigger, notBefore: notBefore)
    return notBefore
  }

  /// WeChat refused the fetch that was asked for: it is asked for again then.
  package mutating func hold(_ trigger: Trigger, until moment: Moment) {
    asked = Asked(trigger: trigger, notBefore: moment, isRefused: true)
  }

  /// Somebody insists on what a refusal holds up: the limits of reports hold all the same.
  package mutating func insist(notBefore moment: Moment, at now: Moment) {
    guard var asked, asked.isRefused else { return }
    asked.notBefore = min(asked.notBefore, max(moment, earliest(at: now)))
    self.asked = asked
  }

  /// A fetch begins, and counts when it was begun for what was asked.
  ///
  /// It serves the request when it brings another token.
  package mutating func began(for trigger: Trigger, bringsAnother: Bool, at now: Moment) {
    switch trigger {
    case .report, .force, .probe:
      begun.append(now)
      if begun.count > limits.count { begun.removeFirst() }
    case .schedule, .start, .takeover, .doubt: break
    }
    if bringsAnother { asked = nil }
  }

  /// The token changed: what was said of the old one is settled.
  package mutating func settled() { asked = nil }

  private func earliest(at now: Moment) -> Moment {
    var earliest = now
    if let last = begun.last { earliest = max(earliest, last + limits.spacing) }
    if begun.count == limits.count, let first = begun.first {
      earliest = max(earliest, first + limits.window)
    }
    return earliest
  }
}

/// What became of a request to refresh; the label `outcome` of the metrics.
package enum ReportOutcome: Hashable, Sendable {
  /// A fetch will be made for it at once.
  case accepted
  /// The token that it is about is not the current one.
  case notCurrent
  /// A fetch that is under way or asked for serves it, too.
  case coalesced
  /// A limit holds it up; it is kept, and served after this.
  case limited(Duration)
}

/// How the leader proves that the token lives, though nobody complains (TokenCore.md#what-is-not).
package struct Prober: Hashable, Sendable {
  /// What is known of the token.
  package enum State: Hashable, Sendable {
    /// To be asked at a time.
    case due(Moment)
    case asking(Version, at: Moment)
    /// WeChat refused it once, which is no proof: it is asked again.
    case doubted(Version, askAgainAt: Moment)
    case askingAgain(Version, at: Moment)
  }

  package internal(set) var state: State
  /// How often; nil for never.
  let interval: Duration?

  /// Replication at WeChat is not instant: one refusal is asked about again after this.
  package static let doubt: Duration = .seconds(5)

  /// Without an answer for so long, none will come.
  private let patience: Duration

  init(interval: Duration?, patience: Duration) {
    self.interval = interval
    self.patience = patience
    state = .due(.origin + (interval ?? .zero))
  }

  var nextWake: Moment? {
    guard interval != nil else { return nil }
    return switch state {
    case .due(let moment), .doubted(_, let moment): moment
    case .asking(_, let moment), .askingAgain(_, let moment): moment + patience
    }
  }

  /// Starts anew: the token was just fetched, or its keeper just began to lead.
  mutating func restart(at now: Moment) { state = .due(now + (interval ?? .zero)) }

  /// Whether the token is to be asked about now; then it counts as being asked.
  mutating func ask(about version: Version, at now: Moment) -> Bool {
    guard interval != nil else { return false }
    switch state {
    case .due(let moment) where moment <= now:
      state = .asking(version, at: now)
      return true
    case .doubted(version, let moment) where moment <= now:
      state = .askingAgain(version, at: now)
      return true
    case .asking(_, let moment) where moment + patience <= now,
      .askingAgain(_, let moment) where moment + patience <= now:
      restart(at: now)
      return false
    case .doubted(let doubted, _) where doubted != version:
      restart(at: now)
      return false
    case .due, .doubted, .asking, .askingAgain: return false
    }
  }

  /// Takes an answer; true when the token is proved dead.
  mutating func answered(_ version: Version, isDead: Bool, at now: Moment) -> Bool {
    switch state {
    case .asking(version, _) where isDead:
      state = .doubted(version, askAgainAt: now + Prober.doubt)
      return false
    case .askingAgain(version, _) where isDead:
      restart(at: now)
      return true
    case .asking, .askingAgain:
      restart(at: now)
      return false
    case .due, .doubted: return false
    }
  }
}
