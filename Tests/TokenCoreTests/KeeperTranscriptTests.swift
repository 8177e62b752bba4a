import Testing

@testable import TokenCore

@Suite struct KeeperTranscriptTests {
  @Test func `a live token is adopted without a fetch`() {
    var it = Transcript()
    let takingOver = it.lead()
    let actions = it.answer(takingOver, .account(it.view("T", version(3, 1))))
    #expect(actions.notes.contains { if case .adopted = $0 { true } else { false } })
    #expect(!actions.contains { $0.isBegin || $0.isFetch })
    #expect(!it.run(until: it.now + .seconds(1)).has(\.isBegin))
  }

  @Test func `no fetch leaves before its BEGIN is confirmed`() {
    var it = Transcript()
    let takingOver = it.lead()
    let beginning = it.answer(takingOver, .account(it.view()))
    #expect(beginning.filter { $0.isFetch }.isEmpty)
    let begun = it.answer(
      beginning.first(where: \.isBegin),
      .began(it.receipt()))
    let order = begun.firstOrder
    #expect(order?.version == version(10, 1))
    #expect(order?.deadline == it.now + .seconds(5))
  }

  @Test(arguments: [(Duration.zero, 5000, true), (.zero, 5001, false), (.seconds(3), 2001, false)])
  func `WeChat is asked while the first BEGIN is fresh, and else it is taken back`(
    _ sinceFirst: Duration, _ late: Int, _ fetches: Bool
  ) {
    var it = Transcript()
    let takingOver = it.lead()
    let beginning = it.answer(takingOver, .account(it.view())).first(where: \.isBegin)
    it.pass(.milliseconds(late))
    let begun = it.answer(beginning, .began(it.receipt(begunAt: it.redisTime - sinceFirst)))
    #expect(begun.has(\.isFetch) == fetches)
    #expect(begun.has(\.isResolve) != fetches)
  }

  @Test func `a look that shows another server's record takes the account over again`() {
    var it = Transcript()
    it.publish()
    it.pass(.seconds(1))
    let other = it.view("T", version(10, 1), left: .seconds(7199), runID: "two")
    let looked = it.look(other)
    guard case .takeOver(let takeOver)? = looked.first(where: \.isTakeOver)?.command else {
      Issue.record("no TAKEOVER")
      return
    }
    #expect(takeOver.epoch == Epoch(10))
    #expect(takeOver.runID == "one", "the server that this replica is connected to")
    #expect(!looked.has(\.isBegin))
  }

  @Test func `a key that is gone is published again from memory`() {
    var it = Transcript()
    it.publish()
    it.pass(.seconds(1))
    var view = it.view("T", version(10, 1), left: .seconds(7199))
    view.token = nil
    view.tokenRemaining = nil
    let looking = it.post(.hinted(nil)).first(where: \.isLook)
    let actions = it.answer(looking, .account(view))
    #expect(actions.has(\.isRepublish))
    #expect(!actions.has(\.isBegin))
  }

  @Test func `a lost commit is committed again with the same version`() {
    var it = Transcript()
    it.publish()
    it.pass(.seconds(1))
    let looking = it.post(.hinted(nil)).first(where: \.isLook)
    let actions = it.answer(looking, .account(it.view("S", version(3, 1))))
    guard case .commit(let commit)? = actions.first(where: \.isCommit)?.command else {
      Issue.record("no COMMIT")
      return
    }
    #expect(commit.isRecommit)
    #expect(commit.version == version(10, 1))
  }

  @Test func `a report of a token that nobody knows is the leader's to judge`() {
    var it = Transcript()
    for report in [Report.rejected(AccessToken("unknown")), .rejectedDigest("unknown")] {
      #expect(it.post(.reported(report)).contains(.giveBack(report)))
    }
    it.publish()
    for report in [Report.rejected(AccessToken("unknown")), .rejectedDigest("unknown")] {
      let actions = it.post(.reported(report))
      #expect(actions.contains(.note(.reported(nil, .notCurrent))))
      #expect(!actions.contains(.giveBack(report)))
    }
  }

