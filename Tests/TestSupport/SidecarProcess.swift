import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// One real `wch-sidecar` as a process of its own: started with an exact environment, its log read
/// as it comes.
package final class SidecarProcess: Sendable {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
  }

  /// One line of the log.
  package struct LogLine: Sendable {
    /// When we read it.
    package let at: ContinuousClock.Instant
    package let level: String
    package let message: String
    /// All members of the JSON object, as text.
    package let fields: [String: String]
    /// The line as it came.
    package let text: String
  }

  fileprivate struct Output {
    var lines: [LogLine] = []
    var text = ""
    /// What was no line of the log.
    var strayText = ""
    var hasEnded = false
  }

  /// What this replica is called, in the lock and in its log.
  package let instance: String
  /// Where its HTTP interface listens, when it does.
  package let socket: String?
  /// Right before the process was started.
  package let startedAt: ContinuousClock.Instant
  private let process: ChildProcess
  /// Protects what was read: written by the event loop, read by tests.
  private let output: Mutex<Output>
  private let standardOutput: Mutex<Output>

  /// The program under test: `WCH_SIDECAR_BINARY`, or `wch-sidecar` beside the running tests.
  package static let binary: String = {
    if let given = ProcessInfo.processInfo.environment["WCH_SIDECAR_BINARY"] { return given }
    let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return tests.deletingLastPathComponent().appendingPathComponent("wch-sidecar").path
  }()

  /// Starts the program.
  ///
  /// - Parameters:
  ///   - environment: all of its environment.
  ///   - socket: the path in `WCH_HTTP_LISTEN`, if it is a Unix socket.
  ///   - input: what it reads from stdin: some lines, not more than a pipe takes.
  ///   - blockedSignals: wait from its first moment until it unblocks them.
  ///   - launcher: a command that runs the one behind it in its own place, such as `prlimit`.
  package init(
    _ arguments: [String] = ["run"], environment: [String: String], instance: String = "",
    socket: String? = nil, input: String? = nil, blockedSignals: [CInt] = [],
    launcher: [String] = []
  ) throws {
    self.instance = instance
    self.socket = socket
    var all = environment
    // Coverage is collected from the processes, too.
    all["LLVM_PROFILE_FILE"] = ProcessInfo.processInfo.environment["LLVM_PROFILE_FILE"]
    let (out, error) = (openPipe(), openPipe())
    defer {
      close(out.writing)
      close(error.writing)
    }
    let given = input.map { text in
      let pipe = openPipe()
      let bytes = Array(text.utf8)
      precondition(unsafe write(pipe.writing, bytes, bytes.count) == bytes.count)
      close(pipe.writing)
      return pipe.reading
    }
    defer { given.map { _ = close($0) } }
    startedAt = .now
    process = try ChildProcess(
      launcher + [Self.binary] + arguments, environment: all, standardInput: given,
      standardOutput: out.writing,
      standardError: error.writing, blockedSignals: blockedSignals)
    output = Mutex(Output())
    standardOutput = Mutex(Output())
    Self.read(error.reading) { [weak self] line in
      self?.output.withLock { $0.take(line) }
    }
    Self.read(out.reading) { [weak self] line in
      self?.standardOutput.withLock { $0.take(line) }
    }
  }

  deinit { process.end(SIGKILL) }

  // MARK: Signals

  /// The process id, for `/proc`.
  package var id: Int32 { process.id }

  /// SIGTERM: an orderly end.
  package func terminate() { process.signal(SIGTERM) }

  /// SIGHUP: look at files again.
  package func hangUp() { process.signal(SIGHUP) }

  /// SIGABRT: the end that a failed assertion makes.
  package func abort() { process.signal(SIGABRT) }

  /// SIGKILL, and waits for the end.
  package func kill() { process.end(SIGKILL) }

  /// SIGSTOP: the process does nothing, and its sockets stay open.
  package func pause() { process.signal(SIGSTOP) }

  /// SIGCONT.
  package func resume() { process.signal(SIGCONT) }

  /// Whether the process has not ended yet.
  package var isRunning: Bool { process.isRunning }

  /// How the process ended; nil while it runs.
  package var exit: ChildProcess.Exit? { process.exit }

  /// Waits for the end.
  package func waitForExit(within limit: Duration = .seconds(15)) async throws
    -> ChildProcess.Exit
  {
    let exit = try await waited(for: "the end of \(instance)", within: limit) { process.exit }
    // What it wrote last may still be in the pipes.
    try await waitUntil("the end of its output", within: .seconds(5)) {
      output.withLock { $0.hasEnded } && standardOutput.withLock { $0.hasEnded }
    }
    return exit
  }

  // MARK: Output

  /// The log so far.
  package var log: [LogLine] { output.withLock { $0.lines } }

  /// Everything that was written to stderr so far.
  package var errorText: String { output.withLock { $0.text } }

  /// What was written to stderr and is not a line of the log, so far.
  package var strayText: String { output.withLock { $0.strayText } }

  /// Everything that was written to stdout so far.
  package var outputText: String { standardOutput.withLock { $0.text } }

  /// How many lines there are: where a later wait begins.
  package var logPosition: Int { output.withLock { $0.lines.count } }

  /// Waits for a line with that message.
  ///
  /// - Parameters:
  ///   - position: lines before it do not count.
  ///   - isMeant: looks at the line's other members.
  @discardableResult
  package func waitForLog(
    _ message: String, after position: Int = 0, within limit: Duration = .seconds(10),
    where isMeant: (LogLine) -> Bool = { _ in true }
  ) async throws -> LogLine {
    do {
      return try await waited(for: message, within: limit, every: .milliseconds(2)) {
        output.withLock { output in
          output.lines.dropFirst(position).first { $0.message == message && isMeant($0) }
        }
      }
    } catch let error as TimedOut {
      throw Failure("\(instance) did not log \(error); it logged:\n\(errorText.suffix(3000))")
    }
  }

  // MARK: HTTP

  /// Asks its HTTP interface.
  package func get(_ path: String) async throws -> HTTPAnswer {
    try await ask("GET", path)
  }

  /// Asks its HTTP interface.
  package func ask(_ method: String, _ path: String, body: String = "") async throws
    -> HTTPAnswer
  {
    guard let socket else { throw Failure("\(instance) has no HTTP interface") }
    return try await PlainHTTP.ask(socket: socket, method: method, path: path, body: body)
  }

  /// Waits until a path is answered with that status.
  @discardableResult
  package func waitForStatus(
    _ status: Int, of path: String, within limit: Duration = .seconds(10)
  ) async throws -> HTTPAnswer {
    try await waited(for: "\(path) answers \(status) at \(instance)", within: limit) {
      let answer = try? await get(path)
      return answer?.status == status ? answer : nil
    }
  }

  // MARK: Reading

  private static func read(_ descriptor: CInt, _ take: @escaping @Sendable (String?) -> Void) {
    // A channel of the process's own pipe; it ends with the writer, and nobody waits for it.
    _ = NIOPipeBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(LineReader(take: take))
        }
      }
      .takingOwnershipOfDescriptor(input: descriptor)
  }

  private final class LineReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let take: @Sendable (String?) -> Void
    private var pending = ByteBuffer()

    init(take: @escaping @Sendable (String?) -> Void) { self.take = take }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      var part = unwrapInboundIn(data)
      pending.writeBuffer(&part)
      while let end = pending.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
        let length = end - pending.readerIndex + 1
        take(pending.readString(length: length))
      }
      pending.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) {
      if let rest = pending.readString(length: pending.readableBytes), !rest.isEmpty {
        take(rest)
      }
      take(nil)
    }
  }
}

extension SidecarProcess.Output {
  /// A line with its newline; nil at the end.
  fileprivate mutating func take(_ line: String?) {
    guard let line else { return hasEnded = true }
    text += line
    guard line.hasPrefix("{"),
      let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
    else {
      strayText += line
      return
    }
    let fields = object.mapValues { "\($0)" }
    lines.append(
      SidecarProcess.LogLine(
        at: .now, level: fields["level"] ?? "", message: fields["message"] ?? "", fields: fields,
        text: line))
  }
}
