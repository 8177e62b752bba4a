package import TokenCore

/// One fetch that is to be made.
package struct WeChatRequest: Sendable {
  /// What is asked for, and with what.
  package enum Subject: Sendable {
    /// An access token; `stable_token` is to replace a live one (20 a day, 30 s apart) by force.
    case token(appID: String, appSecret: Secret, isForced: Bool)
    /// A ticket of that kind, with a live access token.
    case ticket(CredentialID.Kind, source: AccessToken)
  }

  package var account: AccountName
  package var subject: Subject
  package var api: API
  /// The account's hosts, the preferred first; nil for the client's.
  package var hosts: [BaseURL]?
  /// The request must not be written later than this: the lease is over by then.
  package var notAfter: ContinuousClock.Instant
  /// What must not be withdrawn when the request is written; nil for one that nobody withdraws.
  package var permit: SendPermit?
  /// For the whole call, from the look-up of the name to the last byte.
  package var timeout: Duration

  package init(
    account: AccountName, _ subject: Subject, api: API, hosts: [BaseURL]? = nil,
    notAfter: ContinuousClock.Instant, permit: SendPermit? = nil, timeout: Duration
  ) {
    self.account = account
    self.subject = subject
    self.api = api
    self.hosts = hosts
    self.notAfter = notAfter
    self.permit = permit
    self.timeout = timeout
  }

  /// How the answer is read.
  var question: Question {
    switch subject {
    case .token: Question(isWeCom: api.isWeCom, .accessToken)
    case .ticket(let kind, _): Question(isWeCom: api.isWeCom, kind)
    }
  }

  /// The call to make.
  var call: WeChatClient.Call {
    switch subject {
    case .token(let appID, let secret, let isForced):
      switch api {
      case .token:
        .init(
          method: "GET", path: "/cgi-bin/token",
          query: [
            ("grant_type", "client_credential"), ("appid", appID), ("secret", secret.revealed),
          ])
      case .stableToken:
        .init(
          method: "POST", path: "/cgi-bin/stable_token",
          body: Self.stableBody(appID, secret, isForced: isForced))
      case .corpToken:
        .init(
          method: "GET", path: "/cgi-bin/gettoken",
          query: [("corpid", appID), ("corpsecret", secret.revealed)])
      }
    case .ticket(let kind, let source):
      .init(
        method: "GET", path: api.ticketPath(kind),
        query: [("access_token", source.revealed)]
          // The corporation's own ticket has an endpoint to itself.
          + (api.isWeCom && kind == .jsapiTicket ? [] : [("type", kind.ticketName ?? "")]))
    }
  }

  /// What `stable_token` takes.
  private static func stableBody(_ appID: String, _ secret: Secret, isForced: Bool) -> String {
    struct Body: Encodable {
      let grant_type = "client_credential"
      let appid: String
      let secret: String
      let force_refresh: Bool
    }
    return JSONText.value(
      Body(appid: appID, secret: secret.revealed, force_refresh: isForced))
  }
}

extension API {
  /// Where tickets of that kind are asked for.
  package func ticketPath(_ kind: CredentialID.Kind) -> String {
    switch (isWeCom, kind) {
    case (false, _): "/cgi-bin/ticket/getticket"
    case (true, .jsapiTicket): "/cgi-bin/get_jsapi_ticket"
    case (true, _): "/cgi-bin/ticket/get"
    }
  }
}
