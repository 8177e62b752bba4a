package import TokenCore

/// What was asked for: an answer's members, its words and what its errcodes mean differ by it.
package enum Question: Hashable, Sendable, CaseIterable {
  /// An access token, by AppID and secret.
  case token
  /// A ticket, by an access token.
  case ticket
  /// WeCom's access token, by corp id and an app's secret.
  case corpToken
  /// WeCom's ticket, by an app's access token.
  case corpTicket

  package init(isWeCom: Bool, _ kind: CredentialID.Kind) {
    self =
      switch (isWeCom, kind == .accessToken) {
      case (false, true): .token
      case (false, false): .ticket
      case (true, true): .corpToken
      case (true, false): .corpTicket
      }
  }

  /// Whether it is asked with an access token.
  package var isForTicket: Bool { self == .ticket || self == .corpTicket }

  /// Who answers, for people.
  var speaker: String {
    switch self {
    case .token, .ticket: "WeChat"
    case .corpToken, .corpTicket: "WeCom"
    }
  }

  /// The same in Chinese.
  var chineseSpeaker: String { speaker == "WeCom" ? "企业微信" : "微信" }

  /// What is wanted, for people.
  var noun: String { isForTicket ? "ticket" : "token" }
}
