/// What differs between credentials, as their keepers see it (TokenCore.md#credentials).
package struct Credential: Hashable, Sendable {
  /// What a fetch does at WeChat.
  package enum Fetch: Hashable, Sendable {
    /// It makes another token, and the one before it dies after `Timing.grace` (`token`).
    case renews
    /// It brings the token that WeChat has, unless it is forced to make another (`stable_token`).
    case renewsWhenForced
    /// It brings what WeChat has, again and again with a whole life: nothing dies of it.
    case reads(Polling)
  }

  /// How something is kept whose answers repeat, with a life that does not count down: the life
  /// counts from when the value was first seen, and the value is asked for again and again.
  package struct Polling: Hashable, Sendable {
    /// Between two polls, while the end is far.
    package var interval: Duration
    /// What WeChat has just handed out is alive: so long it is stated to live at least.
    package var least: Duration
    /// How much longer than its own life a value is left where it was published: WeChat lets an old
    /// ticket live on.
    package var overtime: Duration
    /// How much earlier than the end of all that clients stop trusting it.
    package var clientMargin: Duration

    /// Between two polls near the end.
    static let soon: Duration = .seconds(60)
    /// Near it is less than this before the end of the life that counts from the first sight.
    static let near: Duration = .seconds(600)
    /// And so long after it, if it comes and goes without another value.
    static let past: Duration = .seconds(300)

    /// Tickets: a poll may be missed, and clients trust one until the next poll at least.
    package static let ticket = Polling(
      interval: .seconds(1200), least: .seconds(2400), overtime: .seconds(1080),
      clientMargin: .seconds(1200))
    /// WeCom's tokens, which end when their life does.
    package static let weComToken = Polling(
      interval: .seconds(1200), least: .seconds(120), overtime: .zero,
      clientMargin: .seconds(120))

    /// How long after a poll the next one is due.
    ///
    /// - Parameters:
    ///   - left: what the poll left of the life that counts from the first sight.
    ///   - stated: what it left of the stated life: the next poll comes in its first half.
    func wait(left: Duration, stated: Duration) -> Duration {
      let isNear = left < Self.near && left > .zero - Self.past
      return max(Self.soon, isNear ? Self.soon : min(interval, stated / 2))
    }
  }

  package var fetch = Fetch.renews
  /// The credential that it is fetched with; nil where that is the AppID and its secret.
  package var source: CredentialID?
  /// How often the token is proved alive; nil for never.
  package var probe: Duration?
  /// How many fetches a day may be made for reports, together with all others; nil for a half of
  /// what WeChat says that it allows, or of 2000.
  package var dailyBudget: Int?
  /// What is published beside the two keys that every credential has.
  package var otherOutputs: [Output] = []

  package init() {}

  /// WeChat's own limit for accounts that do not tell theirs (WeChat.md#habits).
  package static let assumedDailyLimit = 2000

  /// Whether an answer may bring a token that was handed out before, so that a dead one needs a
  /// forced fetch.
  package var repeats: Bool { fetch != .renews }

  /// How it is polled; nil of what is fetched by its end.
  var polling: Polling? { if case .reads(let polling) = fetch { polling } else { nil } }

  /// Whether a fetch can kill it: nothing else gives rise to a doubt.
  var isMortal: Bool { polling == nil }

  /// Whether a fetch with this trigger makes another token, and kills the one before it.
  func renews(_ trigger: Trigger) -> Bool {
    switch fetch {
    case .renews: true
    case .renewsWhenForced: trigger.needsAnotherToken
    case .reads: false
    }
  }

  /// Whether a fetch with this trigger answers whoever reports the token that was there before.
  func answersReports(_ trigger: Trigger) -> Bool { renews(trigger) || !isMortal }

  /// Whether a fetch with this trigger must be told to make another token.
  func isForced(_ trigger: Trigger) -> Bool {
    fetch == .renewsWhenForced && trigger.needsAnotherToken
  }

  /// The margins that its expiry is published with.
  func margins(_ margins: Margins) -> Margins {
    guard let polling else { return margins }
    var own = margins
    own.clientExpiresBefore = polling.clientMargin
    return own
  }
}
