import Testing

@testable import TokenCore

/// What a replica owes that led, and that it is said until Redis acknowledges it
/// (TokenCore.md#the-algorithm).
@Suite struct SteppingDownTests {
  private static let account = Transcript.account
  private static let own = version(10, 1)
  private static let next = version(10, 2)

  /// What a leader with a published token is doing when its lease runs out.
  enum Doing: CaseIterable, Sendable {
    case holding, looking, republishing, recommitting, beginning, fetching, committing
    case resolving, unresolved

    /// Whether a fetch of its own may have killed what is published.
    var mayHaveMinted: Bool {
      switch self {
      case .fetching, .committing, .unresolved: true
      case .holding, .looking, .republishing, .recommitting, .beginning, .resolving: false
      }
    }

    /// Whether the outcome of that fetch is known.
    var isKnown: Bool { self != .fetching }
  }

  private static let failure = FetchFailure(.transient, reason: "nothing came")

  /// A leader that published a token 30 s ago, and since 2 s does this.
  private static func leader(_ doing: Doing) -> Transcript {
    var it = Transcript()
    it.publish()
    for second in 1...30 {
      it.pass(.seconds(1))
      for action in it.post(.woke) {
        switch action {
        case .store(.renew, _): it.answer(action, .renewed)
        case .store(.heartbeat, _): it.answer(action, .replicas([], now: it.redisTime))
        case .store(.look, _): it.answer(action, .account(it.published("T")))
        case .store, .fetch, .cancelFetch, .probe, .giveBack, .listen, .announce, .note, .stop:
          break
        }
      }
      if second == 28 { Self.start(doing, &it) }
    }
    return it
  }

  private static func start(_ doing: Doing, _ it: inout Transcript) {
    var begun: [Keeper.Action] = []
    switch doing {
    case .holding: return
    case .looking:
      it.post(.hinted(nil))
      return
    case .republishing:
      var view = it.published("T")
      view.token = nil
      it.look(view)
      return
    case .recommitting:
      it.look(it.view("S", version(3, 1)))
      return
    case .beginning, .fetching, .committing, .resolving, .unresolved:
      begun = it.post(.reported(.rejected(AccessToken("T"))))
    }
    guard doing != .beginning else { return }
    let began = it.answer(
      begun.first(where: \.isBegin), .began(it.receipt(committed: own)))
    guard let order = began.firstOrder else { return }
    switch doing {
    case .committing: it.post(.fetched(account, order.version, it.token("U")))
    case .resolving: it.post(.fetched(account, order.version, .knownFailure(failure)))
    case .unresolved: it.post(.fetched(account, order.version, .unknown(failure)))
    case .holding, .looking, .republishing, .recommitting, .beginning, .fetching: break
    }
  }

  /// Everything that the replica says as its lease runs out, and what is said until all is.
  private static func expire(_ it: inout Transcript) -> [StoreCommand.Mark] {
    it.pass(.seconds(20))
    var marks: [StoreCommand.Mark] = []
    var actions = it.post(.woke)
    while let marking = actions.first(where: \.isMark), marks.count < 9 {
      marks += [marking.mark].compactMap(\.self)
      actions = it.answer(marking, .inOrder) + it.post(.woke)
    }
    return marks
  }

