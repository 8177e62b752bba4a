import TokenCore

/// What can happen to a keeper, without what it happens to.
enum EventKind: Hashable, Sendable, CustomStringConvertible {
  case started, woke, storeConnected, storeDisconnected, hinted, leadershipHinted, secretChanged
  case shutdownRequested, accountsChanged
  case stored(StoreCommand.Kind, AnswerKind)
  case fetched(OutcomeKind)
  case probed(isDead: Bool)
  case reported(ReportKind)

  /// What a step can be told.
  enum AnswerKind: String, CaseIterable, Sendable {
    case lock, acquired, held, renewed, lost, released, account, fenced, foreignApp, newerLayout
    case began, stale, resolved, committed, superseded, deposed, republished, marked, inOrder
    case settled, replicas
    case failedPerhaps, failedForCertain
  }

  enum OutcomeKind: String, CaseIterable, Sendable { case token, knownFailure, unknown }

  enum ReportKind: String, CaseIterable, Sendable { case rejected, rejectedDigest, force }

  static let all: Set<EventKind> = {
    var all: Set<EventKind> = [
      .started, .woke, .storeConnected, .storeDisconnected, .hinted, .leadershipHinted,
      .secretChanged, .shutdownRequested, .accountsChanged, .probed(isDead: true),
      .probed(isDead: false),
    ]
    for kind in StoreCommand.Kind.allCases {
      for answer in kind.answers + [.failedPerhaps, .failedForCertain] {
        all.insert(.stored(kind, answer))
      }
    }
    for outcome in OutcomeKind.allCases { all.insert(.fetched(outcome)) }
    for report in ReportKind.allCases { all.insert(.reported(report)) }
    return all
  }()

  init(_ event: Keeper.Event) {
    self =
      switch event {
      case .started: .started
      case .woke: .woke
      case .storeConnected: .storeConnected
      case .storeDisconnected: .storeDisconnected
      case .stored(let step, .success(let answer)): .stored(step.kind, .init(answer))
      case .stored(let step, .failure(let failure)):
        .stored(step.kind, failure.mayHaveRun ? .failedPerhaps : .failedForCertain)
      case .fetched(_, _, .token): .fetched(.token)
      case .fetched(_, _, .knownFailure): .fetched(.knownFailure)
      case .fetched(_, _, .unknown): .fetched(.unknown)
      case .hinted: .hinted
      case .leadershipHinted: .leadershipHinted
      case .probed(_, _, let isDead, _): .probed(isDead: isDead)
      case .reported(.rejected): .reported(.rejected)
      case .reported(.rejectedDigest): .reported(.rejectedDigest)
      case .reported(.force): .reported(.force)
      case .secretChanged: .secretChanged
      case .shutdownRequested: .shutdownRequested
      case .accountsChanged: .accountsChanged
      }
  }
}

extension EventKind {
  /// In two parts, so that many answers to one step are told together.
  var parts: (what: String, how: String) {
    switch self {
    case .stored(let command, let answer): (command.rawValue, answer.rawValue)
    case .fetched(let outcome): ("fetched", outcome.rawValue)
    case .probed(let isDead): ("probed", isDead ? "dead" : "alive")
    case .reported(let report): ("reported", report.rawValue)
    case .started: ("started", "")
    case .woke: ("woke", "")
    case .storeConnected: ("storeConnected", "")
    case .storeDisconnected: ("storeDisconnected", "")
    case .hinted: ("hinted", "")
    case .leadershipHinted: ("leadershipHinted", "")
    case .secretChanged: ("secretChanged", "")
    case .shutdownRequested: ("shutdownRequested", "")
    case .accountsChanged: ("accountsChanged", "")
    }
  }

  var description: String { "\(parts.what) \(parts.how)" }
}

extension StoreCommand.Kind {
  /// Everything that a step of this kind can be told, but for a failure.
  var answers: [EventKind.AnswerKind] {
    let refusals: [EventKind.AnswerKind] = [.foreignApp, .newerLayout]
    return switch self {
    case .pollLock: [.lock]
    case .acquire: [.acquired, .held, .foreignApp]
    case .renew: [.renewed, .lost]
    case .release: [.released]
    case .look: [.account] + refusals
    case .takeOver: [.account, .fenced] + refusals
    case .begin: [.began, .stale, .fenced] + refusals
    case .resolve: [.resolved]
    case .commit: [.committed, .superseded, .deposed, .stale] + refusals
    case .republish: [.republished, .fenced] + refusals
    case .mark: [.marked, .inOrder, .settled]
    case .heartbeat: [.replicas]
    }
  }
}

