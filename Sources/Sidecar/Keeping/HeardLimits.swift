import Synchronization
import TokenCore

/// What the leader said of the reports that it holds up, as another replica heard it.
///
/// With it a follower answers at once what it would otherwise learn by waiting in vain. What was
/// said in its absence it does not know: it waits then.
final class HeardLimits: Sendable {
  /// Protects what the subscription writes and the HTTP interface reads.
  private let until = Mutex<[CredentialID: Moment]>([:])

  /// Takes what was said on the channel, in its order.
  func hear(_ announcement: Announcement, at now: Moment) {
    until.withLock { until in
      switch announcement {
      case .limited(let account, let wait): until[account] = now + wait
      case .tokenChanged(let account): until[account] = nil
      // Another leader has limits of its own.
      case .leadershipChanged: until.removeAll()
      }
    }
  }

  /// How long the account's reports are held up yet; nil when nothing is known.
  func wait(_ account: CredentialID, at now: Moment) -> Duration? {
    until.withLock { $0[account] }.flatMap { $0 > now ? $0 - now : nil }
  }
}
