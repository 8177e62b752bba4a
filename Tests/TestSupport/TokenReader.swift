package import RedisClient
import Synchronization
package import WeChatSimulator

/// An application as the contract imagines it: reads `WCH_access_token` every 20 ms and uses it,
/// that is, has the simulated WeChat judge it at once.
package final class TokenReader: Sendable {
  /// What a reading found.
  package enum Finding: Hashable, Sendable {
    case live(String)
    /// The token in Redis is one that WeChat refuses, with that code.
    case dead(String, Int)
    case missing
    /// Redis did not answer.
    case unreachable
  }

  /// From when on readings found that; kept when it differs from the one before.
  package struct Change: Sendable {
    package let at: ContinuousClock.Instant
    package let finding: Finding
  }

  private struct State {
    var changes: [Change] = []
    var counts: (live: Int, dead: Int, missing: Int, unreachable: Int) = (0, 0, 0, 0)
  }

  private static let interval: Duration = .milliseconds(20)
  private let key: String
  private let client: RedisClient
  private let simulator: Simulator
  /// Protects the record: written by the reading task, read by the test.
  private let state = Mutex(State())

  package init(key: String = "WCH_access_token", client: RedisClient, simulator: Simulator) {
    self.key = key
    self.client = client
    self.simulator = simulator
  }

  /// Every change of what was found, in order.
  package var changes: [Change] { state.withLock { $0.changes } }
  package var liveReadings: Int { state.withLock { $0.counts.live } }
  package var deadReadings: Int { state.withLock { $0.counts.dead } }
  package var missingReadings: Int { state.withLock { $0.counts.missing } }
  /// The tokens that were read, in order.
  package var tokens: [String] {
    var tokens: [String] = []
    for change in changes {
      switch change.finding {
      case .live(let token), .dead(let token, _):
        if tokens.last != token { tokens.append(token) }
      case .missing, .unreachable: break
      }
    }
    return tokens
  }

  /// Reads until cancelled.
  package func run() async {
    while !Task.isCancelled {
      let finding = await read()
      guard !Task.isCancelled else { return }
      state.withLock { state in
        switch finding {
        case .live: state.counts.live += 1
        case .dead: state.counts.dead += 1
        case .missing: state.counts.missing += 1
        case .unreachable: state.counts.unreachable += 1
        }
        if state.changes.last?.finding != finding {
          state.changes.append(Change(at: .now, finding: finding))
        }
      }
      // The rate at which it reads, as an application does; nothing is waited for.
      try? await Task.sleep(for: Self.interval)
    }
  }

  /// A token that died is no finding when its key ended with it: between the reading and the use
  /// of it a busy machine lets time pass, and the next reading tells.
  private func read() async -> Finding {
    let first = await readOnce()
    guard case .dead = first else { return first }
    return await readOnce()
  }

  private func readOnce() async -> Finding {
    guard
      let reply = try? await client.execute(
        RedisCommand("GET", key), key: key, deadline: .now + .milliseconds(500)),
      reply.refusal == nil
    else { return .unreachable }
    guard let token = reply.text else { return .missing }
    switch simulator.judge(token) {
    case .live: return .live(token)
    case .dead(let code): return .dead(token, code)
    }
  }
}