extension EventKind.AnswerKind {
  init(_ answer: StoreAnswer) {
    self =
      switch answer {
      case .pollLock: .lock
      case .acquire(_, .acquired): .acquired
      case .acquire(_, .held): .held
      case .acquire(_, .foreignApp): .foreignApp
      case .renew(_, let isOurs): isOurs ? .renewed : .lost
      case .release: .released
      case .look(.account), .takeOver(.account): .account
      case .look(.refused(let refusal)), .takeOver(.refused(let refusal)),
        .begin(.refused(let refusal)), .commit(.refused(let refusal)),
        .republish(.refused(let refusal)):
        .init(refusal)
      case .takeOver(.fenced), .begin(.fenced), .republish(.fenced): .fenced
      case .begin(.began): .began
      case .begin(.stale), .commit(.stale): .stale
      case .resolve: .resolved
      case .commit(.committed): .committed
      case .commit(.superseded): .superseded
      case .commit(.deposed): .deposed
      case .republish(.republished): .republished
      case .mark(.marked): .marked
      case .mark(.inOrder): .inOrder
      case .mark(.settled): .settled
      case .heartbeat: .replicas
      }
  }

  private init(_ refusal: Conflict) {
    self =
      switch refusal {
      case .foreignApp: .foreignApp
      case .newerLayout: .newerLayout
      }
  }
}

extension Transcript {
  /// Everything that can happen now: what is outstanding with every answer, the same steps late or
  /// of another term, attempt and debt, and all the rest.
  func everything() -> [Keeper.Event] {
    let name = Self.account
    let other = CredentialID("other") ?? name
    var events: [Keeper.Event] = [
      .started, .woke, .storeConnected(runID: nil), .storeConnected(runID: "two"),
      .storeDisconnected, .hinted(nil), .hinted(name), .hinted(other), .leadershipHinted,
      .secretChanged(name), .secretChanged(other), .shutdownRequested,
      .reported(.rejected(AccessToken("a secret that nobody knows"))),
      .accountsChanged(
        added: [NewAccount(name: other, credential: Credential())], removed: []),
      .reported(.rejectedDigest("unknown")), .reported(.force(name)), .reported(.force(other)),
    ]
    if let copy = keeper.accounts[0].copy { events.append(.reported(.rejected(copy.token))) }
    for version in versions {
      for limit in [nil, 0, 100] {
        for isDead in [true, false] {
          events.append(.probed(name, version, isDead: isDead, dailyLimit: limit))
        }
      }
      events += outcomes.map { .fetched(name, version, $0) }
    }
    events.append(.probed(other, version(3, 7), isDead: true, dailyLimit: nil))
    events += outcomes.map { .fetched(other, version(3, 7), $0) }
    for case .store(let command, let step) in outstanding {
      events += results(of: command).map { .stored(step, $0) }
    }
    for issuedAt in [now, now - .seconds(1)] {
      for command in commands {
        let step = StepID(of: command, number: 0, issuedAt: issuedAt)
        events += results(of: command).map { .stored(step, $0) }
      }
    }
    return events
  }

  /// Everything that Redis can say now, right or wrong, and nothing.
  var results: [Result<StoreReply, StoreFailure>] {
    replies.map { .success($0) } + failures.map { .failure($0) }
  }

  /// Everything that this step can be told.
  private func results(of command: StoreCommand) -> [Result<StoreAnswer, StoreFailure>] {
    replies.compactMap { StoreAnswer($0, to: command).map { .success($0) } }
      + failures.map { .failure($0) }
  }

  private var failures: [StoreFailure] {
    [true, false].map { StoreFailure(mayHaveRun: $0, reason: "timed out") }
  }

  private var attempt: Attempt? { keeper.accounts[0].work.attempt }

  /// The version under way, the published one, the first of most leaders here and a strange one.
  private var versions: [Version] {
    let own = [attempt?.version, keeper.accounts[0].copy?.version].compactMap(\.self)
    let fixed = [version(10, 1), version(3, 7)]
    return own.filter { !fixed.contains($0) } + fixed
  }

  /// The term that leads or wants to, and a strange one.
  private var terms: [Term] {
    guard let instance = InstanceID("a") else { return [] }
    let strange = Term(instance: instance, nonce: "0")
    return switch keeper.election.state {
    case .acquiring(let term, _), .uncertain(let term, _): [term, strange]
    case .leading(let leadership): [leadership.term, strange]
    case .idle, .following, .polling: [strange]
    }
  }

  private var outcomes: [FetchOutcome] {
    let failures: [FetchFailure] = [
      FetchFailure(.transient, reason: "nothing came", isTransport: true),
      FetchFailure(.operator, code: 40164, reason: "refused", refusesAddress: true),
      FetchFailure(.quota, code: 45009, reason: "used up"),
    ]
    let dead = FetchedToken(token: AccessToken("a dead secret"), lifetime: .zero, sentAt: now)
    return [token("a new secret"), .token(dead)] + failures.map { .knownFailure($0) }
      + failures.map { .unknown($0) }
  }

