import Synchronization

/// One asking at a time: whoever asks while one is under way shares what comes of it.
final class SharedAsking<Value: Sendable>: Sendable {
  typealias Outcome = Result<Value, RedisFailure>

  /// Who waits for the asking under way; nil when there is none.
  private let waiting = Mutex<[CheckedContinuation<Outcome?, Never>]?>(nil)

  /// Asks, unless somebody does already.
  ///
  /// An asking that was called off answers nobody else: one of those who waited asks then.
  func outcome(
    by deadline: ContinuousClock.Instant, _ ask: () async -> Outcome
  ) async -> Outcome {
    while true {
      let outcome: Outcome
      if let joined = await joined() { outcome = joined } else { outcome = await lead(ask) }
      if case .failure(.cancelled) = outcome, !Task.isCancelled, deadline > .now { continue }
      return outcome
    }
  }

  /// What comes of the asking under way; nil: there was none, and the caller has to ask.
  private func joined() async -> Outcome? {
    await withCheckedContinuation { continuation in
      let leads = waiting.withLock { waiting in
        if waiting == nil {
          waiting = []
          return true
        }
        waiting?.append(continuation)
        return false
      }
      if leads { continuation.resume(returning: nil) }
    }
  }

  private func lead(_ ask: () async -> Outcome) async -> Outcome {
    let outcome = await ask()
    let all = waiting.withLock { waiting in
      defer { waiting = nil }
      return waiting ?? []
    }
    for continuation in all { continuation.resume(returning: outcome) }
    return outcome
  }
}
