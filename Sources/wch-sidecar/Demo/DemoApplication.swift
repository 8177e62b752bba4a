import RedisClient
import Synchronization
import WeChatSimulator

/// An application as the contract has it: it reads the token, uses it, and says when it failed.
final class DemoApplication: Sendable {
  /// What became of its uses of the token.
  struct Tally: Hashable, Sendable {
    /// A live token at the first read.
    var immediate = 0
    /// A live token after polling, as the contract lets an application wait.
    var afterWaiting = 0
    var failed = 0
    /// No token to be had while WeChat was broken: nobody can have one then.
    var unavailable = 0
    var lastFailure: String?

    var succeeded: Int { immediate + afterWaiting }
    var uses: Int { succeeded + failed }
    /// 100 only when none failed.
    var percent: Int { uses == 0 ? 100 : succeeded * 100 / uses }
  }

  private let redis: DemoRedis
  private let simulator: Simulator
  private struct State {
    var tally = Tally()
    var isWeChatBroken = false
    var news: [String] = []
  }
  /// Protects the figures: counted by the application, shown by the view.
  private let state = Mutex(State())

  /// Between two uses.
  private static let interval: Duration = .milliseconds(20)
  /// Between two reads while waiting for a token, and for how long
  /// (README.md#what-applications-read).
  private static let poll: Duration = .milliseconds(50)
  private static let patience: Duration = .seconds(3)

  init(redis: DemoRedis, simulator: Simulator) {
    self.redis = redis
    self.simulator = simulator
  }

  var tally: Tally { state.withLock { $0.tally } }

  /// What it has to tell since the last time.
  func hear() -> [String] {
    state.withLock { state in
      defer { state.news = [] }
      return state.news
    }
  }

  /// Tells it that no token can be had; uses that find none are counted apart.
  func weChatIsBroken(_ isBroken: Bool) { state.withLock { $0.isWeChatBroken = isBroken } }

  /// Uses the token until cancelled.
  func run() async {
    var next = ContinuousClock.now
    while !Task.isCancelled {
      await use()
      next = max(next + Self.interval, .now)
      try? await Task.sleep(until: next, tolerance: .zero)
    }
  }

  private func use() async {
    let deadline = ContinuousClock.now + Self.patience
    var refused: String?
    var hasWaited = false
    var problem = "no token in Redis"
    while !Task.isCancelled {
      do {
        if let token = try await redis.token(), token != refused {
          switch simulator.judge(token) {
          case .live:
            return count { tally in
              if hasWaited { tally.afterWaiting += 1 } else { tally.immediate += 1 }
            }
          case .dead(let code):
            refused = token
            problem = "WeChat refused the token with \(code)"
            tell("\(problem); reported to WCH_refresh_requests")
            try await redis.report(token)
          }
        }
      } catch {
        problem = "\(error)"
      }
      guard ContinuousClock.now < deadline else { break }
      hasWaited = true
      try? await Task.sleep(for: Self.poll)
    }
    // The end of the demo is nobody's failure.
    guard !Task.isCancelled else { return }
    let hasRefusal = refused != nil
    state.withLock { state in
      if state.isWeChatBroken, !hasRefusal {
        state.tally.unavailable += 1
      } else {
        state.tally.failed += 1
        state.tally.lastFailure = problem
      }
    }
  }

  private func count(_ change: (inout Tally) -> Void) {
    state.withLock { change(&$0.tally) }
  }

  private func tell(_ words: String) {
    state.withLock { if $0.news.count < 100 { $0.news.append(words) } }
  }
}
