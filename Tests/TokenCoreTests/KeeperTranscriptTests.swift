import Testing
import TokenCore

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

  @Test(arguments: [(Duration.milliseconds(1500), true), (.milliseconds(1501), false)])
  func `a BEGIN that is confirmed late is repeated`(_ late: Duration, _ fetches: Bool) {
    var it = Transcript()
    let takingOver = it.lead()
    let beginning = it.answer(takingOver, .account(it.view())).first(where: \.isBegin)
    it.pass(late)
    let begun = it.answer(beginning, .began(it.receipt()))
    #expect(begun.has(\.isFetch) == fetches)
    #expect(begun.has(\.isBegin) != fetches)
  }

  @Test func `an unresolved intent beside a good token is waited for`() {
    var it = Transcript()
    let takingOver = it.lead()
    var view = it.view("T", version(3, 1))
    view.intent = Intent(
      version: version(3, 2), at: it.redisTime, deadline: it.redisTime + .milliseconds(6500))
    it.answer(takingOver, .account(view))
    let begun = it.now
    #expect(!it.run(until: begun + .milliseconds(10_499)).has(\.isBegin))
    #expect(it.keeper.accounts[0].wanted?.notBefore == begun + .milliseconds(10_500))
  }

  @Test func `a changed run id does not cut the wait for an intent short`() {
    var it = Transcript()
    let takingOver = it.lead(runID: "two")
    var view = it.view("T", version(3, 1), runID: "one")
    view.intent = Intent(
      version: version(3, 2), at: it.redisTime, deadline: it.redisTime + .milliseconds(6500))
    let actions = it.answer(takingOver, .account(view))
    #expect(!actions.has(\.isBegin))
    #expect(it.keeper.accounts[0].wanted?.notBefore == it.now + .milliseconds(10_500))
  }

  @Test func `a server that is not the one of the last commit asks for a suspicious fetch`() {
    var it = Transcript()
    let takingOver = it.lead(runID: "two")
    let actions = it.answer(takingOver, .account(it.view("T", version(3, 1), runID: "one")))
    guard case .begin(let begin)? = actions.first(where: \.isBegin)?.command else {
      Issue.record("no BEGIN")
      return
    }
    #expect(begin.isSuspicious)
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
    it.answer(committing.first(where: \.isCommit), .committed)
    it.pass(.seconds(1))
    #expect(it.post(.reported(report)).notes.contains(.reported(.unnamed, .limited(.seconds(29)))))
    #expect(it.post(.shutdownRequested).contains(.giveBack(report)))
    #expect(it.keeper.accounts[0].reports.asked == nil)
  }

  @Test func `a report that WeChat refused to serve is handed on with the lead`() {
    var it = Transcript()
    let fetched = reported(&it)
    let refused = FetchFailure(.operator, code: 40164, reason: "refused")
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

  @Test func `a follower marks a commit that Redis lost, once`() {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: nil))
    it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
    it.answer(looks.first(where: \.isLook), .account(it.view("T", version(10, 1))))
    let looking = it.post(.hinted(nil)).first(where: \.isLook)
    let marking = it.answer(looking, .account(it.view("S", version(3, 1))))
    guard let mark = marking.first(where: \.isMark)?.mark else {
      Issue.record("no MARK")
      return
    }
    #expect(mark.version == version(10, 1))
    it.answer(marking.first(where: \.isMark), .marked(nil))
    let again = it.post(.hinted(nil)).first(where: \.isLook)
    #expect(!it.answer(again, .account(it.view("S", version(3, 1)))).has(\.isMark))
    #expect(it.keeper.accounts[0].copy?.version == version(10, 1), "a copy never goes backwards")
  }

  @Test func `a leader deposed in the middle of a fetch marks until that is acknowledged`() {
    var it = Transcript()
    let order = it.fetch()
    it.pass(.seconds(15))
    let stepping = it.post(.woke)
    #expect(stepping.notes.contains(.steppedDown(.leaseOver)))
    var marking = stepping.first(where: \.isMark)
    let mark = marking?.mark
    #expect(mark != nil)
    for _ in 0..<3 {
      it.fail(marking)
      marking = it.run(until: it.now + .seconds(3)).first(where: \.isMark)
      #expect(marking?.mark == mark, "the same debt, which Redis carries out once")
    }
    it.answer(marking, .marked(nil))
    #expect(it.keeper.accounts[0].debt == nil)
    let late = it.post(.fetched(Transcript.account, order?.version ?? version(0, 0), it.token("T")))
    let other = late.first(where: \.isMark)?.mark
    #expect(other != nil && other?.debt != mark?.debt, "what the late answer brings is owed, too")
    #expect(!late.has(\.isCommit))
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
    let actions = it.answer(it.commit(), .deposed(Epoch(11), nil))
    #expect(actions.notes.contains(.steppedDown(.fenced)))
    #expect(actions.has(\.isRelease))
    #expect(it.keeper.accounts[0].debt == nil)
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
    it.answer(committing, .committed)
    #expect(it.keeper.accounts[0].copy?.isOwn == true)
  }

  @Test func `a known failure takes its intent back, an unknown one leaves it and is suspected`() {
    var known = Transcript()
    let first = known.fetch()?.version ?? version(0, 0)
    let failure = FetchFailure(.transient, reason: "refused", isTransport: true)
    let resolving = known.post(.fetched(Transcript.account, first, .knownFailure(failure)))
    #expect(resolving.has(\.isResolve))

    var unknown = Transcript()
    let second = unknown.fetch()?.version ?? version(0, 0)
    let actions = unknown.post(.fetched(Transcript.account, second, .unknown(failure)))
    #expect(!actions.has(\.isResolve))
    let retry = unknown.run(until: unknown.now + .seconds(3)).first(where: \.isBegin)
    guard case .begin(let begin)? = retry?.command else {
      Issue.record("no BEGIN")
      return
    }
    #expect(begin.isSuspicious, "Redis may lose the intent of the first")
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

  @Test func `an intent from the future is not waited for longer than a fetch takes`() {
    var it = Transcript()
    let takingOver = it.lead()
    var view = it.view("T", version(9, 1))
    let later = it.redisTime + .seconds(3600)
    view.intent = Intent(
      version: version(9, 2), at: later, deadline: later + .milliseconds(6500))
    it.answer(takingOver, .account(view))
    let wait = it.keeper.accounts[0].wanted.map { $0.notBefore - it.now }
    #expect(wait == .milliseconds(6500) + Timing.stragglerMargin)
  }

  @Test func `a token that is first seen beside a trace is not published again`() {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: nil))
    it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
    var view = it.view("T", version(10, 1))
    view.sweep = it.redisTime
    it.answer(looks.first(where: \.isLook), .account(view))
    #expect(it.keeper.accounts[0].copy?.isPublishable(at: it.now) == false)
    view.sweep = nil
    it.answer(it.post(.hinted(nil)).first(where: \.isLook), .account(view))
    #expect(it.keeper.accounts[0].copy?.isPublishable(at: it.now) == true)
  }

  @Test func `a token of one's own is not published again once it is marked`() {
    var it = Transcript()
    it.publish()
    it.pass(Timing.publishable + .seconds(1))
    #expect(it.keeper.accounts[0].copy?.isPublishable(at: it.now) == true)
    var view = it.view("T", version(10, 1), left: .seconds(6900))
    view.dirty = DirtyMark("9.9@0")
    let looking = it.post(.hinted(nil)).first(where: \.isLook)
    it.answer(looking, .account(view))
    #expect(it.keeper.accounts[0].copy?.isPublishable(at: it.now) == false)
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

  @Test func `a view with a mark does not confirm a copy`() {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: nil))
    it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
    it.answer(looks.first(where: \.isLook), .account(it.view("T", version(10, 1))))
    let confirmed = it.keeper.accounts[0].copy?.confirmedAt
    it.pass(.seconds(5))
    var view = it.view("T", version(10, 1), left: .seconds(6995))
    view.dirty = DirtyMark("9.1@0")
    it.answer(it.post(.hinted(nil)).first(where: \.isLook), .account(view))
    #expect(it.keeper.accounts[0].copy?.confirmedAt == confirmed)
    view.dirty = nil
    let seen = it.now
    it.answer(it.post(.hinted(nil)).first(where: \.isLook), .account(view))
    #expect(it.keeper.accounts[0].copy?.confirmedAt == seen)
  }

  @Test func `an orderly end gives the lock back and stops, and does not spin meanwhile`() {
    var it = Transcript()
    it.publish()
    let ending = it.post(.shutdownRequested)
    let releasing = ending.first(where: \.isRelease)
    #expect(releasing != nil)
    for _ in 0..<2 { it.post(.woke) }
    #expect(it.keeper.nextWake.map { $0 > it.now } ?? true)
    #expect(it.answer(releasing, .released).contains(.stop))
    #expect(it.keeper.nextWake == nil)
    #expect(it.post(.woke).isEmpty)
  }

  @Test func `an end in the middle of a fetch waits for it and commits`() {
    var it = Transcript()
    let order = it.fetch()
    #expect(!it.post(.shutdownRequested).has(\.isRelease))
    let committing = it.post(
      .fetched(Transcript.account, order?.version ?? version(0, 0), it.token("T")))
    let ended = it.answer(committing.first(where: \.isCommit), .committed)
    #expect(ended.has(\.isRelease))
  }

  @Test func `a new secret ends a backoff, and no wait for another's fetch`() throws {
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

    // Lost and won again, beside an unresolved fetch of another's and a token that is good.
    it.pass(.seconds(20))
    it.answer(it.post(.woke).first(where: \.isRelease), .released)
    let polling = it.run(until: it.now + .seconds(3)).first(where: \.isPoll)
    let acquiring = it.answer(polling, .lock(holder: nil, remaining: nil))
    let won = it.answer(acquiring.first(where: \.isAcquire), .acquired(Epoch(20)))
    var view = it.view("T", version(15, 1))
    view.intent = Intent(
      version: version(15, 2), at: it.redisTime, deadline: it.redisTime + .seconds(6))
    it.answer(won.first(where: \.isTakeOver), .account(view))
    let wait = try #require(it.keeper.accounts[0].wanted)
    #expect(wait.notBefore == it.now + .seconds(6) + Timing.stragglerMargin)
    it.post(.secretChanged(Transcript.account))
    #expect(it.keeper.accounts[0].wanted == wait)
  }
}
