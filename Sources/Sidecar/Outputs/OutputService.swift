import Dialing
import Logging
import ServiceLifecycle
import Synchronization
import TokenCore

/// Hands tokens on to files and programs, from what the keeper publishes: whatever becomes of them,
/// the keeper does not notice.
///
/// Each attempt has a thread of its own for as long as it lasts, and a bounded number of them is
/// under way: whatever a disk or a program does, nothing waits for it but its own next attempt.
final class OutputService: Service {
  /// What it needs of everything else.
  struct Surroundings: Sendable {
    /// What is to be handed on now; nil where there is a place and nothing that lives.
    var errands: @Sendable (Moment) -> [Errand.Place: Errand?]
    /// Yields when something may have changed.
    var changes: AsyncStream<Void>
    /// No secret of these may be in a program's environment.
    var secrets: @Sendable () -> [String]
    var instance: String
    /// Takes everything that is wrong, each time.
    var tell: @Sendable ([OutputPlan.Trouble]) -> Void
  }

  private struct State {
    var files: OutputPlan
    var hooks: OutputPlan
    /// What is under way and can be called off.
    var programs: [UInt64: ChildProgram] = [:]
    /// Writes that nobody wants any more, and may not replace anything.
    var writes: [UInt64: Write] = [:]
    /// What each account's programs were given last: they may print it.
    var handedOn: [CredentialID: AccessToken] = [:]
    /// The files of which what was half done is cleared away.
    var cleared: Set<String> = []
    var isEnding = false
  }

  /// Whether a write is still wanted.
  private final class Write: Sendable {
    let isWanted = Atomic(true)
  }

  private let surroundings: Surroundings
  private let environment: HookEnvironment
  private let journal: OutputJournal
  private let limits: ChildProgram.Limits
  /// Protects the plans: written by the service, and by the threads when they are done.
  private let state: Mutex<State>
  private let wakes: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation

  /// How often what is due is looked at though nothing was noticed, and where there is nothing.
  private static let interval: Duration = .milliseconds(500)
  private static let idleInterval: Duration = .seconds(5)
  /// At the end so long is waited for what is called off.
  private static let ending: Duration = .seconds(1)
  /// What is shown of what a program prints, and what is kept of it to mask the rest.
  private static let longestOutput = 4096
  private static let keptOutput = 12_288

