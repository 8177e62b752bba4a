package import Foundation
import Logging
import NIOCore
import NIOPosix
package import RedisClient
import Synchronization

/// A real `redis-server` for one test or one suite: on a free port of 127.0.0.1, without
/// persistence, in a directory of its own that goes with it.
package final class RedisServer: Sendable {
  /// Why a server could not be used.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
  }

  /// Where a server runs.
  package struct Place: Sendable {
    /// The address that it listens on.
    package var host = "127.0.0.1"
    /// A command that runs the one behind it in another network.
    package var launcher: [String] = []

    package init() {}
    package init(host: String, launcher: [String]) {
      self.host = host
      self.launcher = launcher
    }
  }

  /// The port of plain TCP, kept over restarts.
  package let port: Int
  /// The port of TLS, when `tlsArguments` were given.
  package let tlsPort: Int?
  /// The server's working directory: its log, its socket, and what a test puts there.
  package let directory: URL
  /// The address that it listens on.
  package var host: String { place.host }
  private let place: Place
  private let arguments: [String]
  private let environment: [String: String]
  private let password: String?
  private let isReadyBy: Duration
  /// Protects the running process against a test that stops and restarts from several tasks.
  private let process: Mutex<ChildProcess?> = Mutex(nil)
  private let isPaused = Atomic(false)

  /// The path of the Unix socket that the server listens on as well.
  package var socketPath: String { directory.appendingPathComponent("s").path }
  /// Where the server is: plain TCP, with the password when one was given; in another network its
  /// socket.
  package var endpoint: RedisEndpoint {
    var endpoint = RedisEndpoint(
      place.launcher.isEmpty ? .tcp(host: "127.0.0.1", port: port) : .unix(path: socketPath))
    endpoint.password = password.map { RedisPassword($0) }
    return endpoint
  }
  /// The URL of the same, for settings and for the environment of a process.
  package var url: String {
    "redis://" + (password.map { ":\($0)@" } ?? "") + "127.0.0.1:\(port)/0"
  }

  /// Starts a server and waits until it answers.
  ///
  /// - Parameters:
  ///   - arguments: more options, such as `["--maxmemory", "3mb"]`.
  ///   - password: sets `requirepass`.
  ///   - tlsArguments: the options that name certificates; `--tls-port` is added to them.
  ///   - isClustered: whether it may join a cluster, whose bus it has 10000 above its port.
  ///   - environment: variables beside our own, such as those of libfaketime.
  ///   - isReadyBy: how long a start may take, loading included.
  package static func start(
    at place: Place = Place(), arguments: [String] = [], password: String? = nil,
    tlsArguments: [String]? = nil, isClustered: Bool = false,
    environment: [String: String] = [:], isReadyBy: Duration = .seconds(60)
  ) async throws -> RedisServer {
    // Somebody else may take a free port between our look and the server's: then try another.
    var lastError: any Error = Failure("no attempt was made")
    for _ in 0..<5 {
      let server = try RedisServer(
        at: place, arguments: arguments, password: password, tlsArguments: tlsArguments,
        isClustered: isClustered, environment: environment, isReadyBy: isReadyBy)
      let start = ContinuousClock.now
      do {
        try await server.launch()
        return server
      } catch {
        lastError = error
        server.stop()
        let line = "Trying another redis-server after \(ContinuousClock.now - start): \(error)\n"
        FileHandle.standardError.write(Data(line.utf8))
      }
    }
    throw lastError
  }

  private init(
    at place: Place, arguments: [String], password: String?, tlsArguments: [String]?,
    isClustered: Bool, environment: [String: String], isReadyBy: Duration
  ) throws {
    self.place = place
    port = try FreePort.pick(withBus: isClustered)
    tlsPort = try tlsArguments.map { _ in try FreePort.pick(withBus: isClustered) }
    // Short, since a socket's path has at most 107 bytes.
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("r\(UInt32.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    var all = [
      "--port", "\(port)", "--bind", place.host, "--unixsocket",
      directory.appendingPathComponent("s").path, "--dir", directory.path, "--logfile",
      directory.appendingPathComponent("log").path, "--daemonize", "no", "--save", "",
      "--appendonly", "no", "--protected-mode", place.launcher.isEmpty ? "yes" : "no",
    ]
    if let tlsPort, let tlsArguments { all += ["--tls-port", "\(tlsPort)"] + tlsArguments }
    if let password { all += ["--requirepass", password] }
    if isClustered { all += ["--cluster-enabled", "yes"] }
    self.arguments = all + arguments
    self.environment = environment
    self.password = password
    self.isReadyBy = isReadyBy
  }

  deinit { stop() }

  /// Ends the server as an operator would, waits for its end, and removes its directory.
  package func stop() {
    end(SIGTERM)
    try? FileManager.default.removeItem(at: directory)
  }

  /// Ends the server as a crash would; `restart()` brings an empty one back.
  package func kill() { end(SIGKILL) }

  /// Whether it runs, and is not paused.
  package var runs: Bool {
    process.withLock { $0?.isRunning == true } && !isPaused.load(ordering: .relaxed)
  }

  /// Stops the server's process without ending it: sockets stay open and nothing answers.
  package func pause() {
    isPaused.store(true, ordering: .relaxed)
    signal(SIGSTOP)
  }

  /// Lets a paused server go on.
  package func resume() {
    signal(SIGCONT)
    isPaused.store(false, ordering: .relaxed)
  }

  /// Ends the server, if it runs, and starts it again on the same port, with empty memory.
  package func restart() async throws {
    kill()
    try await launch()
  }

  /// Sends one command on a connection of its own and returns the reply; a refusal is thrown.
  @discardableResult
  package func command(_ name: String, _ arguments: String...) async throws -> RedisReply {
    try await command(name, arguments)
  }

  package func command(_ name: String, _ arguments: [String]) async throws -> RedisReply {
    let reply = try await withClient { client in
      try await client.execute(
        RedisCommand(name, arguments), deadline: .now + isReadyBy, waitForConnection: true)
    }
    if let refusal = reply.refusal { throw refusal }
    return reply
  }

  /// Runs a connected client for as long as the body runs, as this user if one is given.
  package func withClient<Result: Sendable>(
    user: String? = nil, password: String? = nil, through port: Int? = nil,
    _ body: @Sendable (RedisClient) async throws -> Result
  ) async throws -> Result {
    var endpoint = endpoint
    if let port { endpoint = RedisEndpoint(.tcp(host: "127.0.0.1", port: port)) }
    if let user { endpoint.username = user }
    var configuration = RedisConfiguration(endpoint: endpoint)
    if let password { configuration.password = { password } }
    configuration.connectTimeout = isReadyBy
    let client = RedisClient(
      configuration: configuration,
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test"))
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await client.run() }
      defer { group.cancelAll() }
      _ = try await client.execute(
        RedisCommand("PING"), deadline: .now + isReadyBy, waitForConnection: true)
      return try await body(client)
    }
  }

  private func launch() async throws {
    let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let new = try ChildProcess(
      place.launcher + ["redis-server"] + arguments, environment: all)
    process.withLock { $0 = new }
    try await waitUntilReady(new)
  }

  /// Ready is a server that serves or asks for another user, and not one that is loading.
  private func waitUntilReady(_ process: ChildProcess) async throws {
    let (events, continuation) = AsyncStream.makeStream(of: ConnectionEvent.self)
    var configuration = RedisConfiguration(endpoint: endpoint)
    configuration.backoff = Backoff(initial: .milliseconds(10), cap: .milliseconds(100))
    // A busy machine is no proof of a server that does not get ready.
    configuration.connectTimeout = isReadyBy
    let client = RedisClient(
      configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
      logger: Logger(label: "test"), onEvent: { continuation.yield($0) })
    let last = Mutex("no event")
    do {
      try await withTimeLimit(isReadyBy) {
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask { await client.run() }
          defer { group.cancelAll() }
          for await event in events {
            switch event {
            case .connected, .connectFailed(.authenticationFailed): return
            case .connectFailed(let failure), .disconnected(let failure):
              last.withLock { $0 = "\(failure)" }
            }
            guard process.isRunning else { throw Failure("its process has ended") }
          }
        }
      }
    } catch {
      throw Failure(
        "redis-server on port \(port) did not get ready: \(last.withLock { $0 }); \(lastLog)")
    }
  }

  private var lastLog: String {
    let log = try? String(
      contentsOf: directory.appendingPathComponent("log"), encoding: .utf8)
    return String((log ?? "no log").suffix(500))
  }

  private func end(_ number: CInt) {
    process.withLock { process in
      process?.end(number)
      process = nil
    }
  }

  private func signal(_ number: CInt) {
    process.withLock { process in process?.signal(number) }
  }
}

/// Ports that nobody listens on at the moment.
package enum FreePort {
  /// Below the range from which the kernel lends ports to connections and to listeners that want
  /// any port: it would lend one again while its server is being started or restarted.
  private static let range = 10_240...32_000
  /// Ports that were given already; two servers of one process never get the same.
  private static let given = Mutex<Set<Int>>([])

  /// From a node's port to that on which it talks to other nodes.
  private static let bus = 10_000

  /// Finds a port of 127.0.0.1.
  ///
  /// - Parameter withBus: whether the one that is 10000 above it has to be free, too.
  package static func pick(withBus: Bool = false) throws -> Int {
    for _ in 0..<100 {
      let port = Int.random(in: range.lowerBound...range.upperBound - (withBus ? bus : 0))
      let ports = withBus ? [port, port + bus] : [port]
      guard ports.allSatisfy({ port in given.withLock { $0.insert(port).inserted } }) else {
        continue
      }
      if try ports.allSatisfy(isFree) { return port }
    }
    throw RedisServer.Failure("no port of \(range) is free")
  }

  private static func isFree(_ port: Int) throws -> Bool {
    let bound = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: port)
    guard let channel = try? bound.wait() else { return false }
    try channel.close().wait()
    return true
  }
}
