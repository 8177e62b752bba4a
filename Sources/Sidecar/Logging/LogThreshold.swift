package import Logging
import Synchronization

/// The level from which on lines are written, for all loggers that share it.
package final class LogThreshold: Sendable {
  /// Protects the level: read with each line, changed by SIGHUP.
  private let state = Mutex(Logger.Level.info)

  package init() {}

  package var level: Logger.Level {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}
