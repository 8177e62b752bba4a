import TokenCore

/// Writes words, times and spans for the page in one language.
///
/// Times are told in UTC, and say so: the page's script writes them in the reader's zone, and goes
/// on counting spans.
struct PageText {
  let language: Language
  /// When the page was made.
  let now: Timestamp

  /// The text of the page's language.
  func callAsFunction(_ english: String, _ chinese: String) -> String {
    language == .english ? english : chinese
  }

  /// Between a name and what is said of it.
  var colon: String { self(": ", "：") }

  /// Between the parts of a list.
  var comma: String { self(", ", "、") }

  // MARK: Spans

  /// The units of spans, for the script: seconds, minutes, hours, days.
  var units: String { self(" s| min| h| d", " 秒| 分钟| 小时| 天") }

  /// The two largest units of so many seconds: `42 s`, `18 min`, `1 h 57 min`, `3 d 4 h`.
  func span(_ seconds: Int64) -> String {
    let seconds = max(0, seconds)
    let unit = units.split(separator: "|")
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400)
    func two(_ large: Int64, _ name: Substring, _ small: Int64, _ other: Substring) -> String {
      small == 0 ? "\(large)\(name)" : "\(large)\(name) \(small)\(other)"
    }
    if minutes == 0 { return "\(seconds)\(unit[0])" }
    if hours == 0 { return "\(minutes)\(unit[1])" }
    if days == 0 { return two(hours, unit[2], minutes % 60, unit[1]) }
    return two(days, unit[3], hours % 24, unit[2])
  }

  /// How long ago something was; goes on counting.
  func ago(_ time: Timestamp) -> HTML {
    HTML(.span, ["data-ago": "\(time.second)"]) { span(now.second - time.second) }
  }

  /// How long it is to something; goes on counting.
  func until(_ time: Timestamp) -> HTML {
    HTML(.span, ["data-in": "\(time.second)"]) { span(time.second - now.second) }
  }

  // MARK: Times

  /// Farther from now than this a time has its day, in milliseconds: half a day.
  private static let near: Int64 = 43_200_000

  /// A time, with its day when that could be mistaken.
  func time(_ time: Timestamp) -> HTML {
    let text = time.description
    let (day, clock) = (text.prefix(10), text.dropFirst(11).prefix(8))
    let isNear = abs(time.milliseconds - now.milliseconds) < Self.near
    return HTML(.time, ["datetime": "\(day)T\(clock)Z"]) {
      isNear ? "\(clock) UTC" : "\(day) \(clock) UTC"
    }
  }

  /// `since 05:00:14 UTC (18 min)`.
  func since(_ time: Timestamp) -> HTML {
    HTML.joined([
      HTML(self("since ", "自 ")), self.time(time), HTML(self(" (", "（已 ")), ago(time),
      HTML(self(")", "）")),
    ])
  }

  /// `at 05:00:14 UTC (in 12 s)`; what is over is only told.
  func at(_ time: Timestamp) -> HTML {
    guard time.second > now.second else { return self.time(time) }
    return HTML.joined([
      self.time(time), HTML(self(" (in ", "（")), until(time), HTML(self(")", "后）")),
    ])
  }

  // MARK: Words

  /// Text in which what stands between backticks is code.
  func prose(_ text: String) -> HTML {
    var parts: [HTML] = []
    for (index, part) in text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
    where !part.isEmpty {
      parts.append(
        index.isMultiple(of: 2) ? HTML(String(part)) : HTML(.code) { String(part) })
    }
    return .joined(parts)
  }

  /// The first few names, and how many more there are.
  func names(_ names: [String], most: Int) -> String {
    guard names.count > most else { return names.joined(separator: comma) }
    let more = names.count - most
    return names.prefix(most).joined(separator: comma)
      + self(" and \(more) more", " 等 \(names.count) 个")
  }

  func accounts(_ count: Int) -> String {
    self(count == 1 ? "1 account" : "\(count) accounts", "\(count) 个帐号")
  }

  func severity(_ severity: Condition.Severity) -> String {
    switch severity {
    case .notice: self("Note", "提示")
    case .warning: self("Warning", "警告")
    case .error: self("Act now", "需处理")
    case .critical: self("Critical", "紧急")
    }
  }

  func role(_ role: StatusSnapshot.Role) -> String {
    switch role {
    case .leader: self("leader", "主控")
    case .follower: self("follower", "备用")
    case .candidate: self("candidate", "竞选中")
    case .isolated: self("cut off from Redis", "与 Redis 失联")
    case .stopping: self("ending", "正在退出")
    }
  }

  /// What the keeper does for an account, from `/v1/status`'s word for it.
  func phase(_ word: String) -> String {
    switch word {
    case "following": self("reads what the leader publishes", "读取主控发布的 token")
    case "taking_over": self("takes the account over", "正在接管")
    case "holding": self("waits for the next refresh", "等待下次刷新")
    case "repairing": self("restores the keys", "正在恢复键")
    case "beginning": self("prepares a fetch", "准备取 token")
    case "fetching": self("asks WeChat", "正在请求微信")
    case "committing": self("publishes the new token", "正在发布新 token")
    case "resolving": self("takes back a fetch that failed", "正在撤销失败的请求")
    default: word
    }
  }
}

extension EventLog.Tone {
  /// The sign beside the colour: nothing is told by colour alone.
  var sign: String {
    switch self {
    case .good: "✓"
    case .calm: "·"
    case .notice: "i"
    case .warning: "!"
    case .error, .critical: "✕"
    }
  }
}
