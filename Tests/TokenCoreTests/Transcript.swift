@testable import TokenCore

/// One keeper whose every answer the test writes, and whose clock the test moves.
struct Transcript {
  var keeper: Keeper
  var now: Moment = .origin
  /// What was asked of Redis and WeChat and is not answered, in order.
  private(set) var outstanding: [Keeper.Action] = []
  private(set) var wasToldToEnd = false
  private(set) var hasStopped = false

  static let account = CredentialID.unnamed
  static let redisEpoch: Int64 = 1_700_000_000_000
  static let lifetime: Duration = .seconds(7200)
  static let term = "a"

  init(
    probe: Duration? = nil, repeats: Bool = false, accounts: [CredentialID] = [Self.account],
    credentials: [CredentialID: Credential] = [:], maximumFetches: Int = 32,
    margins: Margins = Margins()
  ) {
    guard let instance = InstanceID("a") else { preconditionFailure("a is a name") }
    var credential = Credential()
    credential.probe = probe
    if repeats { credential.fetch = .renewsWhenForced }
    keeper = Keeper(
      instance: instance, accounts: accounts, timing: Timing(), margins: margins,
      credentials: credentials.merging([Self.account: credential]) { first, _ in first },
      maximumFetches: maximumFetches,
      generator: Counting())
  }

  // MARK: Steps

  @discardableResult mutating func post(_ event: Keeper.Event) -> [Keeper.Action] {
    if let answered = outstanding.firstIndex(where: { $0.isAnswered(by: event) }) {
      outstanding.remove(at: answered)
    }
    if event == .shutdownRequested { wasToldToEnd = true }
    let actions = keeper.handle(event, at: now)
    outstanding += actions.filter(\.wantsAnswer)
    if actions.contains(.stop) { hasStopped = true }
    return actions
  }

  /// Whether the event answers something that was asked for.
  func awaits(_ event: Keeper.Event) -> Bool {
    outstanding.contains { $0.isAnswered(by: event) }
  }

  mutating func pass(_ span: Duration) { now = now + span }

  /// Nothing that is outstanding will ever be answered.
  mutating func forget() { outstanding.removeAll() }

  /// The same of the oldest of it.
  mutating func forgetFirst() { outstanding.removeFirst() }

  /// Answers a command of an earlier result.
  @discardableResult mutating func answer(
    _ action: Keeper.Action?, _ reply: StoreReply
  ) -> [Keeper.Action] {
    guard case .store(let command, let step)? = action else { return [] }
    return post(.stored(step, Result.success(reply).answer(to: command)))
  }

  @discardableResult mutating func fail(
    _ action: Keeper.Action?, mayHaveRun: Bool = true
  ) -> [Keeper.Action] {
    guard case .store(_, let step)? = action else { return [] }
    return post(.stored(step, .failure(StoreFailure(mayHaveRun: mayHaveRun, reason: "timed out"))))
  }

  /// Up to an ACQUIRE that Redis has not answered.
  mutating func acquire() -> Keeper.Action? {
    post(.started)
    let polling = post(.storeConnected(runID: nil)).first(where: \.isPoll)
    return answer(polling, .lock(holder: nil, remaining: nil)).first(where: \.isAcquire)
  }

  /// Up to the TAKEOVER of a new leader, whose answer is still missing.
  mutating func lead(epoch: Int64 = 10, runID: String? = "one") -> Keeper.Action? {
    post(.started)
    let looks = post(.storeConnected(runID: runID))
    answer(looks.first(where: \.isLook), .account(view()))
    let acquiring = answer(looks.first(where: \.isPoll), .lock(holder: nil, remaining: nil))
    let won = answer(acquiring.first(where: \.isAcquire), .acquired(Epoch(epoch)))
    return won.first(where: \.isTakeOver)
  }

  /// Up to a fetch that WeChat has not answered.
  mutating func fetch(epoch: Int64 = 10) -> FetchOrder? {
    let takingOver = lead(epoch: epoch)
    let beginning = answer(takingOver, .account(view()))
    let begun = answer(
      beginning.first(where: \.isBegin),
      .began(receipt()))
    return begun.firstOrder
  }

  /// Up to a COMMIT that Redis has not answered.
  mutating func commit(epoch: Int64 = 10, token text: String = "T") -> Keeper.Action? {
    guard let order = fetch(epoch: epoch) else { return nil }
    return post(.fetched(Self.account, order.version, token(text))).first(where: \.isCommit)
  }

  /// Up to a published token of one's own, which a look has shown.
  mutating func publish(epoch: Int64 = 10, token text: String = "T") {
    let committing = commit(epoch: epoch, token: text)
    committed(committing, text, version(epoch, 1))
  }

  /// Has a COMMIT carried out, and the look after it answered.
  @discardableResult
  mutating func committed(
    _ committing: Keeper.Action?, _ text: String, _ version: Version
  ) -> [Keeper.Action] {
    let looking = answer(committing, .committed(isCertain: true))
    let published = view(text, version, left: Self.lifetime)
    return looking + answer(looking.first(where: \.isLook), .account(published))
  }

  // MARK: What Redis and WeChat say

  /// What BEGIN returns of an account in order.
  func receipt(committed: Version? = nil, begunAt: RedisTime? = nil) -> BeginReceipt {
    BeginReceipt(committed: committed, at: begunAt ?? redisTime, now: redisTime)
  }

  var redisTime: RedisTime { RedisTime(milliseconds: Self.redisEpoch) + (now - .origin) }

  func token(_ text: String) -> FetchOutcome {
    .token(FetchedToken(token: AccessToken(text), lifetime: Self.lifetime, sentAt: now))
  }

