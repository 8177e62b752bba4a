import TokenCore

/// A keeper with a Redis that always answers at once, a WeChat that does what the test says, and
/// a clock that the test moves.
struct KeeperBench {
  private(set) var now: Moment = .origin
  /// Why each fetch was made.
  private(set) var fetches: [Trigger] = []
  private(set) var forced = 0
  private(set) var probes = 0
  private(set) var earlyDeaths = 0
  /// The least that the token ever had left once there was one.
  private(set) var leastRemaining: Duration = .seconds(7200)
  /// Whether WeChat answers a forced fetch with the token that it has.
  var ignoresForce = false
  /// Whether no answer of WeChat comes back.
  var isSilent = false
  /// Fetches that WeChat has not answered, when it holds them.
  var heldFetches: [FetchOrder]?
  /// The doubt that Redis shows.
  var doubt: Doubt?
  /// How far somebody has set Redis's clock forward.
  var clockStep: Duration = .zero
  /// So many probes are answered that the token is dead.
  var deadAnswers = 0
  /// The daily limit that WeChat tells with an answer to a probe.
  var dailyLimit: Int?

  private var keeper: Keeper
  private let repeats: Bool
  private var epoch = Epoch.none
  private var committed: StoreCommand.Commit?
  private var expiresAt = RedisTime(milliseconds: 0)
  private var beginsToday = (day: Int64(0), count: 0)
  /// WeChat's token and when it ends.
  private var minted: (token: AccessToken, end: Moment)?
  private var mints = 0

  /// A midnight in UTC, where the count of a day's fetches begins.
  private static let midnight: Int64 = 1_699_920_000_000
  private static let life: Duration = .seconds(7200)
  /// WeChat makes a new stable token in the last five minutes of the old one.
  private static let stableRenewal: Duration = .seconds(300)

  init(_ credential: Credential = Credential(), margins: Margins = Margins()) {
    guard let instance = InstanceID("a") else { preconditionFailure("a is a name") }
    repeats = credential.repeats
    keeper = Keeper(
      instance: instance, accounts: [.unnamed], timing: Timing(), margins: margins,
      credentials: [.unnamed: credential], generator: CountingGenerator())
    post(.started)
    post(.storeConnected(runID: "r"))
  }

  /// The token that the keeper has.
  var token: AccessToken? { keeper.accounts[0].freshest(at: now)?.token }

  /// An application says that the current token is dead.
  mutating func report() {
    if let token { post(.reported(.rejected(token))) }
  }

  /// Moves the clock on, from one thing that is due to the next.
  mutating func run(for span: Duration, reportingEvery interval: Duration?) {
    let end = now + span
    var nextReport = interval.map { now + $0 }
    while true {
      let wake = keeper.nextWake ?? end
      let next = max(now, min(wake, nextReport ?? end, end))
      now = next
      if let report = nextReport, report <= now, let interval {
        nextReport = now + interval
        self.report()
      } else if wake <= now {
        post(.woke)
      }
      if let copy = keeper.accounts[0].copy {
        leastRemaining = min(leastRemaining, copy.remaining(at: now))
      }
      if now >= end { return }
    }
  }

  /// Answers the fetches that were held.
  mutating func releaseFetches() {
    let held = heldFetches ?? []
    heldFetches = nil
    for order in held { post(answer(order)) }
  }

  private mutating func post(_ event: Keeper.Event) {
    var events = [event]
    while !events.isEmpty {
      for action in keeper.handle(events.removeFirst(), at: now) {
        switch action {
        case .store(let command, let step):
          events.append(.stored(step, Result.success(answer(command)).answer(to: command)))
        case .fetch(let order):
          fetches.append(order.trigger)
          if order.isForced { forced += 1 }
          if heldFetches != nil { heldFetches?.append(order) } else { events.append(answer(order)) }
        case .probe(let order):
          probes += 1
          let isDead = deadAnswers > 0
          if isDead { deadAnswers -= 1 }
          events.append(
            .probed(order.account, order.version, isDead: isDead, dailyLimit: dailyLimit))
        case .note(.diedEarly): earlyDeaths += 1
        case .cancelFetch, .note, .giveBack, .listen, .announce, .stop: break
        }
      }
    }
  }

  private mutating func answer(_ order: FetchOrder) -> Keeper.Event {
    guard !isSilent else {
      let failure = FetchFailure(.transient, reason: "nothing came")
      return .fetched(order.account, order.version, .unknown(failure))
    }
    let left = (minted?.end ?? now) - now
    let mayRepeat = repeats && left > Self.stableRenewal && !(order.isForced && !ignoresForce)
    if !mayRepeat {
      mints += 1
      minted = (AccessToken("token-\(mints)"), now + Self.life)
    }
    guard let minted else { preconditionFailure("a token was just minted") }
    return .fetched(
      order.account, order.version,
      .token(FetchedToken(token: minted.token, lifetime: minted.end - now, sentAt: now)))
  }

  var redisTime: RedisTime {
    RedisTime(milliseconds: Self.midnight) + (now - .origin) + clockStep
  }

  private mutating func answer(_ command: StoreCommand) -> StoreReply {
    switch command {
    case .pollLock: return .lock(holder: nil, remaining: nil)
    case .acquire:
      epoch = Epoch(epoch.rawValue + 1)
      return .acquired(epoch)
    case .renew: return .renewed
    case .release: return .released
    case .look, .takeOver: return .account(view)
    case .begin:
      let day = redisTime.milliseconds / 86_400_000
      beginsToday = (day, day == beginsToday.day ? beginsToday.count + 1 : 1)
      return .began(
        BeginReceipt(
          committed: committed?.version, fetchesToday: beginsToday.count, at: redisTime,
          now: redisTime))
    case .resolve: return .resolved
    case .commit(let commit):
      committed = commit
      if let begunAt = commit.begunAt, let last = doubt?.last {
        doubt =
          begunAt > last + Timing.straggling
          ? nil : Doubt(first: begunAt, last: min(last, redisTime))
      }
      expiresAt = redisTime + (commit.lifetime - commit.age)
      return .committed(isCertain: doubt == nil)
    case .republish: return .republished(wrote: false)
    case .mark: return .inOrder
    case .heartbeat: return .replicas([], now: redisTime)
    }
  }

  private var view: AccountView {
    var view = AccountView(now: redisTime)
    view.fence = epoch
    view.doubt = doubt
    guard let committed else { return view }
    view.committed = committed.version
    view.expiresAt = expiresAt
    view.lifetime = committed.lifetime
    view.tokenMatchesRecord = true
    guard let end = view.statedEnd, end > redisTime else { return view }
    view.token = committed.token
    view.tokenRemaining = end - redisTime
    view.others = committed.outputs.dropFirst().map { output in
      HeldOutput(
        text: output.text(of: committed.token, end: end, lifetime: committed.lifetime),
        remaining: end - redisTime)
    }
    return view
  }
}

/// The same numbers in every run.
private struct CountingGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64 = 0

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return state
  }
}
