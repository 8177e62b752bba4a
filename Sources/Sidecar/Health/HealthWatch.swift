import Logging
import ServiceLifecycle

/// Looks once a second at what is wrong, and tells what is new of it.
struct HealthWatch: Service {
  private let health: HealthCenter
  private let journal: Journal

  /// Between two looks: what a second matters to is said by the keys themselves.
  private static let interval: Duration = .seconds(1)

  init(health: HealthCenter, journal: Journal) {
    self.health = health
    self.journal = journal
  }

  /// Watches until the group shuts down.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        journal.tell(health.changes())
        // Cancellation ends the wait early, and the loop notices it.
        try? await Task.sleep(for: Self.interval)
      }
    }
  }
}
