import NIOCore
import Synchronization

/// The long answers as they were last written out, for all who ask within some hundred
/// milliseconds.
///
/// Writing one out costs as much as there are accounts, 25 ms of 256; sent once more it costs next
/// to nothing, and the copies share one buffer.
final class RenderedPages: Sendable {
  enum Kind: Hashable { case page, status, metrics }

  /// So old may an answer be: shorter than any figure in it means something.
  static let freshness: TimeAmount = .milliseconds(250)

  private let rendered = Mutex<[Kind: (response: StatusResponse, at: NIODeadline)]>([:])

  /// The last answer of that kind, or a new one when it is too old.
  func get(_ kind: Kind, _ render: () -> StatusResponse) -> StatusResponse {
    let now = NIODeadline.now()
    if let last = rendered.withLock({ $0[kind] }), now < last.at + Self.freshness {
      return last.response
    }
    let response = render()
    rendered.withLock { $0[kind] = (response, now) }
    return response
  }
}
