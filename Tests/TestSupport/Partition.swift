import NIOCore
import NIOPosix
import Synchronization

/// A network between a replica and Redis that can be cut, in one direction or both: connections
/// stay open, and what is sent gets lost.
///
/// Like a name, it may come to lead to another Redis.
package final class Partition: Sendable {
  /// What gets lost.
  package enum Cut: Sendable, CaseIterable {
    case bothWays, requests, answers

    fileprivate var losesRequests: Bool { self != .answers }
    fileprivate var losesAnswers: Bool { self != .requests }
  }

  fileprivate struct State {
    var cut: Cut?
    /// Where new connections lead to, on 127.0.0.1.
    var destination: Int
    var connections: [ObjectIdentifier: any Channel] = [:]
    var accepted = 0
  }

  /// Where the replica connects to, on 127.0.0.1 or where it was wanted.
  package let port: Int
  private let listener: any Channel
  /// Protects the cut, the destination and the list of connections, which the event loops read.
  private let state: Shared

  /// The state, shared with the handlers of the connections.
  fileprivate final class Shared: Sendable {
    let state: Mutex<State>
    var cut: Cut? { state.withLock { $0.cut } }
    var destination: Int { state.withLock { $0.destination } }

    init(destination: Int) { state = Mutex(State(destination: destination)) }

    func add(_ channel: any Channel) {
      let id = ObjectIdentifier(channel)
      state.withLock { state in
        state.connections[id] = channel
        state.accepted += 1
      }
      channel.closeFuture.whenComplete { [self] _ in
        state.withLock { $0.connections[id] = nil }
      }
    }
  }

  private init(listener: any Channel, state: Shared) throws {
    guard let port = listener.localAddress?.port else {
      throw RedisServer.Failure("the kernel gave no port")
    }
    self.port = port
    self.listener = listener
    self.state = state
  }

  /// How many connections were taken so far.
  package var accepted: Int { state.state.withLock { $0.accepted } }

  /// Runs a network to a port of 127.0.0.1 for as long as the body runs.
  ///
  /// - Parameters:
  ///   - host: the address of this machine where it begins.
  ///   - ownPort: any, or the one that is to be connected to.
  package static func run<Result: Sendable>(
    to port: Int, from host: String = "127.0.0.1", port ownPort: Int = 0,
    _ body: (Partition) async throws -> Result
  ) async throws -> Result {
    let shared = Shared(destination: port)
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
      // Nothing is read before there is somebody to pass it to.
      .childChannelOption(.autoRead, value: false)
      .childChannelInitializer { near in
        shared.add(near)
        return near.eventLoop.makeCompletedFuture {
          try near.pipeline.syncOperations.addHandler(Connector(shared: shared))
        }
      }
      .bind(host: host, port: ownPort).get()
    let partition = try Partition(listener: listener, state: shared)
    let result: Swift.Result<Result, any Error>
    do { result = .success(try await body(partition)) } catch { result = .failure(error) }
    try? await listener.close().get()
    partition.heal()
    return try result.get()
  }

  /// From now on, what is sent gets lost.
  package func cut(_ cut: Cut) { state.state.withLock { $0.cut = cut } }

  /// From now on new connections lead to that port of 127.0.0.1; those that stand stay.
  package func lead(to port: Int) { state.state.withLock { $0.destination = port } }

  /// Ends the cut; connections that lost something end with it.
  package func heal() {
    let connections = state.state.withLock { state in
      state.cut = nil
      return Array(state.connections.values)
    }
    for connection in connections { connection.close(promise: nil) }
  }

  /// Opens the far end of a connection, and passes on what is not lost.
  private final class Connector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let shared: Shared
    private var far: (any Channel)?

    init(shared: Shared) { self.shared = shared }

    func channelActive(context: ChannelHandlerContext) {
      let near = context.channel
      let opened = ClientBootstrap(group: near.eventLoop)
        .channelOption(.socketOption(.tcp_nodelay), value: 1)
        .channelInitializer { [shared] far in
          far.eventLoop.makeCompletedFuture {
            try far.pipeline.syncOperations.addHandler(Returner(near: near, shared: shared))
          }
        }
        .connect(host: "127.0.0.1", port: shared.destination)
      // On the near channel's loop, as both channels are.
      opened.assumeIsolated().whenComplete { result in
        guard case .success(let far) = result, near.isActive else {
          if case .success(let far) = result { far.close(promise: nil) }
          return near.close(promise: nil)
        }
        self.far = far
        near.setOption(.autoRead, value: true).whenComplete { _ in near.read() }
      }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      if shared.cut?.losesRequests == true { return }
      far?.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { far?.close(promise: nil) }
  }

  private final class Returner: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let near: any Channel
    private let shared: Shared

    init(near: any Channel, shared: Shared) {
      self.near = near
      self.shared = shared
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      if shared.cut?.losesAnswers == true { return }
      near.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { near.close(promise: nil) }
  }
}
