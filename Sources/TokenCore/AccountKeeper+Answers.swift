/// What Redis's answers to one account's steps bring.
extension AccountKeeper {
  /// Takes Redis's answer to one of this account's steps; a late one changes nothing but debts.
  mutating func answered(_ step: StepID, _ answer: StoreAnswer, in scene: Scene) -> [Outcome] {
    if case .mark(let answer) = answer { return marked(step, answer, at: scene.now) }
    guard flight == .sent(step) else { return [] }
    if case (.follow, .look(let answer)) = (work, answer) {
      return followed(step, answer, at: scene.now)
    }
    guard let lead = scene.lead else { return [] }
    switch (work, answer) {
    case (.takeOver, .takeOver(let answer)): return tookOver(step, answer, lead, in: scene)
    case (.look, .look(let answer)): return looked(step, answer, lead, in: scene)
    case (.republish(let restores), .republish(let answer)):
      return republished(answer, restores: restores, at: scene.now)
    case (.recommit, .commit(let answer)): return recommitted(answer, at: scene.now)
    case (.begin(let attempt), .begin(let answer)):
      return began(attempt, step, answer, lead, in: scene)
    case (.commit(let attempt, let fetched), .commit(let answer)):
      return committed(attempt, fetched, step, answer, at: scene.now)
    case (.resolve, .resolve):
      go(to: .hold)
      storeFailures = 0
      lookAt = scene.now
      return []
    default: return failed(step, .strangeAnswer, at: scene.now)
    }
  }

  /// The record is another AppID's, or of a newer layout.
  ///
  /// Found when nothing of ours is under way, it is asked for again with every tick, and what else
  /// this replica leads is led meanwhile.
  mutating func refused(_ conflict: Conflict, at now: Moment) -> [Outcome] {
    isRefused = true
    traces.oweUnseen(at: now)
    switch work {
    case .follow: return [.met(conflict)]
    case .takeOver, .look:
      go(to: .takeOver, .due(now + timing.tick))
      wanted = nil
      return [.met(conflict), .refused(conflict.reason)]
    case .hold, .republish, .recommit, .begin, .waitForLease, .fetch, .commit, .resolve:
      return [.met(conflict), .stepDown(conflict.reason)]
    }
  }

  /// Another replica leads, with a higher epoch.
  func fenced(by epoch: Epoch) -> [Outcome] { [.saw(epoch), .stepDown(.fenced)] }

  /// A step brought no answer: it is tried again, soon and then less soon.
  mutating func failed(
    _ step: StepID, _ failure: StoreFailure, at now: Moment
  ) -> [Outcome] {
    if step.kind == .mark {
      guard traces.expects(step) else { return [] }
      traces.postpone(step, until: now + storeRetry())
      return [.note(.storeStepFailed(name, failure))]
    }
    guard flight == .sent(step) else { return [] }
    retry(at: now)
    return [.note(.storeStepFailed(name, failure))]
  }

  mutating func retry(at now: Moment) {
    let retryAt = now + storeRetry()
    switch work {
    case .follow: flight = .due(max(retryAt, now + timing.retry))
    case .look:
      go(to: .hold)
      lookAt = max(retryAt, now + timing.retry)
    case .takeOver, .republish, .recommit, .begin, .commit, .resolve: flight = .due(retryAt)
    case .hold, .waitForLease, .fetch: break
    }
  }

  mutating func storeRetry() -> Duration {
    storeFailures = min(storeFailures + 1, 16)
    return min(timing.retry, .milliseconds(50) * (1 << min(storeFailures, 6)))
  }
}
