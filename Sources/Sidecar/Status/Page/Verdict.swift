import TokenCore

/// Conditions that differ in nothing but their account: one for people.
struct ConditionGroup {
  /// The one that is told for all.
  let first: Condition
  /// Those that it is about, by name; empty when it is about the whole replica.
  private(set) var accounts: [CredentialID]
  private(set) var since: Timestamp
  /// What it covers: failures whose outcome is told here, too.
  private(set) var kinds: [Condition.Kind]

  private struct Likeness: Hashable {
    let kind: Condition.Kind
    let severity: Condition.Severity
    let code: Int?
    let reason: String?
    let address: String?
    let subject: String?
    let instance: String?
    let cause: Condition.Kind?
    let observer: String?

    init(_ condition: Condition) {
      (kind, severity) = (condition.kind, condition.severity)
      (code, reason) = (condition.facts.code, condition.facts.reason)
      (address, subject) = (condition.facts.address, condition.facts.subject)
      (instance, cause) = (condition.facts.instance, condition.facts.cause)
      observer = condition.observer
    }
  }

  private init(_ first: Condition) {
    self.first = first
    accounts = first.account.map { [$0] } ?? []
    since = first.since
    kinds = [first.kind]
  }

  /// Groups conditions in their order.
  ///
  /// That refreshes of an account fail is not told once more where it is the cause of what is told.
  static func groups(_ conditions: [Condition]) -> [ConditionGroup] {
    let explained = Set(
      conditions.filter { $0.facts.cause == .refreshFailing }.compactMap(\.account))
    var groups: [ConditionGroup] = []
    var places: [Likeness: Int] = [:]
    for condition in conditions {
      if condition.kind == .refreshFailing, let account = condition.account,
        explained.contains(account)
      {
        continue
      }
      let likeness = Likeness(condition)
      if let account = condition.account, let place = places[likeness] {
        groups[place].accounts.append(account)
        groups[place].since = min(groups[place].since, condition.since)
      } else {
        places[likeness] = groups.count
        groups.append(ConditionGroup(condition))
      }
    }
    for place in groups.indices where groups[place].first.facts.cause == .refreshFailing {
      groups[place].kinds.append(.refreshFailing)
    }
    return groups
  }
}

/// What the page says first: whether tokens live, in one line.
struct Verdict {
  let tone: EventLog.Tone
  let headline: String
  /// What it rests on, told in full beside it.
  let groups: [ConditionGroup]
  /// What else is wrong.
  let others: [ConditionGroup]

  /// More causes than these stand in the list below.
  private static let mostCauses = 3

  init(_ snapshot: StatusSnapshot, _ text: PageText) {
    let groups = ConditionGroup.groups(snapshot.conditions)
    let dead = Set(snapshot.conditions.filter { $0.kind == .noToken }.compactMap(\.account))
    let total = snapshot.accounts.count
    if !dead.isEmpty {
      let told = groups.filter { $0.first.kind == .noToken }.prefix(Self.mostCauses)
      self.groups = Array(told)
      others =
        groups.filter { $0.first.kind != .noToken }
        + groups.filter { $0.first.kind == .noToken }.dropFirst(told.count)
      tone = .critical
      headline = Self.dead(dead.sorted(), of: total, text)
      return
    }
    if let worst = groups.first {
      self.groups = [worst]
      others = Array(groups.dropFirst())
      tone = worst.first.severity.tone
      headline = Self.headline(worst, text)
      return
    }
    (self.groups, others) = ([], [])
    let young = snapshot.accounts.filter { !$0.hasToken }
    guard young.isEmpty else {
      tone = .calm
      headline = text(
        "Starting: \(text.accounts(young.count)) not looked at yet",
        "正在启动：\(text.accounts(young.count))尚未检查")
      return
    }
    tone = .good
    headline =
      total == 1
      ? text("The token is alive", "token 有效")
      : text("All \(total) accounts have a live token", "全部 \(total) 个帐号的 token 均有效")
  }

  private static func dead(_ accounts: [CredentialID], of total: Int, _ text: PageText) -> String {
    if total == 1 { return text("There is no live token", "没有可用的 token") }
    return accounts.count == 1
      ? text(
        "1 of \(total) accounts has no token: \(accounts[0])",
        "\(total) 个帐号中有 1 个没有 token：\(accounts[0])")
      : text(
        "\(accounts.count) of \(total) accounts have no token",
        "\(total) 个帐号中有 \(accounts.count) 个没有 token")
  }

  private static func headline(_ group: ConditionGroup, _ text: PageText) -> String {
    let title = group.first.kind.title(text.language)
    switch group.accounts.count {
    case 0: return title
    case 1: return "\(group.accounts[0])\(text.colon)\(title)"
    default: return "\(text.accounts(group.accounts.count))\(text.colon)\(title)"
    }
  }
}
