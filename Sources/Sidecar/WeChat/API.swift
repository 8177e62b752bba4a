package import TokenCore

/// Which endpoint an account's tokens come from.
package enum API: String, Hashable, Sendable, CaseIterable {
  /// `GET /cgi-bin/token`: mints a token with each call.
  case token
  /// `POST /cgi-bin/stable_token`: hands out the same token until it is near its end.
  case stableToken = "stable_token"
  /// `GET /cgi-bin/gettoken`: WeCom's, which hands out the same token until it ends.
  case corpToken = "gettoken"

  /// Whether it is WeCom's: with hosts, errcodes and tickets of its own.
  package var isWeCom: Bool { self == .corpToken }

  /// The tickets that its tokens bring.
  package var tickets: [CredentialID.Kind] {
    isWeCom ? [.jsapiTicket, .agentConfigTicket] : [.jsapiTicket, .wxCardTicket]
  }

  /// Where it is asked when nobody says otherwise.
  package var usualURL: String {
    isWeCom ? "https://qyapi.weixin.qq.com" : "https://api.weixin.qq.com"
  }
}

extension CredentialID {
  /// What it is, for people.
  var noun: String { kind == .accessToken ? "token" : "ticket" }
}

extension CredentialID.Kind {
  /// The name of a ticket in settings and in WeChat's requests; nil for an access token.
  package var ticketName: String? {
    switch self {
    case .accessToken: nil
    case .jsapiTicket: "jsapi"
    case .wxCardTicket: "wx_card"
    case .agentConfigTicket: "agent_config"
    }
  }
}
