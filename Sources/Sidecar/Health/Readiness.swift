package import TokenCore

/// Whether applications may be sent to a replica, by what is wrong: what `/readyz` answers.
///
/// It is about access tokens: nobody is sent elsewhere for want of a ticket.
/// A pure judgement of conditions that were judged elsewhere.
package struct Readiness: Hashable, Sendable {
  package let isReady: Bool
  /// Why, in a sentence.
  package let detail: String
  /// The accounts that nobody should read, whether or not that prevents readiness.
  package let degraded: [AccountName]
  /// What is wrong with what was asked about, worst first; at most `mostConditions`.
  package let conditions: [Condition]

  /// Whoever probes reads the worst; the status has all.
  package static let mostConditions = 20

  package init(of scope: Settings.Ready, accounts: [AccountName], conditions: [Condition]) {
    let conditions = conditions.filter { $0.account?.kind ?? .accessToken == .accessToken }
    let preventing = conditions.filter(\.preventsReading)
    let general = preventing.contains { $0.account == nil }
    let missing = Set(general ? accounts : preventing.compactMap(\.account?.account))
    let named: [AccountName]
    switch scope {
    case .any: named = accounts
    case .all(let names): named = names.isEmpty ? accounts : names
    }
    let degraded = named.filter(missing.contains)
    let isReady: Bool
    switch scope {
    case .any: isReady = degraded.count < named.count
    case .all: isReady = degraded.isEmpty
    }
    let worst = preventing.first { $0.concerns(named) }
    if let worst, !isReady {
      detail = worst.sentence(.english)
    } else if degraded.isEmpty {
      detail =
        named.count == 1 && accounts.count > 1
        ? "a live token of account \(named[0]) was seen in Redis"
        : "a live token was seen in Redis for every account"
    } else {
      detail =
        "a live token was seen in Redis for \(named.count - degraded.count) of \(named.count)"
        + " accounts"
    }
    self.isReady = isReady
    self.degraded = degraded
    self.conditions = Array(
      conditions.filter { condition in
        condition.severity > .notice && (!condition.isPending || condition.preventsReading)
          && condition.concerns(named)
      }.prefix(Self.mostConditions))
  }
}

extension Condition {
  /// Whether it is about one of these accounts, or about the whole replica.
  fileprivate func concerns(_ accounts: [AccountName]) -> Bool {
    account.map { accounts.contains($0.account) } ?? true
  }
}
