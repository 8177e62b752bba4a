import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// The API hosts: each a listening socket that can be taken down and brought up again.
final class Hosts: Sendable {
  let address: String
  let ports: [Int]
  let isEncrypted: Bool
  private let simulator: Simulator
  private let tls: NIOSSLContext?
  /// The hosts that are up, by their number.
  private let listeners: Mutex<[Int: Listener]>

  private init(
    address: String, simulator: Simulator, tls: NIOSSLContext?, listeners: [Listener]
  ) {
    self.address = address
    self.simulator = simulator
    self.tls = tls
    isEncrypted = tls != nil
    ports = listeners.map(\.port)
    self.listeners = Mutex(Dictionary(uniqueKeysWithValues: zip(0..., listeners)))
  }

  /// Listens on the port and on free ones for the other hosts.
  static func start(
    _ simulator: Simulator, count: Int, address: String, port: Int, tls: NIOSSLContext?
  ) async throws -> Hosts {
    var listeners: [Listener] = []
    do {
      for index in 0..<max(1, count) {
        let port = index == 0 ? port : 0
        listeners.append(
          try await listen(simulator, address: address, port: port, tls: tls))
      }
    } catch {
      for listener in listeners { await listener.stop() }
      throw error
    }
    return Hosts(address: address, simulator: simulator, tls: tls, listeners: listeners)
  }

  private static func listen(
    _ simulator: Simulator, address: String, port: Int, tls: NIOSSLContext?
  ) async throws -> Listener {
    let isEncrypted = tls != nil
    return try await Listener.start(address: address, port: port, tls: tls) {
      APIHandler(simulator: simulator, isEncrypted: isEncrypted)
    }
  }

  /// Takes a host down: its connections are closed, and new ones are refused.
  func takeDown(_ host: Int) async {
    let listener = listeners.withLock { $0.removeValue(forKey: host) }
    await listener?.stop()
  }

  /// Brings a host back on the port that it had; nothing happens when it is up.
  func bringUp(_ host: Int) async throws {
    guard ports.indices.contains(host), listeners.withLock({ $0[host] == nil }) else { return }
    let listener = try await Self.listen(
      simulator, address: address, port: ports[host], tls: tls)
    listeners.withLock { $0[host] = listener }
  }

  /// Takes all hosts down.
  func stop() async {
    for host in ports.indices { await takeDown(host) }
  }
}
