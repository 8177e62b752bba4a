import FoundationEssentials
import TokenCore

/// What a replica tells the others about itself with each heartbeat: bounded, without secrets.
///
/// What only the leader knows reaches every replica in this way. Accounts with the same trouble
/// stand together, so that 250 of them fit when one address is refused for all.
package struct HealthReport: Hashable, Sendable {
  package var version: String
  package var startedAt: Timestamp
  /// What tells the accounts that it keeps from another's (`AccountMarks`).
  package var accounts: String
  /// The marks of each; nil of a version that told none.
  package var marks: String?
  package var conditions: [Condition]
  /// So many more had no place.
  package var omitted = 0

  /// Longer reports are not written; the script repeats none beyond 16 KiB.
  package static let longest = 12_288

  package init(
    version: String, startedAt: Timestamp, accounts: String, conditions: [Condition]
  ) {
    self.version = version
    self.startedAt = startedAt
    self.accounts = accounts
    self.conditions = conditions
  }

  fileprivate struct Body: Codable {
    var v: Int
    var version: String
    var started_at: Int64
    var accounts: String
    var marks: String?
    var omitted: Int?
    var conditions: [Group]
  }

  fileprivate struct Group: Codable, Hashable {
    var id: String
    var severity: String
    var accounts: [String]?
    var since: Int64
    var errcode: Int?
    var reason: String?
    var rid: String?
    var address: String?
    var count: Int?
    var last_at: Int64?
    var next_at: Int64?
    var ends_at: Int64?
    var instance: String?
    var subject: String?
  }

  /// The report as text of at most `longest` bytes.
  package var encoded: String {
    var groups: [Group] = []
    var places: [Group: Int] = [:]
    for condition in conditions.sorted(by: Condition.isTold) {
      var kind = Group(
        id: condition.kind.rawValue, severity: condition.severity.rawValue, since: 0,
        errcode: condition.facts.code, reason: condition.facts.reason,
        address: condition.facts.address, instance: condition.facts.instance,
        subject: condition.facts.subject)
      if let account = condition.account, let place = places[kind] {
        groups[place].accounts?.append(account.description)
        groups[place].since = min(groups[place].since, condition.since.second)
        groups[place].count = max(groups[place].count ?? 0, condition.facts.count ?? 0)
        continue
      }
      places[kind] = groups.count
      kind.accounts = condition.account.map { [$0.description] }
      kind.since = condition.since.second
      kind.rid = condition.facts.requestID
      kind.count = condition.facts.count
      kind.last_at = condition.facts.lastAt?.second
      kind.next_at = condition.facts.nextAt?.second
      kind.ends_at = condition.facts.endsAt?.second
      groups.append(kind)
    }
    var omitted = self.omitted
    while true {
      let text = JSONText.value(
        Body(
          v: 1, version: version, started_at: startedAt.second, accounts: accounts,
          marks: marks, omitted: omitted > 0 ? omitted : nil, conditions: groups))
      guard text.utf8.count > Self.longest, let last = groups.indices.last else { return text }
      // The mildest go first, half of their accounts at a time.
      let names = groups[last].accounts ?? []
      if names.count > 1 {
        omitted += names.count - names.count / 2
        groups[last].accounts = Array(names.prefix(names.count / 2))
      } else {
        omitted += 1
        groups.removeLast()
      }
    }
  }

  /// Reads what another replica said; nil when it is in no form known here.
  ///
  /// What is unknown in it is left out: a newer version may know more kinds.
  package init?(encoded text: String) {
    guard let body = try? JSONDecoder().decode(Body.self, from: Data(text.utf8)), body.v == 1
    else { return nil }
    self.init(
      version: String(body.version.prefix(64)), startedAt: Timestamp(second: body.started_at),
      accounts: body.accounts, conditions: body.conditions.flatMap(\.conditions))
    marks = body.marks
    omitted = body.omitted ?? 0
  }
}

extension HealthReport.Group {
  fileprivate var conditions: [Condition] {
    guard let kind = Condition.Kind(rawValue: id),
      let severity = Condition.Severity(rawValue: severity)
    else { return [] }
    var facts = Condition.Facts()
    facts.code = errcode
    facts.reason = reason
    facts.requestID = rid
    facts.address = address
    facts.count = count
    facts.lastAt = last_at.map { Timestamp(second: $0) }
    facts.nextAt = next_at.map { Timestamp(second: $0) }
    facts.endsAt = ends_at.map { Timestamp(second: $0) }
    facts.instance = instance
    facts.subject = subject
    let since = Timestamp(second: since)
    guard let accounts else { return [Condition(kind, severity, since: since, facts: facts)] }
    return accounts.compactMap { name in
      let account = CredentialID(name)
      return account.map { Condition(kind, severity, account: $0, since: since, facts: facts) }
    }
  }
}
