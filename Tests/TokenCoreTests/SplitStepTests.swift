import Testing
import TokenCore

/// Which calls a step is split into, in which order, and what becomes of it when one of them fails.
@Suite struct SplitStepTests {
  private static let account = CredentialID.unnamed
  private static let sdk = Output(key: .other("sdk"), content: .token(.plain))
  private static let outputs = Output.own(Margins()) + [sdk]
  private static let version = Version(epoch: Epoch(7), sequence: 2)
  private static let token = AccessToken("T")
  private static let now = RedisTime(milliseconds: 1_000_000)
  /// The other slots' server is half a minute behind.
  private static let other = RedisTime(milliseconds: 970_000)

  private static let commit = StoreCommand.commit(
    .init(
      account: account, fence: Epoch(7), version: version, token: token, outputs: outputs,
      lifetime: .seconds(7200), age: .seconds(1), begunAt: nil, parent: nil, kills: true,
      isRecommit: false, runID: nil, instance: InstanceID("a")!))
  private static let begin = StoreCommand.begin(
    .init(
      account: account, version: version, span: .seconds(6), kills: true, hasHistory: false,
      outputs: outputs))
  private static let look = StoreCommand.look(.init(account: account, outputs: outputs))

  private func split(_ command: StoreCommand) -> SplitStep {
    SplitStep(command, number: 5) { $0.key != .credential }
  }

  private func life(_ left: Duration, committed: Version? = version) -> StatedLife {
    StatedLife(
      now: Self.now, committed: committed, end: Self.now + left, lifetime: .seconds(7200))
  }

  private func calls(_ turn: SplitStep.Turn) -> [SplitStep.Call] {
    if case .sends(let calls, _) = turn { calls } else { [] }
  }

  private func held(_ text: String?, _ left: Duration?) -> SplitStep.Reply {
    .apart(.held(HeldOutput(text: text, remaining: left), now: Self.other))
  }

