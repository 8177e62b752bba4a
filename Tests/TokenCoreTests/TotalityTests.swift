import Testing
import TokenCore

/// Every state meets every event: it is handled or it changes nothing, and nothing traps.
@Suite struct TotalityTests {
  /// A way into each phase of an account.
  enum Situation: String, CaseIterable, Sendable {
    case idle, following, followingSent, takingOver, holding, looking, republishing, recommitting
    case beginning, ready, fetching, committing, resolving, ending, stopped, disconnected, owing
    case polling, acquiring, uncertain

    func reached() -> Transcript {
      var it = Transcript()
      switch self {
      case .idle: break
      case .following, .followingSent, .disconnected:
        it.post(.started)
        let looks = it.post(.storeConnected(runID: "one"))
        it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
        if self == .followingSent { break }
        it.answer(looks.first(where: \.isLook), .account(it.view("T", version(9, 1))))
        if self == .disconnected { it.post(.storeDisconnected) }
      case .takingOver: _ = it.lead()
      case .holding: it.publish()
      case .looking:
        it.publish()
        it.pass(.seconds(1))
        it.post(.hinted(nil))
      case .republishing:
        it.publish()
        it.pass(.seconds(1))
        var view = it.view("T", version(10, 1), left: .seconds(7199))
        view.token = nil
        it.answer(it.post(.hinted(nil)).first(where: \.isLook), .account(view))
      case .recommitting:
        it.publish()
        it.pass(.seconds(1))
        it.answer(
          it.post(.hinted(nil)).first(where: \.isLook), .account(it.view("S", version(3, 1))))
      case .beginning: it.answer(it.lead(), .account(it.view()))
      case .ready:
        let beginning = it.answer(it.lead(), .account(it.view())).first(where: \.isBegin)
        // The answer comes when the lease is too short for a fetch, and BEGIN is still fresh.
        it.pass(.milliseconds(9000))
        it.fail(beginning)
        it.pass(.milliseconds(1000))
        let again = it.post(.woke).first(where: \.isBegin)
        it.answer(again, .began(it.receipt()))
      case .fetching: _ = it.fetch()
      case .committing: _ = it.commit()
      case .resolving:
        let order = it.fetch()
        it.post(
          .fetched(
            Transcript.account, order?.version ?? version(0, 0),
            .knownFailure(FetchFailure(.transient, reason: "refused"))))
      case .ending:
        _ = it.fetch()
        it.post(.shutdownRequested)
      case .stopped:
        it.post(.started)
        it.post(.shutdownRequested)
      case .polling, .acquiring, .uncertain:
        it.post(.started)
        let polling = it.post(.storeConnected(runID: "one")).first(where: \.isPoll)
        if self == .polling { break }
        let acquiring = it.answer(polling, .lock(holder: nil, remaining: nil))
        if self == .acquiring { break }
        it.fail(acquiring.first(where: \.isAcquire))
      case .owing:
        _ = it.fetch()
        it.pass(.seconds(20))
        it.post(.woke)
      }
      return it
    }
  }

  @Test func `each situation is the phase that it is named after`() {
    func phase(_ situation: Situation) -> AccountKeeper.Phase {
      situation.reached().keeper.accounts[0].phase
    }
    if case .following(.due) = phase(.following) {} else { Issue.record("following") }
    if case .following(.sent) = phase(.followingSent) {} else { Issue.record("following, sent") }
    if case .takingOver(.sent) = phase(.takingOver) {} else { Issue.record("takingOver") }
    if case .holding = phase(.holding) {} else { Issue.record("holding") }
    if case .looking = phase(.looking) {} else { Issue.record("looking") }
    if case .republishing(.sent) = phase(.republishing) {} else { Issue.record("republishing") }
    if case .recommitting(.sent) = phase(.recommitting) {} else { Issue.record("recommitting") }
    if case .beginning(_, .sent) = phase(.beginning) {} else { Issue.record("beginning") }
    if case .ready = phase(.ready) {} else { Issue.record("ready: \(phase(.ready))") }
    if case .fetching = phase(.fetching) {} else { Issue.record("fetching") }
    if case .committing(_, _, .sent) = phase(.committing) {} else { Issue.record("committing") }
    if case .resolving(_, .sent) = phase(.resolving) {} else { Issue.record("resolving") }
    func election(_ situation: Situation) -> Election.State {
      situation.reached().keeper.election.state
    }
    if case .idle = election(.idle) {} else { Issue.record("idle") }
    if case .following = election(.following) {} else { Issue.record("following the lock") }
    if case .polling = election(.polling) {} else { Issue.record("polling") }
    if case .acquiring = election(.acquiring) {} else { Issue.record("acquiring") }
    if case .uncertain = election(.uncertain) {} else { Issue.record("uncertain") }
    if case .leading = election(.holding) {} else { Issue.record("leading") }
    #expect(Situation.owing.reached().keeper.accounts[0].debt != nil)
    #expect(Situation.stopped.reached().keeper.nextWake == nil)
  }

