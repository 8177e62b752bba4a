import Logging
import ServiceLifecycle
import Synchronization
import TokenCore
import UnixSignals

/// Reads the settings again, at SIGHUP and when their file or the directory of accounts changes.
///
/// What they say of accounts, secrets, bearer, certificate and log level is taken.
/// SIGHUP opens the log file anew, too, as whoever moves logs away expects.
///
/// Either all settings are good and what may change does, or nothing changes; what is wrong, or
/// waits for a restart, is the condition `settings_stale` until it is mended.
struct Reloading: Service {
  /// Reads the settings as at the start; the instance's name stays.
  typealias Reader = @Sendable () throws(SettingsError) -> Settings

  private let output: LogOutput
  private let logger: Logger
  private let settings: Settings
  private let read: Reader
  private let certificates: CertificateFiles?
  private let accounts: AccountMoves
  private let health: HealthCenter
  private let supervisor: Supervisor?

  /// So many problems are told one by one.
  private static let mostProblems = 20
  /// What the condition is about when settings wait for a restart.
  static let restart = "restart"
  /// So many looks are taken at the files in a tick: an account that comes is served within one.
  private static let looksInTick = 4

  /// Why the settings are read.
  private enum Occasion { case hangUp, look }

  /// Whether a SIGHUP came that nobody has served yet.
  private final class HangUp: Sendable {
    let isWaiting = Atomic(false)
  }

  /// What is known of the settings.
  private struct Knowledge {
    /// What is in use.
    var running: Settings
    /// What was read last.
    var known: Settings
    /// What the condition is about, and why.
    var told: [String: String] = [:]
    /// What the files held when they were read last; nil when that is to be done again.
    var fingerprint: Int?
  }

  init(
    output: LogOutput, logger: Logger, settings: Settings, certificates: CertificateFiles?,
    accounts: AccountMoves, health: HealthCenter, supervisor: Supervisor?, read: @escaping Reader
  ) {
    self.output = output
    self.logger = logger
    self.settings = settings
    self.certificates = certificates
    self.accounts = accounts
    self.health = health
    self.supervisor = supervisor
    self.read = read
  }

  /// Takes SIGHUP, and looks at the files, until the group shuts down.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      let hangUps = await UnixSignalsSequence(trapping: .sighup)
      // One that came before may have been meant for the file that was opened before it.
      reopen(isAsked: false)
      // One at most waits: whatever came since, one reading finds it.
      let (occasions, arrivals) = AsyncStream.makeStream(
        of: Void.self, bufferingPolicy: .bufferingNewest(1))
      let hungUp = HangUp()
      await withDiscardingTaskGroup { group in
        group.addTask {
          for await _ in hangUps {
            hungUp.isWaiting.store(true, ordering: .releasing)
            arrivals.yield()
          }
          arrivals.finish()
        }
        group.addTask {
          while !Task.isCancelled {
            // Cancellation ends the wait early, and the loop notices it.
            try? await Task.sleep(for: settings.timing.tick / Self.looksInTick)
            arrivals.yield()
          }
        }
        await take(occasions, hungUp)
        group.cancelAll()
      }
    }
  }

  private func take(_ occasions: AsyncStream<Void>, _ hungUp: HangUp) async {
    var knowledge = Knowledge(running: settings, known: settings)
    for await _ in occasions {
      let isHangUp = hungUp.isWaiting.exchange(false, ordering: .acquiringAndReleasing)
      let occasion: Occasion = isHangUp ? .hangUp : .look
      switch occasion {
      case .hangUp:
        supervisor?.reloading()
        reopen(isAsked: true)
        await reload(&knowledge, at: occasion)
        supervisor?.reloaded()
      case .look:
        let files = knowledge.known.files
        guard !files.isEmpty else { continue }
        let fingerprint = await BlockingWork.run { files.fingerprint() }
        guard let fingerprint, fingerprint != knowledge.fingerprint else { continue }
        knowledge.fingerprint = fingerprint
        await reload(&knowledge, at: occasion)
      }
    }
  }

  private func reopen(isAsked: Bool) {
    guard let path = output.path else { return }
    do throws(FileProblem) {
      try output.reopen()
      guard isAsked else { return }
      logger.tell(.logReopened, "The log file was opened anew", .keyed([.file: "\(path)"]))
    } catch {
      logger.tell(
        .logKept, "The log file cannot be opened anew; the old one stays in use",
        .keyed([.file: "\(path)", .error: "\(error)"]))
    }
  }

  private func reload(_ knowledge: inout Knowledge, at occasion: Occasion) async {
    let certificateChanged = occasion == .hangUp && certificates?.look() ?? false
    let outcome = await BlockingWork.run { [read] in
      do throws(SettingsError) {
        return Result<Settings, SettingsError>.success(try read())
      } catch {
        return .failure(error)
      }
    }
    switch outcome {
    case nil: return
    case .failure(let error)?:
      // It may come from a file that is named in them: such a one is not looked at for changes.
      knowledge.fingerprint = nil
      let isNews = tell(Self.problems(error), &knowledge)
      if occasion == .hangUp || isNews { refused(error) }
    case .success(let fresh)?:
      take(fresh, &knowledge, at: occasion, certificateChanged: certificateChanged)
    }
  }

  private func take(
    _ fresh: Settings, _ knowledge: inout Knowledge, at occasion: Occasion,
    certificateChanged: Bool
  ) {
    var change = knowledge.running.take(fresh, since: knowledge.known)
    if certificateChanged { change.add(secret: "httpTlsCertFile") }
    knowledge.known = fresh
    output.threshold.level = fresh.log.level
    accounts.take(change, of: fresh)
    let isNews = tell(
      change.waiting.isEmpty
        ? [:]
        : [
          Self.restart:
            "restart to take \(change.waiting.joined(separator: ", ")); the old ones stay in use"
        ], &knowledge)
    guard occasion == .hangUp || isNews || !change.taken.isEmpty else { return }
    logger.tell(
      .settingsRead,
      change.isEmpty
        ? "The settings were read again; nothing changed" : "The settings were read again",
      .keyed([
        .settingsChanged: .list(change.taken), .settingsWaiting: .list(change.waiting),
      ]))
  }

  /// Says what the condition is about from now on, and returns whether that is something else.
  private func tell(_ problems: [String: String], _ knowledge: inout Knowledge) -> Bool {
    for subject in knowledge.told.keys where problems[subject] == nil {
      health.file(.settingsStale, subject, reason: nil)
    }
    for (subject, reason) in problems {
      health.file(.settingsStale, subject, reason: reason)
    }
    defer { knowledge.told = problems }
    return knowledge.told != problems
  }

  private static func problems(_ error: SettingsError) -> [String: String] {
    var problems: [String: String] = [:]
    for problem in error.problems.prefix(mostProblems) {
      problems["\(problem.origin)", default: ""] +=
        problems["\(problem.origin)"] == nil ? problem.message : "; \(problem.message)"
    }
    let rest = error.problems.count - mostProblems
    if rest > 0 { problems["more"] = "\(rest) more problems: `wch-sidecar check` lists all" }
    return problems
  }

  private func refused(_ error: SettingsError) {
    logger.tell(
      .settingsRefused, "The settings cannot be read again; those of before stay in use",
      .keyed([
        .count: .number(error.problems.count),
        .settingsProblems: .list(error.problems.prefix(Self.mostProblems).map { "\($0)" }),
      ]))
  }
}
