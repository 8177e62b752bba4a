package import TokenCore

/// What people were told of each condition: decides what there is to say now.
///
/// A value: conditions and the time go in, what is to be told comes out. It compares what is so
/// with what was told last, not with what was so a moment before: what may not be told yet, since
/// too much was told of it lately, is told once it may, if it is still so.
package struct HealthBook: Sendable {
  /// Something to tell.
  package enum Change: Hashable, Sendable {
    case began(Condition)
    /// It lasts, for another reason than was told.
    case changed(Condition)
    /// It is worse than when it was told.
    case worsened(Condition)
    /// It lasts; nothing was said of it for `reminder`.
    case lasts(Condition)
    /// It is over, after so long.
    case ended(Condition, lasted: Duration)
  }

  /// What is told together: of 250 accounts that fail for one reason a line says it all.
  package struct Group: Hashable, Sendable {
    package let kind: Condition.Kind
    package let code: Int?
    package let cause: Condition.Kind?
    /// Whether this replica only heard of it.
    package let isHeard: Bool
  }

  /// When a condition was met: for people, and by a clock that nobody sets.
  package struct Met: Hashable, Sendable {
    package var since: Timestamp
    package var at: Moment

    package init(since: Timestamp, at: Moment) {
      self.since = since
      self.at = at
    }
  }

  fileprivate struct Told: Sendable {
    var condition: Condition
    var severity: Condition.Severity
    var at: Moment
  }

  fileprivate struct Entry: Sendable {
    /// As it was seen last.
    var condition: Condition
    var seenAt: Timestamp
    var metAt: Moment
    /// Whether it is so now.
    var isSo = true
    /// When it was over, by the wall clock.
    var overAt: Timestamp?
    /// Nil until it is told, and when its end is.
    var told: Told?
    /// When lines were written about it, within `span`.
    var spent: [Moment] = []
  }

  private var entries: [Condition.Identity: Entry] = [:]
  private var spent: [Group: [Moment]] = [:]

  /// What lasts is said again this often.
  package static let reminder: Duration = .seconds(300)
  /// More than these are not remembered: the mildest are told of late.
  static let mostRemembered = 4096
  /// Of one condition so many lines are written in `span`, reminders apart: what comes and goes
  /// with every attempt would fill the log.
  static let mostOfOne = 8
  static let span: Duration = .seconds(900)
  /// Of all conditions of one group so many lines are written in `groupSpan`: accounts that fail
  /// one after the other are told together after that.
  static let mostOfGroup = 8
  static let groupSpan: Duration = .seconds(300)

  package init() {}

  /// When the condition was first met; nil when it is not so, as of the last look.
  package func met(_ identity: Condition.Identity) -> Met? {
    entries[identity].flatMap { $0.isSo ? Met(since: $0.seenAt, at: $0.metAt) : nil }
  }

  /// Takes everything that is wrong now; returns what is to be told, worst first.
  package mutating func observe(
    _ conditions: [Condition], at now: Moment, wall: Timestamp
  ) -> [Change] {
    look(at: conditions, at: now, wall: wall)
    forget(at: now)
    var changes: [Change] = []
    var lines: [Group: Set<Verb>] = [:]
    var reminders: [Condition.Identity] = []
    for identity in order(conditions) {
      guard var entry = entries[identity] else { continue }
      defer { entries[identity] = entry }
      // What it has a date of may begin anew with each attempt; it lasts since it was met.
      var condition = entry.condition
      condition.since = min(condition.since, entry.seenAt)
      guard let verb = entry.wanted(at: now) else { continue }
      let group = (verb == .ended ? entry.told?.condition ?? condition : condition).group
      if verb == .lasts {
        reminders.append(identity)
        continue
      }
      if verb == .ended, isOutdone(identity) {
        entry.told = nil
        continue
      }
      guard entry.spent.count < Self.mostOfOne, spent[group, default: []].count < Self.mostOfGroup
      else {
        if entry.isSo, entry.isDue(at: now) { reminders.append(identity) }
        continue
      }
      lines[group, default: []].insert(verb)
      entry.spent.append(now)
      switch verb {
      case .began: changes.append(.began(condition))
      case .changed: changes.append(.changed(condition))
      case .worsened: changes.append(.worsened(condition))
      case .lasts: break
      case .ended:
        let over = entry.overAt ?? wall
        // As it was seen last, and as loud as it was told.
        var last = condition
        last.observer = entry.told?.condition.observer
        changes.append(
          .ended(
            last,
            lasted: .milliseconds(max(0, over.milliseconds - condition.since.milliseconds))))
      }
      entry.told =
        verb == .ended
        ? nil
        : Told(
          condition: condition, severity: max(condition.severity, entry.told?.floor ?? .notice),
          at: now)
    }
    for (group, verbs) in lines { spent[group, default: []] += verbs.map { _ in now } }
    return changes + remind(reminders, at: now)
  }

  /// Compares what is so with what was.
  private mutating func look(at conditions: [Condition], at now: Moment, wall: Timestamp) {
    var gone = Set(entries.keys)
    for condition in conditions.prefix(Self.mostRemembered) {
      let identity = condition.identity
      gone.remove(identity)
      guard var entry = entries[identity] else {
        if entries.count < Self.mostRemembered * 2 {
          entries[identity] = Entry(condition: condition, seenAt: condition.since, metAt: now)
        }
        continue
      }
      if !entry.isSo {
        entry.seenAt = condition.since
        entry.metAt = now
      }
      entry.isSo = true
      entry.overAt = nil
      entry.condition = condition
      entries[identity] = entry
    }
    for identity in gone where entries[identity]?.isSo == true {
      entries[identity]?.isSo = false
      entries[identity]?.overAt = wall
    }
  }

  /// Whether it is over only because worse came of it: then nobody says so.
  private func isOutdone(_ identity: Condition.Identity) -> Bool {
    guard identity.kind == .tokenLapsing || identity.kind == .tokenUnseen else { return false }
    let missing = Condition(.noToken, .critical, account: identity.account, since: .now).identity
    return entries[missing]?.isSo == true
  }

  /// Drops what is over and of no more account.
  private mutating func forget(at now: Moment) {
    for (identity, entry) in entries where !entry.spent.isEmpty || !entry.isSo {
      let spent = entry.spent.filter { now - $0 < Self.span }
      entries[identity]?.spent = spent
      if !entry.isSo, entry.told == nil, spent.isEmpty { entries[identity] = nil }
    }
    for (group, moments) in spent {
      let rest = moments.filter { now - $0 < Self.groupSpan }
      spent[group] = rest.isEmpty ? nil : rest
    }
  }

  /// What is so, worst first, then what is over, by name.
  private func order(_ conditions: [Condition]) -> [Condition.Identity] {
    conditions.prefix(Self.mostRemembered).map(\.identity)
      + entries.filter { !$0.value.isSo && $0.value.told != nil }.keys.sorted()
  }

  /// Says again what lasts, a whole group at a time, so that its accounts stand in one line.
  private mutating func remind(_ identities: [Condition.Identity], at now: Moment) -> [Change] {
    let candidates = identities.compactMap { identity -> (Condition, Duration)? in
      guard let entry = entries[identity], let told = entry.told else { return nil }
      var condition = entry.condition
      condition.since = min(condition.since, entry.seenAt)
      return (condition, now - told.at)
    }
    let due = Set(candidates.filter { $0.1 >= Self.reminder }.map(\.0.group))
    return candidates.filter { due.contains($0.0.group) }.map { condition, _ in
      entries[condition.identity]?.told?.at = now
      entries[condition.identity]?.told?.condition = condition
      return .lasts(condition)
    }
  }

  /// What can be said of a condition.
  fileprivate enum Verb: Hashable { case began, changed, worsened, lasts, ended }
}