  @Test(arguments: Situation.allCases)
  func `every event is taken in every situation`(_ situation: Situation) {
    let reached = situation.reached()
    for event in events(for: reached) {
      var it = reached
      let copy = it.keeper.accounts[0].copy?.version
      let wasBegun =
        switch it.keeper.accounts[0].phase {
        case .beginning, .ready: true
        case .following, .takingOver, .holding, .looking, .republishing, .recommitting, .fetching,
          .committing, .resolving:
          false
        }
      let actions = it.post(event)
      #expect(
        !actions.contains(where: { $0.isFetch }) || wasBegun, "\(situation) fetches at \(event)")
      if let copy, let after = it.keeper.accounts[0].copy?.version {
        #expect(after >= copy, "\(situation) goes backwards at \(event)")
      }
      for _ in 0..<4 { it.post(.woke) }
      if let wake = it.keeper.nextWake {
        #expect(wake > it.now, "\(situation) spins after \(event)")
      }
    }
  }

  /// Everything that can happen: every step with every answer, timely and late, and all the rest.
  private func events(for it: Transcript) -> [Keeper.Event] {
    let name = Transcript.account
    let now = it.now
    guard let instance = InstanceID("a") else { return [] }
    let term = it.keeper.election.leadership?.term ?? Term(instance: instance, nonce: "0")
    let ours = version(10, 1)
    let lifetime = Transcript.lifetime
    let outputs = [Output(key: .accessToken, format: .token(AccessToken("T")))]
    let commit = StoreCommand.Commit(
      account: name, fence: Epoch(10), version: ours, outputs: outputs, lifetime: lifetime,
      age: .zero, dirty: nil, parent: nil, sweep: nil, isRecommit: false, runID: "one",
      instance: instance)
    let commands: [StoreCommand] = [
      .pollLock, .acquire(term, lease: .seconds(15), floor: .none),
      .renew(term, lease: .seconds(15)), .release(term), .look(name), .takeOver(name, Epoch(10)),
      .begin(
        .init(
          account: name, version: ours, span: .seconds(6), hasHistory: true, isSuspicious: false)),
      .resolve(name, ours), .commit(commit),
      .republish(
        .init(
          account: name, fence: Epoch(10), version: ours, outputs: outputs, lifetime: lifetime,
          remaining: .seconds(7000))),
      .mark(
        .init(
          account: name, debt: DebtID(life: 1, number: 1), version: ours, isUnknown: true)),
      .heartbeat(.init(instance: instance, isLeader: true, abdicates: false)),
      .look(AccountName("other") ?? name),
    ]
    var soiled = it.view("S", version(11, 1))
    soiled.dirty = DirtyMark("9.9@0")
    soiled.sweep = soiled.now
    let replies: [StoreReply] = [
      .lock(holder: nil, remaining: nil), .lock(holder: "b:1", remaining: .seconds(3)),
      .acquired(Epoch(12)), .held(holder: "b:1", remaining: .seconds(3)), .renewed, .lost,
      .released, .account(it.view()), .account(soiled), .account(it.view("T", ours)),
      .fenced(Epoch(99)), .foreignApp(remaining: .seconds(9)), .newerLayout(2),
      .began(it.receipt(sweep: it.redisTime)),
      .stale(committed: version(99, 1)), .resolved, .committed, .superseded(Epoch(99)),
      .deposed(Epoch(99), nil), .republished(wrote: true), .republished(wrote: false),
      .marked(nil), .marked(DirtyMark("9.9@0")),
      .replicas([], now: it.redisTime),
    ]
    var events: [Keeper.Event] = [
      .started, .woke, .storeConnected(runID: nil), .storeConnected(runID: "two"),
      .storeDisconnected, .hinted(nil), .hinted(name), .leadershipHinted, .secretChanged(name),
      .shutdownRequested, .probed(name, ours, isDead: true, dailyLimit: 100),
      .probed(name, ours, isDead: false, dailyLimit: nil), .reported(.rejected(AccessToken("T"))),
      .reported(.rejected(AccessToken("unknown"))), .reported(.rejectedDigest("unknown")),
      .reported(.force(name)),
    ]
    let failure = FetchFailure(.transient, reason: "nothing came", isTransport: true)
    for outcome in [it.token("N"), .knownFailure(failure), .unknown(failure)] {
      events.append(.fetched(name, ours, outcome))
      events.append(.fetched(name, version(3, 7), outcome))
    }
    for issuedAt in [now, it.now - .seconds(1), now - .seconds(30)] {
      for command in commands {
        events += replies.map { .stored(command, issuedAt: issuedAt, .success($0)) }
        for mayHaveRun in [true, false] {
          let failure = StoreFailure(mayHaveRun: mayHaveRun, reason: "timed out")
          events.append(.stored(command, issuedAt: issuedAt, .failure(failure)))
        }
      }
    }
    return events
  }
}
