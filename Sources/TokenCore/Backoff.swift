/// How long to wait after a failed fetch (WeChat.md#answers-by-class).
package enum Backoff {
  /// After so many failures of the transport in a row another replica is let try.
  package static let transportFailuresBeforeAbdication = 4
  /// Waits double up to this.
  package static let longest: Duration = .seconds(30)
  /// No wait is cut below this, however little the token has left.
  package static let shortest: Duration = .milliseconds(500)
  /// Between two attempts at what only people can mend.
  package static let operatorWait: Duration = .seconds(300)
  /// Between two attempts when the day's quota is used up: when it is reset is not documented.
  package static let quotaWait: Duration = .seconds(900)
  /// 45011 counts by the minute.
  package static let rateWait: Duration = .seconds(60)

  /// Between two attempts at these when somebody insists: who mends something tries more than once.
  package static let insistence: Duration = .seconds(5)

  /// Between two attempts without an answer, each of which may cost one of the day's calls, once
  /// those who ask have used theirs up.
  package static let thriftyWait: Duration = .seconds(300)

  static func wait(
    after failure: FetchFailure, isUnknown: Bool, inARow: Int, remaining: Duration?,
    hasBudget: Bool, using generator: inout any RandomNumberGenerator & Sendable
  ) -> Duration {
    if failure.retriesSoon { return shortest }
    switch failure.category {
    case .operator, .configuration: return failure.holdOff ?? operatorWait
    case .quota: return quotaWait
    case .rate: return rateWait
    case .transient: break
    }
    if isUnknown, !hasBudget { return thriftyWait }
    let first: Duration = isUnknown ? .seconds(1) : .milliseconds(500)
    var wait = jittered(min(longest, first * (1 << min(max(inARow, 1) - 1, 6))), using: &generator)
    if let remaining, remaining > .zero { wait = min(wait, remaining / 4) }
    return max(wait, isUnknown ? max(shortest, Timing.fetchSpacing) : shortest)
  }
}
