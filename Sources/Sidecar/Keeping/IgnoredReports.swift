import Synchronization

/// Whether something that means nothing is worth a line: once an hour.
final class IgnoredReports: Sendable {
  /// Protects when it was told last.
  private let toldAt = Mutex<ContinuousClock.Instant?>(nil)

  private static let silence: Duration = .seconds(3600)

  func isNews(at now: ContinuousClock.Instant = .now) -> Bool {
    toldAt.withLock { toldAt in
      if let toldAt, toldAt.duration(to: now) < Self.silence { return false }
      toldAt = now
      return true
    }
  }
}
