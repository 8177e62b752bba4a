import FoundationEssentials
import Logging
import RedisClient
import Sidecar
import TokenCore

/// What every verb does first: read the settings, or say everything that is wrong with them.
enum Setup {
  static func load(
    _ verb: some SettingsVerb, requiresAccount: Bool = true
  ) throws -> (Settings, RedisConfiguration) {
    let settings: Settings
    do {
      settings = try read(verb, requiresAccount: requiresAccount)
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
    _ verb: some SettingsVerb, requiresAccount: Bool = true, instance: String? = nil
  ) throws(SettingsError) -> Settings {
    try Settings.load(
      arguments: verb.flags, otherFlags: verb.names,
      environment: ProcessInfo.processInfo.environment, requiresAccount: requiresAccount,
      logFileProblem: { LogOutput.problem(with: $0) },
      nameInstance: { instance ?? Settings.defaultInstanceName() })
  }

  /// Only what it takes to read Redis.
  static func redis(_ verb: some SettingsVerb) throws -> (RedisSettings, RedisConfiguration) {
    let settings: RedisSettings
    do throws(SettingsError) {
      settings = try RedisSettings.load(
        arguments: verb.flags, otherFlags: verb.names,
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

  /// An account, or one of its tickets, given to a verb.
  static func credential(_ name: String?) throws -> String? {
    guard let name, name != CredentialID.unnamed.description else { return nil }
    guard CredentialID(name) != nil else {
      let tickets = CredentialID.Kind.allCases.filter { $0 != .accessToken }.map(\.rawValue)
      throw Failure(
        .usage,
        "wch-sidecar: --account takes 1 to 64 letters, digits, `.`, `_`, `-`, and behind them for a"
          + " ticket /\(tickets.joined(separator: ", /")), not \"\(name)\"")
    }
    return name
  }

  /// An account's name given to a verb; nil when none is, and the unnamed one's as it is given.
  static func accountAsGiven(_ name: String?) throws -> String? {
    guard let name else { return nil }
    guard AccountName(written: name) != nil else {
      throw Failure(
        .usage,
        "wch-sidecar: --account takes 1 to 64 letters, digits, `.`, `_`, `-`, not \"\(name)\"")
    }
    return name
  }

  /// A logger for verbs whose result says it all.
  static func silent() -> Logger {
    Logger(label: "wch-sidecar") { _ in SwiftLogNoOpLogHandler() }
  }

  /// The account of that name among those of the settings.
  static func configured(_ name: String, _ settings: Settings) throws -> AccountName {
    if let account = settings.accounts.first(where: { $0.name.description == name }) {
      return account.name
    }
    let names = settings.accounts.map(\.name.description).joined(separator: ", ")
    throw Failure(
      .usage, "wch-sidecar: no account \"\(name)\" is configured; the accounts are \(names)")
  }
}
