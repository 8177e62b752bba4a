/// Which of WeChat's two endpoints an account's tokens come from.
package enum API: String, Hashable, Sendable, CaseIterable {
  /// `GET /cgi-bin/token`: mints a token with each call.
  case token
  /// `POST /cgi-bin/stable_token`: hands out the same token until it is near its end.
  case stableToken = "stable_token"
}
