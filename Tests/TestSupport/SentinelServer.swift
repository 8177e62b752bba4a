package import Foundation
import Logging
import NIOPosix
package import RedisClient
import Synchronization

/// One real sentinel: on a free port of 127.0.0.1, in a directory of its own that goes with it.
package final class SentinelServer: Sendable {
  package let port: Int
  package let directory: URL
  private let password: String?
  private let place: RedisServer.Place
  /// The address that it listens on: another one from the next start on, if it is changed.
  private let host: Mutex<String>
  /// Protects the running process.
  private let process: Mutex<ChildProcess?> = Mutex(nil)

  package var address: RedisEndpoint.Address { .tcp(host: host.withLock { $0 }, port: port) }

  /// - Parameter lines: of its configuration, beside port and directory; without TLS.
  static func start(
    at place: RedisServer.Place = .init(), _ lines: [String], password: String?,
    tlsLines: [String]?
  ) async throws -> SentinelServer {
    var lastError: any Error = RedisServer.Failure("no attempt was made")
    for _ in 0..<5 {
      let server = try SentinelServer(place, lines, password: password, tlsLines: tlsLines)
      do {
        try await server.launch()
        return server
      } catch {
        lastError = error
        server.stop()
      }
    }
    throw lastError
  }

  private init(
    _ place: RedisServer.Place, _ lines: [String], password: String?, tlsLines: [String]?
  ) throws {
    port = try FreePort.pick()
    self.place = place
    host = Mutex(place.host)
    self.password = password
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("s\(UInt32.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    // Of two ports the one without TLS is the tests' own.
    var all = tlsLines.map { ["tls-port \(port)", "port 0"] + $0 } ?? ["port \(port)"]
    all +=
      [
        "bind \(place.host)", "dir \(directory.path)", "logfile log", "daemonize no",
        "protected-mode no",
      ] + lines
    if let password { all.append("requirepass \(password)") }
    try Data((all.joined(separator: "\n") + "\n").utf8).write(to: configurationFile)
  }

  deinit { stop() }

  private var configurationFile: URL { directory.appendingPathComponent("sentinel.conf") }

  package var log: String {
    (try? String(contentsOf: directory.appendingPathComponent("log"), encoding: .utf8)) ?? ""
  }

  /// Ends it, and removes its directory.
  package func stop() {
    kill()
    try? FileManager.default.removeItem(at: directory)
  }

  package func kill() {
    process.withLock { process in
      process?.end(SIGKILL)
      process = nil
    }
  }

  /// Does nothing from now on: sockets stay open.
  package func pause() { process.withLock { $0?.signal(SIGSTOP) } }

  package func resume() { process.withLock { $0?.signal(SIGCONT) } }

  /// Starts it again, with what it knew.
  package func restart() async throws {
    kill()
    try await launch()
  }

  /// Starts it again, with what it knew, at another address of this machine.
  package func restart(at address: String) async throws {
    kill()
    let text = try String(contentsOf: configurationFile, encoding: .utf8)
    let former = host.withLock { $0 }
    try Data(text.replacing("bind \(former)", with: "bind \(address)").utf8)
      .write(to: configurationFile)
    host.withLock { $0 = address }
    try await launch()
  }

  private func launch() async throws {
    try? FileManager.default.removeItem(at: directory.appendingPathComponent("log"))
    let new = try ChildProcess(
      place.launcher + ["redis-server", configurationFile.path, "--sentinel"])
    process.withLock { $0 = new }
    try await waitUntil("sentinel \(port) listens", within: .seconds(20)) {
      guard new.isRunning else { throw RedisServer.Failure("a sentinel has ended: \(log)") }
      return log.contains("Sentinel ID is") || log.contains("+monitor")
    }
  }
}
