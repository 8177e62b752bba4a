import Glibc
import Synchronization

/// Where log lines go: stderr, or a file that can be reopened after it was moved away.
package final class LogOutput: Sendable {
  /// The file's path; nil for stderr.
  package let path: String?
  /// Whether stderr is systemd's journal, which takes a priority before each line.
  package let isJournal: Bool
  /// The level of what is written here; it may change while the program runs.
  package let threshold = LogThreshold()
  private struct State {
    var descriptor: CInt
    /// Whether the last line found no reader: then the next one does not wait for one.
    var isStalled = false
    var linesLost = 0
  }

  /// Protects the descriptor, and the writing of a line too.
  ///
  /// Lines of two threads must not mix, and the descriptor must not be closed meanwhile. The wait
  /// under it is bounded by `patience`.
  private let state: Mutex<State>

  /// How long a line waits for whoever reads the pipe, in milliseconds.
  ///
  /// A reader that stands still must cost log lines and not the lease.
  private static let patience: CInt = 50
  /// A pipe that is ready takes this much without blocking (`PIPE_BUF`, pipe(7)).
  private static let chunk = 4096

  /// Writes to stderr.
  ///
  /// - Parameter journalStream: `JOURNAL_STREAM` of the environment.
  package static func standardError(journalStream: String? = nil) -> LogOutput {
    LogOutput(
      path: nil, descriptor: STDERR_FILENO,
      isJournal: journalStream.map { isJournal($0, STDERR_FILENO) } ?? false)
  }

  /// Whether a descriptor is the socket that systemd named (systemd.exec(5)), and not what somebody
  /// has redirected it to since.
  ///
  /// The variable holds device and inode. Sockets are all of one device, and `fstat` cannot be
  /// called here (`RegularFile` says why): the inode stands in `/proc` as well.
  static func isJournal(_ stream: String, _ descriptor: CInt) -> Bool {
    let parts = stream.split(separator: ":")
    guard parts.count == 2, let inode = UInt64(parts[1]) else { return false }
    let expected = Array("socket:[\(inode)]".utf8)
    // One more than the longest that is looked for: a longer target does not fit.
    var target = [CChar](repeating: 0, count: expected.count + 1)
    let length = unsafe readlink("/proc/self/fd/\(descriptor)", &target, target.count)
    return length == expected.count
      && target.prefix(length).map { UInt8(bitPattern: $0) } == expected
  }

  /// Appends to a file, which is made when it is missing.
  package convenience init(file path: String) throws(FileProblem) {
    self.init(path: path, descriptor: try Self.open(path))
  }

  private init(path: String?, descriptor: CInt, isJournal: Bool = false) {
    self.path = path
    self.isJournal = isJournal
    state = Mutex(State(descriptor: descriptor))
  }

  deinit {
    guard path != nil else { return }
    _ = state.withLock { close($0.descriptor) }
  }

  /// Whether the output is a terminal.
  package var isTerminal: Bool { state.withLock { isatty($0.descriptor) == 1 } }

  /// How many lines were lost because nobody read them or the disk was full.
  package var linesLost: Int { state.withLock { $0.linesLost } }

  /// Writes one line, which must end with a newline.
  ///
  /// A line that cannot be written soon is lost and counted.
  package func write(_ line: String) {
    let bytes = Array(line.utf8)
    state.withLock { state in
      let isWritten = Self.write(
        bytes, to: state.descriptor, patience: state.isStalled ? 0 : Self.patience)
      state.isStalled = !isWritten
      if !isWritten { state.linesLost += 1 }
    }
  }

  private static func write(_ bytes: [UInt8], to descriptor: CInt, patience: CInt) -> Bool {
    var written = 0
    while written < bytes.count {
      var readiness = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      let ready = unsafe poll(&readiness, 1, patience)
      if ready < 0, errno == EINTR { continue }
      guard ready > 0, readiness.revents & Int16(POLLOUT) != 0 else { return false }
      let count = unsafe bytes.withUnsafeBytes { buffer in
        let end = min(buffer.count, written + chunk)
        let part = unsafe UnsafeRawBufferPointer(rebasing: buffer[written..<end])
        return unsafe Glibc.write(descriptor, part.baseAddress, part.count)
      }
      if count > 0 {
        written += count
      } else if count < 0, errno != EINTR {
        return false
      }
    }
    return true
  }

  /// Opens the file anew, as after SIGHUP: the old one may have been moved away.
  ///
  /// When that fails the old file stays in use.
  package func reopen() throws(FileProblem) {
    guard let path else { return }
    let fresh = try Self.open(path)
    let old = state.withLock { state in
      let old = state.descriptor
      state = State(descriptor: fresh, linesLost: state.linesLost)
      return old
    }
    close(old)
  }

  /// Why a file could not be logged to; nil when it could.
  ///
  /// It makes none.
  package static func problem(with path: String) -> FileProblem? {
    // A pipe that nobody reads must not hold this up.
    let descriptor = unsafe Glibc.open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC)
    if descriptor >= 0 {
      close(descriptor)
      return nil
    }
    guard errno == ENOENT else { return FileProblem(reason(of: errno)) }
    // It is to be made: then its folder counts.
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    return unsafe access(folder, W_OK | X_OK) == 0 ? nil : FileProblem(reason(of: errno))
  }

  private static func open(_ path: String) throws(FileProblem) -> CInt {
    // Readable by the group, as logs are; nothing secret is in them.
    let descriptor = unsafe Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { throw FileProblem(reason(of: errno)) }
    return descriptor
  }

  private static func reason(of code: CInt) -> String {
    let why =
      switch code {
      case ENOENT, ENOTDIR: "its folder does not exist"
      case EACCES, EPERM: "this user may not write there"
      case EISDIR: "it is a directory"
      case EROFS: "the file system is read-only"
      case ENOSPC, EDQUOT: "the disk is full"
      case ENXIO: "it is a pipe that nobody reads, or a socket"
      default: "errno \(code)"
      }
    return "cannot be opened for writing: \(why)"
  }
}
