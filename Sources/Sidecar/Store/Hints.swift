import FoundationEssentials
package import TokenCore

/// What other programs tell this one through Redis.
package enum Hint: Hashable, Sendable {
  /// An account's token changed.
  case tokenChanged(AccountName)
  /// The lock changed hands, or was given back.
  case leadershipChanged
  /// The leader holds a report of the account's token up for so long.
  case limited(AccountName, Duration)
  /// Look again: something was marked.
  case wake(AccountName?)
  /// An application says that this token does not work.
  case rejected(AccessToken)
  /// An application says that the token with this SHA-256 does not work (64 hexadecimal digits).
  case rejectedDigest(String)
  /// A person wants a new token.
  case force(AccountName)

  private struct Message: Decodable {
    var event: String?
    var account: String?
    var wake: Bool?
    var sha256: String?
    var force: Bool?
    var retryAfter: Int64?

    private enum CodingKeys: String, CodingKey {
      case event, account, wake, sha256, force
      case retryAfter = "retry_after_ms"
    }
  }

  /// No limit holds a report up for longer than a day, in milliseconds.
  private static let longestWait: Int64 = 86_400_000

  /// Longer items are none of ours: WeChat's tokens are below 512 characters.
  package static let longest = 2048

  /// Reads a message of `WCH_events`; nil for anything else.
  package init?(event bytes: [UInt8]) {
    guard let message = Hint.message(bytes) else { return nil }
    switch message.event {
    case "token":
      guard let account = message.account.flatMap(Hint.account) else { return nil }
      self = .tokenChanged(account)
    case "leader": self = .leadershipChanged
    case "limited":
      guard let account = message.account.flatMap(Hint.account), let wait = message.retryAfter,
        (0...Hint.longestWait).contains(wait)
      else { return nil }
      self = .limited(account, .milliseconds(wait))
    default: return nil
    }
  }

  /// Reads an item of `WCH_refresh_requests`: a token, or an object; nil for anything else.
  ///
  /// Either may stand between blanks and line ends, or be what an SDK's serializer made of it.
  package init?(report item: [UInt8]) {
    guard item.count <= Hint.longest else { return nil }
    let item = SerializedText.trimmed(item[...])
    let bytes = SerializedText.unwrapped(item).map { SerializedText.trimmed($0[...]) } ?? item
    guard bytes.first == UInt8(ascii: "{") else {
      guard (1...Hint.longest).contains(bytes.count),
        bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
      else { return nil }
      self = .rejected(AccessToken(String(decoding: bytes, as: UTF8.self)))
      return
    }
    guard let message = Hint.message(bytes) else { return nil }
    if message.wake == true {
      self = .wake(message.account.flatMap { Hint.account($0) })
    } else if let digest = message.sha256 {
      guard digest.utf8.count == 64 else { return nil }
      self = .rejectedDigest(digest.lowercased())
    } else if message.force == true {
      guard let account = Hint.account(message.account ?? AccountName.unnamed.description) else {
        return nil
      }
      self = .force(account)
    } else {
      return nil
    }
  }

  /// The item for the list that says the same; nil for what is not said there.
  package var item: String? {
    switch self {
    case .wake(nil): "{\"wake\":true}"
    case .wake(let account?): "{\"wake\":true,\"account\":\"\(account)\"}"
    case .rejected(let token): token.revealed
    case .rejectedDigest(let digest): "{\"sha256\":\"\(digest)\"}"
    case .force(let account): "{\"force\":true,\"account\":\"\(account)\"}"
    case .tokenChanged, .leadershipChanged, .limited: nil
    }
  }

  /// The message for the channel that says the same; nil for what only scripts say there.
  package var event: String? {
    guard case .limited(let account, let wait) = self else { return nil }
    return "{\"event\":\"limited\",\"account\":\"\(account)\","
      + "\"retry_after_ms\":\(wait.wholeMilliseconds)}"
  }

  /// A report as it goes back to the list.
  package init(_ report: Report) {
    switch report {
    case .rejected(let token): self = .rejected(token)
    case .rejectedDigest(let digest): self = .rejectedDigest(digest)
    case .force(let account): self = .force(account)
    }
  }

  /// The keeper's event; nil when the hint is about nothing that the keeper has.
  ///
  /// A digest is resolved to the token of one of the keeper's accounts.
  package func event(for keeper: KeeperView, at now: Moment) -> Keeper.Event? {
    switch self {
    case .tokenChanged(let account): return .hinted(account)
    case .leadershipChanged: return .leadershipHinted
    case .limited: return nil
    case .wake(let account): return .hinted(account)
    case .rejected(let token): return .reported(.rejected(token))
    case .force(let account):
      guard keeper[account] != nil else { return nil }
      return .reported(.force(account))
    case .rejectedDigest(let digest):
      let token = keeper.accounts.lazy.compactMap {
        $0.freshest(at: now, nobodyFetches: true)?.token
      }
      .first { TokenStore.fullDigest($0.revealed) == digest }
      // A replica that no longer leads gives it back: the leader may have the token.
      return .reported(token.map { .rejected($0) } ?? .rejectedDigest(digest))
    }
  }

  private static func message(_ bytes: [UInt8]) -> Message? {
    guard bytes.count <= longest else { return nil }
    return try? JSONDecoder().decode(Message.self, from: Data(bytes))
  }

  private static func account(_ name: String) -> AccountName? {
    name == AccountName.unnamed.description ? .unnamed : AccountName(name)
  }
}
