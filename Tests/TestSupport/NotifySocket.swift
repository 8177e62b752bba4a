import Foundation
import Testing

/// What listens in systemd's place, and what it heard: a datagram socket, at a path or abstract.
package final class NotifySocket {
  /// The path, or `@name` for an abstract socket.
  package let name: String
  private let descriptor: CInt
  /// Everything that was heard so far.
  package private(set) var messages: [String] = []

  /// Longer messages are cut.
  private static let longest = 4096

  package init(_ name: String) throws {
    self.name = name
    descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
    var bytes = Array(name.utf8)
    if name.hasPrefix("@") { bytes[0] = 0 } else { bytes.append(0) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
    let bound = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor, $0, length)
      }
    }
    try #require(bound == 0)
  }

  deinit {
    close(descriptor)
    if !name.hasPrefix("@") { _ = unsafe unlink(name) }
  }

  /// The next message; nil when there is none.
  package func next() -> String? {
    var bytes = [UInt8](repeating: 0, count: Self.longest)
    let count = unsafe recv(descriptor, &bytes, bytes.count, 0)
    guard count >= 0 else { return nil }
    let message = String(decoding: bytes.prefix(count), as: UTF8.self)
    messages.append(message)
    return message
  }

  /// Takes what has come; returns all that was heard.
  package func hear() -> [String] {
    while next() != nil {}
    return messages
  }

  /// Whether a message is there, after so many.
  package func has(_ message: String, after count: Int = 0) -> Bool {
    hear().dropFirst(count).contains { $0.hasPrefix(message) }
  }
}
