import Glibc

/// A process that the demo starts, in a process group of its own: Ctrl-C reaches only the demo.
final class DemoProcess {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  let id: pid_t
  private(set) var isRunning = true
  private(set) var isPaused = false
  private let output: CInt
  private var unread: [UInt8] = []
  private let guardian: DemoGuardian?

  /// More of a line than this is cut off; nobody reads on.
  private static let longestLine = 4096
  /// A demo opens some dozens of descriptors; closing one that is not open does nothing.
  private static let inheritable: CInt = 1024

  /// Starts a program by its path, with exactly that environment; stdout and stderr come together.
  init(
    _ path: String, _ arguments: [String], environment: [String: String] = [:],
    input: CInt? = nil, guardian: DemoGuardian? = nil
  ) throws(Failure) {
    let pipe = try Self.pipe()
    defer { _ = Glibc.close(pipe.writing) }
    do {
      id = try Self.spawn(path, arguments, environment, input: input, output: pipe.writing)
    } catch {
      _ = Glibc.close(pipe.reading)
      throw error
    }
    _ = fcntl(pipe.reading, F_SETFL, O_NONBLOCK)
    output = pipe.reading
    self.guardian = guardian
    guardian?.watch(id)
  }

  deinit { _ = Glibc.close(output) }

  /// A pipe whose ends no program that we start inherits.
  static func pipe() throws(Failure) -> (reading: CInt, writing: CInt) {
    var ends: [CInt] = [-1, -1]
    guard unsafe Glibc.pipe(&ends) == 0 else {
      throw Failure(description: "no pipe is to be had (errno \(errno))")
    }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  // MARK: Signals

  /// SIGKILL, as a crash.
  func kill() {
    signal(SIGKILL)
    reap(waiting: true)
  }

  /// Asks for an orderly end.
  func terminate() {
    signal(SIGTERM)
    resume()
  }

  /// SIGSTOP: it does nothing, and its sockets stay open.
  func pause() {
    signal(SIGSTOP)
    isPaused = isRunning
  }

  /// SIGCONT.
  func resume() {
    signal(SIGCONT)
    isPaused = false
  }

  private func signal(_ number: CInt) {
    reap()
    if isRunning { _ = Glibc.kill(id, number) }
  }

  /// Notices the end; until then the process id is nobody else's.
  func reap(waiting: Bool = false) {
    guard isRunning else { return }
    var status: CInt = 0
    while true {
      let result = unsafe waitpid(id, &status, waiting ? 0 : WNOHANG)
      if result == 0 { return }
      if result == -1, errno == EINTR { continue }
      break
    }
    isRunning = false
    isPaused = false
    guardian?.forget(id)
  }

  // MARK: Output

  /// The whole lines that it has written since the last time; never waits.
  func lines() -> [String] {
    var found: [String] = []
    var buffer = [UInt8](repeating: 0, count: Self.longestLine)
    while true {
      let count = unsafe read(output, &buffer, buffer.count)
      guard count > 0 else { break }
      for byte in buffer[..<count] {
        if byte == UInt8(ascii: "\n") {
          found.append(String(decoding: unread, as: UTF8.self))
          unread = []
        } else if unread.count < Self.longestLine {
          unread.append(byte)
        }
      }
    }
    return found
  }

  // MARK: Starting

  private static func spawn(
    _ path: String, _ arguments: [String], _ environment: [String: String], input: CInt?,
    output: CInt
  ) throws(Failure) -> pid_t {
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe sigaddset(&signals, SIGPIPE)
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    unsafe posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    var files = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&files)
    defer { unsafe posix_spawn_file_actions_destroy(&files) }
    if let input {
      unsafe posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO)
    } else {
      unsafe posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    }
    unsafe posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO)
    // NIO's sockets would be inherited: the simulated WeChat would go on listening in its children.
    for descriptor in (STDERR_FILENO + 1)..<inheritable {
      unsafe posix_spawn_file_actions_addclose(&files, descriptor)
    }

    let words = unsafe copied(arguments)
    let variables = unsafe copied(environment.map { "\($0.key)=\($0.value)" }.sorted())
    defer { unsafe (words + variables).forEach { unsafe free($0) } }
    var id: pid_t = 0
    let result = unsafe posix_spawn(&id, path, &files, &attributes, words, variables)
    guard result == 0 else {
      throw Failure(description: "\(path) cannot be started (errno \(result))")
    }
    return id
  }

  /// The strings as C has them, with the null at the end; the caller frees them.
  private static func copied(_ strings: [String]) -> [UnsafeMutablePointer<CChar>?] {
    unsafe strings.map { unsafe strdup($0) } + [nil]
  }
}

/// Ends what the demo has started when the demo dies without having done so itself.
///
/// A shell that reads process ids from a pipe, which ends with us however we end. The kernel's
/// parent-death signal will not do: it comes when the starting *thread* ends, and threads of the
/// concurrency pool come and go.
final class DemoGuardian {
  private let pipe: CInt
  private let shell: DemoProcess

  private static let script = """
    trap '' INT TERM HUP TTIN TTOU
    while read -r sign id; do
      case $sign in
        +) ids="$ids $id" ;;
        -) rest=; for one in $ids; do [ "$one" = "$id" ] || rest="$rest $one"; done; ids=$rest ;;
        t) terminal=$id ;;
      esac
    done
    [ -z "$ids" ] || kill -9 $ids
    if [ -n "$terminal" ]; then
      exec <"$terminal" >"$terminal"
      stty sane
      printf '\\033[0m\\033[?25h\\033[?1049l'
    fi
    """

  init() throws(DemoProcess.Failure) {
    let ends = try DemoProcess.pipe()
    defer { _ = close(ends.reading) }
    shell = try DemoProcess("/bin/sh", ["sh", "-c", Self.script], input: ends.reading)
    pipe = ends.writing
  }

  /// Everybody has ended; so does the guardian.
  func dismiss() {
    _ = close(pipe)
    shell.reap(waiting: true)
  }

  /// The terminal has to be given back, too.
  func terminalTaken(_ device: String) { tell("t \(device)\n") }
  func terminalGivenBack() { tell("t\n") }

  func watch(_ id: pid_t) { tell("+ \(id)\n") }
  func forget(_ id: pid_t) { tell("- \(id)\n") }

  private func tell(_ line: String) {
    let bytes = Array(line.utf8)
    _ = unsafe write(pipe, bytes, bytes.count)
  }
}
