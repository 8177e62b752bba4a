import NIOPosix
import Synchronization

/// Work that blocks for as long as a disk does, on a thread that is there for that.
///
/// On the threads that all tasks share, one for each processor, two such reads on a volume that
/// hangs would keep SIGTERM and the watchdog from being served.
enum BlockingWork {
  /// Protects what the work has returned.
  private final class Result<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
  }

  /// What the work returns; nil when this task is cancelled before: it ends without it.
  static func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value? {
    let (result, done) = (Result<Value>(), Gate())
    NIOThreadPool.singleton.submit { state in
      if case .active = state {
        let value = work()
        result.value.withLock { $0 = value }
      }
      done.open()
    }
    guard await done.passed() else { return nil }
    return result.value.withLock { $0 }
  }

  /// The same, with nil when it takes longer than that: what is begun goes on.
  static func run<Value: Sendable>(
    within limit: Duration, _ work: @escaping @Sendable () -> Value
  ) async -> Value? {
    await withTaskGroup { group in
      group.addTask { await run(work) }
      group.addTask {
        try? await Task.sleep(for: limit)
        return nil
      }
      defer { group.cancelAll() }
      return await group.next() ?? nil
    }
  }
}
