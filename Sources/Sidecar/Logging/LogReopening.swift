import Logging
import ServiceLifecycle
import UnixSignals

/// Opens the log file anew at each SIGHUP, as whoever moves logs away expects.
struct LogReopening: Service {
  private let output: LogOutput
  private let logger: Logger

  init(output: LogOutput, logger: Logger) {
    self.output = output
    self.logger = logger
  }

  /// Takes SIGHUP until the group shuts down; without a log file it does nothing.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      let hangUps = await UnixSignalsSequence(trapping: .sighup)
      // One that came before may have been meant for the file that was opened before it.
      reopen(isAsked: false)
      for await _ in hangUps { reopen(isAsked: true) }
    }
  }

  private func reopen(isAsked: Bool) {
    guard let path = output.path else {
      if isAsked { logger.debug("SIGHUP does nothing without a log file") }
      return
    }
    do throws(FileProblem) {
      try output.reopen()
      guard isAsked else { return }
      logger.info("The log file was opened anew", metadata: .keyed([.file: "\(path)"]))
    } catch {
      logger.warning(
        "The log file cannot be opened anew; the old one stays in use",
        metadata: .keyed([.file: "\(path)", .error: "\(error)"]))
    }
  }
}
