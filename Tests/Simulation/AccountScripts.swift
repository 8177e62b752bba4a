import TokenCore

/// The scripts that touch one account's keys, at one time of the server.
///
/// Each is what the real script does (TokenCore.md#the-algorithm), less the parts that are taken
/// away.
struct AccountScripts {
  let parts: Parts
  let now: RedisTime

  func takeOver(
    _ takeOver: StoreCommand.TakeOver, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    if parts.contains(.fence), account.state.fence > takeOver.epoch {
      return .fenced(account.state.fence)
    }
    account.state.fence = max(account.state.fence, takeOver.epoch)
    if let runID = takeOver.runID, account.state.committed != nil, account.state.runID != runID {
      if account.state.runID != nil, takeOver.isMortal, parts.contains(.runID) {
        doubt(&account, Doubt(first: now - takeOver.away - Timing.lostWrites, last: now))
      }
      account.state.runID = runID
    }
    restate(takeOver.outputs, &account)
    return .account(view(of: account, takeOver.outputs))
  }

  func resolve(
    _ resolve: StoreCommand.Resolve, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    if account.state.intent?.version == resolve.version {
      account.state.intent = nil
      restate(resolve.outputs, &account)
    }
    return .resolved
  }

  // MARK: Reading

  func view(of account: ModelRedis.Account, _ outputs: [Output] = []) -> AccountView {
    var view = AccountView(now: now)
    let state = account.state
    view.fence = state.fence
    view.committed = state.committed
    view.intent = state.intent
    view.doubt = state.doubt
    view.runID = state.runID
    view.fetchedAt = state.fetchedAt
    view.expiresAt = state.expiresAt
    view.lifetime = state.lifetime
    view.fetchedBy = state.fetchedBy
    if let text = account.token?.text {
      view.token = AccessToken(text)
      view.tokenRemaining = account.token?.expiresAt.map { $0 - now }
      view.tokenMatchesRecord = state.committed != nil && state.digest == text
    }
    view.others = outputs.indices.dropFirst().map { place in
      guard let key = account[output: place], let text = key.text else {
        return HeldOutput(text: nil, remaining: nil)
      }
      return HeldOutput(text: text, remaining: key.expiresAt.map { $0 - now })
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
    let isRepeated = account.state.intent?.version == begin.version
    if let intent = account.state.intent, !isRepeated {
      if intent.kills, parts.contains(.fold) {
        doubt(&account, Doubt(first: intent.at, last: intent.at))
      }
      account.state.intent = nil
    }
    if account.state.committed == nil, begin.hasHistory, begin.isMortal {
      doubt(&account, Doubt(first: now, last: now))
    }
    if !isRepeated {
      account.state.fetchesToday += 1
      if parts.contains(.intent) {
        account.state.intent = Intent(version: begin.version, at: now, kills: begin.kills)
      }
      restate(begin.outputs, &account)
    }
    return .began(
      BeginReceipt(
        committed: account.state.committed, fetchesToday: account.state.fetchesToday,
        at: account.state.intent?.at ?? now, now: now))
  }

  func commit(
    _ commit: StoreCommand.Commit, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    let version = commit.version
    let committed = account.state.committed
    let isAgain = committed == version
    let intent = account.state.intent
    let isOwn = intent?.version == version
    let begun = isOwn ? intent?.at : commit.begunAt
    let birth = now - commit.age
    if parts.contains(.fence), account.state.fence > commit.fence {
      if isAgain || account.state.parent == version { return .superseded(account.state.fence) }
      cameFromOutside(commit, begun: begun, &account)
      return .deposed(account.state.fence)
    }
    if let committed, committed > version {
      if committed.epoch != version.epoch { cameFromOutside(commit, begun: begun, &account) }
      return .stale(committed: committed)
    }
    var left = commit.lifetime - commit.age
    if !parts.contains(.commitAge) {
      // The age is as of the sending.
    } else if isAgain, let expiresAt = account.state.expiresAt {
      left = min(left, expiresAt - now)
    } else if let begun {
      left = min(left, begun + commit.lifetime - now)
    }
    let isRepeated =
      commit.least != nil && committed != nil && account.state.digest == commit.token.revealed
    if isRepeated, let seenAt = account.state.fetchedAt, let lifetime = account.state.lifetime {
      left = min(left, seenAt + lifetime - now)
    }
    if let least = commit.least { left = max(left, least - commit.age) }
    guard left > .zero else {
      return .stale(committed: committed ?? Version(epoch: .none, sequence: 0))
    }
    if commit.isRecommit, !parts.contains(.recommit) {
      return .stale(committed: committed ?? Version(epoch: .none, sequence: 0))
    }
    account.state.fence = max(account.state.fence, commit.fence)
    if !isAgain {
      account.state.parent = commit.parent
      if !isRepeated {
        account.state.fetchedAt = begun ?? birth
        account.state.lifetime = commit.lifetime
      }
      if !commit.isRecommit { account.state.fetchedBy = commit.instance.rawValue }
    }
    account.state.committed = version
    account.state.expiresAt = now + left
    // The server that it was taken over on: another one is TAKEOVER's to tell, with a doubt.
    account.state.runID = account.state.runID ?? commit.runID
    account.state.digest = commit.token.revealed
    if isOwn { account.state.intent = nil }
    if commit.isRecommit || (!isOwn && !isAgain && parts.contains(.intent)) {
      if commit.kills { doubt(&account, Doubt(first: min(begun ?? birth, birth), last: now)) }
    } else if let doubt = account.state.doubt, !isAgain {
      let begun = begun ?? now
      if begun > doubt.last + Timing.straggling || !parts.contains(.straggling) {
        account.state.doubt = nil
      } else {
        account.state.doubt = Doubt(first: begun, last: min(doubt.last, now))
      }
    }
    write(commit.token, commit.outputs, to: &account)
    return .committed(isCertain: account.state.doubt == nil && account.state.intent == nil)
  }

  /// A fetch that was not committed in its turn may have killed what is there.
  private func cameFromOutside(
    _ commit: StoreCommand.Commit, begun: RedisTime?, _ account: inout ModelRedis.Account
  ) {
    guard commit.kills else { return }
    let birth = now - commit.age
    doubt(&account, Doubt(first: min(begun ?? birth, birth), last: now))
    restate(commit.outputs, &account)
  }

  func republish(
    _ republish: StoreCommand.Republish, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    if parts.contains(.fence), account.state.fence > republish.fence {
      return .fenced(account.state.fence)
    }
    let committed = account.state.committed
    if let committed, committed != republish.version { return .republished(wrote: false) }
    var left = min(republish.certain, republish.until.map { $0 - now } ?? republish.certain)
    if committed != nil, let end = view(of: account).statedEnd {
      left = end - now
      if left > republish.certain + republish.slack {
        left = republish.certain
        account.state.expiresAt = now + left
      }
      if !isDamaged(account, republish, left: left) {
        return .republished(wrote: false)
      }
    }
    guard left > .zero else {
      guard committed != nil else { return .republished(wrote: false) }
      let over = republish.outputs.indices.filter { place in
        guard let held = account[output: place] else { return false }
        guard place > 0, case .token(let spelling) = republish.outputs[place].content else {
          return true
        }
        return held.text == spelling.text(of: republish.token, lifetime: republish.lifetime)
      }
      for place in over { account[output: place] = nil }
      return .republished(wrote: !over.isEmpty)
    }
    account.state.fence = max(account.state.fence, republish.fence)
    if committed == nil {
      account.state.committed = republish.version
      account.state.lifetime = republish.lifetime
      account.state.digest = republish.token.revealed
      account.state.expiresAt = now + left
      account.state.fetchedAt = republish.begunAt ?? now + left - republish.lifetime
      if republish.isMortal { doubt(&account, Doubt(first: now, last: now)) }
    }
    write(republish.token, republish.outputs, to: &account)
    return .republished(wrote: true)
  }

  func mark(
    _ mark: StoreCommand.Mark, _ account: inout ModelRedis.Account
  ) -> StoreReply {
    if account.state.committed == mark.version || account.state.parent == mark.version {
      return .inOrder
    }
    account.state.fence = max(account.state.fence, mark.version.epoch)
    guard account.state.committed != nil else {
      doubt(&account, Doubt(first: now, last: now))
      restate(mark.outputs, &account)
      return .marked
    }
    let last = now - (mark.knownFor ?? .zero)
    // Nothing was begun later than now, though a clock that was set back would have it so.
    if let fetchedAt = account.state.fetchedAt, min(fetchedAt, now) > last + Timing.straggling {
      return .settled
    }
    doubt(
      &account, Doubt(first: min(now - mark.age, mark.begunAt ?? now), last: last))
    restate(mark.outputs, &account)
    return .marked
  }

  // MARK: Parts of scripts

  private func doubt(_ account: inout ModelRedis.Account, _ doubt: Doubt) {
    guard parts.contains(.doubt) else { return }
    let doubt = doubt.joined(with: account.state.doubt)
    // Nothing is over later than now, though a clock that was set back would have it so.
    account.state.doubt = Doubt(first: doubt.first, last: min(doubt.last, now))
  }

  /// Until when the record says that the committed token lives.
  func statedEnd(_ account: ModelRedis.Account) -> RedisTime? {
    parts.contains(.bound) ? view(of: account).statedEnd : account.state.expiresAt
  }

  /// Where the record is gone and the keys are not: what may have killed the token, whosever it is.
  private func bound(_ account: ModelRedis.Account, below held: ModelRedis.Key) -> RedisTime? {
    guard let end = bound(account) else { return nil }
    return held.expiresAt.map { end < $0 } ?? true ? end : nil
  }

  func bound(_ account: ModelRedis.Account) -> RedisTime? {
    guard parts.contains(.bound), account.state.committed == nil else { return nil }
    var ends = [account.state.doubt?.first].compactMap { $0 }
    if let intent = account.state.intent, intent.kills { ends.append(intent.at) }
    return ends.min().map { $0 + Timing.certain }
  }

  /// The keys end when the record says: what holds a token keeps it, what is gone stays so.
  private func restate(_ outputs: [Output], _ account: inout ModelRedis.Account) {
    guard let held = account.token, let end = statedEnd(account) ?? bound(account, below: held)
    else { return }
    for (place, output) in outputs.enumerated() {
      switch output.content {
      case .token: account[output: place]?.expiresAt = end
      case .clientExpiry: account[output: place] = key(output, nil, end: end, account)
      }
    }
    forgetDead(&account, outputs, end: end)
  }

  private func write(
    _ token: AccessToken, _ outputs: [Output], to account: inout ModelRedis.Account
  ) {
    guard let end = statedEnd(account) else { return }
    for (place, output) in outputs.enumerated() {
      account[output: place] = key(output, token, end: end, account)
    }
    forgetDead(&account, outputs, end: end)
  }

  private func forgetDead(
    _ account: inout ModelRedis.Account, _ outputs: [Output], end: RedisTime
  ) {
    guard end <= now else { return }
    for place in outputs.indices { account[output: place] = nil }
  }

  private func key(
    _ output: Output, _ token: AccessToken?, end: RedisTime, _ account: ModelRedis.Account
  ) -> ModelRedis.Key {
    ModelRedis.Key(
      text: AccountScripts.text(
        of: output, token, end, lifetime: account.state.lifetime ?? .zero),
      expiresAt: end)
  }

  private static func text(
    of output: Output, _ token: AccessToken?, _ end: RedisTime, lifetime: Duration
  ) -> String? {
    switch output.content {
    case .token(let spelling):
      return token.map { spelling.text(of: $0, lifetime: lifetime) }
    case .clientExpiry(let margin):
      let quarter = lifetime > .zero ? lifetime.wholeMilliseconds / 4 : .max
      let margin = min(margin.wholeMilliseconds, quarter)
      return String((end.milliseconds - margin) / 1000)
    }
  }

  private func isDamaged(
    _ account: ModelRedis.Account, _ republish: StoreCommand.Republish, left: Duration
  ) -> Bool {
    let lifetime = republish.lifetime
    let tolerance = RemainingTolerance.ofTTL(lifetime: lifetime).wholeMilliseconds
    return republish.outputs.enumerated().contains { place, output in
      guard let key = account[output: place], let text = key.text, let expiresAt = key.expiresAt
      else { return true }
      return text
        != AccountScripts.text(of: output, republish.token, now + left, lifetime: lifetime)
        || abs((expiresAt - now - left).wholeMilliseconds) > tolerance
    }
  }
}
