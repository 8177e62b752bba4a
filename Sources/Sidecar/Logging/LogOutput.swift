import Glibc
import Synchronization

/// Where log lines go: stderr, or a file that can be reopened after it was moved away.
package final class LogOutput: Sendable {
  /// The file's path; nil for stderr.
  package let path: String?
  /// Protects the descriptor, and the writing of a line too.
  ///
  /// Lines of two threads must not mix, and the descriptor must not be closed meanwhile.
  private let descriptor: Mutex<CInt>

  /// Writes to stderr.
  package static func standardError() -> LogOutput {
    LogOutput(path: nil, descriptor: STDERR_FILENO)
  }

  /// Appends to a file, which is made when it is missing.
  package convenience init(file path: String) throws(FileProblem) {
    self.init(path: path, descriptor: try Self.open(path))
  }

  private init(path: String?, descriptor: CInt) {
    self.path = path
    self.descriptor = Mutex(descriptor)
  }

  deinit {
    guard path != nil else { return }
    _ = descriptor.withLock { close($0) }
  }

  /// Whether the output is a terminal.
  package var isTerminal: Bool { descriptor.withLock { isatty($0) == 1 } }

  /// Writes one line, which must end with a newline.
  ///
  /// A line that cannot be written is lost: there is nowhere to say so.
  package func write(_ line: String) {
    let bytes = Array(line.utf8)
    descriptor.withLock { descriptor in
      var written = 0
      while written < bytes.count {
        let count = unsafe bytes.withUnsafeBytes { buffer in
          let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[written...])
          return unsafe Glibc.write(descriptor, rest.baseAddress, rest.count)
        }
        if count > 0 {
          written += count
        } else if count < 0, errno != EINTR {
          return
        }
      }
    }
  }

  /// Opens the file anew, as after SIGHUP: the old one may have been moved away.
  ///
  /// When that fails the old file stays in use.
  package func reopen() throws(FileProblem) {
    guard let path else { return }
    let fresh = try Self.open(path)
    let old = descriptor.withLock { descriptor in
      let old = descriptor
      descriptor = fresh
      return old
    }
    close(old)
  }

  private static func open(_ path: String) throws(FileProblem) -> CInt {
    // Readable by the group, as logs are; nothing secret is in them.
    let descriptor = unsafe Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else {
      throw FileProblem("the log file \(path) cannot be opened for writing (errno \(errno))")
    }
    return descriptor
  }
}
