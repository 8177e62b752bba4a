import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Takes SIGHUP: opens the log file anew, as whoever moves logs away expects, and reads the
/// settings again: file, accounts, secrets, bearer, certificate and log level.
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
  private let health: HealthCenter
  private let supervisor: Supervisor?

  /// So many problems are told one by one.
  private static let mostProblems = 20
  /// What the condition is about when settings wait for a restart.
  static let restart = "restart"

  init(
    output: LogOutput, logger: Logger, settings: Settings, certificates: CertificateFiles?,
    health: HealthCenter, supervisor: Supervisor?, read: @escaping Reader
  ) {
    self.output = output
    self.logger = logger
    self.settings = settings
    self.certificates = certificates
    self.health = health
    self.supervisor = supervisor
    self.read = read
  }

  /// Takes SIGHUP until the group shuts down.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      let hangUps = await UnixSignalsSequence(trapping: .sighup)
      // One that came before may have been meant for the file that was opened before it.
      reopen(isAsked: false)
      var known = settings
      var told: Set<String> = []
      for await _ in hangUps {
        supervisor?.reloading()
        reopen(isAsked: true)
        reload(&known, &told)
        supervisor?.reloaded()
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

  /// - Parameters:
  ///   - known: what was read last.
  ///   - told: what the condition is about.
  private func reload(_ known: inout Settings, _ told: inout Set<String>) {
    var problems: [String: String] = [:]
    defer {
      for subject in told.subtracting(problems.keys) {
        health.file(.settingsStale, subject, reason: nil)
      }
      for (subject, reason) in problems {
        health.file(.settingsStale, subject, reason: reason)
      }
      told = Set(problems.keys)
    }
    let certificateChanged = certificates?.look() ?? false
    let fresh: Settings
    do throws(SettingsError) {
      fresh = try read()
    } catch {
      for problem in error.problems.prefix(Self.mostProblems) {
        problems["\(problem.origin)", default: ""] +=
          problems["\(problem.origin)"] == nil ? problem.message : "; \(problem.message)"
      }
      let rest = error.problems.count - Self.mostProblems
      if rest > 0 { problems["more"] = "\(rest) more problems: `wch-sidecar check` lists all" }
      logger.tell(
        .settingsRefused, "The settings cannot be read again; those of before stay in use",
        .keyed([
          .count: .number(error.problems.count),
          .settingsProblems: .list(error.problems.prefix(Self.mostProblems).map { "\($0)" }),
        ]))
      return
    }
    var change = settings.take(fresh, since: known)
    if certificateChanged { change.add(secret: "httpTlsCertFile") }
    known = fresh
    output.threshold.level = fresh.log.level
    if !change.waiting.isEmpty {
      problems[Self.restart] =
        "restart to take \(change.waiting.joined(separator: ", ")); the old ones stay in use"
    }
    logger.tell(
      .settingsRead,
      change.isEmpty
        ? "The settings were read again; nothing changed" : "The settings were read again",
      .keyed([
        .settingsChanged: .list(change.taken), .settingsWaiting: .list(change.waiting),
      ]))
  }
}
