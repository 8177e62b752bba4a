import Testing

@testable import TokenCore

/// Nothing is waited for longer than its deadline and a little, by the core's own clock.
@Suite struct DeadlineTests {
  private static let answerBy = Timing().opTimeout + Timing.slack

  @Test func `a fetch without any answer counts as an unknown outcome`() {
    var it = Transcript()
    let order = it.fetch()
    let asked = it.now
    let end = asked + Timing().apiTimeout + Timing.slack
    let before = it.run(until: end - .nanoseconds(1))
    #expect(!before.notes.contains { if case .refreshFailed = $0 { true } else { false } })
    let after = it.run(until: end)
    #expect(after.contains(.cancelFetch(Transcript.account, version(10, 1))))
    let failed = after.notes.contains {
      if case .refreshFailed(_, _, _, isUnknown: true, _, _) = $0 { true } else { false }
    }
    #expect(failed)
    #expect(it.keeper.accounts[0].traces.unresolved?.version == version(10, 1))
    // The answer comes after all: the token is no longer to be published, and may be the newest.
    let late = it.post(.fetched(Transcript.account, order?.version ?? version(0, 0), it.token("T")))
    #expect(!late.has(\.isCommit))
  }

  @Test func `a look at the lock without an answer is taken again`() {
    var it = Transcript()
    it.post(.started)
    it.post(.storeConnected(runID: "one"))
    it.forget()
    #expect(!it.run(until: .origin + Self.answerBy - .nanoseconds(1)).has(\.isPoll))
    let given = it.run(until: .origin + Self.answerBy)
    #expect(given.notes.contains { if case .storeStepFailed(nil, _) = $0 { true } else { false } })
    #expect(it.run(until: it.now + .seconds(3)).has(\.isPoll))
  }

  @Test func `an ACQUIRE without an answer may have been carried out, and keeps its term`() {
    var it = Transcript()
    guard case .acquire(let term, _, _)? = it.acquire()?.command else {
      Issue.record("no ACQUIRE")
      return
    }
    it.forget()
    let again = it.run(until: .origin + Self.answerBy + .seconds(3)).first(where: \.isAcquire)
    guard case .acquire(let repeated, _, _)? = again?.command else {
      Issue.record("ACQUIRE was not repeated")
      return
    }
    #expect(repeated == term)
  }

  @Test func `a RENEW without an answer is sent again, within the lease`() {
    var it = Transcript()
    it.publish()
    it.pass(Timing().renew)
    #expect(it.post(.woke).has(\.isRenew))
    it.forget()
    var renewals: [Keeper.Action] = []
    while let wake = it.keeper.nextWake, wake <= .origin + .seconds(14) {
      it.now = max(it.now, wake)
      renewals += it.post(.woke).filter(\.isRenew)
    }
    #expect(renewals.count >= 1)
    #expect(it.keeper.election.leadership != nil)
    it.answer(renewals.last, .renewed)
    #expect(it.keeper.isLeader(at: .origin + .seconds(20)))
  }

  @Test func `a heartbeat without an answer is given up and beats again`() {
    var it = Transcript()
    it.publish()
    #expect(it.outstanding.has(\.isHeartbeat))
    it.forget()
    var beats: [Moment] = []
    while let wake = it.keeper.nextWake, wake <= .origin + .seconds(10) {
      it.now = max(it.now, wake)
      for action in it.post(.woke) {
        if case .store(.renew, _) = action { it.answer(action, .renewed) }
        if action.isHeartbeat { beats.append(it.now) }
      }
    }
    #expect(beats.first == .origin + Self.answerBy + Timing().retry)
  }

  /// A step of an account, and the situation in which its answer is missing.
  struct Step: Sendable {
    let situation: Situation
    let isIt: @Sendable (Keeper.Action) -> Bool
  }

  @Test(arguments: [
    Step(situation: .followingSent) { $0.isLook }, Step(situation: .takingOver) { $0.isTakeOver },
    Step(situation: .looking) { $0.isLook }, Step(situation: .republishing) { $0.isRepublish },
    Step(situation: .recommitting) { $0.isCommit }, Step(situation: .beginning) { $0.isBegin },
    Step(situation: .committing) { $0.isCommit }, Step(situation: .resolving) { $0.isResolve },
    Step(situation: .owing) { $0.isMark },
  ])
  func `a step of an account without an answer is given up after its deadline and is sent again`(
    _ step: Step
  ) {
    var it = step.situation.reached()
    let sent = it.now
    it.forget()
    let before = it.run(until: sent + Self.answerBy - .nanoseconds(1))
    #expect(!before.has(step.isIt))
    let given = it.run(until: sent + Self.answerBy)
    let told = given.notes.contains {
      if case .storeStepFailed(_?, _) = $0 { true } else { false }
    }
    #expect(told)
    #expect(it.run(until: it.now + .seconds(6)).has(step.isIt))
  }
}
