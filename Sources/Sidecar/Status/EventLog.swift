import Synchronization
package import TokenCore

/// What has happened lately, as this replica saw it: for people, in memory, bounded.
///
/// What repeats is one entry with a count, so that neither a failure that lasts all night nor the
/// start of 250 accounts pushes everything else out.
package final class EventLog: Sendable {
  /// How an entry looks.
  package enum Tone: String, Hashable, Sendable, CaseIterable {
    case good, calm, notice, warning, error, critical
  }

  /// One thing that happened, once or several times.
  package struct Entry: Hashable, Sendable {
    package var tone: Tone
    package var words: Words
    /// The account that it is about; nil for the whole replica, and when it happened to several.
    package var account: CredentialID?
    /// What is known beside it, in the words of who met it.
    package var detail: Words?
    package var firstAt: Timestamp
    package var lastAt: Timestamp
    package var count = 1
    /// Whether it happened to more accounts than one.
    package var isOfSeveral = false

    package init(
      _ tone: Tone, _ words: Words, account: CredentialID? = nil, detail: Words? = nil,
      at time: Timestamp
    ) {
      self.tone = tone
      self.words = words.about(account)
      self.account = account
      self.detail = detail
      firstAt = time
      lastAt = time
    }
  }

  /// As many as anybody looks through.
  package static let capacity = 100
  /// What happens to several accounts within this time is one event, in milliseconds.
  private static let together: Int64 = 10_000
  /// How far back an entry may be that another one is counted to.
  private static let reach = 8

  /// Protects the entries: written by the keeper's loop and the watch, read by the HTTP interface.
  private let entries = Mutex<[Entry]>([])

  package init() {}

  /// The entries, oldest first.
  package var all: [Entry] { entries.withLock(\.self) }

  /// Adds what happened, or counts it to the same that happened before.
  package func add(_ new: Entry) {
    entries.withLock { entries in
      for place in entries.indices.suffix(Self.reach).reversed() {
        var entry = entries[place]
        guard entry.words == new.words, entry.detail == new.detail else { continue }
        let isSame = entry.account == new.account && !entry.isOfSeveral
        let isTogether = new.lastAt.milliseconds - entry.lastAt.milliseconds <= Self.together
        guard isSame || isTogether else { continue }
        if !isSame {
          entry.account = nil
          entry.isOfSeveral = true
        }
        entry.lastAt = new.lastAt
        entry.count += 1
        entries.remove(at: place)
        entries.append(entry)
        return
      }
      if entries.count >= Self.capacity { entries.removeFirst() }
      entries.append(new)
    }
  }

  /// Adds what the keeper noted, if it is worth a look later.
  package func add(_ note: Note, at time: Timestamp = .now) {
    if let entry = Entry(note, at: time) { add(entry) }
  }

  /// Adds what began, worsened or ended of what is wrong.
  package func add(_ change: HealthBook.Change, at time: Timestamp = .now) {
    if let entry = Entry(change, at: time) { add(entry) }
  }
}

