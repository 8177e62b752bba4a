import NIOCore
import NIOHTTP1
import Synchronization
import TokenCore

/// One attempt's passage from "nothing was sent" to "it may have been": exactly one request head
/// passes, and none after its time.
final class SendGate: Sendable {
  private enum State {
    /// Followed by `sent`, `refused` or `closed`.
    case open
    case sent(Moment)
    /// The head came too late and was not written.
    case refused
    /// The call has ended; nothing may be written any more.
    case closed
  }

  /// How an attempt ended, as far as the sending goes.
  enum Passage: Hashable {
    case notSent
    case tooLate
    case sent(Moment)
  }

  /// Guards the one passage between the event loop that writes and the task that waits.
  private let state = Mutex(State.open)
  private let notAfter: ContinuousClock.Instant

  init(notAfter: ContinuousClock.Instant) { self.notAfter = notAfter }

  /// Asks to write the head now; true at most once.
  func pass() -> Bool {
    state.withLock { state in
      guard case .open = state else { return false }
      let now = ContinuousClock.now
      guard now <= notAfter else {
        state = .refused
        return false
      }
      state = .sent(MonotonicClock.moment(of: now))
      return true
    }
  }

  /// Closes the gate and tells whether the head was written.
  func close() -> Passage {
    state.withLock { state in
      switch state {
      case .open, .closed:
        state = .closed
        return .notSent
      case .refused: return .tooLate
      case .sent(let moment): return .sent(moment)
      }
    }
  }
}

/// The gates of the attempts under way, found by the mark in the request's head.
final class SendGates: Sendable {
  /// The header that carries the mark from the caller to the connection; it is never sent.
  static let mark = "wch-attempt"

  private struct State {
    var last: UInt64 = 0
    var gates: [String: SendGate] = [:]
  }

  private let state = Mutex(State())

  /// Registers a gate; the mark goes into the request's head.
  func add(_ gate: SendGate) -> String {
    state.withLock { state in
      state.last += 1
      let mark = "\(state.last)"
      state.gates[mark] = gate
      return mark
    }
  }

  func remove(_ mark: String) { state.withLock { $0.gates[mark] = nil } }

  func gate(_ mark: String) -> SendGate? { state.withLock { $0.gates[mark] } }

  /// Puts the handler that minds the gates into a fresh connection, next to the encoder.
  func install(in channel: any Channel) -> EventLoopFuture<Void> {
    channel.eventLoop.makeCompletedFuture {
      let pipeline = channel.pipeline.syncOperations
      let encoder = try pipeline.handler(type: HTTPRequestEncoder.self)
      try pipeline.addHandler(SendGateHandler(gates: self), position: .after(encoder))
    }
  }
}

/// The request came too late, or was no longer wanted, when its head was about to be written.
struct SendRefused: Error, CustomStringConvertible {
  var description: String { "The request was not sent" }
}

/// Lets a request head out only through its attempt's gate.
private final class SendGateHandler: ChannelOutboundHandler {
  typealias OutboundIn = HTTPClientRequestPart
  typealias OutboundOut = HTTPClientRequestPart

  private let gates: SendGates
  private var isRefused = false

  init(gates: SendGates) { self.gates = gates }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    var part = unwrapOutboundIn(data)
    if case .head(var head) = part {
      let mark = head.headers.first(name: SendGates.mark)
      head.headers.remove(name: SendGates.mark)
      part = .head(head)
      isRefused = !(mark.flatMap { gates.gate($0) }?.pass() ?? false)
    }
    guard !isRefused else {
      promise?.fail(SendRefused())
      context.fireErrorCaught(SendRefused())
      context.close(promise: nil)
      return
    }
    context.write(wrapOutboundOut(part), promise: promise)
  }
}
