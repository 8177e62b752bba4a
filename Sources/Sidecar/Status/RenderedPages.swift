import NIOCore
import Synchronization
import TokenCore

/// The long answers as they were last written out, for all who ask within some hundred
/// milliseconds.
///
/// Writing one out costs as much as there are accounts, 25 ms of 256; sent once more it costs next
/// to nothing, and the copies share one buffer. Whoever asks now and then gets the state of that
/// moment; a crowd shares what is written out once in every period.
final class RenderedPages: Sendable {
  enum Kind: Hashable {
    case page(Language)
    case status, metrics
    case statusOf(AccountName)
    /// These are written out once: nothing in them changes.
    case runbook(Language), openAPI

    fileprivate var isFixed: Bool {
      switch self {
      case .page, .status, .statusOf, .metrics: false
      case .runbook, .openAPI: true
      }
    }
  }

  private struct Entry {
    var response: StatusResponse
    /// When one more may be written out than the burst allows; a period later for each.
    var nextAt: NIODeadline
  }

  /// How old an answer may be when many ask.
  static let period: TimeAmount = .milliseconds(250)
  /// So many may be written out at once after a pause: who has just made a change sees it.
  static let burst: Int64 = 4

  private let entries = Mutex<[Kind: Entry]>([:])

  /// The last answer of that kind, or a new one when it is too old, or few have asked lately.
  func get(_ kind: Kind, _ render: () -> StatusResponse) -> StatusResponse {
    let now = NIODeadline.now()
    let last = entries.withLock { $0[kind] }
    if kind.isFixed, let last { return last.response }
    let credit: TimeAmount = .nanoseconds(Self.period.nanoseconds * (Self.burst - 1))
    if let last, now + credit < last.nextAt { return last.response }
    let response = render()
    let nextAt = max(last?.nextAt ?? now, now) + Self.period
    entries.withLock { $0[kind] = Entry(response: response, nextAt: nextAt) }
    return response
  }
}
