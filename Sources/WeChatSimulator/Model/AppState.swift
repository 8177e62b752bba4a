/// An app: its settings, and what the server remembers of it.
public struct AppState: Sendable {
  public var settings: AppSettings
  /// How many tokens were minted for it.
  public internal(set) var mints = 0

  var slots: [TokenKind: TokenSlot] = [:]
  /// The newest ticket of each type.
  var tickets: [String: TicketRecord] = [:]
  /// Those before, the oldest first.
  var oldTickets: [TicketRecord] = []
  var usage: [String: PathUsage] = [:]
  var forces = DailyCount()
  var lastForce: Milliseconds?
  var clears = MonthlyCount()
  var pathClears = MonthlyCount()

  /// Replaced tickets that are remembered: five days' worth of both types, which is more than any
  /// overlap that was observed.
  static let maxOldTickets = 128

  init(settings: AppSettings) { self.settings = settings }

  /// Puts a new ticket in the place of the one before.
  mutating func replaceTicket(_ type: String, with record: TicketRecord) {
    if let old = tickets.updateValue(record, forKey: type) { oldTickets.append(old) }
    if oldTickets.count > Self.maxOldTickets { oldTickets.removeFirst() }
  }

  /// Whether the ticket is one of this app's.
  func knows(ticket: String) -> Bool { record(of: ticket) != nil }

  /// Whether the ticket signs pages at that time.
  func accepts(ticket: String, at now: Milliseconds) -> Bool {
    record(of: ticket).map { now < $0.expiresAt + settings.ticketOverlap } ?? false
  }

  private func record(of ticket: String) -> TicketRecord? {
    tickets.values.first { $0.text == ticket } ?? oldTickets.last { $0.text == ticket }
  }
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
