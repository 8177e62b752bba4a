/// What a stranger sends on one connection to the HTTP interface, made from a seed: a few requests
/// from a grammar of their parts, bent, and cut anywhere.
package struct HostileConnection: Sendable {
  /// How the stranger goes.
  package enum Ending: CaseIterable, Sendable {
    /// When nothing more comes.
    case patient
    /// Says first that it sends no more.
    case halfClosed
    /// By a reset, soon.
    case reset
    /// At once, without reading.
    case gone
  }

  package let seed: UInt64
  /// Sent one after the other.
  package let pieces: [[UInt8]]
  package let ending: Ending

  /// All that is sent.
  package var bytes: [UInt8] { pieces.flatMap(\.self) }

  /// The connection of that seed.
  package init(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    self.seed = seed
    var bytes: [UInt8] = []
    switch Int.random(in: 0..<40, using: &random) {
    case 0: bytes = Self.noise(using: &random)
    case 1: bytes = Self.clientHello
    case 2: bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]
    default:
      for _ in 0..<(Int.random(in: 0...3, using: &random) == 0 ? 4 : 1) {
        bytes += Self.request(using: &random)
      }
      if Int.random(in: 0...2, using: &random) == 0 {
        for _ in 0...Int.random(in: 0...2, using: &random) { Self.bend(&bytes, using: &random) }
      }
    }
    pieces = Self.cut(bytes, using: &random)
    ending = Ending.allCases.randomElement(using: &random) ?? .patient
  }

  // MARK: Parts

  private static let methods = [
    "GET", "GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT",
    "TRACE", "PATCH", "get", "PROPFIND", "G T", "", "\u{0}", String(repeating: "M", count: 3000),
  ]
  private static let targets = [
    "/", "/v1/status", "/livez", "/readyz", "/startupz", "/metrics", "/v1/token", "/v1/token",
    "/v1/refresh", "/v1/refresh", "/readyz?account=default", "/v1/token?account=", "/nowhere",
    "/v1/token?account=%00", "/v1/token?account=a&account=b", "/v1/%74oken", "/v1/../v1/token",
    "//v1/token", "/v1/token/", "/livez?%zz", "/livez#x", "*", "evil.com:80", "/\u{e9}", "/ /",
    "http://evil.com/v1/token", "http://localhost/v1/token", "https://[::1/livez", "http:///",
    "?", "", "/\u{0}", "/\\..\\v1\\token", "/" + String(repeating: "a", count: 9000),
    "/livez?" + String(repeating: "%41", count: 20_000),
  ]
  private static let versions = [
    "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0",
    "HTTP/9.9", "HTTP/1.10", "http/1.1", "HTTP/1", "HTTP/1.1 x", "", "HTTP/99999999999.1",
  ]
  private static let hosts = [
    "localhost", "localhost", "127.0.0.1", "[::1]:80", "evil.com", "[::1].evil.com", "[localhost]",
    "127.+1.0.1", "", "localhost, evil.com", "\u{0}", String(repeating: "h", count: 2000),
  ]
  private static let headers = [
    "Connection: close", "Connection: Close", "Connection: keep-alive", "Connection: close, TE",
    "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Connection: Upgrade\r\nUpgrade: websocket", "Expect: 100-continue", "Expect: 200-ok",
    "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding : chunked", "TE: trailers",
    "Transfer-Encoding: \u{b}chunked", "Content-Length: 0", "Content-Length: 5",
    "Content-Length: 5, 5", "Content-Length: -1", "Content-Length: +2", "Content-Length: 0x2",
    "Content-Length: 18446744073709551616", "Content-Length: 9223372036854775807",
    "Content-Length: 100000000", "Content-Type: text/plain", "Content-Encoding: gzip",
    "Origin: https://evil.com", "Origin: null", "Sec-Fetch-Site: cross-site",
    "Authorization: Bearer wrong", "Authorization: Bearer ", "Authorization: Basic Og==",
    "Authorization: bearer\tx", "Cookie: " + String(repeating: "c=d; ", count: 900),
    "X: a\r\n b", "no colon", ": no name", "Bad Name: x", "X\u{0}: y", "X: \u{0}", "X: \u{7f}",
    "X: \u{e9}", "Range: bytes=0-1", "If-None-Match: *", "X-Forwarded-For: 127.0.0.1",
    "X-HTTP-Method-Override: POST", "Host: localhost", "Accept-Encoding: gzip", "Max-Forwards: 0",
  ]
  private static let bodies = [
    "{\"force\":true}", "{\"force\":false}", "{\"rejected_token\":\"x\"}", "{}", "[]", "null", "",
    "{\"rejected_sha256\":\"\(String(repeating: "0", count: 64))\"}", "{\"account\":\"nobody\"}",
    "{\"rejected_token\":1}", "{\"force\":true,\"account\":\"\\u0000\"}", "\u{feff}{}",
    String(repeating: "[", count: 3000), String(repeating: "x", count: 4097),
    String(repeating: "x", count: 100_000), "{\"rejected_token\":\"\u{0}\"}",
  ]
  /// What may stand for the end of a line.
  private static let ends = ["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\n\r"]
  /// The beginning of a TLS 1.3 handshake.
  private static let clientHello: [UInt8] =
    [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3] + Array(repeating: 0xab, count: 300)

  private static func request(using random: inout SeededGenerator) -> [UInt8] {
    func one(_ parts: [String], _ random: inout SeededGenerator) -> String {
      parts.randomElement(using: &random) ?? ""
    }
    let isPlain = Int.random(in: 0...2, using: &random) == 0
    let end = isPlain ? "\r\n" : one(ends, &random)
    var lines = [
      isPlain
        ? "\(one(["GET", "HEAD", "POST"], &random)) \(one(Array(targets.prefix(10)), &random))"
          + " HTTP/1.1"
        : "\(one(methods, &random)) \(one(targets, &random)) \(one(versions, &random))"
    ]
    if Int.random(in: 0...9, using: &random) > 0 {
      lines.append("Host: \(isPlain ? "localhost" : one(hosts, &random))")
    }
    if !isPlain {
      for _ in 0..<Int.random(in: 0...3, using: &random) { lines.append(one(headers, &random)) }
      if Int.random(in: 0...99, using: &random) == 0 {
        lines += (0..<200).map { "X\($0): y" }
      }
    }
    var body: [UInt8] = []
    if Int.random(in: 0...1, using: &random) == 0 {
      let content = Array(one(bodies, &random).utf8)
      switch Int.random(in: 0...4, using: &random) {
      case 0, 1:
        lines.append("Content-Length: \(content.count)")
        body = content
      case 2:
        let off = Int.random(in: -3...3, using: &random)
        lines.append("Content-Length: \(content.count + off)")
        body = content
      case 3:
        lines.append("Transfer-Encoding: chunked")
        body = chunked(content, using: &random)
      default: body = content
      }
    }
    return Array((lines.joined(separator: end) + end + end).utf8) + body
  }

  /// The content in chunks, at times wrong ones.
  static func chunked(_ content: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
    var body: [UInt8] = []
    var rest = content[...]
    while !rest.isEmpty {
      let size = Int.random(in: 1...max(1, rest.count), using: &random)
      let fault = Int.random(in: 0...30, using: &random)
      let written =
        switch fault {
        case 0: "ffffffffffffffff"
        case 1: "-1"
        case 2: "\(size)x"
        case 3: String(size + 1, radix: 16)
        case 4: String(size, radix: 16) + ";a=\"b\";c"
        case 5: "0000000000" + String(size, radix: 16)
        default: String(size, radix: 16)
        }
      body += Array("\(written)\r\n".utf8) + rest.prefix(size) + Array("\r\n".utf8)
      rest = rest.dropFirst(size)
    }
    let last = ["0\r\n\r\n", "0\r\n\r\n", "0\r\n\r\n", "0\r\nX: y\r\n\r\n", "0\r\n", ""]
    return body + Array((last.randomElement(using: &random) ?? "").utf8)
  }

  static func noise(using random: inout SeededGenerator) -> [UInt8] {
    (0..<Int.random(in: 0...600, using: &random)).map { _ in .random(in: 0...255, using: &random) }
  }

  /// One change: a byte other, more or fewer, an end cut off, a part twice.
  static func bend(_ bytes: inout [UInt8], using random: inout SeededGenerator) {
    let position = Int.random(in: 0...bytes.count, using: &random)
    switch Int.random(in: 0...4, using: &random) {
    case 0 where position < bytes.count: bytes[position] = .random(in: 0...255, using: &random)
    case 1 where position < bytes.count: bytes.remove(at: position)
    case 2: bytes.removeLast(bytes.count - position)
    case 3:
      let part = bytes[position...].prefix(2000)
      bytes.insert(contentsOf: part, at: Int.random(in: 0...position, using: &random))
    default:
      let inserted = ["\r\n", "\r\n\r\n", "\r", "\n", "\u{0}", " ", ":", "\t", "0\r\n\r\n"]
      bytes.insert(
        contentsOf: Array((inserted.randomElement(using: &random) ?? "").utf8), at: position)
    }
  }

  /// The bytes in up to six pieces; a short text at times one by one.
  static func cut(_ bytes: [UInt8], using random: inout SeededGenerator) -> [[UInt8]] {
    switch Int.random(in: 0...9, using: &random) {
    case 0 where bytes.count < 200: return bytes.map { [$0] }
    case 0...4:
      let places = (0..<Int.random(in: 1...5, using: &random))
        .map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
      return zip([0] + places, places + [bytes.count]).map { Array(bytes[$0..<$1]) }
    default: return [bytes]
    }
  }
}
