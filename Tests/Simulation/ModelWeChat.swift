/// WeChat's token endpoints: in `token` mode the last fetch that it processes wins; `stable_token`
/// repeats what it gave out.
///
/// In `token` mode every earlier token of the account dies within the grace, or at the end of its
/// own life; where WeChat keeps but one old token, the ones before that die at once.
struct ModelWeChat {
  struct Issue {
    let token: String
    /// Which request minted it; nil for another party's.
    let request: Int?
    let issuedAt: Int64
    /// When its life ends, if nothing ends it before.
    let endsAt: Int64
    var diesAt: Int64
  }

  /// What a call of `stable_token` brings.
  enum StableAnswer: Equatable {
    case token(String, remaining: Int64)
    /// 45009: no more forced fetches today.
    case overQuota
  }

  /// What was issued to each account that may still be alive or newest, oldest first.
  private(set) var issues: [[Issue]]
  private var count = 0
  /// When the forced fetches of each account brought a new token.
  private var forced: [[Int64]]
  let grace: Int64
  let keepsOneOld: Bool

  /// Within so long of its end a stable token is replaced by a plain call.
  private static let early: Int64 = 300 * second
  /// Between two forced fetches; sooner, the current token comes back.
  private static let forcedSpacing: Int64 = 30 * second
  private static let forcedPerDay = 20

  init(accounts: Int, grace: Int64, keepsOneOld: Bool = false) {
    issues = Array(repeating: [], count: accounts)
    forced = Array(repeating: [], count: accounts)
    self.grace = grace
    self.keepsOneOld = keepsOneOld
  }

  /// Processes a fetch of `token`: a new one, and the grace of the ones before begins.
  mutating func mint(account: Int, request: Int?, lifetime: Int64, at now: Int64) -> String {
    add(account: account, request: request, lifetime: lifetime, keepsOneOld, at: now)
  }

  /// Processes a fetch of `stable_token`.
  mutating func answer(
    account: Int, request: Int?, isForced: Bool, lifetime: Int64, at now: Int64
  ) -> StableAnswer {
    let current = issues[account].last.flatMap { $0.diesAt > now ? $0 : nil }
    if let current {
      let remaining = current.diesAt - now
      if isForced {
        forced[account].removeAll { $0 / (24 * hour) != now / (24 * hour) }
        guard forced[account].count < Self.forcedPerDay else { return .overQuota }
        let isTooSoon = forced[account].last.map { now - $0 < Self.forcedSpacing } ?? false
        if isTooSoon { return .token(current.token, remaining: remaining) }
        forced[account].append(now)
      } else if remaining > Self.early {
        return .token(current.token, remaining: remaining)
      }
    }
    let token = add(account: account, request: request, lifetime: lifetime, isForced, at: now)
    return .token(token, remaining: lifetime)
  }

  private mutating func add(
    account: Int, request: Int?, lifetime: Int64, _ keepsOneOld: Bool, at now: Int64
  ) -> String {
    count += 1
    let token = "T\(account)-\(count)"
    // What has been dead for long is of no interest, except that it is dead.
    issues[account].removeAll { $0.diesAt < now - 24 * hour }
    for index in issues[account].indices {
      let isPrevious = index == issues[account].indices.last
      let end = keepsOneOld && !isPrevious ? now : now + grace
      issues[account][index].diesAt = min(issues[account][index].diesAt, end)
    }
    issues[account].append(
      Issue(
        token: token, request: request, issuedAt: now, endsAt: now + lifetime,
        diesAt: now + lifetime))
    return token
  }

  func newest(account: Int) -> Issue? { issues[account].last }

  func issue(of token: String, account: Int) -> Issue? {
    issues[account].last { $0.token == token }
  }

  /// What was minted after a token, oldest first.
  func issuesAfter(_ token: String, account: Int) -> ArraySlice<Issue> {
    guard let index = issues[account].lastIndex(where: { $0.token == token }) else { return [] }
    return issues[account][(index + 1)...]
  }

  /// When a token dies or died; nil for a text that was never a token.
  func death(of token: String, account: Int) -> Int64? {
    issue(of: token, account: account)?.diesAt
  }
}
