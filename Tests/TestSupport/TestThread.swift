import Foundation
import Synchronization

/// A thread of a test's own that does something again and again until it is told to end.
///
/// What watches or attacks a process must not share the pool of the tests: it would measure how
/// busy that is.
package final class TestThread: Sendable {
  private let isEnding = Mutex(false)
  private let hasEnded = DispatchSemaphore(value: 0)
  /// Signalled when it is to end, so that it does not rest to the end of a pause.
  private let wake = DispatchSemaphore(value: 0)

  /// Starts at once; `body` asks its argument whether it goes on, which is answered after a pause,
  /// or as soon as it is to end.
  package init(_ body: @escaping @Sendable (_ goesOn: (_ pause: Duration) -> Bool) -> Void) {
    Thread.detachNewThread { [self] in
      body { pause in
        if pause > .zero {
          let nanoseconds = Int(pause / .nanoseconds(1))
          if wake.wait(timeout: .now() + .nanoseconds(nanoseconds)) == .success { wake.signal() }
        }
        return !isEnding.withLock { $0 }
      }
      hasEnded.signal()
    }
  }

  /// Tells it to end and waits until it has.
  package func end() {
    isEnding.withLock { $0 = true }
    wake.signal()
    hasEnded.wait()
    hasEnded.signal()
  }

  /// Waits until it has ended by itself.
  package func join() async {
    await withCheckedContinuation { continuation in
      DispatchQueue.global().async { [self] in
        hasEnded.wait()
        hasEnded.signal()
        continuation.resume()
      }
    }
  }
}

/// Runs what blocks on a thread of its own, as the pool of the tests has one for each processor.
package func onThread<Result: Sendable>(
  _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread {
      continuation.resume(with: Swift.Result(catching: body))
    }
  }
}
