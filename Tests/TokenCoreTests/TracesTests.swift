import Testing

@testable import TokenCore

/// What one replica owes to whoever reads Redis, and until when.
@Suite struct TracesTests {
  private static let start = Moment.origin + .seconds(100_000)

  private func debt(
    _ sequence: Int64, began: Int = 0, begunAt: Int64? = nil, known: Int? = nil
  ) -> Traces.Debt {
    Traces.Debt(
      version: version(10, sequence), beganAt: Self.start + .seconds(began),
      begunAt: begunAt.map { RedisTime(milliseconds: $0) },
      knownAt: known.map { Self.start + .seconds($0) }, flight: .due(Self.start))
  }

  private func attempt(_ sequence: Int64) -> Attempt {
    Attempt(
      version: version(10, sequence), trigger: .schedule, firstBeganAt: Self.start,
      beganAt: Self.start)
  }

  private func step(_ number: Int64 = 1, at moment: Moment = start) -> StepID {
    let mark = StoreCommand.mark(
      .init(
        account: .unnamed, version: version(10, 1), age: .zero, begunAt: nil, knownFor: nil,
        outputs: []))
    return StepID(of: mark, number: number, issuedAt: moment)
  }

  /// Traces whose first debt was told and acknowledged.
  private func acknowledged(settledBy: Version? = nil) -> Traces {
    var traces = Traces()
    traces.owe(debt(1, known: 0), at: Self.start)
    if let debt = traces.due(at: Self.start) { traces.sent(debt, as: step()) }
    #expect(traces.pay(step(), settledBy: settledBy, at: Self.start) == version(10, 1))
    return traces
  }

  private func view(committed sequence: Int64, runID: String = "one") -> AccountView {
    var view = AccountView(now: RedisTime(milliseconds: 1_700_000_000_000))
    view.committed = version(10, sequence)
    view.fetchedAt = view.now - .seconds(5000)
    view.expiresAt = view.now + .seconds(2000)
    view.runID = runID
    return view
  }

  @Test func `two debts of one fetch are one, as early and as long known as either says`() {
    var traces = Traces()
    traces.owe(debt(1, began: 5, begunAt: 70, known: nil), at: Self.start)
    traces.owe(debt(1, began: 3, begunAt: 90, known: 9), at: Self.start + .seconds(1))
    #expect(traces.debts.count == 1)
    #expect(traces.debts[0].beganAt == Self.start + .seconds(3))
    #expect(traces.debts[0].begunAt == RedisTime(milliseconds: 70))
    #expect(traces.debts[0].knownAt == Self.start + .seconds(9))
    #expect(traces.dueAt == Self.start + .seconds(1))
  }

  @Test func `what is too many is one debt of no fetch, whose end nobody knows`() {
    var traces = Traces()
    for sequence in 1...Int64(Traces.debtLimit + 1) {
      traces.owe(
        debt(sequence, began: Int(sequence), known: sequence == 1 ? nil : 9), at: Self.start)
    }
    #expect(traces.debts.map(\.version) == [version(10, 0), version(10, 3), version(10, 4)])
    #expect(traces.debts[0].beganAt == Self.start + .seconds(1))
    #expect(traces.debts[0].knownAt == nil)
  }

  @Test func `one mark is under way at a time, and only its own answer pays`() {
    var traces = Traces()
    traces.owe(debt(1), at: Self.start)
    traces.owe(debt(2), at: Self.start)
    let first = traces.due(at: Self.start)
    #expect(first?.version == version(10, 1))
    if let first { traces.sent(first, as: step()) }
    #expect(traces.due(at: Self.start) == nil && traces.dueAt == nil)
    #expect(traces.pay(step(2), settledBy: nil, at: Self.start) == nil)
    // More is known by now: what was said is too little, and pays nothing.
    traces.owe(debt(1, known: 4), at: Self.start)
    #expect(traces.pay(step(), settledBy: nil, at: Self.start) == nil)
    #expect(traces.debts.count == 2)
  }

  @Test func `a mark without an answer is lost by its time, and said again`() {
    var traces = Traces()
    traces.owe(debt(1), at: Self.start)
    if let debt = traces.due(at: Self.start) { traces.sent(debt, as: step()) }
    #expect(traces.lost(by: Self.start + .seconds(2), answerBy: .seconds(3)) == nil)
    #expect(traces.lost(by: Self.start + .seconds(3), answerBy: .seconds(3)) == step())
    traces.postpone(step(), until: Self.start + .seconds(5))
    #expect(traces.due(at: Self.start + .seconds(4)) == nil)
    #expect(traces.due(at: Self.start + .seconds(5)) != nil)
  }

