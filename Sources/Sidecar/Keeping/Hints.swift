import FoundationEssentials
package import TokenCore

/// What other programs tell the keeper through Redis: hints, never the truth.
package enum Hint: Hashable, Sendable {
  /// An account's token changed.
  case tokenChanged(AccountName)
  /// The lock changed hands, or was given back.
  case leadershipChanged
  /// Look again: something was marked.
  case wake

  private struct Message: Decodable {
    var event: String?
    var account: String?
    var wake: Bool?
  }

  /// Longer messages are none of ours.
  private static let longest = 2048

  /// Reads a message of `WCH_events` or an item of `WCH_refresh_requests`; nil for anything else.
  package init?(_ bytes: [UInt8]) {
    guard bytes.count <= Hint.longest,
      let message = try? JSONDecoder().decode(Message.self, from: Data(bytes))
    else { return nil }
    switch (message.event, message.account) {
    case ("token", let name?):
      if name == AccountName.unnamed.description {
        self = .tokenChanged(.unnamed)
      } else if let account = AccountName(name) {
        self = .tokenChanged(account)
      } else {
        return nil
      }
    case ("leader", _): self = .leadershipChanged
    default:
      guard message.wake == true else { return nil }
      self = .wake
    }
  }

  /// The keeper's event.
  package var event: Keeper.Event {
    switch self {
    case .tokenChanged(let account): .hinted(account)
    case .leadershipChanged: .leadershipHinted
    case .wake: .hinted(nil)
    }
  }
}
