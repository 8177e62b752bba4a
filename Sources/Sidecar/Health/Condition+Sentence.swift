import TokenCore

extension Condition {
  /// What is wrong, as a headline: the kind's, or a better one where it is known how bad it is.
  package var headline: Words {
    headlineOfToken.about(account)
  }

  private var headlineOfToken: Words {
    switch (kind, severity) {
    case (.foreignRefresh, .notice):
      Words("A token died before its time", "有一个 token 提前失效")
    case (.tokenLapsing, .critical):
      Words("The token ends within moments and no new one is there", "token 马上到期，新的还没有取到")
    default: kind.title
    }
  }

  /// The condition in one line: to what it happened, what, and why.
  ///
  /// Times are left to who shows it: pages say them in the reader's zone.
  package func sentence(_ language: Language) -> String {
    let title = headline(language)
    let colon = language == .english ? ": " : "："
    var text =
      account.map { "\(language == .english ? "account" : "帐号") \($0)\(colon)" }.map {
        $0 + (language == .english ? title.uncapitalized : title)
      } ?? title
    if let subject = facts.subject { text += " (\(subject))" }
    if let instance = facts.instance { text += " (\(instance))" }
    if let cause = facts.cause?.title(language), facts.reason == nil {
      text += colon + (language == .english ? cause.uncapitalized : cause)
    }
    if let reason = reason(language) { text += colon + reason }
    if let address = facts.address, !(facts.reason?.contains(address) ?? false) {
      text +=
        language == .english ? " (WeChat sees \(address))" : "（微信看到的出口地址 \(address)）"
    }
    if kind == .clockOff, let seconds = facts.count {
      text +=
        language == .english
        ? ": WeChat's is \(seconds.magnitude) s \(seconds > 0 ? "ahead" : "behind")"
        : "：微信时钟\(seconds > 0 ? "快" : "慢") \(seconds.magnitude) 秒"
    }
    return text
  }

  /// What happened, in the words of who met it; of WeChat's codes, in the reader's language.
  package func reason(_ language: Language) -> String? {
    guard language == .chinese, let code = facts.code,
      WeChatError.anchor(of: code, to: facts.question) != nil
    else { return facts.reason }
    let words = WeChatError.row(code, to: facts.question).words.chinese
    return "\(facts.question.chineseSpeaker)返回 errcode \(code)：\(words)"
  }

  /// What to do about it; of a missing token about what it comes from, and of WeChat's codes what
  /// helps with that code.
  package func remedy(_ language: Language) -> String {
    let kind = facts.cause ?? kind
    if kind == .refreshFailing, let code = facts.code,
      let more = WeChatError.row(code, to: facts.question).more
    {
      return more(language)
    }
    guard kind == .noToken || kind == .tokenLapsing else { return kind.remedy(language) }
    return Words(
      """
      What it comes from is not known here yet: the log and the page of the replica that leads \
      say it first, and this one with that one's next word, within half a minute.
      """,
      "此处尚不知道原因：主控副本的日志与页面最先给出；半分钟内本副本也会从其心跳得知。")(language)
  }

  /// Where the runbook tells more: an anchor of its pages.
  ///
  /// Of what WeChat refused, the errcode's entry says most.
  package var anchor: String {
    let kind = facts.cause ?? kind
    guard kind == .refreshFailing, let code = facts.code else { return kind.rawValue }
    return WeChatError.anchor(of: code, to: facts.question) ?? kind.rawValue
  }
}

extension Words {
  /// What is said of tokens, said of that credential.
  func about(_ credential: CredentialID?) -> Words {
    guard let noun = credential?.noun, noun != "token" else { return self }
    return Words(
      english.replacing("token", with: noun), chinese.replacing("token", with: noun))
  }
}

extension String {
  /// The text for the middle of a sentence; names keep their capitals.
  fileprivate var uncapitalized: String {
    for name in ["WeChat", "Redis"] where hasPrefix(name) { return self }
    return prefix(1).lowercased() + dropFirst()
  }
}
