import TokenCore

/// Which of WeChat's hosts each account asks next.
///
/// What is a host's fault - it cannot be reached, or its gateway fails - takes all accounts away
/// from it. What may be an account's own - it is not answered, or WeChat is busy for it - takes
/// away that account alone: one that fails for ever must not send others to a host that is worse.
struct HostOrder: Hashable, Sendable {
  private let count: Int
  private var common = 0
  /// Where those ask who are not with the others.
  private var own: [AccountName: Int] = [:]

  init(count: Int) { self.count = count }

  /// The host that the account asks next.
  func place(of account: AccountName) -> Int { own[account] ?? common }

  /// A call at that host failed.
  ///
  /// - Parameter isHostsFault: whether every account's would have.
  mutating func failed(at place: Int, for account: AccountName, isHostsFault: Bool) {
    let next = (place + 1) % count
    // Another call may have seen to it meanwhile.
    if isHostsFault, common == place { common = next }
    if self.place(of: account) == place { own[account] = next }
    own = own.filter { $0.value != common }
  }
}
