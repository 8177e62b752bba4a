import TokenCore

/// The scripts that touch one account's keys, at one time of the server.
///
/// Each is what the real script does (PROTOCOL section 3), less the parts that are taken away.
struct AccountScripts {
  let parts: Parts
  let now: RedisTime

  func takeOver(_ epoch: Epoch, _ account: inout ModelRedis.Account) -> StoreReply {
    if parts.contains(.fence), account.state.fence > epoch {
      return .fenced(account.state.fence)
    }
    account.state.fence = max(account.state.fence, epoch)
    return .account(view(of: account))
  }

  func resolve(_ version: Version, _ account: inout ModelRedis.Account) -> StoreReply {
    if account.state.intent?.version == version { account.state.intent = nil }
    return .resolved
  }

  // MARK: Reading

  func view(of account: ModelRedis.Account) -> AccountView {
    var view = AccountView(now: now)
    let state = account.state
    view.fence = state.fence
    view.committed = state.committed
    view.parent = state.parent
    view.intent = state.intent
    view.dirty = state.dirty
    view.sweep = state.sweep
    view.runID = parts.contains(.runID) ? state.runID : nil
    view.expiresAt = state.expiresAt
    view.lifetime = state.lifetime
    view.fetchedBy = state.fetchedBy
    if let text = account.token?.text {
      view.token = AccessToken(text)
      view.tokenRemaining = account.token?.expiresAt.map { $0 - now }
      view.tokenMatchesRecord = state.committed != nil && state.digest == text
    }
    if let text = account.expiry?.text {
      view.clientExpiry = Int64(text)
      view.clientExpiryRemaining = account.expiry?.expiresAt.map { $0 - now }
    }
    return view
  }

  // MARK: Fetching

  /// Days end at midnight in China, where WeChat counts; milliseconds.
  private static let chinaOffset: Int64 = 8 * 3_600_000
  private static let day: Int64 = 86_400_000

  func begin(
    _ begin: StoreCommand.Begin, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    if parts.contains(.fence), account.state.fence > begin.version.epoch {
      return .fenced(account.state.fence)
    }
    if let committed = account.state.committed, committed >= begin.version {
      return .stale(committed: committed)
    }
    account.state.fence = max(account.state.fence, begin.version.epoch)
    let today = (now.milliseconds + AccountScripts.chinaOffset) / AccountScripts.day
    if account.state.day != today {
      account.state.day = today
      account.state.fetchesToday = 0
    }
    if account.state.intent?.version != begin.version { account.state.fetchesToday += 1 }
    if let intent = account.state.intent, intent.version != begin.version {
      sweep(&account, at: intent.at + Timing.sweep)
    }
    if begin.isSuspicious || (begin.hasHistory && account.state.committed == nil) {
      sweep(&account, at: now + Timing.sweep)
    }
    if parts.contains(.intent) {
      account.state.intent = Intent(
        version: begin.version, at: now, deadline: now + begin.span)
    }
    return .began(
      BeginReceipt(
        dirty: account.state.dirty, committed: account.state.committed,
        sweep: account.state.sweep, fetchesToday: account.state.fetchesToday, now: now))
  }

  func commit(
    _ commit: StoreCommand.Commit, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    let version = commit.version
    let committed = account.state.committed
    if parts.contains(.fence), account.state.fence > commit.fence {
      if committed == version || account.state.parent == version {
        return .superseded(account.state.fence)
      }
      soil(&account, version, debt: version.description)
      return .deposed(account.state.fence, account.state.dirty)
    }
    if let committed, committed > version {
      if committed.epoch != version.epoch { soil(&account, version, debt: version.description) }
      return .stale(committed: committed)
    }
    let intent = account.state.intent
    var left = commit.lifetime - commit.age
    if !parts.contains(.commitAge) {
      // The age is as of the sending.
    } else if let intent, intent.version == version {
      left = min(left, intent.at + commit.lifetime - now)
    } else if committed == version, let expiresAt = account.state.expiresAt {
      left = min(left, expiresAt - now)
    }
    guard left > .zero else {
      return .stale(committed: committed ?? Version(epoch: .none, sequence: 0))
    }
    if commit.isRecommit, !parts.contains(.recommit) { return .committed }
    account.state.fence = max(account.state.fence, commit.fence)
    write(commit.outputs, to: &account, expiresAt: now + left)
    account.state.committed = version
    account.state.expiresAt = now + left
    account.state.lifetime = commit.lifetime
    account.state.runID = commit.runID
    if !commit.isRecommit { account.state.fetchedBy = commit.instance.rawValue }
    account.state.digest = account.token?.text
    if committed != version { account.state.parent = commit.parent }
    if commit.isRecommit {
      sweep(&account, at: now + Timing.sweep)
    } else if committed == version {
      if intent?.version == version { account.state.intent = nil }
    } else if let intent, intent.version == version {
      account.state.intent = nil
      if let sweep = commit.sweep, account.state.sweep == sweep { account.state.sweep = nil }
      if let dirty = commit.dirty, account.state.dirty == dirty { account.state.dirty = nil }
    } else if parts.contains(.intent) {
      sweep(&account, at: now + Timing.sweep)
    } else {
      // Without intents nothing can be missed: the bug is planted whole.
      if commit.sweep != nil { account.state.sweep = nil }
      if let dirty = commit.dirty, account.state.dirty == dirty { account.state.dirty = nil }
    }
    return .committed
  }

