import Glibc
import Sidecar

/// What a verb is asked for, as its reader takes it.
enum StandardOutput {
  /// Writes all of it; a reader that has gone away ends the program in order.
  static func write(_ text: String) throws(Failure) {
    // What `print` has in its buffer comes before.
    fflush(nil)
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { bytes in
        unsafe Glibc.write(STDOUT_FILENO, bytes.baseAddress, bytes.count)
      }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EPIPE {
        exit(ExitStatus.done.rawValue)
      } else if errno == EAGAIN {
        var waiting = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
        unsafe poll(&waiting, 1, -1)
      } else if errno != EINTR {
        throw Failure(.failed, "wch-sidecar: standard output takes no more (errno \(errno))")
      }
    }
  }

  /// The columns of the terminal; nil when it is none.
  static var width: Int? {
    guard isatty(STDOUT_FILENO) == 1 else { return nil }
    return size.columns
  }

  /// The terminal's size, or the one that terminals used to have.
  static var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0,
      size.ws_row > 0
    else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }
}

/// A terminal's other screen, drawn anew each time: whoever ends it finds the first one as it was.
struct WatchView {
  /// Takes the screen; nil when standard output is no terminal that has one.
  init?() {
    guard isatty(STDOUT_FILENO) == 1 else { return nil }
    let kind = unsafe getenv("TERM").map { unsafe String(cString: $0) } ?? ""
    guard kind != "dumb", kind != "" else { return nil }
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in
        WatchView.leave()
        _exit(0)
      }
    }
    // Ctrl-Z shows the first screen, and `fg` the other again with the next drawing.
    signal(SIGTSTP) { _ in
      WatchView.leave()
      raise(SIGSTOP)
    }
    signal(SIGCONT) { _ in WatchView.write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J") }
    WatchView.write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J")
  }

  var size: (columns: Int, rows: Int) { StandardOutput.size }

  /// Draws lines from the top, as far as they have place.
  func draw(_ text: String) throws(Failure) {
    let (columns, rows) = size
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.count > columns ? line.prefix(max(0, columns - 1)) + "…" : String(line)
    }
    if lines.count > rows {
      let hidden = lines.count - rows + 1
      lines = lines.prefix(rows - 1) + ["… and \(hidden) lines more: see `wch-sidecar status`"]
    }
    try StandardOutput.write(
      "\u{1b}[H" + lines.map { $0 + "\u{1b}[K" }.joined(separator: "\r\n") + "\u{1b}[J")
  }

  /// Gives the screen back; a signal handler may do it.
  private static func leave() { write("\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l") }

  private static func write(_ text: StaticString) {
    _ = unsafe Glibc.write(STDOUT_FILENO, text.utf8Start, text.utf8CodeUnitCount)
  }
}