  init(
    _ surroundings: Surroundings, look: Duration, environment: [String: String], logger: Logger,
    metrics: MetricsRegistry, limits: ChildProgram.Limits = .init()
  ) {
    self.surroundings = surroundings
    self.environment = HookEnvironment(environment)
    self.limits = limits
    journal = OutputJournal(logger: logger, metrics: metrics)
    state = Mutex(State(files: OutputPlan(.files(look: look)), hooks: OutputPlan(.hooks)))
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Runs until the group shuts down; what is under way then is called off.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { [self] in
          for await _ in surroundings.changes { wake.yield() }
        }
        group.addTask { [self] in
          while !Task.isCancelled {
            let isIdle = state.withLock { $0.files.isEmpty && $0.hooks.isEmpty }
            // Cancellation ends the wait early, and the loop notices it.
            try? await Task.sleep(for: isIdle ? Self.idleInterval : Self.interval)
            wake.yield()
          }
        }
        for await _ in self.wakes { self.turn() }
        group.cancelAll()
      }
    }
    await end()
  }

  private func turn() {
    let now = MonotonicClock.now()
    let wanted = surroundings.errands(now)
    let (starts, troubles) = state.withLock { state in
      let files = wanted.filter { if case .file = $0.key { true } else { false } }
      for id in state.files.want(files, at: now) {
        state.writes[id]?.isWanted.store(false, ordering: .releasing)
      }
      for id in state.hooks.want(wanted.filter { files[$0.key] == nil }, at: now) {
        state.programs[id]?.stop()
      }
      let starts = state.files.due(at: now) + state.hooks.due(at: now)
      return (starts, state.files.troubles(at: now) + state.hooks.troubles(at: now))
    }
    surroundings.tell(troubles)
    for start in starts { begin(start) }
  }

  /// Calls off what is under way, and does not wait long for it: a write that hangs replaces
  /// nothing any more, and a program that does not end is killed.
  private func end() async {
    state.withLock { state in
      state.isEnding = true
      for write in state.writes.values { write.isWanted.store(false, ordering: .releasing) }
      for program in state.programs.values { program.stop() }
    }
    let deadline = ContinuousClock.now + Self.ending
    while ContinuousClock.now < deadline, state.withLock({ !$0.programs.isEmpty }) {
      guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { return }
    }
  }

  // MARK: One attempt

  private func begin(_ start: OutputPlan.Start) {
    let work: @Sendable () -> Void
    switch start.errand.way {
    case .file(let target): work = writing(start, target)
    case .hook(let target, let appID): work = running(start, target, appID: appID)
    }
    let code = startThread(work)
    guard code != 0 else { return }
    finish(start, .failed("no thread is to be had for it (errno \(code))"))
  }

  private func finish(_ start: OutputPlan.Start, _ outcome: OutputPlan.Outcome) {
    let now = MonotonicClock.now()
    state.withLock { state in
      switch start.errand.place {
      case .file:
        state.writes[start.id] = nil
        state.files.finished(start, outcome, at: now)
      case .hook:
        state.programs[start.id] = nil
        state.hooks.finished(start, outcome, at: now)
      }
    }
    wake.yield()
  }

  // MARK: Files

  private func writing(
    _ start: OutputPlan.Start, _ target: FileTarget
  ) -> @Sendable () -> Void {
    let write = Write()
    let isFirst = state.withLock { state in
      state.writes[start.id] = write
      return state.cleared.insert(target.path).inserted
    }
    let file = ReplacedFile(
      path: target.path, mode: target.mode, user: target.owner?.user, group: target.owner?.group)
    let bytes = FileContent.bytes(target.form, start.errand.parts)
    return { [self] in
      if isFirst { file.clear() }
      let (outcome, isAgain) = Self.carryOut(start.task, file, bytes, write)
      if outcome != .done || start.task == .handOn || isAgain {
        journal.wrote(start.errand, outcome, isAgain: isAgain)
      }
      finish(start, outcome)
    }
  }

  /// - Returns: also whether something that was there before is there again.
  private static func carryOut(
    _ task: OutputPlan.Start.Task, _ file: ReplacedFile, _ bytes: [UInt8], _ write: Write
  ) -> (OutputPlan.Outcome, isAgain: Bool) {
    let isWanted = { write.isWanted.load(ordering: .acquiring) }
    do throws(FileProblem) {
      if case .look(let mayReplace) = task {
        switch try file.holds(bytes) {
        case true?: return (.done, false)
        case false? where !mayReplace: return (.replaced, false)
        case false?, nil: break
        }
      }
      return try (file.write(bytes, isWanted: isWanted) ? .done : .stopped, task != .handOn)
    } catch {
      return (.failed(error.reason), false)
    }
  }

  // MARK: Programs

  private func running(
    _ start: OutputPlan.Start, _ target: HookTarget, appID: String
  ) -> @Sendable () -> Void {
    guard let part = start.errand.parts.first else { return {} }
    let credential = part.credential
    let program = ChildProgram(
      target.words(account: credential.account.description, kind: credential.kind.rawValue),
      environment: environment.variables(
        about: part, appID: appID, instance: surroundings.instance,
        secrets: surroundings.secrets() + [part.token.revealed]),
      input: Array(part.token.revealed.utf8), kept: Self.keptOutput, limits: limits)
    let tokens = state.withLock { state in
      state.programs[start.id] = program
      if state.isEnding { program.stop() }
      let before = state.handedOn.updateValue(part.token, forKey: credential)
      return [part.token.revealed] + [before?.revealed].compactMap(\.self)
    }
    return { [self] in
      let begin = ContinuousClock.now
      let (end, output) = program.run()
      let outcome = end.outcome(within: limits.time)
      journal.ran(
        start.errand, outcome, end.label,
        printed: MaskedText.text(output, without: tokens, longest: Self.longestOutput),
        after: begin.duration(to: .now))
      finish(start, outcome)
    }
  }
}

extension ChildProgram.End {
  /// What it means for whoever wanted it run.
  fileprivate func outcome(within limit: Duration) -> OutputPlan.Outcome {
    switch self {
    case .exited(0): .done
    case .exited(let code): .failed("it ended with the exit status \(code)")
    case .killed(let signal): .failed("it was ended by the signal \(signal)")
    case .late: .failed("it had not ended after \(limit.written), and was ended")
    case .stopped: .stopped
    case .notStarted(let reason): .failed(reason)
    }
  }

  /// The label `result` of what is counted.
  fileprivate var label: String {
    switch self {
    case .exited(0): "ok"
    case .exited, .killed: "error"
    case .late: "timeout"
    case .stopped: "stopped"
    case .notStarted: "unstarted"
    }
  }
}