  func republish(
    _ republish: StoreCommand.Republish, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    if parts.contains(.fence), account.state.fence > republish.fence {
      return .fenced(account.state.fence)
    }
    let committed = account.state.committed
    if let committed, committed != republish.version { return .republished(wrote: false) }
    var left = republish.remaining
    if let recorded = account.state.expiresAt.map({ $0 - now }),
      recorded <= left + RemainingTolerance.ofClock(lifetime: republish.lifetime)
    {
      left = recorded
    }
    guard left > .zero else { return .republished(wrote: false) }
    if committed != nil,
      !isDamaged(account, outputs: republish.outputs, republish.lifetime, left: left)
    {
      return .republished(wrote: false)
    }
    account.state.fence = max(account.state.fence, republish.fence)
    write(republish.outputs, to: &account, expiresAt: now + left)
    account.state.expiresAt = now + left
    account.state.digest = account.token?.text
    if committed == nil {
      account.state.committed = republish.version
      account.state.lifetime = republish.lifetime
      sweep(&account, at: now + Timing.sweep)
    }
    return .republished(wrote: true)
  }

  func mark(
    _ mark: StoreCommand.Mark, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    if account.state.committed == mark.version || account.state.parent == mark.version {
      return .committed
    }
    guard parts.contains(.dirtyMark) else { return .marked(nil) }
    if soil(&account, mark.version, debt: mark.debt.description), mark.isUnknown {
      sweep(&account, at: now + Timing.sweep)
    }
    return .marked(account.state.dirty)
  }

  // MARK: Parts of scripts

  private func sweep(_ account: inout ModelRedis.Account, at time: RedisTime) {
    guard parts.contains(.sweep) else { return }
    account.state.sweep = account.state.sweep.map { max($0 + .milliseconds(1), time) } ?? time
  }

  /// Whether this debt was not paid before.
  @discardableResult
  private func soil(
    _ account: inout ModelRedis.Account, _ version: Version, debt: String
  ) -> Bool {
    guard parts.contains(.dirtyMark) else { return false }
    if parts.contains(.idempotentMark), account.state.marked.contains(debt) { return false }
    account.state.dirty = DirtyMark(version, at: now)
    account.state.marked = [debt] + account.state.marked.prefix(AccountScripts.debtMemory - 1)
    return true
  }

  /// How many debts an account remembers.
  private static let debtMemory = 8

  private func write(
    _ outputs: [Output], to account: inout ModelRedis.Account, expiresAt: RedisTime
  ) {
    for output in outputs {
      let key = ModelRedis.Key(
        text: AccountScripts.text(of: output, expiresAt), expiresAt: expiresAt)
      switch output.key {
      case .accessToken: account.token = key
      case .expiresIn: account.expiry = key
      }
    }
  }

  private static func text(of output: Output, _ expiresAt: RedisTime) -> String {
    switch output.format {
    case .token(let token): token.revealed
    case .clientExpiry(let margin):
      String((expiresAt.milliseconds - margin.wholeMilliseconds) / 1000)
    }
  }

  private func isDamaged(
    _ account: ModelRedis.Account, outputs: [Output], _ lifetime: Duration, left: Duration
  ) -> Bool {
    let tolerance = RemainingTolerance.ofTTL(lifetime: lifetime).wholeMilliseconds
    return outputs.contains { output in
      let key = output.key == .accessToken ? account.token : account.expiry
      guard let key, let text = key.text, let expiresAt = key.expiresAt else { return true }
      return text != AccountScripts.text(of: output, now + left)
        || abs((expiresAt - now - left).wholeMilliseconds) > tolerance
    }
  }
}
