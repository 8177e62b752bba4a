import Glibc
import Sidecar
import TokenCore

/// The status in lines for people: what is wrong first, then accounts, replicas, connections.
struct StatusText {
  /// `/v1/status`, as far as it is shown; what another version may leave out is optional.
  struct Content: Decodable {
    struct Account: Decodable {
      var account: String
      var token_present: Bool
      var remaining_seconds: Int64?
      var refreshes_ok: Int64
      var refreshes_failed: Int64
      var next_refresh_at: Int64?
      var phase: String
      var fetched_by: String?
    }
    struct Connection: Decodable {
      var name: String
      var connected: Bool
      var since: Int64?
      var last_error: String?
    }
    struct Redis: Decodable {
      var connected: Bool
      var last_error: String?
      var connections: [Connection]?
    }
    struct Words: Decodable {
      var en: String
    }
    struct Condition: Decodable {
      var severity: String
      var account: String?
      var since: Int64
      var sentence: Words
      var remedy: Words
      var observer: String?
    }
    struct Replica: Decodable {
      var instance: String
      var leads: Bool
      var seen_seconds_ago: Int64
      var version: String?
      var conditions: [String]?
    }
    var instance: String
    var version: String?
    var now: Int64?
    var role: String
    var leader: String?
    var uptime_seconds: Int64
    var ticks: Int64
    var redis: Redis
    var accounts: [Account]
    var conditions: [Condition]?
    var fleet: [Replica]?
  }

  let text: String

  /// - Parameter width: of the terminal, at which sentences are broken; nil breaks none.
  init(_ content: Content, width: Int? = nil) {
    let now = content.now ?? Timestamp.now.second
    var lines = [
      "instance  \(content.instance) (\(content.role))"
        + (content.version.map { ", version \($0)" } ?? "")
        + ", up \(Self.span(content.uptime_seconds)), \(content.ticks) ticks",
      "leader    \(content.leader ?? "none known")",
      "redis     " + Self.redis(content.redis, now: now),
      "",
    ]
    lines += Self.told(
      (content.conditions ?? []).map { condition in
        (
          condition.severity, condition.sentence.en, condition.remedy.en, condition.since,
          condition.observer
        )
      }, now: now, width: width, otherwise: Self.nothingWrong(content))
    lines.append("")
    let failing = Set((content.conditions ?? []).compactMap(\.account))
    let accounts = content.accounts.sorted { a, b in
      if a.token_present != b.token_present { return !a.token_present }
      if failing.contains(a.account) != failing.contains(b.account) {
        return failing.contains(a.account)
      }
      return a.account < b.account
    }
    lines += Self.table(
      ["ACCOUNT", "TOKEN", "TRUSTED FOR", "NEXT REFRESH", "FETCHED BY", "NOW", "REFRESHES HERE"],
      accounts.map { account in
        [
          account.account, account.token_present ? "live" : "none",
          account.token_present ? account.remaining_seconds.map(Self.left) ?? "?" : "-",
          account.next_refresh_at.map { $0 <= now ? "due" : "in \(Self.span($0 - now))" } ?? "-",
          account.fetched_by ?? "-", account.phase.replacing("_", with: " "),
          "\(account.refreshes_ok) ok, \(account.refreshes_failed) failed",
        ]
      })
    let fleet = content.fleet ?? []
    lines.append("")
    if fleet.isEmpty {
      lines.append("No other replica was heard of lately.")
    } else {
      lines += Self.table(
        ["OTHER REPLICA", "ROLE", "VERSION", "LAST SEEN", "SEES"],
        fleet.map { replica in
          [
            replica.instance, replica.leads ? "leader" : "follower", replica.version ?? "?",
            "\(Self.span(replica.seen_seconds_ago)) ago", Self.sees(replica.conditions),
          ]
        })
    }
    text = lines.joined(separator: "\n")
  }

  /// What Redis alone tells.
  init(_ sight: RedisSight, width: Int? = nil) {
    let now = sight.now.second
    let lease = sight.leaseLeft.map { ", lease for \(Self.span(Int64($0.inSeconds)))" } ?? ""
    var lines = [
      "What follows is what Redis alone tells: what its replicas said last, and the keys.",
      "",
      "leader    \(sight.leader.map { $0 + lease } ?? "none: nobody has the lock")",
      "",
    ]
    if sight.replicas.isEmpty {
      lines.append("No replica has said anything lately.")
    } else {
      lines += Self.told(
        sight.conditions.map { condition in
          (
            condition.severity.rawValue, condition.sentence(.english), condition.remedy(.english),
            condition.since.second, condition.observer
          )
        }, now: now, width: width, otherwise: "The replicas told of nothing wrong lately.")
    }
    lines.append("")
    let accounts = sight.accounts.sorted { a, b in
      a.exists != b.exists ? !a.exists : a.name < b.name
    }
    lines += Self.table(
      ["ACCOUNT", "KEY", "ENDS IN", "TRUSTED FOR", "FETCHED BY", "RECORD"],
      accounts.map { account in
        [
          account.name.description, account.exists ? "there" : "none",
          account.timeLeft.map { Self.span(Int64($0.inSeconds)) }
            ?? (account.exists ? "never" : "-"),
          account.clientExpiry.map { Self.left($0 - now) } ?? "-", account.fetchedBy ?? "-",
          account.isForeign == true
            ? "another AppID's" : account.layout.map { "layout \($0)" } ?? "none",
        ]
      })
    if !sight.replicas.isEmpty {
      lines.append("")
      lines += Self.table(
        ["REPLICA", "ROLE", "VERSION", "LAST SEEN", "SEES"],
        sight.replicas.map { replica in
          [
            replica.instance, replica.isLeader ? "leader" : "follower",
            replica.report?.version ?? "?", "\(Self.span(Int64(replica.age.inSeconds))) ago",
            Self.sees(
              replica.report.map { report in
                Array(Set(report.conditions.map(\.kind.rawValue))).sorted()
              }),
          ]
        })
    }
    text = lines.joined(separator: "\n")
  }