  private var commands: [StoreCommand] {
    guard let instance = InstanceID("a") else { return [] }
    let name = Self.account
    let epoch = keeper.election.leadership?.epoch ?? Epoch(10)
    let token = AccessToken("a new secret")
    let outputs = [Output(key: .credential, content: .token(.plain))]
    var commands: [StoreCommand] = [
      .pollLock, .look(.init(account: name, outputs: outputs)),
      .look(.init(account: CredentialID("other") ?? name, outputs: outputs)),
      .heartbeat(.init(instance: instance, isLeader: true, abdicates: false)),
    ]
    for epoch in [epoch, Epoch(3)] {
      commands.append(
        .takeOver(
          .init(account: name, epoch: epoch, runID: "one", outputs: outputs)))
    }
    for term in terms {
      commands += [
        .acquire(term, lease: .seconds(15), floor: .none), .renew(term, lease: .seconds(15)),
        .release(term),
      ]
    }
    for version in [attempt?.version ?? version(10, 1), version(3, 7)] {
      var commit = StoreCommand.Commit(
        account: name, fence: epoch, version: version, token: token, outputs: outputs,
        lifetime: Self.lifetime, age: .zero, begunAt: redisTime, parent: nil, kills: true,
        isRecommit: false, runID: "one", instance: instance)
      commands.append(.commit(commit))
      commit.isRecommit = true
      commands += [
        .begin(
          .init(
            account: name, version: version, span: .seconds(6), kills: true, hasHistory: true,
            outputs: outputs)),
        .resolve(.init(account: name, version: version, outputs: outputs)), .commit(commit),
        .republish(
          .init(
            account: name, fence: epoch, version: version, token: token, outputs: outputs,
            lifetime: Self.lifetime, certain: .seconds(7000), until: nil, slack: .seconds(2),
            begunAt: redisTime)),
      ]
    }
    let debts = keeper.accounts[0].traces.debts.map(\.version)
    commands += (debts.isEmpty ? [version(10, 1)] : debts).map {
      .mark(
        .init(
          account: name, version: $0, age: .seconds(1), begunAt: redisTime, knownFor: nil,
          outputs: outputs))
    }
    return commands
  }

  /// Every kind of answer, and of those that say more, several.
  private var replies: [StoreReply] {
    let published = keeper.accounts[0].copy.map {
      view($0.token.revealed, $0.version, left: $0.expiresAt - now)
    }
    let doubted = view("an older secret", version(11, 1), doubtedFor: .seconds(9))
    let marked = view("a secret", version(10, 1), doubtedFor: .seconds(280), overFor: .zero)
    let lapsed = view("a secret", version(10, 1), doubtedFor: .seconds(300))
    var waiting = view("a secret", version(10, 1))
    waiting.intent = Intent(version: version(10, 2), at: redisTime, kills: true)
    restate(&waiting)
    let moved = view("a secret", version(10, 1), runID: "another")
    let term = terms.first?.description ?? ""
    var replies: [StoreReply] = [
      .lock(holder: nil, remaining: nil), .lock(holder: "b:1", remaining: .seconds(3)),
      .lock(holder: "b:1", remaining: nil), .lock(holder: term, remaining: .seconds(3)),
      .acquired(Epoch(12)), .acquired(Epoch(2)), .held(holder: "b:1", remaining: .seconds(3)),
      .held(holder: "b:1", remaining: .milliseconds(-1)), .renewed, .lost, .released,
      .account(view()), .account(doubted), .account(marked), .account(waiting),
      .account(lapsed), .account(moved),
      .account(view("an older secret", version(3, 1))), .fenced(Epoch(99)),
      .foreignApp(remaining: .seconds(9)), .foreignApp(remaining: nil), .newerLayout(3),
      .began(receipt(begunAt: redisTime - .seconds(60))),
      .began(receipt(committed: version(10, 1))),
      .stale(committed: version(99, 1)), .stale(committed: version(10, 3)), .resolved,
      .committed(isCertain: true), .committed(isCertain: false), .superseded(Epoch(99)),
      .deposed(Epoch(99)), .republished(wrote: true), .republished(wrote: false), .marked,
      .inOrder, .settled, .replicas([], now: redisTime),
    ]
    if let published { replies.append(.account(published)) }
    if let other = InstanceID("b") {
      let replica = Replica(
        instance: other, isLeader: false, seenAt: redisTime, abdicatedAt: nil)
      replies.append(.replicas([replica], now: redisTime))
    }
    return replies
  }
}
