import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A process that a test starts, signals and ends.
///
/// By `posix_spawn`, since a `Foundation.Process` that is started on a thread of the concurrency
/// pool inherits its blocked signals, SIGTERM among them, and cannot be waited for there.
package final class ChildProcess: Sendable {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  private enum State {
    case running(pid_t)
    /// The status as `waitpid` gave it.
    case ended(CInt)
  }

  /// Protects the process id: once it has been waited for, it may be somebody else's.
  private let state: Mutex<State>

  /// Starts a program, found by `PATH`, with its three standard streams on `/dev/null`.
  package init(_ arguments: [String]) throws {
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var files = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&files)
    defer { unsafe posix_spawn_file_actions_destroy(&files) }
    for descriptor: CInt in 0...2 {
      unsafe posix_spawn_file_actions_addopen(&files, descriptor, "/dev/null", O_RDWR, 0)
    }
    var words: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) }
    unsafe words.append(nil)
    defer { unsafe words.forEach { unsafe free($0) } }
    var pid: pid_t = 0
    let result = unsafe posix_spawnp(&pid, arguments[0], &files, &attributes, words, environ)
    guard result == 0 else {
      throw Failure(description: "\(arguments[0]) cannot be started: errno \(result)")
    }
    state = Mutex(.running(pid))
  }

  /// Whether the process has not ended yet.
  package var isRunning: Bool {
    state.withLock { state in
      collect(&state, WNOHANG)
      if case .running = state { return true } else { return false }
    }
  }

  /// Sends a signal, if the process still runs.
  package func signal(_ number: CInt) {
    state.withLock { state in
      collect(&state, WNOHANG)
      if case .running(let pid) = state { _ = kill(pid, number) }
    }
  }

  /// Sends a signal that ends the process, and waits until it has ended.
  package func end(_ number: CInt) {
    signal(number)
    // A stopped process takes its signal when it goes on.
    signal(SIGCONT)
    state.withLock { state in collect(&state, 0) }
  }

  /// Waits until the process has ended by itself; whether it ended with exit code 0.
  package func succeeds() -> Bool {
    state.withLock { state in
      collect(&state, 0)
      if case .ended(0) = state { return true } else { return false }
    }
  }

  private func collect(_ state: inout State, _ options: CInt) {
    guard case .running(let pid) = state else { return }
    var status: CInt = 0
    while true {
      let result = unsafe waitpid(pid, &status, options)
      if result == pid { return state = .ended(status) }
      if result == 0 || errno != EINTR { return }
    }
  }
}
