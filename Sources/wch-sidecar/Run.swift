import ArgumentParser
import FoundationEssentials
import Logging
import Sidecar
import TokenCore

/// `run`: the daemon.
struct Run: AsyncParsableCommand, SettingsVerb {
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
    let (settings, redis) = try Setup.load(self)
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
        try Setup.read(self, instance: settings.instance.rawValue)
      }.run()
    } catch let error as StatusServerError {
      logger.tell(
        .httpFailed, "The HTTP interface cannot start", .keyed([.error: "\(error)"]))
      throw Failure(.failed, "wch-sidecar: \(error)")
    }
  }
}
