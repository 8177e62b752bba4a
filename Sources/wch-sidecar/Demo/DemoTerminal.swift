import Glibc

/// The terminal while the live view owns it: keys as they are typed, and the alternate screen.
final class DemoTerminal {
  private var screen = DemoScreen()
  private let former: termios
  private let guardian: DemoGuardian
  private let hasColors: Bool

  private static let enter = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J"
  private static let leave = "\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l"
  /// A terminal that does not tell its size has the size that terminals used to have.
  private static let usualSize = (columns: 80, rows: 24)
  /// Nobody needs to see more of a very large terminal.
  private static let mostColumns = 200
  private static let mostRows = 100

  /// Whether somebody sits at a terminal that can place its cursor.
  static var isUsable: Bool {
    guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else { return false }
    let kind = variable("TERM") ?? "dumb"
    return kind != "dumb" && kind != ""
  }

  /// Takes the terminal over; the guardian gives it back should the demo be killed.
  init(guardian: DemoGuardian) throws(DemoProcess.Failure) {
    var settings = termios()
    guard unsafe tcgetattr(STDIN_FILENO, &settings) == 0 else {
      throw DemoProcess.Failure(description: "the terminal does not tell its settings")
    }
    former = settings
    self.guardian = guardian
    hasColors = Self.variable("NO_COLOR") ?? "" == ""
    if let name = unsafe ttyname(STDIN_FILENO) {
      guardian.terminalTaken(unsafe String(cString: name))
    }
    // Keys come one by one, unechoed, Ctrl-C included; a read does not wait for one.
    unsafe cfmakeraw(&settings)
    settings.setControl(VMIN, 0)
    settings.setControl(VTIME, 0)
    unsafe tcsetattr(STDIN_FILENO, TCSANOW, &settings)
    write(Self.enter)
  }

  /// Gives the terminal back as it was.
  func close() {
    write(Self.leave)
    var former = former
    unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &former)
    guardian.terminalGivenBack()
  }

  /// What was typed since the last time.
  func keys() -> [Character] {
    var buffer = [UInt8](repeating: 0, count: 64)
    let count = unsafe read(STDIN_FILENO, &buffer, buffer.count)
    // Somebody who pastes a book wants none of it obeyed; an arrow is no letter either.
    guard count > 0, buffer[0] != 0x1b else { return [] }
    return buffer[..<count].map { Character(UnicodeScalar($0)) }
  }

  /// Draws the moment over the one before.
  func draw(_ picture: DemoPicture, _ news: [DemoNews]) {
    screen.add(news)
    let (columns, rows) = size
    let lines = screen.lines(picture, columns: columns, rows: rows).map { line in
      line.map(styled).joined() + "\u{1b}[K"
    }
    write("\u{1b}[H" + lines.joined(separator: "\r\n") + "\u{1b}[J")
  }

  private var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0,
      size.ws_row > 0
    else { return Self.usualSize }
    return (min(Int(size.ws_col), Self.mostColumns), min(Int(size.ws_row), Self.mostRows))
  }

  private func styled(_ span: DemoScreen.Span) -> String {
    let code: Int? =
      switch span.style {
      case .plain: nil
      case .strong: 1
      case .faint: 2
      case .good: hasColors ? 32 : 1
      case .bad: hasColors ? 31 : 7
      case .warning: hasColors ? 33 : 1
      }
    return code.map { "\u{1b}[\($0)m\(span.text)\u{1b}[0m" } ?? span.text
  }

  private func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { bytes in
        unsafe Glibc.write(STDOUT_FILENO, bytes.baseAddress, bytes.count)
      }
      // A terminal that is gone has no use for the rest.
      guard count > 0 || errno == EINTR else { return }
      rest = rest.dropFirst(max(0, count))
    }
  }

  private static func variable(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}

extension termios {
  /// Sets a control character; C has them as an array, which Swift sees as a tuple.
  fileprivate mutating func setControl(_ index: CInt, _ value: cc_t) {
    unsafe withUnsafeMutableBytes(of: &c_cc) { bytes in unsafe bytes[Int(index)] = value }
  }
}
