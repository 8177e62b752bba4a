/// One key that a commit writes, and whose end follows the stated life.
///
/// The outputs of a credential are a list, the same in every step: the credential itself, its
/// expiry, and whatever else its account asks for. The first is the key that everything else is
/// judged by.
package struct Output: Hashable, Sendable {
  /// Which key, by its role; the layout of names is the store's.
  package enum Key: Hashable, Sendable {
    /// Where applications read the credential.
    case credential
    /// Where they read until when to trust it.
    case expiry
    /// A key of other software, by its whole name.
    case other(String)
  }

  /// What the key holds.
  package enum Content: Hashable, Sendable {
    /// The credential, spelled like this.
    case token(Spelling)
    /// The Unix second at which clients stop trusting it: the stated end less the margin, which
    /// is at most a quarter of the life.
    case clientExpiry(margin: Duration)
  }

  package var key: Key
  package var content: Content

  package init(key: Key, content: Content) {
    self.key = key
    self.content = content
  }

  /// The two keys that every credential has.
  package static func own(_ margins: Margins) -> [Output] {
    [
      Output(key: .credential, content: .token(.plain)),
      Output(key: .expiry, content: .clientExpiry(margin: margins.clientExpiresBefore)),
    ]
  }

  /// What the key holds of a token whose life is stated to end at `end`.
  package func text(of token: AccessToken, end: RedisTime, lifetime: Duration) -> String {
    switch content {
    case .token(let spelling): spelling.text(of: token, lifetime: lifetime)
    case .clientExpiry(let margin):
      String(Margins.clientExpiry(end: end, lifetime: lifetime, margin: margin))
    }
  }

  /// Whether a text that the key holds is what is left of that token, and nobody else's.
  func isLeftover(_ text: String, of token: AccessToken, lifetime: Duration) -> Bool {
    switch content {
    case .token(let spelling): text == spelling.text(of: token, lifetime: lifetime)
    case .clientExpiry: key == .expiry
    }
  }

  /// What the key holds if that does not depend on the token, whose life may not be known: zero
  /// then.
  func expiry(end: RedisTime, lifetime: Duration) -> String? {
    guard case .clientExpiry(let margin) = content else { return nil }
    let lifetime = lifetime > .zero ? lifetime : margin * 4
    return String(Margins.clientExpiry(end: end, lifetime: lifetime, margin: margin))
  }
}

/// How a key's value spells a credential.
package struct Spelling: Hashable, Sendable {
  /// A part of the value.
  package enum Piece: Hashable, Sendable {
    case text(String)
    /// The credential as WeChat gave it.
    case token
    /// The same as the inside of a JSON string.
    case jsonToken
    /// How many bytes it has.
    case count
    /// The seconds of the life that WeChat stated.
    case life
  }

  package let pieces: [Piece]

  package init(_ pieces: [Piece]) { self.pieces = pieces }

  /// The credential, and nothing else.
  package static let plain = Spelling([.token])

  /// The value of a key.
  package func text(of token: AccessToken, lifetime: Duration) -> String {
    if pieces == [.token] { return token.revealed }
    return pieces.map { piece in
      switch piece {
      case .text(let text): text
      case .token: token.revealed
      case .jsonToken: Self.escaped(token.revealed)
      case .count: "\(token.revealed.utf8.count)"
      case .life: "\(lifetime.wholeMilliseconds / 1000)"
      }
    }.joined()
  }

  /// What WeChat gives is visible ASCII: these two are all that JSON minds.
  private static func escaped(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 == 0x22 || $0 == 0x5c }) else { return text }
    return String(text.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] })
  }
}