  @Test func `what a server has forgotten is owed again, after a pause`() {
    var traces = acknowledged()
    traces.oweForgotten(view(committed: 1), pause: .seconds(5), at: Self.start)
    // It is the fetch of what is committed.
    #expect(traces.debts.isEmpty)
    var lost = acknowledged()
    lost.oweForgotten(view(committed: 7), pause: .seconds(5), at: Self.start + .seconds(20))
    #expect(lost.debts.map(\.version) == [version(10, 1)])
    #expect(lost.dueAt == Self.start + .seconds(25))
  }

  @Test func `what a later commit settles is owed to another server only where it is not there`() {
    var traces = acknowledged(settledBy: version(10, 2))
    traces.oweForgotten(view(committed: 3), pause: .zero, at: Self.start)
    #expect(traces.debts.isEmpty)
    traces.storeConnected(isAnother: true, at: Self.start)
    traces.oweForgotten(view(committed: 3), pause: .zero, at: Self.start)
    #expect(traces.debts.isEmpty)
    var other = acknowledged(settledBy: version(10, 2))
    other.storeConnected(isAnother: true, at: Self.start)
    other.oweForgotten(view(committed: 3), pause: .zero, at: Self.start)
    #expect(other.debts.map(\.version) == [version(10, 1)])
  }

  @Test func `after two hours nothing is owed for what was acknowledged`() {
    var traces = acknowledged()
    traces.oweForgotten(view(committed: 7), pause: .zero, at: Self.start + Traces.debtMemory)
    #expect(traces.debts.isEmpty && traces.acknowledged.isEmpty)
  }

  @Test func `the end of a lead owes what is not settled, and the last token as long as it lives`()
  {
    var traces = Traces()
    traces.leaveUnresolved(attempt(2), at: Self.start)
    traces.lastCommit = .init(
      version: version(10, 1), beganAt: Self.start, begunAt: nil, committedAt: Self.start,
      endsAt: Self.start + .seconds(60))
    var late = traces
    traces.endedLeading(at: Self.start + .seconds(59))
    #expect(traces.debts.map(\.version) == [version(10, 2), version(10, 1)])
    #expect(traces.unresolved == nil)
    late.endedLeading(at: Self.start + .seconds(60))
    #expect(late.debts.map(\.version) == [version(10, 2)])
    #expect(late.lastCommit == nil)
  }

  @Test func `a fetch that began when all was over settles it, and an earlier one owes it`() {
    for (later, isOwed) in [(Timing.straggling, true), (Timing.straggling + .seconds(1), false)] {
      var traces = Traces()
      traces.leaveUnresolved(attempt(1), at: Self.start)
      let next = Attempt(
        version: version(10, 2), trigger: .schedule, firstBeganAt: Self.start + later,
        beganAt: Self.start + later)
      traces.settleUnresolved(by: next, at: Self.start + later)
      #expect(traces.unresolved == nil)
      #expect(traces.debts.isEmpty != isOwed)
    }
  }

  @Test func `how long it may be processed counts from when it was asked, not from its end`() {
    for (span, isOwed) in [(Timing.straggling, true), (Timing.straggling + .seconds(1), false)] {
      var traces = Traces()
      var lost = attempt(1)
      lost.askedAt = Self.start
      traces.leaveUnresolved(lost, at: Self.start + .seconds(5))
      let next = Attempt(
        version: version(10, 2), trigger: .doubt, firstBeganAt: Self.start + span,
        beganAt: Self.start + span)
      traces.settleUnresolved(by: next, at: Self.start + span)
      #expect(traces.debts.isEmpty != isOwed)
    }
  }

  @Test func `a call that was left is taken once, and what minted nothing is forgotten`() {
    var traces = acknowledged()
    traces.abandon(attempt(1))
    #expect(traces.takeAbandoned(version(10, 1))?.version == version(10, 1))
    #expect(traces.takeAbandoned(version(10, 1)) == nil)
    traces.forget(version(10, 1))
    #expect(traces.acknowledged.isEmpty)
  }

  @Test func `its own clock dates what Redis dates by a clock that can be set`() {
    var traces = Traces()
    traces.owe(debt(1, began: 4, begunAt: 700), at: Self.start)
    #expect(traces.beganAt(RedisTime(milliseconds: 700)) == Self.start + .seconds(4))
    #expect(traces.beganAt(RedisTime(milliseconds: 701)) == nil)
  }
}
