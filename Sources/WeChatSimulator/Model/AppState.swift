/// An app: its settings, and what the server remembers of it.
public struct AppState: Sendable {
  public var settings: AppSettings
  /// How many tokens were minted for it.
  public internal(set) var mints = 0

  var slots: [TokenKind: TokenSlot] = [:]
  var tickets: [String: TicketRecord] = [:]
  var usage: [String: PathUsage] = [:]
  var forces = DailyCount()
  var lastForce: Milliseconds?
  var clears = MonthlyCount()
  var pathClears = MonthlyCount()

  init(settings: AppSettings) { self.settings = settings }
}

/// A `jsapi` or `wx_card` ticket.
struct TicketRecord: Hashable, Sendable {
  let text: String
  let mintedAt: Milliseconds
  let expiresAt: Milliseconds
}

/// Calls of one path by one app.
struct PathUsage: Hashable, Sendable {
  var day = DailyCount()
  var minute = WindowCount()
}

/// A count that starts again with each day.
struct DailyCount: Hashable, Sendable {
  private var day: Int64 = .min
  private var count = 0

  func value(on day: Int64) -> Int { day == self.day ? count : 0 }

  mutating func set(_ count: Int, on day: Int64) {
    self.day = day
    self.count = count
  }

  mutating func add(on day: Int64) { set(value(on: day) + 1, on: day) }
}

/// A count that starts again with each calendar month.
typealias MonthlyCount = DailyCount

/// A count that starts again with each window of a fixed length.
typealias WindowCount = DailyCount