  /// A leader whose second fetch a report has caused, and which WeChat has not answered.
  private func reported(_ it: inout Transcript) -> Version {
    it.publish()
    it.pass(.seconds(1))
    let begun = it.post(.reported(.rejected(AccessToken("T"))))
    let fetching = it.answer(
      begun.first(where: \.isBegin),
      .began(it.receipt(committed: version(10, 1))))
    return fetching.firstOrder?.version ?? version(0, 0)
  }

  @Test(arguments: [Report.rejected(AccessToken("U")), .force(.unnamed)])
  func `a report that a limit holds up is handed on with the lead`(report: Report) {
    var it = Transcript()
    let fetched = reported(&it)
    let committing = it.post(.fetched(Transcript.account, fetched, it.token("U")))
    it.committed(committing.first(where: \.isCommit), "U", version(10, 2))
    it.pass(.seconds(1))
    #expect(it.post(.reported(report)).notes.contains(.reported(.unnamed, .limited(.seconds(29)))))
    #expect(it.post(.shutdownRequested).contains(.giveBack(report)))
    #expect(it.keeper.accounts[0].reports.asked == nil)
  }

  @Test func `a report that WeChat refused to serve is handed on with the lead`() {
    var it = Transcript()
    let fetched = reported(&it)
    let refused = FetchFailure(.operator, code: 40164, reason: "refused", refusesAddress: true)
    let resolving = it.post(.fetched(Transcript.account, fetched, .knownFailure(refused)))
    it.post(.shutdownRequested)
    let ended = it.answer(resolving.first(where: \.isResolve), .resolved)
    #expect(ended.contains(.giveBack(.rejected(AccessToken("T")))))
    #expect(ended.has(\.isRelease))
  }

  @Test func `what nobody asked for is not handed on`() {
    var it = Transcript()
    it.publish()
    let ended = it.post(.shutdownRequested)
    #expect(ended.has(\.isRelease))
    #expect(!ended.has { if case .giveBack = $0 { true } else { false } })
  }

