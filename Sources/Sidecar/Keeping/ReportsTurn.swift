import Synchronization

/// The waiting for reports of one lead, which ends with what Redis answers and not before.
///
/// A pop that is cut off takes with it what comes just then, the leader's own report that it gives
/// back above all: Redis hands that to whoever has waited for the longest.
final class ReportsTurn: Sendable {
  private let over = Atomic(false)
  private let done = Atomic(false)
  private let ending = Gate()

  /// Whether what is under way is the last wait.
  var isOver: Bool { over.load(ordering: .acquiring) }

  /// Whether the last wait has ended.
  var isFinished: Bool { done.load(ordering: .acquiring) }

  /// Lets no other wait begin.
  func end() { over.store(true, ordering: .releasing) }

  /// The last wait has ended.
  func finish() {
    done.store(true, ordering: .releasing)
    ending.open()
  }

  /// Returns when the last wait has ended, or after so long.
  func finished(within limit: Duration) async {
    await withTaskGroup { group in
      group.addTask { [ending] in _ = await ending.passed() }
      group.addTask { try? await Task.sleep(for: limit) }
      await group.next()
      group.cancelAll()
    }
  }
}
