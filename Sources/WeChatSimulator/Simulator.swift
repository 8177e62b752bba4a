import FoundationEssentials
import Synchronization

/// A wait for the simulator ran out of time.
public struct SimulatorTimeout: Error, Hashable, CustomStringConvertible {
  /// What was waited for.
  public let awaited: String
  public var description: String { "Waited in vain for \(awaited)" }
}

/// A WeChat to develop and test against, for any number of threads.
///
/// It is ``WeChatModel`` with a clock, faults and an audit; ``SimulatorServer`` puts it on sockets.
public final class Simulator: Sendable {
  struct State {
    var model: WeChatModel
    var clock: VirtualClock
    var audit = Audit()
    var faults: [ActiveFault] = []
    var latency: ClosedRange<Int> = 0...0
    var held: [HeldRequest] = []
    var underway: [String: Int] = [:]
    var generator: SeededGenerator
    var watchers: [Int: AsyncStream<Void>.Continuation] = [:]
    var nextID = 0
  }

  /// A request whose answer waits.
  struct HeldRequest: Sendable {
    let request: SimulatedRequest
    /// Set when WeChat has already done its work.
    let answer: SimulatedAnswer?
    let fault: Fault
    let parallel: Int
    let respond: @Sendable (Delivery) -> Void
  }

  /// The state of everything; short critical sections, no effect under the lock.
  private let state: Mutex<State>

  /// Requests held at once; more are dropped.
  static let maxHeld = 10_000

  /// A simulator without apps.
  ///
  /// - Parameters:
  ///   - seed: the same seed draws the same tokens, lives and delays.
  ///   - startingAt: what the virtual clock shows first; nil takes the wall clock.
  ///   - clockRate: how fast the virtual clock runs; 0 lets it stand until it is moved.
  public init(seed: UInt64 = 1, startingAt: Milliseconds? = nil, clockRate: Double = 1) {
    state = Mutex(
      State(
        model: WeChatModel(seed: seed),
        clock: VirtualClock(showing: startingAt ?? wallClock(), at: .now, rate: clockRate),
        generator: SeededGenerator(seed: seed &+ 1)))
  }

  // MARK: Apps and rules

  /// Adds the app, or replaces its settings.
  public func register(_ app: AppSettings) { edit { $0.model.register(app) } }

  /// Adds a WeCom app, or replaces its settings.
  public func register(_ app: CorpApp) { edit { $0.model.register(app) } }

  /// Changes an app's settings from now on.
  public func update(_ appID: String, _ change: (inout AppSettings) -> Void) {
    edit { state in
      guard var settings = state.model.apps[appID]?.settings else { return }
      change(&settings)
      state.model.register(settings)
    }
  }

  /// All apps by their AppID.
  public var apps: [String: AppState] { state.withLock { $0.model.apps } }

  /// A WeCom app; nil when there is none of that secret.
  public func corpApp(corpID: String, secret: String) -> CorpApp? {
    state.withLock { $0.model.corpApps[CorpApp.ID(corpID: corpID, secret: secret)] }
  }

  /// The settings of an app; nil when there is none of that AppID.
  public func settings(of appID: String) -> AppSettings? {
    state.withLock { $0.model.apps[appID]?.settings }
  }

  /// Changes the model itself: its message form, skew, day offset or order of checks.
  public func configure(_ change: (inout WeChatModel) -> Void) { edit { change(&$0.model) } }

  /// How late answers are, in milliseconds; drawn evenly from the range.
  public func setLatency(_ range: ClosedRange<Int>) { edit { $0.latency = range } }

  /// Lets the event happen after that many milliseconds of the virtual clock.
  public func schedule(_ event: OperatorEvent, for appID: String, after delay: Milliseconds = 0) {
    edit { state in
      let now = state.clock.time(at: .now)
      state.model.schedule(event, for: appID, at: now + delay)
      state.model.settle(at: now)
    }
  }

  /// Ends the current token of a WeCom app after that many milliseconds of the virtual clock.
  public func killToken(of id: CorpApp.ID, after delay: Milliseconds = 0) {
    edit { state in
      let now = state.clock.time(at: .now)
      state.model.scheduleKill(of: id, at: now + delay)
      state.model.settle(at: now)
    }
  }

  // MARK: Time

  /// The time on the simulated server's clock.
  public var now: Milliseconds { state.withLock { $0.clock.time(at: .now) } }

  /// How many milliseconds of the virtual clock pass in a real one.
  public var clockRate: Double { state.withLock { $0.clock.rate } }