extension EventLog.Entry {
  /// What a note is as an event; nil when it is none, or a condition says it better.
  fileprivate init?(_ note: Note, at time: Timestamp) {
    switch note {
    case .becameLeader:
      self.init(.good, Words("This replica leads", "本副本成为主控"), at: time)
    case .steppedDown(let reason):
      self.init(
        reason == .shutdown ? .calm : .warning,
        Words("This replica no longer leads", "本副本不再是主控"), detail: reason.words, at: time)
    case .adopted(let account, _, _):
      self.init(
        .good, Words("The token in Redis is alive and kept", "Redis 中的 token 有效，继续使用"),
        account: account, at: time)
    case .refreshed(let account, let trigger, _, _, let isUnchanged):
      self.init(
        .good,
        isUnchanged
          ? Words("WeChat confirmed the token", "微信确认了现有 token")
          : Words("A new token is in Redis", "新 token 已写入 Redis"),
        account: account, detail: trigger.words, at: time)
    case .refreshFailed(let account, _, let failure, _, _, _):
      // The request id differs every time, and would make each failure another event.
      self.init(
        .warning, Words("WeChat gave no token", "微信没有给出 token"), account: account,
        detail: failure.code.map { Words("errcode \($0)", "errcode \($0)") }
          ?? Words(failure.reason, failure.reason), at: time)
    case .deposed(let account, _):
      self.init(
        .warning,
        Words("A token was fetched, but another replica leads", "取到了 token，但主控已是另一个副本"),
        account: account, at: time)
    case .repaired(let account):
      self.init(
        .warning,
        Words("Keys were missing or changed, and were restored", "键丢失或被改动，已恢复"),
        account: account, at: time)
    case .overwritten(let account, _):
      self.init(
        .warning,
        Words("Other software wrote to its keys, and they were restored", "其他软件改写了它的键，已恢复"),
        account: account, at: time)
    case .recommitted(let account, _):
      self.init(
        .warning,
        Words("Redis had lost the token; written again", "Redis 丢失了 token，已重新写入"),
        account: account, at: time)
    case .marked(let account, _):
      self.init(
        .warning, Words("The token's life was cut short", "token 的有效期被缩短"),
        account: account, at: time)
    case .reported(let account, .accepted):
      self.init(
        .notice, Words("A report that the token is dead was taken", "收到 token 失效的报告"),
        account: account, at: time)
    case .reported(let account, .limited):
      self.init(
        .notice,
        Words("A report that the token is dead waits for a limit", "token 失效的报告因限频推迟"),
        account: account, at: time)
    case .diedEarly(let account, _):
      self.init(
        .warning, Words("The token died before its time", "token 提前失效"), account: account,
        at: time)
    case .refreshStarted, .reported, .storeStepFailed, .conflict,
      .lockNeverLapses, .nameIsShared:
      return nil
    }
  }

  fileprivate init?(_ change: HealthBook.Change, at time: Timestamp) {
    let (condition, tone): (Condition, EventLog.Tone)
    switch change {
    case .began(let told), .worsened(let told): (condition, tone) = (told, told.severity.tone)
    case .ended(let told, _): (condition, tone) = (told, .good)
    default: return nil
    }
    var words = condition.kind.title
    if tone == .good {
      words = Words("Over: \(words.english)", "已恢复：\(words.chinese)")
    }
    self.init(
      tone, words, account: condition.account,
      detail: condition.told(withReason: tone != .good),
      at: time)
  }
}

extension Condition.Severity {
  /// How people are shown it.
  package var tone: EventLog.Tone {
    switch self {
    case .notice: .notice
    case .warning: .warning
    case .error: .error
    case .critical: .critical
    }
  }
}

extension Condition {
  /// What tells it from others of its kind, in few words.
  fileprivate func told(withReason: Bool) -> Words? {
    if let name = facts.subject ?? facts.instance { return Words(name, name) }
    guard withReason, let english = reason(.english), let chinese = reason(.chinese) else {
      return nil
    }
    return Words(english, chinese)
  }
}

extension Trigger {
  /// Why a token was fetched, for people.
  fileprivate var words: Words {
    switch self {
    case .schedule: Words("by schedule", "按计划")
    case .start: Words("there was none", "原本没有")
    case .takeover: Words("after a take-over", "接管后")
    case .report: Words("after a report", "因失效报告")
    case .force: Words("somebody asked for it", "人工请求")
    case .probe: Words("the old one was found dead", "探测到旧的已失效")
    case .doubt: Words("to settle a doubt", "为消除疑问")
    }
  }
}

extension StepDownReason {
  /// Why a replica stopped leading, for people.
  fileprivate var words: Words {
    switch self {
    case .leaseOver: Words("the lease ran out", "租约到期")
    case .lockLost: Words("the lock was lost", "锁已丢失")
    case .fenced: Words("another replica leads", "另一个副本已成为主控")
    case .foreignApp: Words("the keys are another AppID's", "键属于另一个 AppID")
    case .newerLayout: Words("a newer version wrote the records", "记录由更新的版本写入")
    case .abdicated: Words("another one may reach WeChat", "让其他副本尝试连接微信")
    case .shutdown: Words("the process ends", "进程退出")
    }
  }
}
