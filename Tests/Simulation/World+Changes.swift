import TokenCore

/// What a command may change in Redis, whatever it answers (invariants 2 and 8).
extension World {
  mutating func changedWhatItMay(
    _ arrival: Arrival, _ command: StoreCommand, _ reply: StoreReply, before: ModelRedis.Data
  ) {
    for index in accounts.indices {
      let old = before.accounts[index]
      let new = redis.data.accounts[index]
      guard old != new else { continue }
      // What remains when all that was allowed to change is turned back.
      var rest = new
      if command.account == old.name {
        forgive(command, reply, &rest, old)
      }
      if rest.token != old.token || rest.expiry != old.expiry || rest.others != old.others
        || rest.state.committed != old.state.committed
      {
        violate(
          .commitsGrow, "r\(arrival.replica)'s \(brief(command)) changed the token's keys")
      } else if rest.state != old.state {
        violate(
          .fenceHolderWrites, "r\(arrival.replica)'s \(brief(command)) changed the state")
      }
    }
  }

  private func forgive(
    _ command: StoreCommand, _ reply: StoreReply, _ rest: inout ModelRedis.Account,
    _ old: ModelRedis.Account
  ) {
    let new = rest.state
    // What only brings the end of the same token forward, or back to what the record says.
    let isSameToken = rest.token == nil || rest.token?.text == old.token?.text
    func forgiveEnd() {
      guard isSameToken, new.committed == old.state.committed else { return }
      rest.keys = old.keys
    }
    switch (command, reply) {
    case (.takeOver(let takeOver), .account):
      if new.fence == takeOver.epoch { rest.state.fence = old.state.fence }
      if new.runID == takeOver.runID || slots != nil {
        (rest.state.runID, rest.state.doubt) = (old.state.runID, old.state.doubt)
      }
      forgiveEnd()
    case (.begin(let begin), .began):
      guard new.fence == begin.version.epoch || !plan.parts.contains(.fence) else { break }
      rest.state.fence = old.state.fence
      rest.state.day = old.state.day
      rest.state.fetchesToday = old.state.fetchesToday
      if new.intent?.version == begin.version || !plan.parts.contains(.intent) {
        rest.state.intent = old.state.intent
      }
      if new.doubt != nil { rest.state.doubt = old.state.doubt }
      forgiveEnd()
    case (.resolve(let resolve), .resolved):
      if old.state.intent?.version == resolve.version { rest.state.intent = old.state.intent }
      forgiveEnd()
    case (.commit(let commit), .committed):
      let token = commit.token.revealed
      guard new.committed == commit.version, new.digest == token,
        rest.token == nil || rest.token?.text == token
      else { break }
      rest = old
    case (.commit, .deposed), (.commit, .stale), (.mark, .marked), (.mark, .settled):
      if new.doubt != nil { rest.state.doubt = old.state.doubt }
      if case .mark(let mark) = command, new.fence == mark.version.epoch {
        rest.state.fence = old.state.fence
      }
      forgiveEnd()
    case (.republish(let republish), .republished):
      // What is committed changes only where Redis had lost it, and then its life is short.
      let isSame = new.committed == old.state.committed
      let isFound = old.state.committed == nil && new.committed == republish.version
      guard isSame || isFound,
        rest.token == nil || rest.token?.text == republish.token.revealed
          || rest.token == old.token,
        new.intent == old.state.intent
      else { break }
      rest = old
    default: break
    }
  }
}
