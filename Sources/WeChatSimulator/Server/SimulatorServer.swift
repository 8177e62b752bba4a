import NIOCore
import NIOHTTP1
import NIOPosix
public import NIOSSL
import Synchronization

/// A ``Simulator`` on sockets: one or more API hosts, and a control API on a port of its own.
///
/// Only loopback is listened to unless another address is given: the simulator checks no caller.
public final class SimulatorServer: Sendable {
  /// What the server simulates.
  public let simulator: Simulator
  /// The ports of the API hosts; they stay the same while a host is down.
  public let ports: [Int]
  /// The port of the control API.
  public let controlPort: Int
  private let address: String
  private let tls: NIOSSLContext?
  private let listeners: Mutex<[Int: Listener]>
  private let control: Listener

  /// The base URLs of the API hosts.
  public var urls: [String] {
    ports.map { "\(tls == nil ? "http" : "https")://\(address):\($0)" }
  }

  /// The base URL of the first API host.
  public var url: String { urls[0] }

  /// The base URL of the control API.
  public var controlURL: String { "http://\(address):\(controlPort)" }

  private init(
    simulator: Simulator, address: String, tls: NIOSSLContext?, listeners: [Listener],
    control: Listener
  ) {
    self.simulator = simulator
    self.address = address
    self.tls = tls
    ports = listeners.map(\.port)
    controlPort = control.port
    self.control = control
    self.listeners = Mutex(Dictionary(uniqueKeysWithValues: zip(0..., listeners)))
  }

  /// Starts to listen.
  ///
  /// - Parameters:
  ///   - hosts: how many API hosts there are (`api`, `api2`, …), each on a port of its own.
  ///   - port: the port of the first API host; 0 takes a free one. The others are always free ones.
  ///   - tls: certificate and key of the API hosts; nil for plain HTTP.
  public static func start(
    _ simulator: Simulator, hosts: Int = 1, address: String = "127.0.0.1", port: Int = 0,
    controlPort: Int = 0, tls: TLSConfiguration? = nil
  ) async throws -> SimulatorServer {
    let context = try tls.map { try NIOSSLContext(configuration: $0) }
    var listeners: [Listener] = []
    do {
      for index in 0..<max(1, hosts) {
        listeners.append(
          try await Listener.start(address: address, port: index == 0 ? port : 0, tls: context) {
            APIHandler(simulator: simulator, isEncrypted: context != nil)
          })
      }
      let control = try await Listener.start(address: address, port: controlPort, tls: nil) {
        ControlHandler(control: Control(simulator: simulator))
      }
      return SimulatorServer(
        simulator: simulator, address: address, tls: context, listeners: listeners,
        control: control)
    } catch {
      for listener in listeners { await listener.stop() }
      throw error
    }
  }

  /// Takes a host down: its connections are reset, and new ones are refused.
  public func takeDown(host: Int = 0) async {
    let listener = listeners.withLock { $0.removeValue(forKey: host) }
    await listener?.stop()
  }

  /// Brings a host back on the port that it had.
  public func bringUp(host: Int = 0) async throws {
    guard ports.indices.contains(host), listeners.withLock({ $0[host] == nil }) else { return }
    let (simulator, context) = (simulator, tls)
    let listener = try await Listener.start(address: address, port: ports[host], tls: context) {
      APIHandler(simulator: simulator, isEncrypted: context != nil)
    }
    listeners.withLock { $0[host] = listener }
  }

  /// Closes all connections and stops.
  public func stop() async {
    let open = listeners.withLock { listeners in
      defer { listeners = [:] }
      return Array(listeners.values)
    }
    for listener in open { await listener.stop() }
    await control.stop()
    simulator.releaseHeld()
  }
}

/// One listening socket and the connections that it accepted.
final class Listener: Sendable {
  let port: Int
  private let server: any Channel
  private let connections: Connections

  private init(server: any Channel, connections: Connections) {
    self.server = server
    self.connections = connections
    port = server.localAddress?.port ?? 0
  }

  static func start<Handler: ChannelInboundHandler & Sendable>(
    address: String, port: Int, tls: NIOSSLContext?,
    handler: @escaping @Sendable () -> Handler
  ) async throws -> Listener where Handler.InboundIn == HTTPServerRequestPart {
    let connections = Connections()
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        connections.add(channel)
        return channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
          try pipeline.configureHTTPServerPipeline()
          try pipeline.addHandler(handler())
        }
      }
      .bind(host: address, port: port).get()
    return Listener(server: server, connections: connections)
  }

  func stop() async {
    try? await server.close().get()
    for channel in connections.all { try? await channel.close().get() }
  }
}

/// The open connections of a listener.
private final class Connections: Sendable {
  /// By identity; a channel leaves when it closes.
  private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])

  var all: [any Channel] { channels.withLock { Array($0.values) } }

  func add(_ channel: any Channel) {
    let id = ObjectIdentifier(channel)
    channels.withLock { $0[id] = channel }
    channel.closeFuture.whenComplete { [self] _ in channels.withLock { $0[id] = nil } }
  }
}