  /// An account without anything.
  func view() -> AccountView { AccountView(now: redisTime) }

  /// An account whose token was committed, with so much of its life left.
  func view(
    _ token: String, _ version: Version, left: Duration = .seconds(7000), runID: String? = "one"
  ) -> AccountView {
    var view = AccountView(now: redisTime)
    view.fence = version.epoch
    view.committed = version
    view.token = AccessToken(token)
    view.tokenRemaining = left
    view.tokenMatchesRecord = true
    view.fetchedAt = redisTime + left - Self.lifetime
    view.expiresAt = redisTime + left
    view.lifetime = Self.lifetime
    view.others = [expiry(end: redisTime + left, left)]
    view.runID = runID
    return view
  }

  /// The same beside a doubt that began and was over so long ago; both keys end as it states.
  func view(
    _ token: String, _ version: Version, left: Duration = .seconds(7000),
    doubtedFor first: Duration, overFor last: Duration? = nil
  ) -> AccountView {
    var view = view(token, version, left: left)
    view.doubt = Doubt(first: redisTime - first, last: redisTime - (last ?? first))
    restate(&view)
    return view
  }

  /// Lets both keys end as the record states.
  func restate(_ view: inout AccountView) {
    guard let end = view.statedEnd, end > view.now else {
      view.token = nil
      view.tokenRemaining = nil
      view.others = [HeldOutput(text: nil, remaining: nil)]
      return
    }
    view.tokenRemaining = end - view.now
    view.others = [expiry(end: end, end - view.now)]
  }

  private func expiry(end: RedisTime, _ left: Duration) -> HeldOutput {
    HeldOutput(text: "\((end.milliseconds - 120_000) / 1000)", remaining: left)
  }

  /// What a replica that is asked to look finds.
  @discardableResult mutating func look(_ view: AccountView) -> [Keeper.Action] {
    answer(post(.hinted(nil)).first(where: \.isLook), .account(view))
  }

  /// The first token as it was published at the origin of the clock.
  func published(_ token: String) -> AccountView {
    view(token, version(10, 1), left: Self.lifetime - (now - .origin))
  }

  /// Lets time pass, a wake at a time, until this is done; nil when it is not in so long.
  mutating func next(
    within span: Duration = .seconds(30), _ isIt: (Keeper.Action) -> Bool
  ) -> Keeper.Action? {
    let end = now + span
    while let wake = keeper.nextWake, wake <= end {
      now = max(now, wake)
      if let found = post(.woke).first(where: isIt) { return found }
    }
    return nil
  }

  /// Lets time pass up to a moment, a wake at a time; what was done meanwhile.
  mutating func run(until end: Moment) -> [Keeper.Action] {
    var all: [Keeper.Action] = []
    while let wake = keeper.nextWake, wake <= end {
      now = max(now, wake)
      let actions = post(.woke)
      all += actions
      for action in actions {
        if case .store(.renew, _) = action { answer(action, .renewed) }
        if case .store(.heartbeat, _) = action { answer(action, .replicas([], now: redisTime)) }
      }
    }
    now = max(now, end)
    return all
  }
}

func version(_ epoch: Int64, _ sequence: Int64) -> Version {
  Version(epoch: Epoch(epoch), sequence: sequence)
}

extension Keeper.Action {
  var command: StoreCommand? { if case .store(let command, _) = self { command } else { nil } }
  var isLook: Bool { if case .look? = command { true } else { false } }
  var isPoll: Bool { command == .pollLock }
  var isAcquire: Bool { if case .acquire? = command { true } else { false } }
  var isTakeOver: Bool { if case .takeOver? = command { true } else { false } }
  var isBegin: Bool { if case .begin? = command { true } else { false } }
  var isCommit: Bool { if case .commit? = command { true } else { false } }
  var isRepublish: Bool { if case .republish? = command { true } else { false } }
  var isResolve: Bool { if case .resolve? = command { true } else { false } }
  var isRelease: Bool { if case .release? = command { true } else { false } }
  var mark: StoreCommand.Mark? { if case .mark(let mark)? = command { mark } else { nil } }
  var isMark: Bool { mark != nil }
  var isFetch: Bool { if case .fetch = self { true } else { false } }
  var isProbe: Bool { if case .probe = self { true } else { false } }
  var isRecommit: Bool {
    if case .commit(let commit)? = command { commit.isRecommit } else { false }
  }
  var isRenew: Bool { if case .renew? = command { true } else { false } }
  var isHeartbeat: Bool { if case .heartbeat? = command { true } else { false } }

  /// Whether an event is to come back for it.
  var wantsAnswer: Bool {
    switch self {
    case .store, .fetch, .probe: true
    case .cancelFetch, .giveBack, .listen, .announce, .note, .stop: false
    }
  }

  /// Whether the event is the one that comes back for it.
  func isAnswered(by event: Keeper.Event) -> Bool {
    switch (self, event) {
    case (.store(_, let step), .stored(let answered, _)): step == answered
    case (.fetch(let order), .fetched(let account, let version, _)):
      order.account == account && order.version == version
    case (.probe(let order), .probed(let account, let version, _, _)):
      order.account == account && order.version == version
    default: false
    }
  }
}

extension [Keeper.Action] {
  var firstOrder: FetchOrder? {
    for case .fetch(let order) in self { return order }
    return nil
  }
  func has(_ kind: (Keeper.Action) -> Bool) -> Bool { contains(where: kind) }
  var notes: [Note] { compactMap { if case .note(let note) = $0 { note } else { nil } } }
}

/// The same numbers in every run.
private struct Counting: RandomNumberGenerator, Sendable {
  private var state: UInt64 = 0

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return state
  }
}
