import Testing

@testable import TokenCore

/// Every state meets every event: it is taken or it changes nothing, and no answer is waited for
/// that cannot come.
@Suite struct TotalityTests {
  @Test(arguments: Situation.allCases)
  func `each situation is what it is named after`(_ situation: Situation) {
    let it = situation.reached()
    #expect(situation.places.isSubset(of: it.places), "\(it.places)")
    #expect(it.vainWaits.isEmpty)
    #expect(it.hasStopped == (situation == .stopped))
  }

  @Test func `a doubted token is asked about again, and proved dead by that`() {
    for early in [Duration.milliseconds(1), .zero] {
      var doubted = Situation.doubted.reached()
      doubted.pass(Prober.doubt - early)
      #expect(doubted.post(.woke).has(\.isProbe) == (early == .zero))
    }
    var again = Situation.askingAgain.reached()
    let proved = again.post(
      .probed(Transcript.account, version(10, 1), isDead: true, dailyLimit: nil))
    #expect(proved.notes.contains(.diedEarly(Transcript.account, lately: 1)))
    #expect(proved.has(\.isBegin))
  }

  @Test(arguments: [true, false])
  func `what is proved dead is not published again after a pause, though its keys are gone`(
    isDead: Bool
  ) {
    var it = Situation.askingAgain.reached()
    it.post(.probed(Transcript.account, version(10, 1), isDead: isDead, dailyLimit: nil))
    // It stands still until its lease is over, whatever was under way, and leads again.
    it.forget()
    it.pass(.seconds(20))
    it.post(.woke)
    #expect(it.keeper.election.leadership == nil)
    let polling = it.outstanding.first(where: \.isPoll) ?? it.next { $0.isPoll }
    let acquiring = it.answer(polling, .lock(holder: nil, remaining: nil))
    let won = it.answer(acquiring.first(where: \.isAcquire), .acquired(Epoch(11)))
    var view = it.published(Situation.secret)
    view.fence = Epoch(11)
    view.token = nil
    view.tokenRemaining = nil
    let takenOver = it.answer(won.first(where: \.isTakeOver), .account(view))
    #expect(takenOver.has(\.isRepublish) == !isDead)
    #expect(it.keeper.accounts[0].isAnotherTokenDue == isDead)
  }

  @Test func `there is a situation for everything that a keeper can be in`() {
    var places: Set<Place> = []
    for situation in Situation.allCases { places.formUnion(situation.reached().places) }
    #expect(Set(Place.allCases).subtracting(places) == [])
  }

  @Test func `every step is answered in time in some situation, with every answer`() {
    var commands: Set<StoreCommand.Kind> = []
    var answered: Set<EventKind> = []
    for situation in Situation.allCases {
      let it = situation.reached()
      for event in it.everything() where it.awaits(event) {
        answered.insert(EventKind(event))
        if case .stored(let step, _) = event { commands.insert(step.kind) }
      }
    }
    let answers = EventKind.all.filter {
      switch $0 {
      case .stored, .fetched, .probed: true
      case .started, .woke, .storeConnected, .storeDisconnected, .hinted, .leadershipHinted,
        .secretChanged, .shutdownRequested, .accountsChanged, .reported:
        false
      }
    }
    #expect(commands == Set(StoreCommand.Kind.allCases))
    #expect(answered == answers)
  }

  @Test func `no situation and no kind of event is taken out in passing`() {
    // Each pair of them is met below: as many as there were when this was written, or more.
    #expect(Situation.allCases.count * EventKind.all.count >= 45 * 74)
  }

  @Test func `what follows what is what is said to follow it`() {
    var met = WorkSteps()
    for situation in Situation.allCases {
      let reached = situation.reached()
      met.formUnion(reached.keeper.accounts[0].workSteps)
      for event in reached.everything() {
        var it = reached
        it.post(event)
        for _ in 0..<2 { it.post(.woke) }
        met.formUnion(it.keeper.accounts[0].workSteps)
      }
    }
    for kind in Work.Kind.allCases {
      #expect(met.after(kind) == kind.successors, "after \(kind)")
    }
  }

  @Test(arguments: Situation.allCases)
  func `every event is taken in every situation`(_ situation: Situation) {
    let reached = situation.reached()
    var faults = Faults()
    var notes: Set<Note> = []
    var met: Set<EventKind> = []
    for event in reached.everything() {
      met.insert(EventKind(event))
      var it = reached
      let actions = it.post(event)
      notes.formUnion(actions.notes)
      for fault in Self.faults(of: event, taken: actions, from: reached, to: it) {
        faults.add(fault, at: event)
      }
      for _ in 0..<2 { notes.formUnion(it.post(.woke).notes) }
      if let wake = it.keeper.nextWake, wake <= it.now {
        faults.add("spins", at: event)
      }
    }
    #expect(faults.description == "")
    #expect(met == EventKind.all)
    let telling = notes.filter {
      "\($0) \(String(reflecting: $0))".contains(Situation.secret)
    }
    #expect(telling.isEmpty)
  }

  @Test(arguments: Situation.allCases)
  func `whatever is answered, it goes on`(_ situation: Situation) {
    let reached = situation.reached()
    var faults = Faults()
    for event in reached.everything() {
      if case .stored = event, !reached.awaits(event) { continue }
      var it = reached
      it.post(event)
      var world = GoodWorld(of: it)
      world.run(&it)
      for fault in Self.faults(of: it, in: world) {
        faults.add(fault, at: event)
      }
    }
    #expect(faults.description == "")
  }

  @Test(arguments: Situation.allCases)
  func `what is never answered is given up, and it goes on`(_ situation: Situation) {
    var it = situation.reached()
    it.forget()
    var world = GoodWorld(of: it)
    world.run(&it)
    #expect(Self.faults(of: it, in: world) == [])
  }

