import ServiceLifecycle

/// Tells the supervisor how the process is, once a second at most.
struct SupervisorWatch: Service {
  private let supervisor: Supervisor?
  private let listening: Gate
  private let check: @Sendable (HealthCheck) -> Health
  private let verdict: @Sendable () -> String

  /// Between two looks.
  private static let interval: Duration = .seconds(1)
  /// While it waits for the loop's first event.
  private static let startInterval: Duration = .milliseconds(20)

  /// - Parameters:
  ///   - listening: opens once HTTP listens.
  ///   - check: how the loop is.
  ///   - verdict: how all is, in one line.
  init(
    supervisor: Supervisor?, listening: Gate, check: @escaping @Sendable (HealthCheck) -> Health,
    verdict: @escaping @Sendable () -> String
  ) {
    self.supervisor = supervisor
    self.listening = listening
    self.check = check
    self.verdict = verdict
  }

  /// Watches until the group shuts down, and says that it does: it is the first to be told.
  func run() async throws {
    guard let supervisor else {
      // A service that returns would end its group.
      try? await gracefulShutdown()
      return
    }
    await cancelWhenGracefulShutdown {
      guard await listening.passed() else { return }
      while !Task.isCancelled, !check(.started).isGood {
        // Cancellation ends the wait early, and the loop notices it.
        try? await Task.sleep(for: Self.startInterval)
      }
      if !Task.isCancelled { supervisor.ready() }
      // Twice as often as it must be.
      let pause = min(Self.interval, supervisor.watchdog.map { $0 / 2 } ?? Self.interval)
      while !Task.isCancelled {
        if supervisor.watchdog != nil, check(.live).isGood { supervisor.lives() }
        supervisor.status(verdict())
        try? await Task.sleep(for: pause)
      }
    }
    supervisor.stopping()
  }
}

extension Health {
  fileprivate var isGood: Bool { if case .good = self { true } else { false } }
}
