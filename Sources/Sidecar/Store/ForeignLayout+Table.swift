import Crypto
import TokenCore

/// The layouts of software that is in use, as it writes them itself.
extension ForeignLayout {
  /// All of them, in the order in which they are told.
  package static let all: [ForeignLayout] = [
    wechatpy,
    wxjava("wxjava-mp", "wx"), wxjava("wxjava-miniapp", "wa"), wxjava("wxjava-channel", "wh"),
    silenceper("silenceper", "gowechat_officialaccount_", .plain),
    silenceper("silenceper-miniprogram", "gowechat_miniprogram_", .plain),
    silenceper("silenceper-2.0", "gowechat_officialaccount_", .json),
    easyWeChat, easyWeChat6, powerWeChat,
  ]

  /// Python, 1.8 and 2.0: texts of JSON, of which 2.0 wants the moment of the end, too.
  private static let wechatpy = ForeignLayout(
    name: "wechatpy", usualPrefix: "wechatpy", needsPlaceholder: false,
    switchOff: "create its client with auto_retry=False"
  ) { kind, subject in
    guard !subject.api.isWeCom else { return [] }
    let key = "\(subject.prefix):\(subject.appID)_"
    let role: String? =
      switch kind {
      case .accessToken: "access_token"
      case .jsapiTicket: "jsapi_ticket"
      case .wxCardTicket: "jsapi_card_ticket"
      case .agentConfigTicket: nil
      }
    guard let role else { return [] }
    return [Output(key + role, .json), Output(endAt: "\(key)\(role)_expires_at")]
  }

  /// Java, with its Jedis or RedisTemplate storage: plain texts, of which one without a TTL counts
  /// as over.
  private static func wxjava(_ name: String, _ prefix: String) -> ForeignLayout {
    ForeignLayout(
      name: name, usualPrefix: prefix, needsPlaceholder: false,
      switchOff: "let autoRefreshToken() of its configuration return false"
    ) { kind, subject in
      guard !subject.api.isWeCom else { return [] }
      let (prefix, app) = (subject.prefix, subject.appID)
      return switch kind {
      case .accessToken: [Output("\(prefix):access_token:\(app)")]
      case .jsapiTicket: [Output("\(prefix):ticket:key:\(app):jsapi")]
      case .wxCardTicket: [Output("\(prefix):ticket:key:\(app):wx_card")]
      case .agentConfigTicket: []
      }
    }
  }

  /// Go: texts of JSON up to 2.1.2, plain ones since.
  ///
  /// The prefix ends with a line of its own, so that two follow each other.
  private static func silenceper(
    _ name: String, _ prefix: String, _ spelling: Spelling
  ) -> ForeignLayout {
    ForeignLayout(
      name: name, usualPrefix: prefix, needsPlaceholder: false,
      switchOff: "set a handle of your own that reads this key (SetAccessTokenHandle)"
    ) { kind, subject in
      guard !subject.api.isWeCom else { return [] }
      let stable = subject.api == .stableToken ? "stable_" : ""
      return switch kind {
      case .accessToken:
        [Output("\(subject.prefix)_\(stable)access_token_\(subject.appID)", spelling)]
      case .jsapiTicket: [Output("\(subject.prefix)_jsapi_ticket_\(subject.appID)", spelling)]
      case .wxCardTicket, .agentConfigTicket: []
      }
    }
  }

  /// PHP, with `setKey('wch.APPID')`: what PHP serializes, through Symfony's cache.
  private static let easyWeChat = ForeignLayout(
    name: "easywechat", usualPrefix: "easywechat", needsPlaceholder: false,
    switchOff: "leave http.retry of its configuration off"
  ) { kind, subject in
    guard kind == .accessToken, !subject.api.isWeCom else {
      return easyWeChatTicket(kind, subject)
    }
    return [Output(spaced("wch.\(subject.appID)", subject), .php)]
  }

  /// PHP, 6.15.1 and later, whose own key contains the secret that it is configured with.
  private static let easyWeChat6 = ForeignLayout(
    name: "easywechat-6", usualPrefix: "easywechat", needsPlaceholder: true,
    switchOff: "leave http.retry of its configuration off, and its secret a placeholder"
  ) { kind, subject in
    guard kind == .accessToken, !subject.api.isWeCom else {
      return easyWeChatTicket(kind, subject)
    }
    let mode = subject.api == .stableToken ? 1 : 0
    // It does not say which of the two the account is, and reads but its own.
    return ["official_account", "mini_app"].map { app in
      let key = "\(app).access_token.\(subject.appID).\(subject.placeholder).\(mode)"
      return Output(spaced(key, subject), .php)
    }
  }

  private static func easyWeChatTicket(
    _ kind: CredentialID.Kind, _ subject: Subject
  ) -> [Output] {
    guard kind == .jsapiTicket, !subject.api.isWeCom else { return [] }
    return [Output(spaced("official_account.jsapi_ticket.\(subject.appID)", subject), .php)]
  }

  /// A key in the cache's namespace, if it has one.
  private static func spaced(_ key: String, _ subject: Subject) -> String {
    subject.prefix.isEmpty ? key : "\(subject.prefix):\(key)"
  }

  /// Go: an answer of WeChat's under a digest of AppID and secret.
  private static let powerWeChat = ForeignLayout(
    name: "powerwechat", usualPrefix: nil, needsPlaceholder: true,
    switchOff: "give it a GetCustomToken that reads this key"
  ) { kind, subject in
    guard kind == .accessToken, !subject.api.isWeCom else { return [] }
    let named = Insecure.MD5.hash(data: Array((subject.appID + subject.placeholder).utf8))
    let answer = Spelling([
      .text("{\"access_token\":\""), .jsonToken, .text("\",\"expires_in\":"), .life, .text("}"),
    ])
    return [Output("powerwechat.access_token.\(hexadecimal(named))", answer)]
  }
}
