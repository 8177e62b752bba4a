/// What differs between credentials, as their keepers see it (TokenCore.md#credentials).
package struct Credential: Hashable, Sendable {
  /// What a fetch does at WeChat.
  package enum Fetch: Hashable, Sendable {
    /// It makes another token, and the one before it dies after `Timing.grace` (`token`).
    case renews
    /// It brings the token that WeChat has, unless it is forced to make another (`stable_token`).
    case renewsWhenForced
  }

  package var fetch = Fetch.renews
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

  /// Whether a fetch with this trigger makes another token, and kills the one before it.
  func renews(_ trigger: Trigger) -> Bool {
    switch fetch {
    case .renews: true
    case .renewsWhenForced: trigger.needsAnotherToken
    }
  }
}
