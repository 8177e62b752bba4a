import NIOCore
import NIOHTTP1
import Synchronization
import TokenCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

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
  /// Of the whole call: what it sends is of no use later.
  let timeout: Duration

  init(notAfter: ContinuousClock.Instant, timeout: Duration) {
    self.notAfter = notAfter
    self.timeout = timeout
  }

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
      let gate = head.headers.first(name: SendGates.mark).flatMap { gates.gate($0) }
      head.headers.remove(name: SendGates.mark)
      part = .head(head)
      if let gate { Self.forgetUnsent(after: gate.timeout, on: context.channel) }
      isRefused = !(gate?.pass() ?? false)
    }
    guard !isRefused else {
      promise?.fail(SendRefused())
      context.fireErrorCaught(SendRefused())
      context.close(promise: nil)
      return
    }
    context.write(wrapOutboundOut(part), promise: promise)
  }

  /// Lets nothing of a call reach WeChat long after the call.
  ///
  /// A closed socket's unacknowledged bytes are sent again by the kernel for up to 100 s, so that a
  /// request may arrive later than the protocol's sweep, and end a token that looks settled. With
  /// no time to linger, `close` drops them with a reset; the user time-out covers the seconds in
  /// which TLS waits for its farewell. An answer was read whole before the connection is closed: a
  /// reset takes nothing away from it.
  private static func forgetUnsent(after timeout: Duration, on channel: any Channel) {
    // What a socket cannot do is no reason not to ask WeChat.
    _ = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
    #if os(Linux)
      try? channel.syncOptions?.setOption(
        .tcpOption(.init(rawValue: TCP_USER_TIMEOUT)),
        value: Int(clamping: max(1, timeout.wholeMilliseconds)))
    #endif
  }
}
