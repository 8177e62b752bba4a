import NIOCore
import NIOHTTP1

/// Puts the parts of an HTTP request together.
struct RequestCollector {
  private var head: HTTPRequestHead?
  private var body: [UInt8] = []
  private var isTooLong = false

  /// More than any request of these APIs; what comes after is dropped and the body left out.
  static let maxBody = 1 << 20

  /// Takes a part; returns the request once it is complete.
  mutating func take(
    _ part: HTTPServerRequestPart, clientAddress: String, isEncrypted: Bool
  ) -> SimulatedRequest? {
    switch part {
    case .head(let head):
      self.head = head
      body = []
      isTooLong = false
      return nil
    case .body(let buffer):
      isTooLong = isTooLong || body.count + buffer.readableBytes > Self.maxBody
      if !isTooLong { body += buffer.readableBytesView }
      return nil
    case .end:
      guard let head else { return nil }
      self.head = nil
      let (path, query) = Self.split(head.uri)
      return SimulatedRequest(
        method: head.method.rawValue, path: path, query: query,
        headers: head.headers.map { (name: $0.name, value: $0.value) },
        body: isTooLong ? [] : body, clientAddress: clientAddress, isEncrypted: isEncrypted)
    }
  }

  /// Path and decoded query of a request target.
  static func split(_ target: String) -> (String, [(name: String, value: String)]) {
    guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return (target, []) }
    let items = target[target.index(after: mark)...].split(separator: "&").map { item in
      let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (
        name: decode(parts[0]), value: parts.count > 1 ? decode(parts[1]) : ""
      )
    }
    return (String(target[..<mark]), items)
  }

  private static func decode(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), rest.count >= 2,
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
