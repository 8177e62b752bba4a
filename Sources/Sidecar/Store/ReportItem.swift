import FoundationEssentials
package import TokenCore

/// What other programs put on the list that the leader reads.
package enum ReportItem: Hashable, Sendable {
  /// Look again: something was marked.
  case wake(CredentialID?)
  /// An application says that this token does not work.
  case rejected(AccessToken)
  /// An application says that the token with this SHA-256 does not work (64 hexadecimal digits).
  case rejectedDigest(String)
  /// A person wants a new token.
  case force(CredentialID)

  /// Longer items are none of ours: WeChat's tokens are below 512 characters.
  package static let longest = 2048

  /// Reads an item: a token, or an object; nil for anything else.
  ///
  /// Either may stand between blanks and line ends, or be what an SDK's serializer made of it.
  package init?(_ item: [UInt8]) {
    guard item.count <= Self.longest else { return nil }
    let item = SerializedText.trimmed(item[...])
    let bytes = SerializedText.unwrapped(item).map { SerializedText.trimmed($0[...]) } ?? item
    guard bytes.first == UInt8(ascii: "{") else {
      guard (1...Self.longest).contains(bytes.count),
        bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
      else { return nil }
      self = .rejected(AccessToken(String(decoding: bytes, as: UTF8.self)))
      return
    }
    guard let message = WireMessage(bytes) else { return nil }
    if message.wake == true {
      self = .wake(message.account.flatMap { CredentialID($0) })
    } else if let digest = message.sha256 {
      guard digest.utf8.count == 64 else { return nil }
      self = .rejectedDigest(digest.lowercased())
    } else if message.force == true {
      guard let account = CredentialID(message.account ?? CredentialID.unnamed.description)
      else { return nil }
      self = .force(account)
    } else {
      return nil
    }
  }

  /// A report as it goes back to the list.
  package init(_ report: Report) {
    switch report {
    case .rejected(let token): self = .rejected(token)
    case .rejectedDigest(let digest): self = .rejectedDigest(digest)
    case .force(let account): self = .force(account)
    }
  }

  /// The item that says it.
  package var text: String {
    switch self {
    case .wake(nil): "{\"wake\":true}"
    case .wake(let account?): "{\"wake\":true,\"account\":\"\(account)\"}"
    case .rejected(let token): token.revealed
    case .rejectedDigest(let digest): "{\"sha256\":\"\(digest)\"}"
    case .force(let account): "{\"force\":true,\"account\":\"\(account)\"}"
    }
  }

  /// The keeper's event; nil when the item is about nothing that the keeper has.
  ///
  /// A digest is resolved to the token of one of the keeper's accounts.
  package func event(for keeper: KeeperView, at now: Moment) -> Keeper.Event? {
    switch self {
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
}

/// An object of JSON on the list or the channel: a member of another type than its own makes it
/// none of ours on either.
struct WireMessage: Decodable {
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

  /// Nil when it is too long or no such object.
  init?(_ bytes: [UInt8]) {
    guard bytes.count <= ReportItem.longest,
      let message = try? JSONDecoder().decode(Self.self, from: Data(bytes))
    else { return nil }
    self = message
  }
}
