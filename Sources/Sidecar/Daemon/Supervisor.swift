import Glibc
import Synchronization

/// systemd, or whoever started the process and listens as it does (sd_notify(3)): told when it is
/// ready, how it is, that it lives, and that it ends.
package final class Supervisor: Sendable {
  private let descriptor: CInt
  private let address: sockaddr_un
  private let addressLength: socklen_t
  /// How often a sign of life is due; nil when nobody asks for them.
  package let watchdog: Duration?
  /// Protects what was said last: it is said once.
  private let lastStatus = Mutex("")

  /// A status line is cut after so many bytes: it is shown in one line.
  static let longestStatus = 240

  /// Nil where nobody listens.
  ///
  /// - Parameter environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of it count.
  package init?(environment: [String: String]) {
    guard let path = environment["NOTIFY_SOCKET"],
      let (address, length) = Self.address(of: path)
    else { return nil }
    // Nobody waits for whoever listens; children do not inherit it.
    let flags =
      CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    descriptor = socket(AF_UNIX, flags, 0)
    guard descriptor >= 0 else { return nil }
    self.address = address
    addressLength = length
    let isMeant = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
    watchdog =
      isMeant
      ? environment["WATCHDOG_USEC"].flatMap { Int64($0) }.flatMap {
        $0 > 0 ? .microseconds($0) : nil
      } : nil
  }

  deinit { close(descriptor) }

  /// A path in the file system, or `@name`: an abstract one, whose first byte is zero.
  private static func address(of path: String) -> (sockaddr_un, socklen_t)? {
    var bytes = Array(path.utf8)
    guard let first = bytes.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "@"),
      bytes.count > 1
    else { return nil }
    if first == UInt8(ascii: "@") { bytes[0] = 0 }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard bytes.count < room else { return nil }
    // SAFETY: the count was just compared with the room, and the rest is zeros.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    // An abstract name ends with the length; a path with a zero.
    let end = first == UInt8(ascii: "@") ? bytes.count : bytes.count + 1
    return (address, socklen_t(MemoryLayout<sa_family_t>.size + end))
  }

  /// The loop runs, and HTTP listens.
  package func ready() { send("READY=1") }

  /// The settings are being read again; `reloaded` follows.
  package func reloading() {
    send("RELOADING=1\nMONOTONIC_USEC=\(Self.monotonicMicroseconds)")
  }

  package func reloaded() { send("READY=1") }

  /// The orderly end begins.
  package func stopping() { send("STOPPING=1") }

  /// A sign of life.
  package func lives() { send("WATCHDOG=1") }

  /// How it is, in one line; what was said last is not said again.
  package func status(_ text: String) {
    let line = String(
      decoding: text.utf8.prefix(Self.longestStatus).map {
        $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: " ") : $0
      }, as: UTF8.self)
    let isNews = lastStatus.withLock { last in
      defer { last = line }
      return last != line
    }
    if isNews { send("STATUS=\(line)") }
  }

  /// systemd compares it with its own reading of this clock.
  private static var monotonicMicroseconds: Int64 {
    var time = timespec()
    // SAFETY: the pointer is to a value on this stack, written before it returns.
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
  }

  /// Lost when nobody listens any more, or its queue is full: nothing here depends on it.
  private func send(_ text: String) {
    let bytes = Array(text.utf8)
    var address = address
    // SAFETY: both pointers are to values on this stack, and the length is the address's own.
    unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        _ = unsafe sendto(
          descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL), pointer, addressLength)
      }
    }
  }
}
