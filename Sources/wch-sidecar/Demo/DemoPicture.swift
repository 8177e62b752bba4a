import TokenCore

/// What the demo shows of one moment.
struct DemoPicture {
  struct Replica: Hashable {
    /// What a replica is at the moment.
    enum State: String {
      case leads, follows, paused, gone
    }

    let name: String
    let id: Int32?
    let state: State
    let lastWords: String
  }

  var elapsed: Duration = .zero
  /// When it ends by itself.
  var end: Duration?
  var redisPort = 0
  /// Of a token.
  var lifetime: Duration = .zero
  /// Nil while Redis does not answer.
  var keys: DemoRedis.Keys?
  var replicas: [Replica] = []
  var application = DemoApplication.Tally()
  var fetches = 0
  var isWeChatBroken = false

  /// The instance in the lock, whether or not its process still runs.
  var leader: String? { keys?.leader.value.map { String($0.prefix { $0 != ":" }) } }
}

/// Something that happened, for the log of events.
struct DemoNews: Hashable {
  let at: Duration
  let source: String
  let words: String
}

extension String {
  /// The first characters of a token: enough to tell one from another.
  var shortened: String { count > 6 ? prefix(6) + "..." : self }

  /// Filled up or cut to so many columns.
  func padded(_ width: Int) -> String {
    count >= width ? String(prefix(width)) : self + String(repeating: " ", count: width - count)
  }

  /// Moved to the right end of so many columns.
  func flushRight(_ width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }
}

extension Duration {
  /// Seconds with one digit: `7.5`.
  var tenths: String {
    let milliseconds = Int64(self / .milliseconds(1))
    return "\(milliseconds / 1000).\(milliseconds % 1000 / 100)"
  }
}
