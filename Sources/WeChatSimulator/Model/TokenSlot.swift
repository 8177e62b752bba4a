/// The kinds of token that the simulated servers hand out, each in a slot of its own.
public enum TokenKind: String, Hashable, Sendable, CaseIterable {
  /// From `GET /cgi-bin/token`: each call mints.
  case legacy
  /// From `POST /cgi-bin/stable_token`.
  case stable
  /// From WeCom's `GET /cgi-bin/gettoken`.
  case weCom
}

/// What a token is worth at an instant.
public enum Verdict: Hashable, Sendable {
  case live
  /// The errcode that a business call with it gets: 40001 replaced or unknown, 42001 expired.
  case dead(Int)

  /// Whether the token works.
  public var isLive: Bool { self == .live }
}

/// What the token of a business call was worth when the call was made.
public enum TokenUse: String, Hashable, Sendable, CaseIterable {
  /// The newest of its kind.
  case current
  /// Replaced, and still working within its grace.
  case overlap
  /// Expired, replaced for longer than its grace, killed or never minted.
  case dead
}

/// One token that was minted.
struct TokenRecord: Hashable, Sendable {
  let text: String
  /// The AppID, or the CorpID of a WeCom token.
  let appID: String
  /// The WeCom app that the token belongs to; nil for other tokens.
  var corpApp: CorpApp.ID?
  let kind: TokenKind
  let mintedAt: Milliseconds
  /// The natural end of its life.
  let expiresAt: Milliseconds
  /// When it stops working because a newer one replaced it; nil while it is the current one.
  var replacedAt: Milliseconds?

  /// Whichever end came first decides the code for good: replaced 40001, expired 42001.
  func verdict(at now: Milliseconds) -> Verdict {
    if let replacedAt, replacedAt < expiresAt, now >= replacedAt { return .dead(40001) }
    return now >= expiresAt ? .dead(42001) : .live
  }

  /// What a call with it at that time uses.
  func use(at now: Milliseconds) -> TokenUse {
    guard verdict(at: now).isLive else { return .dead }
    return replacedAt == nil ? .current : .overlap
  }
}

/// The tokens of one kind of one app that the server still remembers as good.
struct TokenSlot: Hashable, Sendable {
  var current: String?
  /// Replaced ones within their grace, the newest first.
  var previous: [String] = []
}
