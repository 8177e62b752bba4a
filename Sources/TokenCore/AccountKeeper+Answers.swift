/// What Redis's answers to one account's steps bring.
extension AccountKeeper {
  /// Takes Redis's answer to one of this account's steps; a late one changes nothing but debts.
  mutating func answered(
    _ command: StoreCommand, sentAt: Moment, _ reply: StoreReply, at now: Moment, lead: Lead?,
    runID: String?, isShuttingDown: Bool
  ) -> [Outcome] {
    if case .mark(let mark) = command { return marked(mark, reply, sentAt: sentAt, at: now) }
    if case .following(.sent(sentAt)) = phase, case .look = command {
      return followed(reply, sentAt: sentAt, at: now)
    }
    guard let lead else { return [] }
    switch reply {
    case .fenced(let epoch) where isAwaited(command, sentAt: sentAt):
      return [.saw(epoch), .stepDown(.fenced)]
    case .foreignApp(let remaining) where isAwaited(command, sentAt: sentAt):
      return [.note(.foreignApp(remaining: remaining)), refused(.foreignApp, at: now)]
    case .newerLayout(let layout) where isAwaited(command, sentAt: sentAt):
      return [.note(.newerLayout(layout)), refused(.newerLayout, at: now)]
    default: break
    }
    switch (phase, command, reply) {
    case (.takingOver(.sent(sentAt)), .takeOver, .account(let view)):
      return tookOver(view, sentAt: sentAt, at: now, lead: lead)
    case (.looking(sentAt), .look, .account(let view)):
      return looked(view, sentAt: sentAt, at: now, lead: lead, runID: runID)
    case (.republishing(.sent(sentAt)), .republish(let republish), .republished(let wrote)):
      phase = .holding
      storeFailures = 0
      // Nothing certain was left, by Redis's clock.
      if !wrote, stated?.version != republish.version { want(.takeover, notBefore: now) }
      return wrote && republish.certain > .zero ? [.note(.repaired(name))] : []
    case (.recommitting(.sent(sentAt)), .commit(let commit), _):
      return recommitted(commit, reply, sentAt: sentAt, at: now)
    case (.beginning(let attempt, .sent(sentAt)), .begin, _):
      return began(attempt, command, reply, sentAt: sentAt, at: now, lead: lead, isShuttingDown)
    case (.committing(let attempt, let fetched, .sent(sentAt)), .commit, _):
      return committed(attempt, fetched, reply, sentAt: sentAt, at: now)
    case (.resolving(_, .sent(sentAt)), .resolve, .resolved):
      phase = .holding
      storeFailures = 0
      lookAt = now
      return []
    default:
      return failed(command, sentAt: sentAt, .strangeAnswer, at: now)
    }
  }

  /// The record is another AppID's, or of a newer layout.
  ///
  /// Found when nothing of ours is under way, it is asked for again with every tick, and what else
  /// this replica leads is led meanwhile.
  mutating func refused(_ reason: StepDownReason, at now: Moment) -> Outcome {
    isRefused = true
    oweUnseen(at: now)
    switch phase {
    case .takingOver, .looking:
      phase = .takingOver(.due(now + timing.tick))
      wanted = nil
      return .refused(reason)
    case .following, .holding, .republishing, .recommitting, .beginning, .ready, .fetching,
      .committing, .resolving:
      return .stepDown(reason)
    }
  }

  /// A step brought no answer: it is tried again, soon and then less soon.
  mutating func failed(
    _ command: StoreCommand, sentAt: Moment, _ failure: StoreFailure, at now: Moment
  ) -> [Outcome] {
    if case .mark = command {
      return markFailed(sentAt: sentAt, at: now) ? [.note(.storeStepFailed(name, failure))] : []
    }
    guard isAwaited(command, sentAt: sentAt) else { return [] }
    retry(at: now)
    return [.note(.storeStepFailed(name, failure))]
  }

  mutating func retry(at now: Moment) {
    let retryAt = now + storeRetry()
    switch phase {
    case .following: phase = .following(.due(max(retryAt, now + timing.retry)))
    case .takingOver: phase = .takingOver(.due(retryAt))
    case .looking:
      phase = .holding
      lookAt = max(retryAt, now + timing.retry)
    case .republishing: phase = .republishing(.due(retryAt))
    case .recommitting: phase = .recommitting(.due(retryAt))
    case .beginning(let attempt, _): phase = .beginning(attempt, .due(retryAt))
    case .committing(let attempt, let fetched, _):
      phase = .committing(attempt, fetched, .due(retryAt))
    case .resolving(let attempt, _): phase = .resolving(attempt, .due(retryAt))
    case .holding, .ready, .fetching: break
    }
  }

  /// Whether this is the step that the phase waits for.
  func isAwaited(_ command: StoreCommand, sentAt: Moment) -> Bool {
    switch (phase, command) {
    case (.following(.sent(sentAt)), .look), (.takingOver(.sent(sentAt)), .takeOver),
      (.looking(sentAt), .look), (.republishing(.sent(sentAt)), .republish),
      (.recommitting(.sent(sentAt)), .commit), (.beginning(_, .sent(sentAt)), .begin),
      (.committing(_, _, .sent(sentAt)), .commit), (.resolving(_, .sent(sentAt)), .resolve):
      true
    default: false
    }
  }

  mutating func storeRetry() -> Duration {
    storeFailures = min(storeFailures + 1, 16)
    return min(timing.retry, .milliseconds(50) * (1 << min(storeFailures, 6)))
  }
}