  @Test func `a lock that never lapses is told once, and again after it ended`() {
    var it = Transcript()
    it.post(.started)
    var looks = it.post(.storeConnected(runID: nil))
    for round in 0..<2 {
      var told = 0
      for _ in 0..<3 {
        let poll = looks.first(where: \.isPoll)
        let acquiring = it.answer(poll, .lock(holder: "somebody", remaining: nil))
        let held = it.answer(
          acquiring.first(where: \.isAcquire),
          .held(holder: "somebody", remaining: .milliseconds(-1)))
        told += held.notes.filter { $0 == .lockNeverLapses(holder: "somebody") }.count
        looks = it.run(until: it.now + .seconds(3))
      }
      #expect(told == 1, "round \(round)")
      // It has a holder of ours for a while.
      let acquiring = it.answer(
        looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(99)))
      it.answer(
        acquiring.first(where: \.isAcquire), .held(holder: "b:1", remaining: .seconds(15)))
      looks = it.run(until: it.now + .seconds(3))
    }
  }

  @Test func `a refused commit steps down and owes nothing`() {
    var it = Transcript()
    let actions = it.answer(it.commit(), .deposed(Epoch(11)))
    #expect(actions.notes.contains(.steppedDown(.fenced)))
    #expect(actions.has(\.isRelease))
    #expect(it.keeper.accounts[0].traces.debts.isEmpty)
    #expect(it.keeper.election.floor == Epoch(11))
  }

  @Test func `a commit without an answer is repeated, and WeChat is not asked again`() {
    var it = Transcript()
    var committing = it.commit()
    for _ in 0..<3 {
      it.fail(committing)
      let actions = it.run(until: it.now + .seconds(2))
      committing = actions.first(where: \.isCommit)
      #expect(committing != nil)
      #expect(!actions.contains { $0.isFetch || $0.isBegin })
    }
    it.answer(committing, .committed(isCertain: true))
    #expect(it.keeper.accounts[0].copy?.isOwn == true)
  }

  @Test func `a known failure takes its intent back, an unknown one leaves it`() {
    let failure = FetchFailure(.transient, reason: "refused", isTransport: true)
    for isKnown in [true, false] {
      var it = Transcript()
      let attempt = it.fetch()?.version ?? version(0, 0)
      let ended = it.post(
        .fetched(Transcript.account, attempt, isKnown ? .knownFailure(failure) : .unknown(failure)))
      #expect(ended.has(\.isResolve) == isKnown)
      #expect((it.keeper.accounts[0].traces.unresolved?.version == attempt) != isKnown)
    }
  }

  @Test func `an ACQUIRE answered after its lease is given back`() {
    var it = Transcript()
    let acquiring = it.acquire()
    it.pass(.milliseconds(14_350))
    let actions = it.answer(acquiring, .acquired(Epoch(10)))
    #expect(actions.has(\.isRelease))
    #expect(it.keeper.election.leadership == nil)
  }

  @Test func `a term that may hold the lock is not forgotten when its repetition is refused`() {
    var it = Transcript()
    let first = it.acquire()
    it.fail(first)
    let second = it.run(until: it.now + .seconds(3)).first(where: \.isAcquire)
    it.fail(second, mayHaveRun: false)
    let third = it.run(until: it.now + .seconds(3)).first(where: \.isAcquire)
    guard case .acquire(let term, _, _)? = first?.command,
      case .acquire(let again, _, _)? = third?.command
    else {
      Issue.record("ACQUIRE was not repeated")
      return
    }
    #expect(term == again)
  }

  @Test func `a lock that comes when nobody waits for it any more is given back`() {
    var it = Transcript()
    let first = it.acquire()
    it.fail(first)
    let second = it.run(until: it.now + .seconds(3)).first(where: \.isAcquire)
    it.answer(second, .held(holder: "b:1", remaining: .seconds(9)))
    guard case .acquire(let term, _, _)? = first?.command else {
      Issue.record("no ACQUIRE")
      return
    }
    // The first one was held up on its way, and is carried out only now.
    let poll = it.run(until: it.now + .seconds(3)).first(where: \.isPoll)
    let release = it.answer(
      poll, .lock(holder: term.description, remaining: .seconds(14))
    ).first(where: \.isRelease)
    #expect(release?.command == .release(term))
  }

  @Test func `an end before ACQUIRE is answered gives back what it may bring`() {
    var it = Transcript()
    let acquiring = it.acquire()
    guard case .acquire(let term, _, _)? = acquiring?.command else {
      Issue.record("no ACQUIRE")
      return
    }
    let releasing = it.post(.shutdownRequested).first(where: \.isRelease)
    #expect(releasing?.command == .release(term))
    #expect(it.answer(releasing, .released).contains(.stop))
  }

  @Test func `keys that Redis's clock has ended bring a fetch, not a copy that is not taken`() {
    var it = Transcript()
    it.publish()
    it.pass(.seconds(1))
    var view = it.view("T", version(10, 1), left: .seconds(-5))
    view.token = nil
    view.tokenRemaining = nil
    let actions = it.answer(it.post(.hinted(nil)).first(where: \.isLook), .account(view))
    #expect(!actions.has(\.isRepublish))
    #expect(actions.has(\.isBegin) || it.keeper.accounts[0].wanted != nil)
  }

  @Test func `an orderly end gives the lock back, marks and stops, and does not spin meanwhile`() {
    var it = Transcript()
    it.publish()
    let ending = it.post(.shutdownRequested)
    let releasing = ending.first(where: \.isRelease)
    #expect(releasing != nil)
    let marking = it.post(.woke).first(where: \.isMark)
    it.post(.woke)
    #expect(it.keeper.nextWake.map { $0 > it.now } ?? true)
    #expect(!it.answer(releasing, .released).contains(.stop), "what is owed is acknowledged first")
    #expect(it.answer(marking, .inOrder).contains(.stop))
    #expect(it.keeper.nextWake == nil)
    #expect(it.post(.woke).isEmpty)
  }

  @Test func `an end in the middle of a fetch waits for it and commits`() {
    var it = Transcript()
    let order = it.fetch()
    #expect(!it.post(.shutdownRequested).has(\.isRelease))
    let committing = it.post(
      .fetched(Transcript.account, order?.version ?? version(0, 0), it.token("T")))
    let ended = it.answer(committing.first(where: \.isCommit), .committed(isCertain: true))
    #expect(ended.has(\.isRelease))
  }

  @Test func `a new secret ends a backoff`() throws {
    var it = Transcript()
    let fetch = it.fetch()
    let order = try #require(fetch)
    let failure = FetchFailure(.configuration, code: 40125, reason: "bad secret")
    it.post(.fetched(order.account, order.version, .knownFailure(failure)))
    let backoff = try #require(it.keeper.accounts[0].wanted)
    #expect(backoff.isBackoff)
    #expect(backoff.notBefore > it.now + .seconds(60))
    it.post(.secretChanged(Transcript.account))
    #expect(it.keeper.accounts[0].wanted?.notBefore == it.now)
  }

  @Test("an answer that is none of its step's is a failure, and the step is tried again")
  func answersOfOthers() throws {
    var it = Transcript()
    let begun = it.answer(it.lead(), .account(it.view())).first(where: \.isBegin)
    guard case .store(_, let step)? = begun else {
      Issue.record("there is no BEGIN")
      return
    }
    let actions = it.post(.stored(step, .success(.resolve)))
    #expect(
      actions.notes.contains {
        if case .storeStepFailed(Transcript.account, _) = $0 { true } else { false }
      })
    let again = try #require(it.next { $0.isBegin }?.command)
    #expect(again == begun?.command)
  }

  @Test(
    "who insists has WeChat asked five seconds after a refusal that people mend, and no sooner",
    arguments: [
      (FetchFailure.Class.configuration, 40125, true), (.operator, 40164, true),
      (.quota, 45009, true), (.rate, 45011, false),
    ])
  func insists(category: FetchFailure.Class, code: Int, isAsked: Bool) throws {
    var it = Transcript()
    let fetch = it.fetch()
    let order = try #require(fetch)
    let failure = FetchFailure(category, code: code, reason: "refused")
    it.post(.fetched(order.account, order.version, .knownFailure(failure)))
    let refusedAt = it.now
    let backoff = try #require(it.keeper.accounts[0].wanted?.notBefore)
    // A report of an application changes nothing: it says nothing of what was mended.
    it.post(.reported(.rejected(AccessToken("unknown"))))
    #expect(it.keeper.accounts[0].wanted?.notBefore == backoff)
    for wait in [Duration.seconds(1), .seconds(3), .seconds(7)] {
      it.now = refusedAt + wait
      it.post(.reported(.force(Transcript.account)))
      let moved = max(it.now, refusedAt + .seconds(5))
      #expect(
        it.keeper.accounts[0].wanted?.notBefore
          == (isAsked ? min(moved, refusedAt + .seconds(5)) : backoff))
    }
  }

  @Test func `what WeChat itself says how long to leave alone is left alone`() throws {
    var it = Transcript()
    let fetch = it.fetch()
    let order = try #require(fetch)
    let failure = FetchFailure(
      .operator, code: 89507, reason: "the administrator refused", holdOff: .seconds(3600))
    it.post(.fetched(order.account, order.version, .knownFailure(failure)))
    it.pass(.seconds(10))
    it.post(.reported(.force(Transcript.account)))
    let wanted = try #require(it.keeper.accounts[0].wanted)
    #expect(wanted.notBefore > it.now + .seconds(3000))
  }
}