  /// Moves the virtual clock on.
  public func advance(by span: Milliseconds) {
    edit { state in
      state.clock.advance(by: span, at: .now)
      state.model.settle(at: state.clock.time(at: .now))
    }
  }

  /// Lets the virtual clock run at that rate: 0 stops it, 60 makes a minute of a second.
  public func setClockRate(_ rate: Double) { edit { $0.clock.setRate(rate, at: .now) } }

  // MARK: Truth

  /// What the token is worth now, whatever the faults; cheap enough to be asked every few
  /// milliseconds.
  public func judge(_ token: String) -> Verdict {
    state.withLock { $0.model.judge(token, at: $0.clock.time(at: .now)) }
  }

  /// When the token stops working, as things are now; nil for one that was never minted.
  public func end(of token: String) -> Milliseconds? {
    state.withLock { $0.model.end(of: token, at: $0.clock.time(at: .now)) }
  }

  /// Whether a page that is signed with the ticket now is taken.
  public func accepts(ticket: String) -> Bool {
    state.withLock { $0.model.accepts(ticket: ticket, at: $0.clock.time(at: .now)) }
  }

  /// The app's newest token of that kind.
  public func newestToken(of appID: String, kind: TokenKind = .legacy) -> String? {
    state.withLock { $0.model.newestToken(of: appID, kind: kind) }
  }

  /// What happened so far.
  public var audit: Audit { state.withLock { $0.audit } }

  /// Forgets what happened so far; apps, tokens and faults stay.
  public func clearAudit() { edit { $0.audit = Audit() } }

  // MARK: Faults

  /// Switches a fault on for the next `count` requests to the endpoint, or until it is cleared.
  ///
  /// The fault that was switched on first comes first.
  ///
  /// - Parameter share: the part of those requests that meet it, drawn with the seed.
  public func setFault(
    _ fault: Fault, endpoint: Endpoint = .credentials, appID: String? = nil, count: Int? = 1,
    share: Double = 1
  ) {
    guard count != 0 else { return }
    edit {
      $0.faults.append(
        ActiveFault(
          fault: fault, endpoint: endpoint, appID: appID, share: share, remaining: count))
    }
  }

  /// Switches all faults off; what is held stays held.
  public func clearFaults() { edit { $0.faults = [] } }

  /// How many requests are being held.
  public var heldCount: Int { state.withLock { $0.held.count } }

  /// Waits until that many requests are held.
  ///
  /// - Throws: ``SimulatorTimeout`` after the deadline.
  public func waitUntilHeld(count: Int = 1, within limit: Duration = .seconds(10)) async throws {
    try await wait("\(count) held requests", within: limit) { $0.held.count >= count }
  }

  /// Waits until the audit says so.
  ///
  /// - Throws: ``SimulatorTimeout`` after the deadline.
  public func waitUntilAudit(
    _ what: String, within limit: Duration = .seconds(10),
    _ isFulfilled: @escaping @Sendable (Audit) -> Bool
  ) async throws {
    try await wait(what, within: limit) { isFulfilled($0.audit) }
  }

  /// Lets all held requests go on; those not yet done are done now, in order.
  ///
  /// - Returns: how many there were.
  @discardableResult
  public func releaseHeld() -> Int {
    let released = edit { state in
      let held = state.held
      state.held = []
      return held.map { held in
        let answer =
          held.answer
          ?? Self.work(
            held.request, fault: held.fault, parallel: held.parallel, &state)
        return (held.respond, Self.delivery(of: answer, &state))
      }
    }
    for (respond, delivery) in released { respond(delivery) }
    return released.count
  }

  // MARK: Requests

  /// Answers a request now, without faults and without sockets.
  public func answer(_ request: SimulatedRequest) -> SimulatedAnswer {
    edit { Self.work(request, fault: nil, parallel: 0, &$0) }
  }

  /// A request for a credential has come; says how many of its app are under way.
  func began(appID: String?) -> Int {
    guard let appID else { return 0 }
    return edit { state in
      state.underway[appID, default: 0] += 1
      return state.underway[appID] ?? 0
    }
  }

  /// The answer was written, or the caller has gone.
  func ended(appID: String?) {
    guard let appID else { return }
    edit { state in
      let left = (state.underway[appID] ?? 0) - 1
      state.underway[appID] = left > 0 ? left : nil
    }
  }

