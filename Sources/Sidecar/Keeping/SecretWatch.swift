import Logging
import ServiceLifecycle
import TokenCore

/// Tells the keeper when a secret was replaced after WeChat had refused the fetch made with the
/// old one: what is held for five minutes is tried at once (WeChat.md#answers-by-class).
///
/// Nobody says so when a file changes (Kubernetes swaps a mounted secret without a word), so it is
/// read once a second, and only while an account waits. Every file of a secret is looked at with
/// each tick, too: one that has gone bad would be missed only at the next start.
struct SecretWatch: Service {
  private let inbox: KeeperInbox
  private let fetcher: Fetcher
  private let accounts: KeptAccounts
  private let settings: Settings
  private let health: HealthCenter
  private let logger: Logger

  /// Between two looks at the files of accounts that wait.
  private static let interval: Duration = .seconds(1)
  /// One file that hangs keeps those of others from being looked at for so long, once.
  private static let patience: Duration = .seconds(2)

  init(
    inbox: KeeperInbox, fetcher: Fetcher, accounts: KeptAccounts, settings: Settings,
    health: HealthCenter,
    logger: Logger
  ) {
    self.inbox = inbox
    self.fetcher = fetcher
    self.accounts = accounts
    self.settings = settings
    self.health = health
    self.logger = logger
  }

  /// Watches until the group shuts down.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      // All were good at the start, or there would be none.
      var known: Set<Origin> = []
      var nextLook = ContinuousClock.now + settings.timing.tick
      while !Task.isCancelled {
        if ContinuousClock.now >= nextLook {
          nextLook = .now + settings.timing.tick
          await report(known: &known)
        }
        for account in await renewed() {
          logger.tell(
            .secretReplaced, "The AppSecret was replaced; WeChat is asked at once",
            .keyed([.account: "\(account)"]))
          inbox.post(.secretChanged(account))
        }
        // Cancellation ends the wait early, and the loop notices it.
        try? await Task.sleep(for: Self.interval)
      }
    }
  }

  /// Says which files have gone bad since the last look, and which are good again.
  private func report(known: inout Set<Origin>) async {
    let problems = await BlockingWork.run(within: Self.patience) { [accounts, settings] in
      settings.secretProblems(of: accounts.all)
    }
    guard let problems else { return }
    var bad: Set<Origin> = []
    for problem in problems where bad.insert(problem.origin).inserted {
      health.file(.secretUnusable, "\(problem.origin)", reason: problem.message)
    }
    for origin in known.subtracting(bad) {
      health.file(.secretUnusable, "\(origin)", reason: nil)
    }
    known = bad
  }

  /// The accounts that wait, and whose secret is another one now.
  private func renewed() async -> [CredentialID] {
    let waiting = waiting
    guard !waiting.isEmpty else { return [] }
    return await BlockingWork.run(within: Self.patience) { [fetcher] in
      waiting.filter(fetcher.hasNewSecret)
    } ?? []
  }

  /// The accounts whose next attempt waits for its time after a failure.
  private var waiting: [CredentialID] {
    let now = MonotonicClock.now()
    return inbox.look { view in
      view.keeper.accounts
        .filter { $0.failures.inARow > 0 && ($0.wanted.map { $0.notBefore > now } ?? false) }
        .map(\.name)
    }
  }
}
