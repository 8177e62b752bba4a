package import TokenCore

/// Something that is to be handed on: to a file, or to a program.
package struct Errand: Hashable, Sendable {
  /// Whom it goes to; for each place there is one errand at a time, the newest.
  package enum Place: Hashable, Comparable, Sendable {
    case file(AccountName)
    case hook(CredentialID)

    /// What it is about.
    package var credential: CredentialID {
      switch self {
      case .file(let account): CredentialID(account)
      case .hook(let credential): credential
      }
    }

    package static func < (a: Place, b: Place) -> Bool {
      switch (a, b) {
      case (.file(let a), .file(let b)): a < b
      case (.hook(let a), .hook(let b)): a < b
      case (.file, .hook): true
      case (.hook, .file): false
      }
    }
  }

  /// How it is handed on.
  package enum Way: Hashable, Sendable {
    case file(FileTarget)
    case hook(HookTarget, appID: String)

    /// What people are told that it is about.
    package var subject: String {
      switch self {
      case .file(let target): target.path
      case .hook(let target, _): target.program
      }
    }
  }

  /// A credential as it is known here.
  package struct Part: Hashable, Sendable {
    package let credential: CredentialID
    package let token: AccessToken
    package let version: Version
    /// Unix second until which it is to be trusted, as Redis says it.
    package let expiresAt: Int64

    package init(
      _ credential: CredentialID, _ token: AccessToken, version: Version, expiresAt: Int64
    ) {
      self.credential = credential
      self.token = token
      self.version = version
      self.expiresAt = expiresAt
    }
  }

  package let place: Place
  package let way: Way
  /// What it is about first; at least one.
  package let parts: [Part]
  /// When this was last seen in Redis.
  package let seenAt: Moment

  package init(_ place: Place, _ way: Way, parts: [Part], seenAt: Moment) {
    self.place = place
    self.way = way
    self.parts = parts
    self.seenAt = seenAt
  }

  /// What can hold up what goes the same way: a directory, or the program alone.
  package var lane: String {
    switch way {
    case .file(let target): PathText.directory(of: target.path)
    case .hook: "\(place.credential)"
    }
  }

  /// Whether whoever was handed this needs nothing of the other.
  package func isSame(as other: Errand) -> Bool {
    guard way == other.way, parts.count == other.parts.count else { return false }
    return zip(parts, other.parts).allSatisfy { part, other in
      switch way {
      case .hook: part.credential == other.credential && part.version == other.version
      case .file:
        part.credential == other.credential && part.token == other.token
          && part.expiresAt == other.expiresAt
      }
    }
  }
}
