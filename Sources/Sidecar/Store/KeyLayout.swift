import RedisClient
package import TokenCore

/// Where everything lies in Redis (INSTALL.md#every-key-and-who-may-touch-it).
///
/// Names are fixed: users' programs read them.
package struct KeyLayout: Hashable, Sendable {
  /// Before every key: `WCH_` unless set otherwise; without braces.
  package let prefix: String

  package init(prefix: String) { self.prefix = prefix }

  /// The lock: `<instance>:<term>`.
  package var leader: String { prefix + "leader" }
  /// The last epoch issued, in the slot of the lock.
  package var epoch: String { "\(prefix)epoch:{\(leader)}" }
  /// One field a live replica.
  package var replicas: String { prefix + "replicas" }
  /// The list of applications' reports.
  package var refreshRequests: String { prefix + "refresh_requests" }
  /// The channel of hints.
  package var events: String { prefix + "events" }

  /// The key that applications read the token from.
  package func accessToken(_ account: AccountName) -> String { named("access_token", account) }

  /// The key that applications read the expiry from.
  package func expiresIn(_ account: AccountName) -> String { named("expires_in", account) }

  /// The credential's record, in the slot of its first output.
  package func state(_ credential: CredentialID) -> String {
    let (account, kind) = (credential.account, credential.kind)
    if account.isUnnamed { return "\(prefix)state:{\(key(.credential, credential))}" }
    let suffix = kind == .accessToken ? "" : ":\(kind.rawValue)"
    return "\(prefix)state:{\(account.rawValue)}\(suffix)"
  }

  /// The key of an output.
  package func key(_ output: Output.Key, _ credential: CredentialID) -> String {
    switch (output, credential.kind) {
    case (.credential, let kind): named(kind.rawValue, credential.account)
    case (.expiry, .accessToken): expiresIn(credential.account)
    case (.expiry, let kind): named("\(kind.rawValue)_expires_in", credential.account)
    case (.other(let name), _): name
    }
  }

  /// What tells orders about a key apart that lies in another slot than its record: in its slot.
  func fence(of key: String) -> String {
    let tag = HashSlot.tag(of: key)
    return tag == key[...] ? "\(prefix)fence:{\(key)}" : "\(prefix)fence:{\(tag)}:\(key)"
  }

  /// Whether an output lies in another slot of a cluster than its credential's record.
  func isApart(_ output: Output, _ credential: CredentialID) -> Bool {
    HashSlot.tag(of: key(output.key, credential)) != HashSlot.tag(of: state(credential))
  }

  /// `WCH_x`, or `WCH_x:{NAME}`.
  private func named(_ role: String, _ account: AccountName) -> String {
    account.isUnnamed ? prefix + role : "\(prefix)\(role):{\(account.rawValue)}"
  }
}
