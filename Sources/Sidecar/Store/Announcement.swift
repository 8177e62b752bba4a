package import TokenCore

/// Announcements as messages of the channel that all replicas listen to.
extension Announcement {
  /// No limit holds a report up for longer than a day, in milliseconds.
  private static let longestWait: Int64 = 86_400_000

  /// Reads a message of the channel; nil for anything else.
  package init?(_ message: [UInt8]) {
    guard let message = WireMessage(message) else { return nil }
    let account = message.account.flatMap { CredentialID($0) }
    switch (message.event, account, message.retryAfter) {
    case ("token", let account?, _): self = .tokenChanged(account)
    case ("leader", _, _): self = .leadershipChanged
    case ("limited", let account?, let wait?) where (0...Self.longestWait).contains(wait):
      self = .limited(account, .milliseconds(wait))
    default: return nil
    }
  }

  /// The message that says it; nil for what only scripts say.
  package var text: String? {
    guard case .limited(let account, let wait) = self else { return nil }
    return "{\"event\":\"limited\",\"account\":\"\(account)\","
      + "\"retry_after_ms\":\(wait.wholeMilliseconds)}"
  }

  /// The keeper's event; nil for what it need not know.
  package var event: Keeper.Event? {
    switch self {
    case .tokenChanged(let account): .hinted(account)
    case .leadershipChanged: .leadershipHinted
    case .limited: nil
    }
  }
}
