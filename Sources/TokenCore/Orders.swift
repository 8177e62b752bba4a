/// One permitted attempt at WeChat: which credential is asked for says `account`.
package struct FetchOrder: Hashable, Sendable {
  package let account: CredentialID
  package let version: Version
  package let trigger: Trigger
  /// Whether WeChat must make a new token though it has one (`stable_token` only).
  package let isForced: Bool
  /// The token to ask with, of a credential that is fetched with one; nil where AppID and secret
  /// are what it is asked with.
  package let source: AccessToken?
  /// When the whole call must be over.
  package let deadline: Moment
  /// The request must not be written later than this: the lease may be another's by then.
  package let notAfter: Moment
}

/// One question whether a token lives.
package struct ProbeOrder: Hashable, Sendable {
  package let account: CredentialID
  package let version: Version
  package let token: AccessToken
  /// When the whole call must be over.
  package let deadline: Moment
}

/// What the leader tells all replicas beside what scripts announce.
package enum Announcement: Hashable, Sendable {
  /// An account's token changed.
  case tokenChanged(CredentialID)
  /// The lock changed hands, or was given back.
  case leadershipChanged
  /// Reports of the account's token are held up for so long.
  case limited(CredentialID, Duration)
}

/// What an application asks for.
package enum Report: Hashable, Sendable {
  /// WeChat refused this token.
  case rejected(AccessToken)
  /// WeChat refused a token of which only this digest is known, and it is none of ours.
  case rejectedDigest(String)
  /// A person wants a new token for this account.
  case force(CredentialID)
}
