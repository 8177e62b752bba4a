import TokenCore

/// What a command may change in Redis, whatever it answers (invariants 2 and 8).
extension World {
  mutating func changedWhatItMay(
    _ arrival: Arrival, _ reply: StoreReply, before: ModelRedis.Data
  ) {
    for index in accounts.indices {
      let old = before.accounts[index]
      let new = redis.data.accounts[index]
      guard old != new else { continue }
      // What remains when all that was allowed to change is turned back.
      var rest = new
      if arrival.command.account == old.name {
        forgive(arrival.command, reply, &rest, old)
      }
      if rest.token != old.token || rest.expiry != old.expiry
        || rest.state.committed != old.state.committed
      {
        violate(
          .commitsGrow, "r\(arrival.replica)'s \(brief(arrival.command)) changed the token's keys")
      } else if rest.state != old.state {
        violate(
          .fenceHolderWrites, "r\(arrival.replica)'s \(brief(arrival.command)) changed the state")
      }
    }
  }

  private func forgive(
    _ command: StoreCommand, _ reply: StoreReply, _ rest: inout ModelRedis.Account,
    _ old: ModelRedis.Account
  ) {
    let new = rest.state
    func forgiveMark() {
      rest.state.dirty = old.state.dirty
      rest.state.marked = old.state.marked
    }
    switch (command, reply) {
    case (.takeOver(_, let epoch), .account):
      if new.fence == epoch { rest.state.fence = old.state.fence }
    case (.begin(let begin), .began):
      guard new.fence == begin.version.epoch || !plan.parts.contains(.fence) else { break }
      rest.state.fence = old.state.fence
      rest.state.day = old.state.day
      rest.state.fetchesToday = old.state.fetchesToday
      if new.intent?.version == begin.version { rest.state.intent = old.state.intent }
      if new.sweep != nil { rest.state.sweep = old.state.sweep }
    case (.resolve(_, let version), .resolved):
      if old.state.intent?.version == version { rest.state.intent = old.state.intent }
    case (.commit(let commit), .committed):
      let isOurs = new.committed == commit.version && new.digest == rest.token?.text
      guard isOurs, rest.token?.text == token(of: commit.outputs) else { break }
      rest = old
    case (.commit, .deposed), (.commit, .stale): forgiveMark()
    case (.mark, .marked):
      forgiveMark()
      if new.sweep != nil { rest.state.sweep = old.state.sweep }
    case (.republish(let republish), .republished(wrote: true)):
      // What is committed changes only where Redis had lost it, and then a fetch is due.
      let isSame = new.committed == old.state.committed
      let isFound = old.state.committed == nil && new.committed == republish.version
      guard isSame || (isFound && (new.sweep != nil || !plan.parts.contains(.sweep))),
        rest.token?.text == token(of: republish.outputs), new.dirty == old.state.dirty,
        new.intent == old.state.intent
      else { break }
      rest = old
    default: break
    }
  }
}
