/// The name of an account in keys, settings, metrics and logs.
///
/// The unnamed account (`default`) keeps the plain key names
/// (INSTALL.md#every-key-and-who-may-touch-it).
package struct AccountName: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The name as configured; empty for the unnamed account.
  package let rawValue: String

  /// The account without a name: `WCH_access_token` itself.
  package static let unnamed = AccountName(unchecked: "")

  private init(unchecked: String) { rawValue = unchecked }

  /// Takes a name of 1 to 64 letters, digits, `.`, `_`, `-`; nil for anything else, and for
  /// `default`, which is how the unnamed account is shown.
  package init?(_ name: String) {
    let bytes = name.utf8
    guard (1...64).contains(bytes.count), name != "default", bytes.allSatisfy(isNameByte) else {
      return nil
    }
    rawValue = name
  }

  /// Takes a name as people see it: `default` is the unnamed account's.
  package init?(written name: String) {
    if name == Self.unnamed.description {
      self = .unnamed
    } else {
      self.init(name)
    }
  }

  /// Whether this is the account with the plain key names.
  package var isUnnamed: Bool { rawValue.isEmpty }

  /// The name that people see: `default` for the unnamed account.
  package var description: String { isUnnamed ? "default" : rawValue }

  package static func < (a: AccountName, b: AccountName) -> Bool { a.rawValue < b.rawValue }
}

/// Whether a byte may stand in an account's or an instance's name.
func isNameByte(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
    true
  default: false
  }
}

/// One thing that is kept alive and published: a credential of an account
/// (TokenCore.md#credentials).
///
/// In settings, metrics, logs and requests it is written as the account's name where it is the
/// access token, and as `NAME/KIND` else: `shop`, `shop/jsapi_ticket`, `default/jsapi_ticket`.
package struct CredentialID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// What kind of credential it is: what differs between kinds is in `Credential`.
  package enum Kind: String, Hashable, Comparable, Sendable, CaseIterable {
    /// What every call of WeChat's API needs.
    case accessToken = "access_token"
    /// What signs the calls of pages in WeChat, and in WeCom.
    case jsapiTicket = "jsapi_ticket"
    /// What signs cards and coupons.
    case wxCardTicket = "wx_card_ticket"
    /// What signs the calls of an app's pages in WeCom.
    case agentConfigTicket = "agent_config_ticket"

    package static func < (a: Kind, b: Kind) -> Bool { a.rawValue < b.rawValue }
  }

  package let account: AccountName
  package let kind: Kind

  /// The access token of the account without a name.
  package static let unnamed = CredentialID(.unnamed)

  package init(_ account: AccountName, _ kind: Kind = .accessToken) {
    self.account = account
    self.kind = kind
  }

  /// Takes `NAME` or `NAME/KIND`, as people write it; nil for anything else.
  package init?(_ written: String) {
    let parts = written.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let first = parts.first, let account = AccountName(written: String(first)) else {
      return nil
    }
    self.account = account
    guard parts.count == 2 else {
      kind = .accessToken
      return
    }
    guard let kind = Kind(rawValue: String(parts[1])), kind != .accessToken else { return nil }
    self.kind = kind
  }

  /// By account, then by kind, whose first is the access token.
  package static func < (a: CredentialID, b: CredentialID) -> Bool {
    a.account != b.account ? a.account < b.account : a.kind < b.kind
  }

  package var description: String {
    kind == .accessToken ? account.description : "\(account)/\(kind.rawValue)"
  }
}

/// The name of one replica: letters, digits, `.`, `_`, `-`; 1 to 128 bytes.
package struct InstanceID: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let rawValue: String

  /// Nil when the name has another character, is empty or is longer than 128 bytes.
  package init?(_ name: String) {
    guard (1...128).contains(name.utf8.count), name.utf8.allSatisfy(isNameByte) else { return nil }
    rawValue = name
  }

  package var description: String { rawValue }

  package static func < (a: InstanceID, b: InstanceID) -> Bool { a.rawValue < b.rawValue }
}

/// One term of leadership: what the lock's value is compared with.
///
/// 128 random bits, so that two terms never share a value, not even of one instance.
package struct Term: Hashable, Sendable, CustomStringConvertible {
  package let instance: InstanceID
  package let nonce: String

  package init(instance: InstanceID, nonce: String) {
    self.instance = instance
    self.nonce = nonce
  }

  /// A fresh term with 128 bits drawn from the generator.
  package init(instance: InstanceID, using generator: inout some RandomNumberGenerator) {
    func hexadecimal(_ bits: UInt64) -> String {
      let digits = String(bits, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    self.instance = instance
    nonce = hexadecimal(generator.next()) + hexadecimal(generator.next())
  }

  /// The lock's value: `<instance>:<nonce>`.
  package var description: String { "\(instance):\(nonce)" }
}

/// A fencing number: every term of leadership gets a larger one than all before it.
package struct Epoch: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let rawValue: Int64
  package init(_ rawValue: Int64) { self.rawValue = rawValue }
  /// Below every epoch that was ever issued.
  package static let none = Epoch(0)
  /// No epoch is so high: below it Lua's numbers are exact, as milliseconds for 285,000 years.
  package static let limit: Int64 = 1 << 53
  package static func < (a: Epoch, b: Epoch) -> Bool { a.rawValue < b.rawValue }
  package var description: String { "\(rawValue)" }
}

/// What orders tokens: the epoch in which one was fetched, then its number in that epoch.
package struct Version: Hashable, Comparable, Sendable, CustomStringConvertible {
  package let epoch: Epoch
  package let sequence: Int64

  package init(epoch: Epoch, sequence: Int64) {
    self.epoch = epoch
    self.sequence = sequence
  }

  /// Compares the epoch first: two integers, never a joined string.
  package static func < (a: Version, b: Version) -> Bool {
    a.epoch != b.epoch ? a.epoch < b.epoch : a.sequence < b.sequence
  }

  package var description: String { "\(epoch).\(sequence)" }
}

/// WeChat's `access_token`: a secret, shown by no description.
package struct AccessToken: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  /// The token itself, for the key in Redis and for `/v1/token`, and for nothing else.
  package let revealed: String
  package init(_ token: String) { revealed = token }
  package var description: String { "<token>" }
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// The first 16 hexadecimal digits of a token's SHA-256: says "the same" without saying which.
package typealias TokenDigest = String
