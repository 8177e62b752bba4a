import TokenCore

/// A Redis and a WeChat that do at once what they are asked, from a keeper's situation on.
struct GoodWorld {
  /// What was asked for in the second half of the time.
  private(set) var kinds: Set<StoreCommand.Kind> = []
  private(set) var probes = 0
  /// How often something was answered or due.
  private(set) var steps = 0
  /// What is always answered to one kind of step, right or wrong; nothing when it never is.
  var insistence: (on: StoreCommand.Kind, answer: Result<StoreReply, StoreFailure>?)?

  private var epoch: Epoch
  private var committed: (version: Version, token: AccessToken, end: Moment)?
  private var doubt: Doubt?

  /// Its first half is as long as the longest time for which a lock is left to others, and more.
  static let span: Duration = .seconds(50)
  /// A keeper at rest takes some 150; more than this is a loop without a pause.
  static let most = 600

  /// The world as the keeper has it in mind.
  init(of it: Transcript) {
    epoch = max(it.keeper.election.floor, it.keeper.election.leadership?.epoch ?? .none)
    committed = it.keeper.accounts[0].copy.map { ($0.version, $0.token, $0.expiresAt) }
  }

  /// Goes on for a while; counts what is done in its second half.
  mutating func run(_ it: inout Transcript) {
    if case .idle = it.keeper.election.state { it.post(.started) }
    if !it.keeper.storeIsConnected { it.post(.storeConnected(runID: "one")) }
    // Somebody mends what waits for people.
    it.post(.secretChanged(Transcript.account))
    let half = it.now + Self.span / 2
    let end = it.now + Self.span
    while steps < Self.most, !it.hasStopped {
      if let action = it.outstanding.first {
        steps += 1
        if it.now >= half { count(action) }
        if let event = answer(action, in: it) { it.post(event) } else { it.forgetFirst() }
      } else if let wake = it.keeper.nextWake, wake <= end {
        steps += 1
        it.now = max(it.now, wake)
        it.post(.woke)
      } else {
        break
      }
    }
  }

  private mutating func count(_ action: Keeper.Action) {
    if let command = action.command { kinds.insert(command.kind) }
    if action.isProbe { probes += 1 }
  }

  private mutating func answer(_ action: Keeper.Action, in it: Transcript) -> Keeper.Event? {
    switch action {
    case .store(let command, let step):
      if let insistence, insistence.on == command.kind {
        insistence.answer.map { .stored(step, $0.answer(to: command)) }
      } else {
        .stored(step, Result.success(answer(command, in: it)).answer(to: command))
      }
    case .fetch(let order): .fetched(order.account, order.version, it.token("secret of \(steps)"))
    case .probe(let order):
      .probed(order.account, order.version, isDead: false, dailyLimit: nil)
    case .cancelFetch, .giveBack, .listen, .announce, .note, .stop: nil
    }
  }

  private mutating func answer(_ command: StoreCommand, in it: Transcript) -> StoreReply {
    switch command {
    case .pollLock: return .lock(holder: nil, remaining: nil)
    case .acquire(_, _, let floor):
      epoch = Epoch(max(epoch, floor).rawValue + 1)
      return .acquired(epoch)
    case .renew: return .renewed
    case .release: return .released
    case .look, .takeOver: return .account(view(in: it))
    case .begin(let begin):
      if let committed, committed.version >= begin.version {
        return .stale(committed: committed.version)
      }
      if begin.hasHistory, committed == nil {
        doubt = Doubt(first: it.redisTime, last: it.redisTime)
      }
      return .began(it.receipt(committed: committed?.version))
    case .resolve: return .resolved
    case .commit(let commit):
      committed = (commit.version, commit.token, it.now + (commit.lifetime - commit.age))
      if let begunAt = commit.begunAt, let last = doubt?.last {
        if begunAt > last + Timing.straggling { doubt = nil } else { doubt?.first = begunAt }
      }
      return .committed(isCertain: doubt == nil)
    case .republish: return .republished(wrote: true)
    case .mark: return .inOrder
    case .heartbeat: return .replicas([], now: it.redisTime)
    }
  }

  private func view(in it: Transcript) -> AccountView {
    guard let committed, committed.end > it.now else { return it.view() }
    var view = it.view(
      committed.token.revealed, committed.version, left: committed.end - it.now)
    view.doubt = doubt
    it.restate(&view)
    return view
  }
}