  @Test(arguments: StoreCommand.Kind.allCases)
  func `a kind of step that is never answered is asked again, with a pause`(
    _ command: StoreCommand.Kind
  ) {
    for situation in [Situation.idle, .holding, .fetching, .committing, .resolving, .owing] {
      var it = situation.reached()
      var world = GoodWorld(of: it)
      world.insistence = (command, nil)
      world.run(&it)
      #expect(world.steps < GoodWorld.most, "\(situation)")
    }
  }

  @Test(arguments: [Situation.idle, .holding, .fetching, .recommitting, .republishing, .owing])
  func `whatever Redis insists on, nothing is asked without a pause`(_ situation: Situation) {
    let reached = situation.reached()
    var faults = Faults()
    for command in StoreCommand.Kind.allCases {
      for answer in reached.results {
        // It is asked again at once for an epoch that is high enough, as no script refuses.
        if command == .acquire, case .success(.acquired) = answer { continue }
        var it = reached
        var world = GoodWorld(of: it)
        world.insistence = (command, answer)
        world.run(&it)
        if world.steps >= GoodWorld.most {
          faults.add("loops", at: (command.rawValue, "\(answer)"))
        }
      }
    }
    #expect(faults.description == "")
  }

  // MARK: What must not be

  /// What an event did that none may.
  private static func faults(
    of event: Keeper.Event, taken actions: [Keeper.Action], from before: Transcript,
    to after: Transcript
  ) -> [String] {
    var faults: [String] = []
    let account = after.keeper.accounts[0]
    let orders = actions.compactMap { if case .fetch(let order) = $0 { order } else { nil } }
    if orders.count > 1 { faults.append("fetches \(orders.count) times") }
    if !orders.isEmpty, before.places.isDisjoint(with: [.beginningDue, .beginningSent, .ready]) {
      faults.append("fetches without BEGIN")
    }
    for order in orders where order.deadline <= after.now || order.notAfter <= after.now {
      faults.append("fetches too late")
    }
    if let copy = before.keeper.accounts[0].copy?.version,
      account.copy.map({ $0.version < copy }) ?? true
    {
      faults.append("goes backwards")
    }
    if before.hasStopped, !actions.isEmpty { faults.append("acts though it has stopped") }
    if actions.contains(.stop) {
      if !after.wasToldToEnd { faults.append("stops unasked") }
      // No time has passed, so that what is in flight could be waited for.
      if !account.traces.debts.isEmpty { faults.append("stops while it owes a mark") }
      if case .fetch = account.work { faults.append("stops while it fetches") }
    }
    let owed = Set(account.traces.debts.map(\.version))
    if !before.keeper.accounts[0].traces.debts.allSatisfy({ owed.contains($0.version) }) {
      switch EventKind(event) {
      case .stored(.mark, .marked), .stored(.mark, .inOrder), .stored(.mark, .settled): break
      default: faults.append("forgets what it owes")
      }
    }
    return faults + after.vainWaits
  }

  /// What is wrong with a keeper that had nothing to bear for a while.
  private static func faults(of it: Transcript, in world: GoodWorld) -> [String] {
    if it.hasStopped { return it.wasToldToEnd ? [] : ["stops unasked"] }
    if it.wasToldToEnd { return ["does not end"] }
    if world.steps >= GoodWorld.most { return ["does not come to rest"] }
    let account = it.keeper.accounts[0]
    guard it.keeper.isLeader(at: it.now) else { return ["does not lead"] }
    var faults: [String] = []
    if account.work != .hold { faults.append("is stuck in \(account.work)") }
    if account.copy.map({ $0.remaining(at: it.now) <= .zero }) ?? true {
      faults.append("has no token")
    }
    if !account.traces.debts.isEmpty { faults.append("owes a mark") }
    for kind in [StoreCommand.Kind.renew, .look, .heartbeat] where !world.kinds.contains(kind) {
      faults.append("no longer sends \(kind)")
    }
    if world.probes == 0 { faults.append("no longer probes") }
    return faults
  }
}

/// What went wrong, and at which events.
private struct Faults: CustomStringConvertible {
  private var answers: [String: Set<String>] = [:]

  mutating func add(_ fault: String, at event: Keeper.Event) {
    add(fault, at: EventKind(event).parts)
  }

  mutating func add(_ fault: String, at parts: (what: String, how: String)) {
    answers["\(fault): \(parts.what)", default: []].insert(parts.how)
  }

  var description: String {
    answers.sorted { $0.key < $1.key }
      .map { "\($0.key) \($0.value.sorted().joined(separator: ", "))" }
      .joined(separator: "\n")
  }
}

extension Transcript {
  /// What the keeper waits for though it was not asked for, or was answered.
  fileprivate var vainWaits: [String] {
    guard !hasStopped else { return [] }
    var waits: [String] = []
    func expect(_ what: String, _ isAsked: (Keeper.Action) -> Bool) {
      if !outstanding.contains(where: isAsked) { waits.append("waits in vain for \(what)") }
    }
    func expect(_ step: StepID) {
      expect("\(step.kind)") { if case .store(_, step) = $0 { true } else { false } }
    }
    switch keeper.election.state {
    case .idle, .following, .uncertain: break
    case .polling(let step), .acquiring(_, let step): expect(step)
    case .leading(let leadership): if let step = leadership.renewal { expect(step) }
    }
    let account = keeper.accounts[0]
    for flight in account.traces.debts.map(\.flight) + [account.flight] {
      if case .sent(let step) = flight { expect(step) }
    }
    if case .fetch(let attempt) = account.work {
      expect("the fetch") {
        if case .fetch(let order) = $0 { order.version == attempt.version } else { false }
      }
    }
    return waits
  }
}