  @Test func `a step whose keys are all in one slot is one call, and its answer the step's`() {
    var step = SplitStep(Self.commit, number: 5) { _ in false }
    #expect(step.begin() == .sends([.step(Self.commit)], from: 0))
    let reply = StoreReply.committed(isCertain: true)
    #expect(
      step.answered(0, .success(.step(reply, life(.seconds(7199))))) == .ends(.success(reply)))
  }

  @Test func `a token is committed first, and what lies apart follows by its own server's clock`() {
    var step = split(Self.commit)
    let first = calls(step.begin())
    guard case .step(.commit(let joined)) = first.first else {
      return #expect(Bool(false), "the step is sent with the first calls")
    }
    #expect(joined.outputs.map(\.key) == [.credential])
    #expect(first.count == 3)
    // What is there is known before the record is: nothing is written yet.
    #expect(step.answered(1, .success(held("980", .seconds(100)))) == .waits)
    let reply = StoreReply.committed(isCertain: true)
    let expiry = calls(step.answered(0, .success(.step(reply, life(.seconds(7199))))))
    guard case .apart(.place(let place)) = expiry.first else {
      return #expect(Bool(false), "the expiry follows")
    }
    #expect(expiry.count == 1)
    #expect(place.output == .expiry)
    #expect(place.text == "8079", "by the record's clock: its end less two minutes")
    #expect(place.end == Self.other + .seconds(7199), "by its own server's")
    #expect(place.rank == Rank(epoch: Epoch(7), number: 5))
    let others = calls(step.answered(2, .success(held(nil, nil))))
    #expect(others.count == 1)
    #expect(step.answered(3, .success(.apart(.placed(wrote: true)))) == .waits)
    #expect(
      step.answered(4, .success(.apart(.placed(wrote: false)))) == .ends(.success(reply)))
    #expect(step.failures.isEmpty)
    #expect(step.clientExpiry == "8079")
  }

  @Test func `a BEGIN is confirmed once everything apart is shortened, or has had its time`() {
    var step = split(Self.begin)
    #expect(calls(step.begin()).count == 1)
    let reply = StoreReply.began(BeginReceipt(committed: nil, at: Self.now, now: Self.now))
    let shortened = calls(step.answered(0, .success(.step(reply, life(.seconds(290))))))
    let lefts = shortened.compactMap { call -> Duration? in
      guard case .apart(.shorten(let shorten)) = call else { return nil }
      return shorten.left
    }
    #expect(lefts == [.seconds(290), .seconds(290)])
    #expect(step.answered(1, .success(.apart(.shortened))) == .waits)
    let failure = StoreFailure(mayHaveRun: true, reason: "timed out")
    #expect(step.answered(2, .failure(failure)) == .ends(.success(reply)))
    #expect(step.failures == [.other("sdk"): failure])
  }

  @Test func `a step that fails is over, whatever lies apart`() {
    var step = split(Self.commit)
    _ = step.begin()
    let failure = StoreFailure(mayHaveRun: false, reason: "READONLY")
    #expect(step.answered(0, .failure(failure)) == .ends(.failure(failure)))
  }

  @Test func `an order that a later epoch overtook says so, as the fence of the record would`() {
    var step = split(Self.commit)
    _ = step.begin()
    _ = step.answered(0, .success(.step(.committed(isCertain: true), life(.seconds(7199)))))
    _ = step.answered(1, .success(held(nil, nil)))
    _ = step.answered(2, .success(held(nil, nil)))
    #expect(step.answered(3, .success(.apart(.outranked(Epoch(8))))) == .waits)
    #expect(
      step.answered(4, .success(.apart(.placed(wrote: true))))
        == .ends(.success(.superseded(Epoch(8)))))

    var begin = split(Self.begin)
    _ = begin.begin()
    let reply = StoreReply.began(BeginReceipt(committed: nil, at: Self.now, now: Self.now))
    _ = begin.answered(0, .success(.step(reply, life(.seconds(290)))))
    // A later step of the same leader is no other leader.
    #expect(begin.answered(1, .success(.apart(.outranked(Epoch(7))))) == .waits)
    #expect(
      begin.answered(2, .success(.apart(.outranked(Epoch(8)))))
        == .ends(.success(.fenced(Epoch(8)))))
  }

  @Test func `a look brings all outputs in their places, and what was not read as unread`() {
    var step = split(Self.look)
    #expect(calls(step.begin()).count == 3)
    var view = AccountView(now: Self.now)
    view.token = Self.token
    #expect(step.answered(0, .success(.step(.account(view), nil))) == .waits)
    #expect(step.answered(2, .success(held("T", .seconds(50)))) == .waits)
    view.others = [.unread, HeldOutput(text: "T", remaining: .seconds(50))]
    let late = StoreFailure(mayHaveRun: true, reason: "late")
    #expect(step.end(late) == .success(.account(view)))
    #expect(step.end(late) == .failure(late), "it has ended once")
  }

  @Test func `what was republished by one call was republished`() {
    let republish = StoreCommand.republish(
      .init(
        account: Self.account, fence: Epoch(7), version: Self.version, token: Self.token,
        outputs: Self.outputs, lifetime: .seconds(7200), certain: .seconds(100), until: nil,
        slack: .zero, begunAt: nil))
    func run(committed: Version?) -> [SplitStep.Turn] {
      var step = split(republish)
      _ = step.begin()
      return [
        step.answered(1, .success(held(nil, nil))), step.answered(2, .success(held(nil, nil))),
        step.answered(
          0, .success(.step(.republished(wrote: false), life(.seconds(9), committed: committed)))),
        step.answered(3, .success(.apart(.placed(wrote: true)))),
        step.answered(4, .success(.apart(.placed(wrote: false)))),
      ]
    }
    #expect(run(committed: Self.version).last == .ends(.success(.republished(wrote: true))))
    // The record is another fetch's: nothing of ours is written beside it.
    #expect(
      run(committed: Version(epoch: Epoch(9), sequence: 1))[2]
        == .ends(.success(.republished(wrote: false))))
  }
}
