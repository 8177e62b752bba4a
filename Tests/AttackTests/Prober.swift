import Glibc
import Synchronization
import TestSupport

/// Asks a replica whether it lives, four times a second on a new connection, as a kubelet does
/// every ten seconds; and looks at its memory meanwhile.
final class Prober: Sendable {
  /// One look.
  struct Look: Sendable {
    let at: ContinuousClock.Instant
    /// From the first packet to the end of the answer.
    let took: Duration
    /// Whether a 200 came in time.
    let isGood: Bool
  }

  private struct State {
    var looks: [Look] = []
    var mostResidentKiB = 0
    var mostDescriptors = 0
  }

  private static let interval: Duration = .milliseconds(250)
  /// Protects the record: written by the thread, read by the test.
  private let state = Mutex(State())
  private let thread = Mutex<TestThread?>(nil)

  init(_ target: Target) {
    let thread = TestThread { [self] goesOn in
      var look: Look
      repeat {
        look = Self.look(at: target.port, path: "/livez")
        let figures = target.figures
        state.withLock { state in
          state.looks.append(look)
          state.mostResidentKiB = max(state.mostResidentKiB, figures?.residentKiB ?? 0)
          state.mostDescriptors = max(state.mostDescriptors, figures?.descriptors ?? 0)
        }
      } while goesOn(Self.interval - (.now - look.at))
    }
    self.thread.withLock { $0 = thread }
  }

  /// Ends; the record stays.
  func end() { thread.withLock { $0 }?.end() }

  var looks: [Look] { state.withLock { $0.looks } }
  var mostResidentKiB: Int { state.withLock { $0.mostResidentKiB } }
  var mostDescriptors: Int { state.withLock { $0.mostDescriptors } }

  /// How often a kubelet would have killed the container: a probe every ten seconds, and three in
  /// a row unanswered.
  var kills: Int {
    var (kills, failures) = (0, 0)
    var due: ContinuousClock.Instant?
    for look in looks where due.map({ look.at >= $0 }) ?? true {
      due = look.at + .seconds(10)
      failures = look.isGood ? 0 : failures + 1
      if failures == 3 { (kills, failures) = (kills + 1, 0) }
    }
    return kills
  }

  /// Asks once, with the kubelet's patience.
  static func look(at port: Int, path: String) -> Look {
    let start = ContinuousClock.now
    func left() -> Duration { Attack.probeLimit - (.now - start) }
    func look(_ isGood: Bool) -> Look { Look(at: start, took: .now - start, isGood: isGood) }
    guard let socket = try? RawSocket(port: port) else { return look(false) }
    defer { socket.close() }
    let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    guard socket.isConnected(within: left()),
      socket.sendAll(Array(request.utf8), within: left())
    else { return look(false) }
    var answer: [UInt8] = []
    while left() > .zero {
      switch socket.receive(within: left()) {
      case .bytes(let bytes): answer += bytes
      case .end: return look(answer.starts(with: "HTTP/1.1 200 ".utf8))
      case .reset, .nothing: return look(false)
      }
    }
    return look(false)
  }
}
