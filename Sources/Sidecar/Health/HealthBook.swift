package import TokenCore

/// What people were told of each condition: decides what there is to say now.
///
/// A value: conditions and the time go in, what is to be told comes out.
package struct HealthBook: Sendable {
  /// Something to tell.
  package enum Change: Hashable, Sendable {
    case began(Condition)
    /// It is worse than when it was told.
    case worsened(Condition)
    /// It lasts; nothing was said of it for `reminder`.
    case lasts(Condition)
    /// It is over, after so long.
    case ended(Condition, lasted: Duration)
  }

  private struct Entry: Sendable {
    var condition: Condition
    var seenAt: Timestamp
    /// Nil until it is told.
    var toldAt: Moment?
    var told: Condition.Severity?
  }

  private var entries: [Condition.Identity: Entry] = [:]

  /// What lasts is said again this often.
  package static let reminder: Duration = .seconds(300)
  /// More than these are not remembered: the mildest are told of late.
  static let mostRemembered = 4096

  package init() {}

  /// Since when the condition is known, as it was first met.
  package func since(_ identity: Condition.Identity) -> Timestamp? {
    entries[identity]?.seenAt
  }

  /// Takes everything that is wrong now; returns what is to be told, worst first.
  package mutating func observe(
    _ conditions: [Condition], at now: Moment, wall: Timestamp
  ) -> [Change] {
    var changes: [Change] = []
    var rest = entries
    for condition in conditions.prefix(Self.mostRemembered) {
      let identity = condition.identity
      rest[identity] = nil
      var entry = entries[identity] ?? Entry(condition: condition, seenAt: condition.since)
      entry.condition = condition
      defer { entries[identity] = entry }
      if condition.isPending { continue }
      if let told = entry.told, let toldAt = entry.toldAt {
        if condition.severity > told {
          changes.append(.worsened(condition))
        } else if now - toldAt >= Self.reminder, condition.severity > .notice {
          changes.append(.lasts(condition))
        } else {
          continue
        }
      } else {
        changes.append(.began(condition))
      }
      entry.told = condition.severity
      entry.toldAt = now
    }
    for (identity, entry) in rest.sorted(by: { $0.key < $1.key }) {
      entries[identity] = nil
      guard entry.told != nil else { continue }
      let lasted = Duration.milliseconds(
        max(0, wall.milliseconds - entry.condition.since.milliseconds))
      changes.append(.ended(entry.condition, lasted: lasted))
    }
    return changes
  }
}
