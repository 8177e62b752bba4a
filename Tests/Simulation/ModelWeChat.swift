/// WeChat's token endpoint in `token` mode: the last fetch that it processes wins.
///
/// Every earlier token of the account dies within the grace, or at the end of its own life.
struct ModelWeChat {
  struct Issue {
    let token: String
    /// Which request minted it; nil for another party's.
    let request: Int?
    let issuedAt: Int64
    var diesAt: Int64
  }

  /// What was issued to each account that may still be alive or newest, oldest first.
  private(set) var issues: [[Issue]]
  private var count = 0
  let grace: Int64

  init(accounts: Int, grace: Int64) {
    issues = Array(repeating: [], count: accounts)
    self.grace = grace
  }

  /// Processes a fetch: a new token, and the grace of the ones before begins.
  mutating func mint(account: Int, request: Int?, lifetime: Int64, at now: Int64) -> String {
    count += 1
    let token = "T\(account)-\(count)"
    // What has been dead for long is of no interest, except that it is dead.
    issues[account].removeAll { $0.diesAt < now - 24 * 3_600_000_000_000 }
    for index in issues[account].indices {
      issues[account][index].diesAt = min(issues[account][index].diesAt, now + grace)
    }
    issues[account].append(
      Issue(token: token, request: request, issuedAt: now, diesAt: now + lifetime))
    return token
  }

  func newest(account: Int) -> Issue? { issues[account].last }

  /// What was minted after a token, oldest first.
  func issuesAfter(_ token: String, account: Int) -> ArraySlice<Issue> {
    guard let index = issues[account].lastIndex(where: { $0.token == token }) else { return [] }
    return issues[account][(index + 1)...]
  }

  /// When a token dies or died; nil for a text that was never a token.
  func death(of token: String, account: Int) -> Int64? {
    issues[account].last { $0.token == token }?.diesAt
  }
}
