import Synchronization
package import TokenCore

/// Whose keeper's health is judged.
protocol KeeperSource: Sendable {
  /// Reads something of the keeper as of the last event, and when that was handled.
  func look<Result: Sendable>(_ read: (KeeperView, _ handledAt: Moment?) -> Result) -> Result
}

/// The one place that knows what is wrong with this replica, as every surface shows it.
///
/// Whoever shows something asks for it at that moment: nothing here can be out of date. The book of
/// what was told, and since when, is kept once a second (`HealthWatch`).
package final class HealthCenter: Sendable {
  /// What the judgement needs of this replica that does not change.
  package struct Subject: Sendable {
    package var instance: String
    package var version: String
    package var startedAt: Timestamp
    package var timing: Timing
    package var margins: Margins
    /// What it keeps at first.
    package var accounts: AccountMarks

    package init(
      instance: String, version: String, startedAt: Timestamp, timing: Timing, margins: Margins,
      accounts: AccountMarks
    ) {
      self.instance = instance
      self.version = version
      self.startedAt = startedAt
      self.timing = timing
      self.margins = margins
      self.accounts = accounts
    }
  }

  /// Where the facts come from; set once everything is wired.
  struct Sources: Sendable {
    var keeper: any KeeperSource
    var links: @Sendable () -> [(link: RedisLink, state: LinkState)]
    var sentinels: @Sendable () -> SentinelState?
    /// The keys that steps do without.
    var absentKeys: @Sendable () -> [RedisLacks.AbsentKey]
    var cluster: @Sendable () -> ClusterState?
    var clockSkew: @Sendable () -> Duration?
  }

  /// Failures of one kind, none of them longer than `silence` after the one before.
  private struct StepFailures {
    var trouble: Observation.StepTrouble
    var firstAt: Moment
    var lastAt: Moment
  }

  private struct State {
    var sources: Sources?
    var accounts: AccountMarks
    var book = HealthBook()
    var steps: [StoreFailure.Kind: StepFailures] = [:]
    var files: [String: Observation.FileTrouble] = [:]
    var outputs: [Observation.OutputTrouble] = []
    /// What each replica said last, so that it is read once.
    var reports: [String: HealthReport?] = [:]
    /// What was judged last, for all who ask within `freshness`.
    var judged: (at: Moment, conditions: [Condition])?
  }

  package let subject: Subject
  private let startedAt = MonotonicClock.now()
  /// Protects what was told and what was met; written by the keeper's loop, read by whoever asks.
  private let state: Mutex<State>

  /// Steps are repeated within seconds: a failure that was not met for so long is over.
  private static let silence: Duration = .seconds(30)
  /// Accounts are judged at most this often, however many ask: who asks must not keep the keeper
  /// from publishing what it did.
  private static let freshness: Duration = .milliseconds(50)
  /// More files than these are not told of.
  private static let mostFiles = 1024

  package init(_ subject: Subject) {
    self.subject = subject
    state = Mutex(State(accounts: subject.accounts))
  }

  /// Says where the facts come from.
  func connect(_ sources: Sources) { state.withLock { $0.sources = sources } }

  /// Says which accounts are kept from now on.
  func keep(_ accounts: AccountMarks) { state.withLock { $0.accounts = accounts } }

  // MARK: What is met

  /// A step at Redis failed.
  func stepFailed(_ failure: StoreFailure, at now: Moment) {
    let wall = Timestamp.now
    state.withLock { state in
      var failures =
        state.steps[failure.kind].flatMap { now - $0.lastAt <= Self.silence ? $0 : nil }
        ?? StepFailures(
          trouble: .init(kind: failure.kind, reason: failure.reason, since: wall, count: 0),
          firstAt: now, lastAt: now)
      failures.lastAt = now
      failures.trouble.reason = failure.reason
      failures.trouble.count += 1
      failures.trouble.span = now - failures.firstAt
      state.steps[failure.kind] = failures
    }
  }

  /// A file cannot be used, or can be used again.
  func file(_ kind: Condition.Kind, _ subject: String, reason: String?) {
    let key = "\(kind.rawValue) \(subject)"
    state.withLock { state in
      guard let reason else { return state.files[key] = nil }
      guard state.files.count < Self.mostFiles || state.files[key] != nil else { return }
      let since = state.files[key]?.since ?? .now
      state.files[key] = .init(kind: kind, subject: subject, reason: reason, since: since)
    }
  }

  /// Everything that tokens cannot be handed on to now.
  func outputs(_ troubles: [Observation.OutputTrouble]) {
    state.withLock { $0.outputs = troubles }
  }

  // MARK: What is wrong

  /// Everything that is wrong now, worst first.
  ///
  /// - Parameter withPending: also what is so young that it may be over by itself.
  package func conditions(withPending: Bool = false) -> [Condition] {
    let all = judge()
    return withPending ? all : all.filter { !$0.isPending }
  }

  /// What the other replicas said last, and how long ago.
  package func others() -> [Observation.Heard] {
    guard let keeper = state.withLock({ $0.sources })?.keeper else { return [] }
    return keeper.look { view, _ in heard(view, at: MonotonicClock.now()) }
  }

  /// What is to be told now.
  package func changes() -> [HealthBook.Change] {
    let all = judge()
    let (now, wall) = (MonotonicClock.now(), Timestamp.now)
    return state.withLock { $0.book.observe(all, at: now, wall: wall) }
  }

  /// What this replica tells the others.
  package func report() -> String {
    let own = conditions().filter { $0.observer == nil && $0.severity > .notice || $0.isOwnToTell }
    let accounts = state.withLock { $0.accounts }
    var report = HealthReport(
      version: subject.version, startedAt: subject.startedAt, accounts: accounts.digest,
      conditions: own)
    report.marks = accounts.text
    return report.encoded
  }

  private func judge() -> [Condition] {
    let now = MonotonicClock.now()
    let (sources, last) = state.withLock { ($0.sources, $0.judged) }
    guard let sources else { return [] }
    if let last, now - last.at < Self.freshness { return last.conditions }
    let conditions = judge(sources, at: now)
    state.withLock { $0.judged = (now, conditions) }
    return conditions
  }

  private func judge(_ sources: Sources, at now: Moment) -> [Condition] {
    let (steps, files, outputs, accounts) = state.withLock { state in
      state.steps = state.steps.filter { now - $0.value.lastAt <= Self.silence }
      return (
        state.steps.values.map(\.trouble).sorted { $0.kind.rawValue < $1.kind.rawValue },
        state.files.sorted { $0.key < $1.key }.map(\.value), state.outputs, state.accounts
      )
    }
    let (links, sentinels, cluster) = (sources.links(), sources.sentinels(), sources.cluster())
    let skew = sources.clockSkew()
    let absentKeys = sources.absentKeys()
    return sources.keeper.look { keeper, handledAt in
      var known = Observation(
        now: now, wall: .now, startedAt: startedAt, instance: subject.instance,
        isLeader: keeper.isLeader(at: now), timing: subject.timing,
        margins: subject.margins, accounts: accounts)
      known.corporations = accounts.corporations
      known.handledAt = handledAt
      known.links = links
      known.sentinels = sentinels
      known.absentKeys = absentKeys
      known.cluster = cluster
      known.steps = steps
      known.files = files
      known.outputs = outputs
      known.clockSkew = skew
      known.others = heard(keeper, at: now)
      return Assessment(keeper, known) { [self] identity in
        state.withLock { $0.book.met(identity) }
      }.conditions
    }
  }

  /// What the other replicas said last; each text is read once.
  private func heard(_ keeper: KeeperView, at now: Moment) -> [Observation.Heard] {
    guard let clock = keeper.redisClock else { return [] }
    let redisNow = clock.time + (now - clock.at)
    // Of one name the one counts that was heard last: its predecessor is gone.
    var latest: [InstanceID: Replica] = [:]
    for replica in keeper.replicas where replica.instance.rawValue != subject.instance {
      if latest[replica.instance].map({ $0.seenAt < replica.seenAt }) ?? true {
        latest[replica.instance] = replica
      }
    }
    return state.withLock { state in
      let texts = Set(latest.values.compactMap(\.said))
      state.reports = state.reports.filter { texts.contains($0.key) }
      return latest.values.sorted { $0.instance < $1.instance }.map { replica in
        let report = replica.said.flatMap { text in
          if let known = state.reports[text] { return known }
          let report = HealthReport(encoded: text)
          state.reports[text] = .some(report)
          return report
        }
        return Observation.Heard(
          instance: replica.instance.rawValue, isLeader: replica.isLeader,
          age: max(redisNow - replica.seenAt, .zero), report: report)
      }
    }
  }
}

extension Condition {
  /// Whether it is known here first-hand, and worth others' knowing though it is mild.
  fileprivate var isOwnToTell: Bool { observer == nil && kind.isLeadersToTell }
}

extension LinkState {
  /// What people are told when it is away.
  var trouble: Condition.Kind { lastFailure?.condition ?? .redisAway }
}

extension StoreFailure.Kind {
  /// What people are told of such failures.
  var condition: Condition.Kind {
    switch self {
    case .login: .redisLogin
    case .permission: .redisPermission
    case .memory: .redisMemory
    case .writes: .redisWrites
    case .type: .redisKeyType
    case .scripts: .redisScripts
    case .transport, .slots, .other: .redisStep
    }
  }
}