  /// Sees one request through; `respond` is called once, now or when held requests are released.
  func handle(
    _ request: SimulatedRequest, appID: String?, parallel: Int,
    respond: @escaping @Sendable (Delivery) -> Void
  ) {
    let delivery: Delivery? = edit { state in
      let fault = Self.takeFault(for: request.path, appID: appID, &state)
      let answer: SimulatedAnswer? =
        switch fault {
        case .some(let fault) where !fault.commits: nil
        case .some, .none: Self.work(request, fault: fault, parallel: parallel, &state)
        }
      guard let fault else {
        return answer.map { Self.delivery(of: $0, &state) } ?? .drop
      }
      switch fault.effect {
      case .hold:
        guard state.held.count < Self.maxHeld else { return .drop }
        state.held.append(
          HeldRequest(
            request: request, answer: answer, fault: fault, parallel: parallel, respond: respond))
        return nil
      case .errorCode(let code, let message):
        let now = state.model.settle(at: state.clock.time(at: .now))
        let refusal = state.model.refusal(code, message, appID: appID, at: now)
        Self.record(refusal, request, fault: fault, parallel: parallel, at: now, &state)
        return Self.delivery(of: refusal, &state)
      case .drop, .reset, .status, .html, .truncate, .empty, .body, .drip, .delay, .redirect:
        if answer == nil {
          let now = state.model.settle(at: state.clock.time(at: .now))
          let nothing = SimulatedAnswer(json: .null, code: -1, appID: appID)
          Self.record(nothing, request, fault: fault, parallel: parallel, at: now, &state)
        }
        return Self.delivery(of: answer, with: fault.effect, &state)
      }
    }
    if let delivery { respond(delivery) }
  }

  /// Lets WeChat do its work and writes it down.
  private static func work(
    _ request: SimulatedRequest, fault: Fault?, parallel: Int, _ state: inout State
  ) -> SimulatedAnswer {
    let now = state.clock.time(at: .now)
    let answer = state.model.answer(request, at: now)
    record(answer, request, fault: fault, parallel: parallel, at: now, &state)
    return answer
  }

  private static func record(
    _ answer: SimulatedAnswer, _ request: SimulatedRequest, fault: Fault?, parallel: Int,
    at now: Milliseconds, _ state: inout State
  ) {
    let secrets: Set = ["secret", "appsecret", "corpsecret"]
    state.audit.append(
      AuditEvent(
        number: state.audit.count, time: now, path: request.path, appID: answer.appID,
        code: answer.code, token: answer.token, ticket: answer.ticket,
        minted: answer.minted, tokenUse: answer.tokenUse, parallel: parallel, fault: fault,
        hasSecretInURL: request.query.contains { secrets.contains($0.name) },
        headerNames: request.headers.map { $0.name.lowercased() },
        clientAddress: request.clientAddress))
  }

  private static func takeFault(for path: String, appID: String?, _ state: inout State) -> Fault? {
    var place: Int?
    for (index, fault) in state.faults.enumerated()
    where fault.endpoint.covers(path) && (fault.appID == nil || fault.appID == appID) {
      guard fault.share >= 1 || .random(in: 0..<1, using: &state.generator) < fault.share else {
        continue
      }
      place = index
      break
    }
    guard let place else { return nil }
    let active = state.faults[place]
    if let remaining = active.remaining {
      if remaining <= 1 {
        state.faults.remove(at: place)
      } else {
        state.faults[place].remaining = remaining - 1
      }
    }
    return active.fault
  }

  /// Changes the state and tells those who wait for something.
  private func edit<Result: Sendable>(_ change: (inout State) -> Result) -> Result {
    let (result, watchers) = state.withLock { state in
      (change(&state), Array(state.watchers.values))
    }
    for watcher in watchers { watcher.yield() }
    return result
  }

  private func wait(
    _ what: String, within limit: Duration, until isFulfilled: @escaping @Sendable (State) -> Bool
  ) async throws {
    let (changes, watcher) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let id = state.withLock { state in
      state.nextID += 1
      state.watchers[state.nextID] = watcher
      return state.nextID
    }
    defer { state.withLock { $0.watchers[id] = nil } }
    watcher.yield()
    try await withThrowingTaskGroup(of: Bool.self) { group in
      group.addTask {
        for await _ in changes where self.state.withLock({ isFulfilled($0) }) { return true }
        return false
      }
      group.addTask {
        try await Task.sleep(for: limit)
        return false
      }
      let isInTime = try await group.next() ?? false
      group.cancelAll()
      guard isInTime else { throw SimulatorTimeout(awaited: what) }
    }
  }
}

/// The wall clock in milliseconds since 1970.
private func wallClock() -> Milliseconds {
  Milliseconds(Date().timeIntervalSince1970 * 1000)
}