  // MARK: Parts

  private static func redis(_ redis: Content.Redis, now: Int64) -> String {
    guard redis.connected else { return "not connected: \(redis.last_error ?? "unknown")" }
    let links = (redis.connections ?? []).map { link in
      let since = link.since.map { " for \(span(now - $0))" } ?? ""
      let error = link.last_error.map { " (\($0))" } ?? ""
      if link.connected { return "\(link.name)\(since)" }
      return link.since == nil ? "\(link.name) not wanted" : "\(link.name) AWAY\(since)\(error)"
    }
    return "connected" + (links.isEmpty ? "" : ": " + links.joined(separator: ", "))
  }

  /// A replica that has just started has not looked everywhere yet.
  private static func nothingWrong(_ content: Content) -> String {
    let unseen = content.accounts.filter { !$0.token_present }.count
    return unseen == 0
      ? "Nothing is wrong."
      : "Starting: \(unseen) account\(unseen == 1 ? "" : "s") not looked at yet."
  }

  private typealias Told = (
    severity: String, sentence: String, remedy: String, since: Int64, observer: String?
  )

  private static func told(
    _ conditions: [Told], now: Int64, width: Int?, otherwise: String = "Nothing is wrong."
  ) -> [String] {
    guard !conditions.isEmpty else { return [otherwise] }
    var lines: [String] = []
    var lastRemedy = ""
    for condition in conditions {
      let mark =
        ["critical", "error"].contains(condition.severity)
        ? condition.severity.uppercased() : condition.severity
      let heard = condition.observer.map { "; so says \($0)" } ?? ""
      let age = span(now - condition.since)
      let since = "since \(clock(condition.since, now: now)), \(age)\(heard)"
      let indent = String(repeating: " ", count: 10)
      lines += wrapped(
        padded(mark, 10) + "\(condition.sentence) (\(since))", width, indent: indent)
      let remedy = wrapped(indent + "→ \(condition.remedy)", width, indent: indent + "  ")
      // What comes from the same is mended by the same.
      if lastRemedy != condition.remedy { lines += remedy }
      lastRemedy = condition.remedy
    }
    return lines
  }

  private static func sees(_ conditions: [String]?) -> String {
    guard let conditions else { return "?" }
    return conditions.isEmpty ? "nothing wrong" : conditions.joined(separator: ", ")
  }

  /// Columns as wide as their widest cell; the last one ends where it ends.
  private static func table(_ head: [String], _ rows: [[String]]) -> [String] {
    let widths = head.indices.map { column in
      ([head] + rows).map { $0[column].count }.max() ?? 0
    }
    return ([head] + rows).map { row in
      var line = ""
      for (cell, width) in zip(row, widths) { line += padded(cell, width + 2) }
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  /// Breaks a line between words.
  static func wrapped(_ line: String, _ width: Int?, indent: String) -> [String] {
    guard let width, width > indent.count + 20 else { return [line] }
    var lines: [String] = []
    var rest = line[...]
    while rest.count > width {
      let head = rest.prefix(width)
      let start = head.index(head.startIndex, offsetBy: indent.count)
      guard let space = head[start...].lastIndex(of: " ") else { break }
      lines.append(String(head[..<space]))
      rest = (indent + rest[space...].drop { $0 == " " })[...]
    }
    return lines + [String(rest)]
  }

  private static func left(_ seconds: Int64) -> String {
    seconds >= 0 ? span(seconds) : "no longer"
  }

  /// A span of time in its two largest units.
  static func span(_ seconds: Int64) -> String {
    let seconds = max(0, seconds)
    let (day, hour, minute): (Int64, Int64, Int64) = (86_400, 3600, 60)
    switch seconds {
    case ..<minute: return "\(seconds) s"
    case ..<(10 * minute): return "\(seconds / minute) min \(seconds % minute) s"
    case ..<hour: return "\(seconds / minute) min"
    case ..<day: return "\(seconds / hour) h \(seconds % hour / minute) min"
    default: return "\(seconds / day) d \(seconds % day / hour) h"
    }
  }

  /// A second by the clock of this machine's zone; with the date when that is another day.
  private static func clock(_ second: Int64, now: Int64) -> String {
    guard let moment = Self.local(second), let today = Self.local(now) else { return "\(second)" }
    return moment.date == today.date ? moment.time : "\(moment.date) \(moment.time)"
  }

  /// Date and time of a second in this machine's zone.
  private static func local(_ second: Int64) -> (date: String, time: String)? {
    var moment = time_t(second)
    var parts = unsafe tm()
    guard unsafe localtime_r(&moment, &parts) != nil else { return nil }
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return unsafe (
      "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))",
      "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    )
  }
}
