import Logging
import Synchronization
import TokenCore

/// What is logged and counted of files and programs.
final class OutputJournal: Sendable {
  private let logger: Logger
  private let metrics: MetricsRegistry
  /// Protects how much was logged of each place.
  private let budget = Mutex(LineBudget())

  init(logger: Logger, metrics: MetricsRegistry) {
    self.logger = logger
    self.metrics = metrics
  }

  /// A file was written, or could not be.
  func wrote(_ errand: Errand, _ outcome: OutputPlan.Outcome, isAgain: Bool) {
    let label = errand.place.credential.description
    var metadata = Logger.Metadata.keyed([.account: "\(label)", .file: "\(errand.way.subject)"])
    switch outcome {
    case .done:
      metrics.increment(.fileWrites, ["account": label, "result": isAgain ? "restored" : "ok"])
      tell(
        isAgain ? .fileRestored : .fileWritten,
        isAgain
          ? "A file was missing or changed by someone else; it is back" : "A file has the token",
        metadata, of: errand)
    case .failed(let reason):
      metrics.increment(.fileWrites, ["account": label, "result": "error"])
      metadata[.error] = "\(reason)"
      logger.tell(.fileFailed, "A file could not be written; it is tried again", metadata)
    case .replaced, .stopped: break
    }
  }

  /// A program ended.
  func ran(
    _ errand: Errand, _ outcome: OutputPlan.Outcome, _ result: String, printed: String,
    after duration: Duration
  ) {
    let label = errand.place.credential.description
    let noun = errand.place.credential.noun
    metrics.increment(.hookRuns, ["account": label, "result": result])
    metrics.observe(.hookDuration, ["account": label], duration)
    var metadata = Logger.Metadata.keyed([
      .account: "\(label)", .hookProgram: "\(errand.way.subject)",
      .durationSeconds: .seconds(duration),
    ])
    if let part = errand.parts.first { metadata[.tokenVersion] = "\(part.version)" }
    if !printed.isEmpty { metadata[.hookOutput] = "\(printed)" }
    if case .failed(let reason) = outcome { metadata[.error] = "\(reason)" }
    switch outcome {
    case .done where printed.isEmpty:
      tell(.hookRan, "A program has taken the \(noun)", metadata, of: errand)
    case .done: tell(.hookRan, "A program has taken the \(noun), and printed", metadata, of: errand)
    case .failed where printed.isEmpty:
      logger.tell(.hookFailed, level: .debug, "A program failed; it is run again", metadata)
    case .failed: tell(.hookFailed, "A program failed, and printed", metadata, of: errand)
    case .stopped, .replaced:
      logger.tell(.hookRan, level: .debug, "A program was called off", metadata)
    }
  }

  /// Writes a line, unless enough were written of this place lately: then at `debug`.
  private func tell(
    _ event: LoggedEvent, _ message: String, _ metadata: Logger.Metadata, of errand: Errand
  ) {
    guard let allowance = event.allowance else {
      return logger.tell(event, "\(message)", metadata)
    }
    let withheld = budget.withLock {
      $0.take("\(event.rawValue) \(errand.place.credential)", allowance, at: MonotonicClock.now())
    }
    guard let withheld else { return logger.tell(event, level: .debug, "\(message)", metadata) }
    var metadata = metadata
    if withheld > 0 { metadata[.withheld] = .number(withheld) }
    logger.tell(event, "\(message)", metadata)
  }
}
