import Glibc
import Synchronization
import TestSupport

/// Clients that open a connection, send something, and hold on: one that is closed comes again.
final class HeldConnections: Attackers {
  /// What each of them does.
  struct Conduct: Sendable {
    /// Sent as soon as the connection is there.
    var opening: [UInt8] = []
    /// Sent one by one after that, again and again.
    var drops: [UInt8] = []
    var dropInterval: Duration = .seconds(5)
    /// The kernel's, for what we do not read.
    var receiveBuffer: CInt?
    /// Whether they come again when they are hung up on.
    var returns = true

    init(_ opening: String = "") { self.opening = Array(opening.utf8) }
  }

  private struct Connection {
    let socket: RawSocket
    var sent = 0
    var nextDrop: ContinuousClock.Instant
    var drops = 0
    var hasEnded = false
  }

  private struct State {
    var opened = 0
    /// Those whose opening is on its way.
    var settled = 0
    var hungUp = 0
  }

  /// Between two looks at all of them.
  private static let interval: Duration = .milliseconds(50)
  /// Protects the counts: written by the thread, read by the test.
  private let state = Mutex(State())
  private let thread = Mutex<TestThread?>(nil)
  private let count: Int

  init(count: Int, to port: Int, _ conduct: Conduct) {
    Attack.roomForClients
    self.count = count
    let thread = TestThread { [self] goesOn in
      var connections: [Connection] = []
      repeat {
        connections = Self.round(connections, count: count, port: port, conduct, state)
      } while goesOn(Self.interval)
      for connection in connections { connection.socket.close() }
    }
    self.thread.withLock { $0 = thread }
  }

  var account: String {
    let (opened, hungUp) = state.withLock { ($0.opened, $0.hungUp) }
    return "\(count) clients opened \(opened) connections and were hung up on \(hungUp) times"
  }

  /// How often a connection was ended by the other side.
  var hungUp: Int { state.withLock { $0.hungUp } }

  /// Waits until what each has to say at first is on its way, as far as the other side takes it;
  /// where it does not keep so many, until each has come twice.
  func settle() async throws {
    try await waitUntil("\(count) clients have come", within: .seconds(10)) {
      state.withLock { $0.settled >= count || $0.opened >= 2 * count }
    }
  }

  func end() async { thread.withLock { $0 }?.end() }

  private static func round(
    _ former: [Connection], count: Int, port: Int, _ conduct: Conduct,
    _ state: borrowing Mutex<State>
  ) -> [Connection] {
    var connections = former
    let ended = RawSocket.ended(connections.map(\.socket))
    var hungUp = 0
    for index in connections.indices where ended[index] && !connections[index].hasEnded {
      connections[index].hasEnded = true
      hungUp += 1
    }
    if conduct.returns {
      for connection in connections where connection.hasEnded { connection.socket.close() }
      connections.removeAll(where: \.hasEnded)
    }
    var opened = 0
    while connections.count < count,
      let socket = try? RawSocket(port: port, receiveBuffer: conduct.receiveBuffer)
    {
      connections.append(Connection(socket: socket, nextDrop: .now + conduct.dropInterval))
      opened += 1
    }
    for index in connections.indices where !connections[index].hasEnded {
      send(&connections[index], conduct)
    }
    let settled = opened == 0 ? connections.count : 0
    state.withLock { state in
      state.opened += opened
      state.hungUp += hungUp
      state.settled = max(state.settled, settled)
    }
    return connections
  }

  private static func send(_ connection: inout Connection, _ conduct: Conduct) {
    if connection.sent < conduct.opening.count {
      connection.sent += connection.socket.send(conduct.opening[connection.sent...]) ?? 0
    } else if !conduct.drops.isEmpty, connection.nextDrop <= .now {
      let place = connection.drops % conduct.drops.count
      if connection.socket.send(conduct.drops[place...place]) == 1 {
        connection.drops += 1
        connection.nextDrop += conduct.dropInterval
      }
    }
  }
}

extension HeldConnections.Conduct {
  /// Connects and says nothing.
  static let silent = HeldConnections.Conduct()

  /// Asks for the metrics seven hundred times in one go and reads no answer.
  static let unreading: HeldConnections.Conduct = {
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    var conduct = HeldConnections.Conduct(String(repeating: request, count: 700))
    conduct.receiveBuffer = 2048
    return conduct
  }()

  /// Announces a body and sends it byte by byte.
  static let drippingBody: HeldConnections.Conduct = {
    var conduct = HeldConnections.Conduct(
      "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n{")
    conduct.drops = [UInt8(ascii: " ")]
    return conduct
  }()

  /// Sends a head that does not end, byte by byte.
  static let drippingHead: HeldConnections.Conduct = {
    var conduct = HeldConnections.Conduct("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
    conduct.drops = [UInt8(ascii: "x")]
    return conduct
  }()

  /// Forces a refresh, and waits for what becomes of it.
  static let forcing: HeldConnections.Conduct = {
    let body = "{\"force\":true}"
    return HeldConnections.Conduct(
      "POST /v1/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        + body)
  }()
}
