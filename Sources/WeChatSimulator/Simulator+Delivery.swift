import FoundationEssentials
import Synchronization

/// How an answer goes over the wire.
struct Delivery: Sendable {
  var status = 200
  var contentType = "application/json; encoding=utf-8"
  var body: [UInt8] = []
  /// Bytes of the body that are sent at all; nil for all of them.
  var sentBytes: Int?
  /// Milliseconds between two bytes; nil sends all at once.
  var dripInterval: Int?
  var delay = 0
  var location: String?
  var date: String?
  var ending = Ending.answered

  /// What becomes of the connection in place of an answer.
  enum Ending {
    case answered, dropped, reset
  }

  /// The connection is closed without a word.
  static let drop = Delivery(ending: .dropped)
  /// The connection is reset.
  static let reset = Delivery(ending: .reset)
}

extension Simulator {
  static func delivery(of answer: SimulatedAnswer, _ state: inout State) -> Delivery {
    var delivery = Delivery(body: Array(answer.json.compact.utf8))
    delivery.delay = Int.random(in: state.latency, using: &state.generator)
    if state.model.sendsDate {
      delivery.date = httpDate(state.clock.time(at: .now) + state.model.skew)
    }
    return delivery
  }

  static func delivery(
    of answer: SimulatedAnswer?, with effect: Fault.Effect, _ state: inout State
  ) -> Delivery {
    var delivery = delivery(of: answer ?? SimulatedAnswer(json: [:], code: 0), &state)
    let page = Array("<html><body><h1>It works, but not here</h1></body></html>".utf8)
    switch effect {
    case .drop: delivery = .drop
    case .reset: delivery = .reset
    case .status(let status): (delivery.status, delivery.body) = (status, page)
    case .html: delivery.body = page
    case .truncate: delivery.sentBytes = delivery.body.count / 2
    case .empty: delivery.body = []
    case .body(let text): delivery.body = Array(text.utf8)
    case .drip(let interval): delivery.dripInterval = interval
    case .delay(let delay): delivery.delay += delay
    case .redirect(let location):
      (delivery.status, delivery.location, delivery.body) = (302, location, [])
    case .hold, .errorCode: break
    }
    if case .status = effect { delivery.contentType = "text/html" }
    if case .html = effect { delivery.contentType = "text/html" }
    return delivery
  }
}
