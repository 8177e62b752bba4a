package import Logging
import TokenCore

extension Journal {
  /// Tells what is new of what is wrong: one line for all accounts of a group.
  ///
  /// What one other replica sees and this one only heard of is told by that one, and here at
  /// `debug`; that a key has lapsed, every replica sees for itself.
  package func tell(_ changes: [HealthBook.Change], at now: Timestamp = .now) {
    var lines: [Line] = []
    var places: [Line.Key: Int] = [:]
    for change in changes {
      let line = Line(change)
      if line.condition.account != nil, let place = places[line.key] {
        lines[place].members.append(line.condition)
        if let lasted = line.lasted {
          lines[place].lasted = max(lines[place].lasted ?? .zero, lasted)
        }
      } else {
        places[line.key] = lines.count
        lines.append(line)
      }
    }
    for line in lines { write(line, at: now) }
  }

  /// Some changes of one kind, with their accounts.
  private struct Line {
    struct Key: Hashable {
      let event: LoggedEvent
      let group: HealthBook.Group
      let severity: Condition.Severity
    }

    let event: LoggedEvent
    let condition: Condition
    /// All of them, the worst first.
    var members: [Condition]
    var lasted: Duration?

    init(_ change: HealthBook.Change) {
      switch change {
      case .began(let it): (event, condition) = (.conditionBegan, it)
      case .changed(let it): (event, condition) = (.conditionChanged, it)
      case .worsened(let it): (event, condition) = (.conditionWorsened, it)
      case .lasts(let it): (event, condition) = (.conditionLasts, it)
      case .ended(let it, let span): (event, condition, lasted) = (.conditionEnded, it, span)
      }
      members = [condition]
    }

    var key: Key { Key(event: event, group: condition.group, severity: condition.severity) }

    var level: Logger.Level {
      if condition.observer != nil { return .debug }
      return event == .conditionEnded ? .notice : condition.severity.level
    }

    var message: String {
      let headline = condition.headline.english
      switch event {
      case .conditionWorsened: return "Worse: \(headline)"
      case .conditionLasts: return "Still so: \(headline)"
      case .conditionEnded: return "Over: \(headline)"
      default: return headline
      }
    }
  }

  /// So many accounts are named in a line about several.
  private static let mostNamed = 5

  private func write(_ line: Line, at now: Timestamp) {
    var metadata = describe(line.condition, line.event, at: now)
    if let lasted = line.lasted { metadata[.durationSeconds] = .seconds(lasted) }
    if line.members.count > 1 {
      metadata[.accounts] = .list(
        line.members.prefix(Self.mostNamed).compactMap { $0.account?.description })
      metadata[.accountCount] = .number(line.members.count)
      let oldest = line.members.map(\.since).min() ?? line.condition.since
      metadata[.since] = "\(oldest)"
    }
    logger.tell(line.event, level: line.level, "\(line.message)", metadata)
    guard line.members.count > 1, logger.logLevel <= .debug else { return }
    for condition in line.members.dropFirst() {
      logger.tell(
        line.event, level: .debug, "\(line.message)", describe(condition, line.event, at: now))
    }
  }

  private func describe(
    _ condition: Condition, _ event: LoggedEvent, at now: Timestamp
  ) -> Logger.Metadata {
    let facts = condition.facts
    var metadata = Logger.Metadata.keyed([
      .condition: "\(condition.kind.rawValue)", .since: "\(condition.since)",
      .help: "\(condition.helpPath)",
    ])
    if let account = condition.account { metadata[.account] = "\(account)" }
    if let reason = facts.reason { metadata[.error] = "\(reason)" }
    if let code = facts.code { metadata[.wechatCode] = .number(code) }
    if let id = facts.requestID { metadata[.wechatRequestID] = "\(id)" }
    if let address = facts.address { metadata[.wechatEgress] = "\(address)" }
    if let count = facts.count { metadata[.count] = .number(count) }
    if let subject = facts.subject { metadata[.subject] = "\(subject)" }
    if let instance = facts.instance { metadata[.instance] = "\(instance)" }
    if let cause = facts.cause { metadata[.cause] = "\(cause.rawValue)" }
    if let observer = condition.observer { metadata[.observer] = "\(observer)" }
    guard event != .conditionEnded else { return metadata }
    metadata[.remedy] = "\(condition.remedy(.english))"
    if let ends = facts.endsAt { metadata[.tokenEndsAt] = "\(ends)" }
    if event == .conditionLasts {
      let milliseconds = max(0, now.milliseconds - condition.since.milliseconds)
      metadata[.durationSeconds] = .seconds(.milliseconds(milliseconds))
    }
    if let next = facts.nextAt {
      metadata[.nextAttemptAt] = "\(next)"
      metadata[.refreshRetryIn] = .seconds(
        .milliseconds(max(0, next.milliseconds - now.milliseconds)))
    }
    return metadata
  }
}

extension Condition.Severity {
  /// How loud the log is about it.
  package var level: Logger.Level {
    switch self {
    case .notice: .info
    case .warning: .warning
    case .error: .error
    case .critical: .critical
    }
  }
}

extension Condition {
  /// Where the runbook tells more, on the HTTP interface.
  package var helpPath: String { "/runbook#\(anchor)" }
}
