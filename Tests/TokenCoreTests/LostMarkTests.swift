import Testing
import TokenCore

/// A mark that Redis loses is left again, and nobody takes an epoch that others are beyond.
@Suite struct LostMarkTests {
  /// A follower.
  private static func follower() -> Transcript {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: nil))
    it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
    it.answer(looks.first(where: \.isLook), .account(it.view("T", version(10, 1))))
    return it
  }

  /// A follower whose mark Redis has taken: the answer says so, and no look has shown it yet.
  private static func debtor() -> Transcript {
    var it = follower()
    // Redis lost a commit that this follower knows of.
    let lost = it.view("S", version(3, 1))
    let marking = Self.look(&it, lost).first(where: \.isMark)
    it.answer(marking, .marked(DirtyMark(version(10, 1), at: it.redisTime)))
    return it
  }

  @discardableResult
  private static func look(_ it: inout Transcript, _ view: AccountView) -> [Keeper.Action] {
    it.answer(it.post(.hinted(nil)).first(where: \.isLook), .account(view))
  }

  @Test func `a follower marks again when Redis has lost its mark`() {
    var it = Self.debtor()
    let first = it.keeper.accounts[0].mark
    #expect(first?.epoch == Epoch(10) && first?.markedAt == it.redisTime)
    it.pass(.seconds(1))
    let again = Self.look(&it, it.view("S", version(3, 1))).first(where: \.isMark)
    #expect(again?.mark?.isUnknown == true)
    it.answer(again, .marked(nil))
    #expect(!Self.look(&it, it.view("S", version(3, 1))).has(\.isMark), "said once")
  }

  @Test func `a follower forgets its mark once a later fetch was committed`() {
    var it = Self.debtor()
    it.pass(.seconds(3))
    let fetched = it.view("N", version(20, 1), left: Transcript.lifetime - .seconds(2))
    #expect(!Self.look(&it, fetched).has(\.isMark))
    #expect(it.keeper.accounts[0].mark == nil)
  }

  @Test func `a mark that stands is not left again`() {
    var it = Self.debtor()
    var view = it.view("S", version(3, 1))
    view.dirty = it.keeper.accounts[0].mark
    #expect(!Self.look(&it, view).has(\.isMark))
  }

  @Test func `a leader fetches and sweeps for a mark that Redis has lost`() {
    var it = Transcript()
    it.publish()
    it.pass(.seconds(5))
    var view = it.view("T", version(10, 1), left: Transcript.lifetime - .seconds(5))
    view.dirty = DirtyMark(version(9, 1), at: it.redisTime)
    let beginning = Self.look(&it, view).first(where: \.isBegin)
    it.fail(beginning)
    // BEGIN is tried again, and the receipt shows neither mark nor sweep.
    let again = it.run(until: it.now + .seconds(1)).first(where: \.isBegin)
    let fetching = it.answer(again, .began(it.receipt(committed: version(10, 1))))
    #expect(fetching.has(\.isFetch))
    #expect(it.keeper.accounts[0].mark != nil, "until a fetch has settled it")
  }

  @Test func `a leader whose Redis has lost a later epoch asks for one above that`() {
    var it = Transcript()
    it.publish()
    it.pass(.seconds(1))
    var view = it.view("T", version(10, 1))
    view.dirty = DirtyMark(version(12, 1), at: it.redisTime)
    let actions = Self.look(&it, view)
    #expect(actions.notes.contains(.steppedDown(.fenced)))
    #expect(actions.has(\.isRelease))
    #expect(it.keeper.election.floor == Epoch(12))
  }

  @Test func `a later mark is remembered while an earlier one stands`() {
    var it = Self.debtor()
    var view = it.view("S", version(3, 1))
    view.dirty = DirtyMark(version(2, 1), at: it.redisTime - .seconds(5))
    it.pass(.seconds(1))
    #expect(Self.look(&it, view).has(\.isMark), "the later one was lost")
  }

  @Test func `a follower owns up to its commit again when another is made without it`() {
    var it = Self.follower()
    for committed in [version(3, 1), version(3, 2)] {
      let marking = Self.look(&it, it.view("S", committed)).first(where: \.isMark)
      #expect(marking?.mark?.version == version(10, 1), "\(committed)")
      it.answer(marking, .marked(nil))
      #expect(!Self.look(&it, it.view("S", committed)).has(\.isMark), "said once")
    }
  }

  @Test func `a commit that only the answer to a mark told of is owned up to when it is lost`() {
    var it = Transcript()
    let committing = it.commit()
    it.pass(.seconds(15))
    let stepping = it.post(.woke)
    it.answer(stepping.first(where: \.isMark), .committed)
    #expect(it.keeper.accounts[0].debt == nil)
    it.answer(committing, .committed)
    let lost = it.view("S", version(3, 1))
    let looked = it.answer(stepping.first(where: \.isLook), .account(lost))
    #expect(looked.first(where: \.isMark)?.mark?.version == version(10, 1))
  }

  @Test func `an epoch below one that was seen is given back`() {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: nil))
    let acquiring = it.answer(looks.first(where: \.isPoll), .lock(holder: nil, remaining: nil))
    it.answer(looks.first(where: \.isLook), .account(it.view("T", version(20, 1))))
    let answered = it.answer(acquiring.first(where: \.isAcquire), .acquired(Epoch(15)))
    #expect(answered.has(\.isRelease))
    #expect(it.keeper.election.leadership == nil)
    let next = it.answer(answered.first(where: \.isPoll), .lock(holder: nil, remaining: nil))
    guard case .acquire(_, _, let floor)? = next.first(where: \.isAcquire)?.command else {
      Issue.record("no ACQUIRE")
      return
    }
    #expect(floor >= Epoch(20))
  }

  @Test func `what somebody else wrote as a mark says neither when nor about what`() {
    for text in ["", "1", "x.1@y", "@", ".@", "0.1", "-1.1@", "9223372036854775807.1@x"] {
      let mark = DirtyMark(text)
      #expect(mark.markedAt == nil && mark.epoch == nil, "\(text)")
    }
  }
}
