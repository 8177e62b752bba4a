import ArgumentParser
import FoundationEssentials
import Logging
import RedisClient
import Sidecar
import TokenCore

/// `run`: the daemon.
struct Run: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run the daemon until SIGTERM (the default).",
    discussion: "Every setting may be given as a flag, an environment variable or in the file.")

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  func run() async throws {
    if flags.contains("--version") {
      print(Version.current)
      return
    }
    if let word = flags.first, !word.hasPrefix("-") {
      let verbs = Root.configuration.subcommands.compactMap { $0._commandName }
      throw Failure(
        .usage,
        "wch-sidecar: there is no verb \"\(word)\"; the verbs are \(verbs.joined(separator: ", "))")
    }
    let given = VerbFlags("run", flags)
    let (settings, redis) = try Setup.load(given)
    let output = try Setup.logOutput(settings)
    let logger = Setup.logger(settings, output: output)
    for warning in settings.warnings {
      logger.tell(
        .settingDoubtful, "A setting deserves a look",
        .keyed([.settingOrigin: "\(warning.origin)", .reason: "\(warning.message)"]))
    }
    do {
      try await Daemon(
        settings: settings, redis: redis, version: Version.current, output: output,
        environment: ProcessInfo.processInfo.environment, logger: logger
      ) { () throws(SettingsError) in
        try Setup.read(given.settings, given.own, instance: settings.instance.rawValue)
      }.run()
    } catch let error as StatusServerError {
      logger.tell(
        .httpFailed, "The HTTP interface cannot start", .keyed([.error: "\(error)"]))
      throw Failure(.failed, "wch-sidecar: \(error)")
    }
  }
}

/// What every verb does first: read the settings, or say everything that is wrong with them.
enum Setup {
  static func load(
    _ flags: VerbFlags, requiresAccount: Bool = true
  ) throws -> (Settings, RedisConfiguration) {
    let settings: Settings
    do {
      settings = try read(flags.settings, flags.own, requiresAccount: requiresAccount)
    } catch {
      throw Failure(.misconfigured, "\(error)")
    }
    let name = "wch-sidecar:\(settings.instance)"
    return (settings, settings.redis.configuration(clientName: name))
  }

  /// Reads and judges the settings.
  ///
  /// - Parameter instance: the replica's name when none is given; nil: a new one.
  static func read(
    _ arguments: [String], _ otherFlags: [String], requiresAccount: Bool = true,
    instance: String? = nil
  ) throws(SettingsError) -> Settings {
    try Settings.load(
      arguments: arguments, otherFlags: otherFlags,
      environment: ProcessInfo.processInfo.environment, requiresAccount: requiresAccount,
      logFileProblem: { LogOutput.problem(with: $0) },
      nameInstance: { instance ?? Settings.defaultInstanceName() })
  }

  /// Only what it takes to read Redis.
  static func redis(_ flags: VerbFlags) throws -> (RedisSettings, RedisConfiguration) {
    let settings: RedisSettings
    do throws(SettingsError) {
      settings = try RedisSettings.load(
        arguments: flags.settings, otherFlags: flags.own,
        environment: ProcessInfo.processInfo.environment)
    } catch {
      throw Failure(.misconfigured, "\(error)")
    }
    return (settings, settings.redis.configuration(clientName: "wch-sidecar-status"))
  }

  static func logOutput(_ settings: Settings) throws -> LogOutput {
    guard let file = settings.log.file else {
      return .standardError(
        journalStream: ProcessInfo.processInfo.environment["JOURNAL_STREAM"])
    }
    do throws(FileProblem) {
      return try LogOutput(file: file)
    } catch {
      throw Failure(.misconfigured, "logFile: the file \(file) \(error)")
    }
  }

  static func logger(_ settings: Settings, output: LogOutput) -> Logger {
    Logger(label: "wch-sidecar") { label in
      LineLogHandler(
        label: label, level: settings.log.level, format: settings.log.format, output: output)
    }
  }

  /// A duration given to a verb.
  static func duration(_ text: String, flag: String) throws -> Duration {
    guard let duration = Duration(written: text), duration > .zero else {
      throw Failure(.usage, "wch-sidecar: \(flag) takes 500ms, 30s or 2m, not \"\(text)\"")
    }
    return duration
  }

  /// An account's name given to a verb.
  static func account(_ name: String?) throws -> String? {
    guard let name, name != AccountName.unnamed.description else { return nil }
    guard AccountName(name) != nil else {
      throw Failure(
        .usage,
        "wch-sidecar: --account takes 1 to 64 letters, digits, `.`, `_`, `-`, not \"\(name)\"")
    }
    return name
  }

  /// The same, where naming the unnamed account differs from naming none.
  static func accountAsGiven(_ name: String?) throws -> String? {
    name == AccountName.unnamed.description ? name : try account(name)
  }

  /// A logger for verbs whose result says it all.
  static func silent() -> Logger {
    Logger(label: "wch-sidecar") { _ in SwiftLogNoOpLogHandler() }
  }
}
