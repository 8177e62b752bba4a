import TokenCore

/// Bounds how many lines are written about things that repeat.
struct LineBudget: Sendable {
  /// So many lines in so long.
  struct Allowance: Hashable, Sendable {
    let lines: Int
    let span: Duration

    init(lines: Int, in span: Duration) {
      self.lines = lines
      self.span = span
    }
  }

  private struct Account {
    var spent: [Moment] = []
    var withheld = 0
  }

  private var accounts: [String: Account] = [:]

  /// Whether a line may be written now.
  ///
  /// - Returns: how many were withheld since the last one that might; nil when this one is, too.
  mutating func take(_ name: String, _ allowance: Allowance, at now: Moment) -> Int? {
    var account = accounts[name] ?? Account()
    defer { accounts[name] = account }
    account.spent.removeAll { now - $0 >= allowance.span }
    guard account.spent.count < allowance.lines else {
      account.withheld += 1
      return nil
    }
    account.spent.append(now)
    defer { account.withheld = 0 }
    return account.withheld
  }
}
