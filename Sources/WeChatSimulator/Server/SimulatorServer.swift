public import NIOSSL

/// A ``Simulator`` on sockets: one or more API hosts, and a control API on a port of its own.
///
/// Only loopback is listened to unless another address is given: the simulator checks no caller.
public final class SimulatorServer: Sendable {
  /// What the server simulates.
  public let simulator: Simulator
  private let hosts: Hosts
  private let control: Listener

  /// The ports of the API hosts; they stay the same while a host is down.
  public var ports: [Int] { hosts.ports }

  /// The port of the control API.
  public var controlPort: Int { control.port }

  /// The base URLs of the API hosts.
  public var urls: [String] {
    ports.map { "\(hosts.isEncrypted ? "https" : "http")://\(host):\($0)" }
  }

  /// The base URL of the first API host.
  public var url: String { urls[0] }

  /// The base URL of the control API.
  public var controlURL: String { "http://\(host):\(controlPort)" }

  /// The address as it stands in a URL.
  private var host: String { hosts.address.contains(":") ? "[\(hosts.address)]" : hosts.address }

  private init(simulator: Simulator, hosts: Hosts, control: Listener) {
    self.simulator = simulator
    self.hosts = hosts
    self.control = control
  }

  /// Starts to listen.
  ///
  /// - Parameters:
  ///   - address: where to listen. The port of a host that is down may be taken by another server
  ///     of the same address: servers side by side are best given addresses of their own, such as
  ///     127.0.0.2.
  ///   - hosts: how many API hosts there are (`api`, `api2`, …), each on a port of its own.
  ///   - port: the port of the first API host; 0 takes a free one. The others are always free ones.
  ///   - tls: certificate and key of the API hosts; nil for plain HTTP.
  public static func start(
    _ simulator: Simulator, hosts: Int = 1, address: String = "127.0.0.1", port: Int = 0,
    controlPort: Int = 0, tls: TLSConfiguration? = nil
  ) async throws -> SimulatorServer {
    let context = try tls.map { try NIOSSLContext(configuration: $0) }
    let hosts = try await Hosts.start(
      simulator, count: hosts, address: address, port: port, tls: context)
    do {
      let control = try await Listener.start(address: address, port: controlPort, tls: nil) {
        ControlHandler(control: Control(simulator: simulator, hosts: hosts))
      }
      return SimulatorServer(simulator: simulator, hosts: hosts, control: control)
    } catch {
      await hosts.stop()
      throw error
    }
  }

  /// Takes a host down: its connections are closed, and new ones are refused.
  ///
  /// Its port is free meanwhile; `start` says what follows from that.
  public func takeDown(host: Int = 0) async { await hosts.takeDown(host) }

  /// Brings a host back on the port that it had.
  public func bringUp(host: Int = 0) async throws { try await hosts.bringUp(host) }

  /// Closes all connections and stops.
  public func stop() async {
    await hosts.stop()
    await control.stop()
    simulator.releaseHeld()
  }
}
