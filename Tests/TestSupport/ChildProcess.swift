import Dispatch
import Foundation
import Synchronization

/// A process that a test starts, signals and ends.
///
/// By `posix_spawn`, since a `Foundation.Process` that is started on a thread of the concurrency
/// pool inherits its blocked signals, SIGTERM among them, and cannot be waited for there.
package final class ChildProcess: Sendable {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// How a process ended.
  package enum Exit: Hashable, Sendable {
    case code(Int)
    case signal(Int)
  }

  private enum State {
    case running(pid_t)
    case ended(Exit)
  }

  /// How long a process may take to obey a signal that ends it.
  private static let patience: DispatchTimeInterval = .seconds(10)

  /// The process id; another process may have it after this one has ended.
  package let id: Int32
  /// Protects the process id: once it has been waited for, it may be somebody else's.
  private let state: Mutex<State>

  /// Starts a program, found by `PATH`.
  ///
  /// - Parameters:
  ///   - environment: all that it sees; nil passes on our own.
  ///   - standardOutput: a descriptor that the child writes to; nil for `/dev/null`. It stays the
  ///     caller's.
  ///   - blockedSignals: wait from the child's first moment until it unblocks them.
  package init(
    _ arguments: [String], environment: [String: String]? = nil, standardInput: CInt? = nil,
    standardOutput: CInt? = nil, standardError: CInt? = nil, blockedSignals: [CInt] = []
  ) throws {
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var blocked = sigset_t()
    unsafe sigemptyset(&blocked)
    for number in blockedSignals { unsafe sigaddset(&blocked, number) }
    unsafe posix_spawnattr_setsigmask(&attributes, &blocked)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var files = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&files)
    defer { unsafe posix_spawn_file_actions_destroy(&files) }
    for (descriptor, source) in zip(CInt(0)..., [standardInput, standardOutput, standardError]) {
      if let source {
        unsafe posix_spawn_file_actions_adddup2(&files, source, descriptor)
      } else {
        unsafe posix_spawn_file_actions_addopen(&files, descriptor, "/dev/null", O_RDWR, 0)
      }
    }
    unsafe closeInherited(&files)
    let variables = environment ?? ProcessInfo.processInfo.environment
    let words = unsafe copied(arguments)
    let settings = unsafe copied(variables.map { "\($0.key)=\($0.value)" }.sorted())
    defer { unsafe (words + settings).forEach { unsafe free($0) } }
    var pid: pid_t = 0
    let result = unsafe posix_spawnp(&pid, arguments[0], &files, &attributes, words, settings)
    guard result == 0 else {
      throw Failure(description: "\(arguments[0]) cannot be started: errno \(result)")
    }
    id = pid
    state = Mutex(.running(pid))
    Guardian.watch(pid)
  }

  /// Whether the process has not ended yet.
  package var isRunning: Bool { exit == nil }

  /// How the process ended; nil while it runs.
  package var exit: Exit? {
    state.withLock { state in
      collect(&state, WNOHANG)
      if case .ended(let exit) = state { return exit } else { return nil }
    }
  }

  /// Sends a signal, if the process still runs.
  package func signal(_ number: CInt) {
    state.withLock { state in
      collect(&state, WNOHANG)
      if case .running(let pid) = state { _ = kill(pid, number) }
    }
  }

  /// Sends a signal that ends the process, and waits until it has ended; one that does not obey
  /// is killed.
  package func end(_ number: CInt) {
    signal(number)
    // A stopped process takes its signal when it goes on.
    signal(SIGCONT)
    let impatience = DispatchWorkItem { [self] in signal(SIGKILL) }
    DispatchQueue.global().asyncAfter(deadline: .now() + Self.patience, execute: impatience)
    defer { impatience.cancel() }
    // It ends, and keeps its id until it is collected.
    var info = unsafe siginfo_t()
    while unsafe waitid(P_PID, id_t(id), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
    state.withLock { state in collect(&state, 0) }
  }

  /// Waits until the process has ended by itself; whether it ended with exit code 0.
  package func succeeds() -> Bool {
    state.withLock { state in
      collect(&state, 0)
      if case .ended(.code(0)) = state { return true } else { return false }
    }
  }

  private func collect(_ state: inout State, _ options: CInt) {
    guard case .running(let pid) = state else { return }
    var status: CInt = 0
    while true {
      let result = unsafe waitpid(pid, &status, options)
      if result == pid {
        let number = Int(status & 0x7f)
        state = .ended(number == 0 ? .code(Int((status >> 8) & 0xff)) : .signal(number))
        return Guardian.forget(pid)
      }
      if result == 0 || errno != EINTR { return }
    }
  }
}

/// Ends what a test process started when it dies without having ended it itself.
///
/// A shell that reads the ids of our children from a pipe; the pipe ends with us.
private final class Guardian: Sendable {
  private static let shared = Guardian()
  private let pipe: CInt

  private static let script = """
    trap '' INT TERM HUP
    while read -r sign id; do
      case $sign in
        +) ids="$ids $id" ;;
        -) rest=; for one in $ids; do [ "$one" = "$id" ] || rest="$rest $one"; done; ids=$rest ;;
      esac
    done
    [ -z "$ids" ] || kill -9 $ids
    """

  private init() {
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    var files = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&files)
    defer {
      unsafe posix_spawnattr_destroy(&attributes)
      unsafe posix_spawn_file_actions_destroy(&files)
    }
    let ends = openPipe()
    unsafe posix_spawn_file_actions_adddup2(&files, ends.reading, 0)
    unsafe posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_RDWR, 0)
    unsafe posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_RDWR, 0)
    unsafe closeInherited(&files)
    let words = unsafe copied(["/bin/sh", "-c", Self.script])
    defer { unsafe words.forEach { unsafe free($0) } }
    var pid: pid_t = 0
    let result = unsafe posix_spawn(&pid, "/bin/sh", &files, &attributes, words, environ)
    precondition(result == 0, "/bin/sh cannot be started")
    close(ends.reading)
    pipe = ends.writing
  }

  static func watch(_ id: pid_t) { shared.tell("+ \(id)\n") }
  static func forget(_ id: pid_t) { shared.tell("- \(id)\n") }

  private func tell(_ line: String) {
    // Shorter than PIPE_BUF, so that lines of several threads do not mix.
    _ = unsafe line.utf8CString.withUnsafeBytes { bytes in
      unsafe write(pipe, bytes.baseAddress, bytes.count - 1)
    }
  }
}

/// The strings as C has them, with the null at the end; the caller frees them.
private func copied(_ strings: [String]) -> [UnsafeMutablePointer<CChar>?] {
  var copies: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) }
  unsafe copies.append(nil)
  return unsafe copies
}

/// A pipe whose ends no other child inherits.
package func openPipe() -> (reading: CInt, writing: CInt) {
  var ends: [CInt] = [-1, -1]
  precondition(unsafe pipe(&ends) == 0, "no pipe is to be had: errno \(errno)")
  for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  return (ends[0], ends[1])
}

/// Leaves a child nothing but its three standard descriptors.
///
/// NIO's sockets are inherited otherwise: a server that a test closes would go on listening in
/// whatever child was started meanwhile.
private func closeInherited(_ files: inout posix_spawn_file_actions_t) {
  _ = unsafe closeFrom?(&files, 3)
}

/// `posix_spawn_file_actions_addclosefrom_np`, which glibc has since 2.34 and its module hides.
private let closeFrom = unsafe dlsym(nil, "posix_spawn_file_actions_addclosefrom_np").map {
  unsafe unsafeBitCast(
    $0, to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt) -> CInt).self)
}
