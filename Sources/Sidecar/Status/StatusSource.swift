package import TokenCore

/// Where the HTTP interface takes its answers from: the keeper, through whoever runs it.
///
/// What is read from memory is read at once, on the event loop of the interface.
package protocol StatusSource: Sendable {
  /// Everything for the page and `/v1/status`.
  func snapshot() -> StatusSnapshot

  /// Whether a check passes, and why (not).
  func health(_ check: HealthCheck) -> Health

  /// Whether applications may be sent here, for one account's token or, with nil, as `WCH_READY`
  /// says; nil when there is no such account.
  func readiness(of account: AccountName?) -> Readiness?

  /// The account's token from memory.
  func token(of account: CredentialID) -> TokenAnswer

  /// Asks for a refresh, and waits at most ten seconds for what becomes of it.
  func refresh(_ request: RefreshRequest) async -> RefreshAnswer
}

/// The three checks of an orchestrator.
package enum HealthCheck: Hashable, Sendable, CaseIterable {
  /// The loop ticks: otherwise restart me.
  case live
  /// An unexpired token was seen in Redis recently: otherwise send nobody.
  case ready
  /// Settings are accepted and the loop runs; nothing about Redis or WeChat.
  case started
}

/// What came of a check.
package enum Health: Hashable, Sendable {
  case good(String)
  case bad(String)
}

/// What `/v1/token` finds.
package enum TokenAnswer: Hashable, Sendable {
  /// A token, with the Unix second of `WCH_expires_in` and the seconds to it.
  case token(AccessToken, expiresAt: Int64, expiresIn: Int64)
  /// There is none that lives; try again after this.
  case none(reason: String, retryAfter: Duration, condition: Condition? = nil)
  /// No such account is configured.
  case unknownAccount
}

/// An application's request for a new token.
package struct RefreshRequest: Hashable, Sendable {
  /// Why a new one is wanted.
  package enum Reason: Hashable, Sendable {
    /// WeChat refused this token.
    case rejected(AccessToken)
    /// WeChat refused the token with this SHA-256, in lower-case hexadecimal (all 64 digits).
    case rejectedSHA256(String)
    /// A person wants it so.
    case force
  }

  /// The account; nil when the request names none (a rejected token tells its account).
  package let account: CredentialID?
  package let reason: Reason

  package init(account: CredentialID?, reason: Reason) {
    self.account = account
    self.reason = reason
  }
}

/// What `/v1/refresh` came to.
package enum RefreshAnswer: Hashable, Sendable {
  /// A token was fetched for this request.
  case refreshed(RefreshedToken)
  /// The reported token is not the current one: read the key again.
  case current(RefreshedToken)
  /// Another request's fetch served this one too.
  case coalesced(RefreshedToken)
  /// A limit holds it up; it is kept and served later.
  case limited(account: CredentialID, retryAfter: Duration, reason: String)
  /// No such account is configured.
  case unknownAccount
  /// Nothing could be learnt within the wait: no leader, no Redis, or WeChat refuses, with this
  /// errcode; `condition` is what it comes from, when that is known.
  case unavailable(
    reason: String, retryAfter: Duration, errorCode: Int? = nil, condition: Condition? = nil)
}

/// What is told about a token without telling it.
package struct RefreshedToken: Hashable, Sendable {
  package let account: CredentialID
  /// The Unix second of `WCH_expires_in`.
  package let expiresAt: Int64?

  package init(account: CredentialID, expiresAt: Int64?) {
    self.account = account
    self.expiresAt = expiresAt
  }
}
