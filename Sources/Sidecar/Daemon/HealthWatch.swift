import Logging
import ServiceLifecycle

/// Looks once a second at what is wrong, and tells what is new of it.
struct HealthWatch: Service {
  private let health: HealthCenter
  private let journal: Journal
  private let events: EventLog
  private let accounts: AccountMoves

  /// Between two looks: what a second matters to is said by the keys themselves.
  private static let interval: Duration = .seconds(1)

  init(_ parts: Parts) {
    health = parts.health
    journal = parts.journal
    events = parts.events
    accounts = parts.accounts
  }

  /// Watches until the group shuts down.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        accounts.settle()
        let changes = health.changes()
        journal.tell(changes)
        for change in changes { events.add(change) }
        // Cancellation ends the wait early, and the loop notices it.
        try? await Task.sleep(for: Self.interval)
      }
    }
  }
}