extension HealthBook.Told {
  /// How bad it is known to be, here: what was only heard of was not told aloud.
  fileprivate var floor: Condition.Severity {
    condition.observer == nil ? severity : .notice
  }
}

extension HealthBook.Entry {
  /// What there is to say, if it may be said.
  fileprivate func wanted(at now: Moment) -> HealthBook.Verb? {
    guard isSo else { return told == nil ? nil : .ended }
    guard !condition.isPending else { return nil }
    guard let told else { return .began }
    // The one that sees it tells of it; who heard of it has said so once.
    guard condition.observer == nil else { return nil }
    guard told.condition.observer == nil else { return .began }
    if condition.severity > told.severity { return .worsened }
    if condition.isForAnotherReason(than: told.condition) { return .changed }
    return isDue(at: now) ? .lasts : nil
  }

  /// Whether it may be said again; after half the time, so that a group is told together.
  fileprivate func isDue(at now: Moment) -> Bool {
    guard let told, condition.severity > .notice else { return false }
    return now - told.at >= HealthBook.reminder / 2
  }
}

extension Condition {
  /// What it is told together with.
  package var group: HealthBook.Group {
    HealthBook.Group(
      kind: kind, code: facts.code, cause: facts.cause, isHeard: observer != nil)
  }

  /// Whether another answer of WeChat's is why: another code, or other words where there is none;
  /// or why the token is missed was not known.
  fileprivate func isForAnotherReason(than other: Condition) -> Bool {
    if kind == .noToken { return other.facts.cause == nil && facts.cause != nil }
    // These say the same in the same words.
    if [.fileUnwritten, .hookFailing, .secretUnusable, .certificateUnusable].contains(kind) {
      return facts.reason != other.facts.reason
    }
    guard kind == .refreshFailing else { return false }
    return facts.code != other.facts.code
      || facts.code == nil && facts.reason != other.facts.reason
  }
}
