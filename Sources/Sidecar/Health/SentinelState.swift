package import RedisClient

/// What this replica's sentinels say: which primary, since when, or why nobody knows.
package struct SentinelState: Hashable, Sendable {
  /// What is worth a line of the log.
  enum News: Hashable {
    case found(RedisEndpoint.Address)
    case moved(from: RedisEndpoint.Address, to: RedisEndpoint.Address)
  }

  /// Each sentinel, and what it said last.
  package private(set) var voices: [SentinelSight.Voice] = []
  /// The primary that they named last.
  package private(set) var primary: RedisEndpoint.Address?
  /// When they named another one than before, by the wall clock; nil while they have not.
  package private(set) var movedAt: Timestamp?
  /// Why they name none now.
  private(set) var failure: RedisFailure?
  /// Since when.
  private(set) var failingSince: Timestamp?

  /// They are asked every five seconds: a single asking in vain may be a busy machine's.
  static let unheard: Duration = .seconds(10)

  package init() {}

  /// Takes what came of one asking.
  package mutating func saw(_ sight: SentinelSight, at wall: Timestamp = .now) {
    _ = news(sight, at: wall)
  }

  /// Takes what came of one asking; returns what is new.
  mutating func news(_ sight: SentinelSight, at wall: Timestamp = .now) -> News? {
    voices = sight.voices
    switch sight.outcome {
    case .failure(let failure):
      if self.failure == nil { failingSince = wall }
      self.failure = failure
      return nil
    case .success(let address):
      failure = nil
      failingSince = nil
      defer { primary = address }
      guard let primary else { return .found(address) }
      guard primary != address else { return nil }
      movedAt = wall
      return .moved(from: primary, to: address)
    }
  }
}

extension SentinelSight.Voice {
  /// What it said, in one line: for log, status and `check`.
  package var sentence: String { "\(sentinel) \(said)" }

  /// The same without its name.
  package var said: String {
    switch answer {
    case nil: "did not answer in time"
    case .names(let address, let epoch, let isDown)?:
      "names \(address)" + (epoch.map { " (epoch \($0))" } ?? "")
        + (isDown ? ", and holds it to be down" : "")
    case .doesNotKnow?: "does not know the name"
    case .failed(let failure)?: "cannot be asked: \(failure)"
    }
  }
}
