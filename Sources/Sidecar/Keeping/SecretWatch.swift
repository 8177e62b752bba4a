import Logging
import ServiceLifecycle
import TokenCore

/// Tells the keeper when a secret was replaced after WeChat had refused the fetch made with the
/// old one: what is held for five minutes is tried at once (DESIGN section 5.5).
///
/// Nobody says so when a file changes (Kubernetes swaps a mounted secret without a word), so it is
/// read once a second, and only while an account waits.
struct SecretWatch: Service {
  private let service: KeeperService
  private let fetcher: Fetcher
  private let logger: Logger

  /// Between two looks at the files.
  private static let interval: Duration = .seconds(1)

  init(service: KeeperService, fetcher: Fetcher, logger: Logger) {
    self.service = service
    self.fetcher = fetcher
    self.logger = logger
  }

  /// Watches until the group shuts down.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        for account in waiting where fetcher.hasNewSecret(account) {
          logger.info(
            "The AppSecret was replaced; WeChat is asked at once",
            metadata: .keyed([.account: "\(account)"]))
          service.post(.secretChanged(account))
        }
        // Cancellation ends the wait early, and the loop notices it.
        try? await Task.sleep(for: Self.interval)
      }
    }
  }

  /// The accounts whose next attempt waits for its time after a failure.
  private var waiting: [AccountName] {
    let now = MonotonicClock.now()
    return service.view.keeper.accounts
      .filter { $0.failures.inARow > 0 && ($0.wanted.map { $0.notBefore > now } ?? false) }
      .map(\.name)
  }
}