  @Test(arguments: Doing.allCases)
  func `whatever it is doing, it says its last commit and what may have minted since`(
    _ doing: Doing
  ) {
    var it = Self.leader(doing)
    let began = Moment.origin
    let marks = Self.expire(&it)
    #expect(
      Set(marks.map(\.version)) == (doing.mayHaveMinted ? [Self.own, Self.next] : [Self.own]))
    #expect(it.keeper.accounts[0].traces.debts.isEmpty)
    for mark in marks {
      #expect(mark.begunAt != nil)
      if mark.version == Self.own {
        #expect(mark.age == it.now - began && mark.knownFor == it.now - began)
      } else {
        #expect(mark.age == .seconds(22))
        #expect((mark.knownFor != nil) == doing.isKnown)
      }
    }
    #expect(it.keeper.accounts[0].copy?.isOwn == false)
  }

  @Test func `who was allowed to fetch and has not asked owes nothing`() {
    var it = Situation.ready.reached()
    it.pass(.seconds(20))
    let actions = it.post(.woke)
    #expect(it.keeper.election.leadership == nil)
    #expect(!actions.has(\.isMark))
    #expect(it.keeper.accounts[0].traces.debts.isEmpty)
  }

  @Test func `what is not yet written to WeChat is not written any more, before all else`() {
    for doing in Doing.allCases {
      var it = Self.leader(doing)
      it.pass(.seconds(20))
      let actions = it.post(.woke)
      let cancelled = actions.firstIndex(of: .cancelFetch(Self.account, Self.next))
      #expect((cancelled != nil) == (doing == .fetching), "\(doing)")
      if let cancelled, let marked = actions.firstIndex(where: \.isMark) {
        // The moment of marking is taken after the gate is closed.
        #expect(cancelled < marked)
      }
    }
  }

  @Test func `a mark is repeated until it is acknowledged, by a follower, too`() {
    var it = Self.leader(.fetching)
    it.pass(.seconds(20))
    var marking = it.post(.woke).first { $0.mark?.version == Self.next }
    for round in 0..<20 {
      #expect(marking != nil && it.keeper.election.leadership == nil)
      if round.isMultiple(of: 2) { it.fail(marking) } else { it.forget() }
      marking = it.next { $0.mark?.version == Self.next }
    }
    // An answer that no MARK has acknowledges nothing.
    it.answer(marking, .committed(isCertain: true))
    #expect(it.keeper.accounts[0].traces.debts.contains { $0.version == Self.next })
    for reply in [StoreReply.marked, .inOrder, .settled] {
      var paying = it
      paying.answer(paying.next { $0.mark?.version == Self.next }, reply)
      let debts = paying.keeper.accounts[0].traces.debts
      #expect(!debts.contains { $0.version == Self.next }, "\(reply)")
    }
  }

  @Test func `the moment of an outcome that is not known moves on with each repetition`() {
    var it = Self.leader(.fetching)
    it.pass(.seconds(20))
    let first = it.post(.woke).first { $0.mark?.version == Self.next }
    #expect(first?.mark?.age == .seconds(22) && first?.mark?.knownFor == nil)
    it.fail(first)
    it.pass(.seconds(5))
    let second = it.post(.woke).first { $0.mark?.version == Self.next }
    #expect(second?.mark?.age == .seconds(27) && second?.mark?.knownFor == nil)
    #expect(second?.mark?.begunAt == first?.mark?.begunAt)
  }

  @Test func `an outcome that comes late is said again, and a known failure is not`() {
    for isAcknowledged in [false, true] {
      for outcome in [FetchOutcome.unknown(Self.failure), Transcript().token("U")] {
        var it = Self.leader(.fetching)
        if isAcknowledged {
          _ = Self.expire(&it)
        } else {
          it.pass(.seconds(20))
          it.post(.woke)
        }
        it.pass(.seconds(1))
        it.post(.fetched(Self.account, Self.next, outcome))
        let debt = it.keeper.accounts[0].traces.debts.first { $0.version == Self.next }
        #expect(debt?.knownAt == it.now)
        // What is on its way says less: its answer does not pay for this.
        let sent = it.outstanding.first {
          $0.mark?.version == Self.next && $0.mark?.knownFor == nil
        }
        it.answer(sent, .marked)
        #expect(it.keeper.accounts[0].traces.debts.contains { $0.version == Self.next })
        let said =
          it.outstanding.first { $0.mark?.version == Self.next }
          ?? it.run(until: it.now + .seconds(6)).first { $0.mark?.version == Self.next }
        #expect(said?.mark?.knownFor != nil)
      }
    }
    var it = Self.leader(.fetching)
    _ = Self.expire(&it)
    #expect(!it.post(.fetched(Self.account, Self.next, .knownFailure(Self.failure))).has(\.isMark))
    #expect(it.keeper.accounts[0].traces.debts.isEmpty)
  }

  /// Connects to a server that has this record: what is said there within a few seconds.
  private static func said(
    _ it: inout Transcript, to runID: String?, with view: AccountView,
    answer reply: StoreReply = .inOrder
  ) -> [Version] {
    it.post(.storeDisconnected)
    it.fail(it.outstanding.first(where: \.isLook))
    let looks = it.post(.storeConnected(runID: runID))
    it.answer(looks.first(where: \.isLook), .account(view))
    it.pass(.seconds(2))
    var said: [Version] = []
    var actions = it.post(.woke)
    while let marking = actions.first(where: \.isMark), said.count < 9 {
      said += [marking.mark?.version].compactMap(\.self)
      actions = it.answer(marking, reply) + it.post(.woke)
    }
    return said
  }

  @Test func `the last commit is said where the record does not know of it, while it may count`() {
    var it = Self.leader(.holding)
    _ = Self.expire(&it)
    // The server of before, another one that knows of it, and one that tells no name.
    for runID in ["one", "two", nil] {
      #expect(Self.said(&it, to: runID, with: it.published("T")).isEmpty)
    }
    // Of a server that lost it, once: what its answer settled stays so, wherever that is found.
    let older = { (it: Transcript) in it.view("S", version(9, 1)) }
    #expect(Self.said(&it, to: "three", with: older(it)) == [Self.own])
    for runID in ["three", "four", nil] {
      #expect(Self.said(&it, to: runID, with: older(it)).isEmpty)
    }
    // What the same server commits later is as safe; of another one that says nothing.
    let later = { (it: Transcript) in it.view("S", version(9, 2), left: .seconds(6900)) }
    #expect(Self.said(&it, to: "five", with: older(it)).isEmpty)
    #expect(Self.said(&it, to: "five", with: later(it)).isEmpty)
    #expect(
      Self.said(&it, to: "six", with: it.view("S", version(9, 3), left: .seconds(6900)))
        == [Self.own])
    it.now = .origin + Transcript.lifetime
    #expect(Self.said(&it, to: "seven", with: it.view("S", version(9, 4), left: .seconds(1))) == [])
  }

  @Test func `a fetch that was published nowhere is said where no doubt stands for it`() {
    for doing in [Doing.fetching, .committing, .unresolved] {
      var it = Self.leader(doing)
      _ = Self.expire(&it)
      // The same server, emptied: its run id tells nothing.
      let lost = it.view("S", version(9, 1))
      #expect(Self.said(&it, to: "one", with: lost, answer: .marked).contains(Self.next))
      // It has the mark: nothing more is to be said, …
      let marked = it.view("S", version(9, 1), doubtedFor: .seconds(60), overFor: .zero)
      #expect(Self.said(&it, to: "one", with: marked).isEmpty, "\(doing)")
      // … nor where a fetch began when it was long over; …
      it.pass(.seconds(120))
      let fetched = it.view("V", version(20, 1), left: Transcript.lifetime - .seconds(5))
      #expect(Self.said(&it, to: "two", with: fetched).isEmpty, "\(doing)")
      // … and again where an older doubt stands, which will be over too soon.
      let early = it.view("W", version(19, 1), doubtedFor: .seconds(280), overFor: .seconds(279))
      #expect(Self.said(&it, to: "three", with: early).contains(Self.next), "\(doing)")
    }
  }

  @Test(arguments: [StoreReply.foreignApp(remaining: nil), .newerLayout(3)])
  func `where the record is not ours to read it is said once to each other server`(
    _ reply: StoreReply
  ) {
    var it = Self.leader(.unresolved)
    _ = Self.expire(&it)
    func said(_ runID: String) -> [Version] {
      it.post(.storeDisconnected)
      it.fail(it.outstanding.first(where: \.isLook))
      let looks = it.post(.storeConnected(runID: runID))
      var actions = it.answer(looks.first(where: \.isLook), reply)
      var said: [Version] = []
      while let marking = actions.first(where: \.isMark), said.count < 9 {
        said += [marking.mark?.version].compactMap(\.self)
        actions = it.answer(marking, .marked) + it.post(.woke)
      }
      return said
    }
    #expect(said("one").isEmpty)
    #expect(Set(said("two")) == [Self.own, Self.next])
    #expect(said("two").isEmpty)
    #expect(Set(said("three")) == [Self.own, Self.next])
  }

  @Test(arguments: [StoreReply.superseded(Epoch(20)), .deposed(Epoch(20))])
  func `a commit that came under a higher fence owes nothing there, and is said elsewhere`(
    _ reply: StoreReply
  ) {
    var it = Self.leader(.committing)
    let answered = it.answer(it.outstanding.first(where: \.isCommit), reply)
    #expect(answered.notes.contains(.steppedDown(.fenced)))
    it.post(.woke)
    while let marking = it.outstanding.first(where: \.isMark) {
      #expect(reply == .superseded(Epoch(20)) || marking.mark?.version != Self.next)
      it.answer(marking, .inOrder)
      it.post(.woke)
    }
    let said = Self.said(&it, to: "two", with: it.view("S", version(9, 1)), answer: .marked)
    #expect(said.contains(Self.next))
  }

  @Test func `more than a few debts are paid as one that is none of them`() {
    var it = Transcript()
    it.publish()
    for (epoch, began) in [(20, 400), (30, 800), (40, 1200)] as [(Int64, Int64)] {
      // Lost, won again, and lost in the middle of a fetch, each time unable to say so.
      it.now = .origin + .seconds(began)
      it.post(.woke)
      it.forget()
      let acquiring = it.answer(it.next(\.isPoll), .lock(holder: nil, remaining: nil))
      let won = it.answer(acquiring.first(where: \.isAcquire), .acquired(Epoch(epoch)))
      let begin = it.answer(won.first(where: \.isTakeOver), .account(it.view()))
      it.answer(begin.first(where: \.isBegin), .began(it.receipt()))
    }
    it.pass(.seconds(20))
    it.post(.woke)
    let debts = it.keeper.accounts[0].traces.debts
    #expect(debts.count == Traces.debtLimit)
    #expect(debts.first?.version.sequence == 0)
    #expect(debts.map(\.beganAt).min() == .origin, "what began first is part of it")
  }

  @Test func `what kills no token before it owes nothing`() {
    var it = Transcript(repeats: true)
    let order = it.fetch()
    it.pass(.seconds(20))
    #expect(!it.post(.woke).has(\.isMark))
    it.post(.fetched(Self.account, order?.version ?? version(0, 0), it.token("T")))
    #expect(it.keeper.accounts[0].traces.debts.isEmpty)
  }

  @Test func `two unknown outcomes of one lead are said as one`() {
    var it = Self.leader(.unresolved)
    let begun = it.outstanding.first(where: \.isBegin)
    let order = it.answer(begun, .began(it.receipt(committed: Self.own))).firstOrder
    it.post(.fetched(Self.account, order?.version ?? version(0, 0), .unknown(Self.failure)))
    let known = it.now
    let marks = Self.expire(&it).filter { $0.version != Self.own }
    #expect(marks.map(\.version) == [version(10, 0)])
    #expect(marks.first.map { it.now - $0.age } == .origin + .seconds(28))
    #expect(marks.first?.knownFor.map { it.now - $0 } == known)
  }
}
