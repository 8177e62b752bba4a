/// What comes back in place of WeChat's answer, made from a seed: framing × coding × charset ×
/// shape, and what may be made of it.
package struct HostileAnswer: Sendable {
  /// What becomes of the connection after the last piece.
  package enum Ending: Sendable {
    case closed, halfClosed, reset
    /// Open, until the other side goes.
    case kept
  }

  /// Stands in every token; must stand in nothing that is shown.
  package static let mark = "Hu5h"

  package let seed: UInt64
  /// Sent one after the other.
  package private(set) var pieces: [[UInt8]] = []
  package private(set) var ending = Ending.closed
  /// The tokens that may be taken from it, each with its longest life in seconds.
  package private(set) var acceptable: [String: Int64] = [:]
  /// The token that must be taken from it: nothing is wrong.
  package private(set) var required: String?
  /// The errcode that must be taken from it: nothing is wrong.
  package private(set) var requiredCode: Int?
  /// For the report of a failure.
  package private(set) var summary = ""

  /// The answer of that seed.
  ///
  /// - Parameter member: what holds the token, or whatever else was asked for.
  package init(seed: UInt64, member: String = "access_token") {
    self.seed = seed
    var random = SeededGenerator(seed: seed)
    var content = Content(seed: seed, using: &random)
    content.bytes = content.bytes.replacing(
      Array("access_token".utf8), with: Array(member.utf8))
    let text = Charset.allCases.randomElement(using: &random) ?? .utf8
    let coding = Coding.allCases.randomElement(using: &random) ?? .identity
    let isUsual = Int.random(in: 0...3, using: &random) == 0
    let usedText = isUsual ? .utf8 : text
    let usedCoding = isUsual ? .identity : coding
    let body = usedCoding.applied(to: usedText.applied(to: content.bytes), using: &random)
    var frame = Frame(body: body.bytes, coding: usedCoding, using: &random)
    let isBent = Int.random(in: 0...9, using: &random) == 0
    if isBent { HostileConnection.bend(&frame.bytes, using: &random) }
    pieces = HostileConnection.cut(frame.bytes, using: &random)
    ending = frame.ending
    summary =
      "\(content.kind), \(usedText), \(usedCoding), \(frame.kind)\(isBent ? ", bent" : ""),"
      + " then \(frame.ending)"
    // A byte changed in a token makes another one, and one in a life, too: nobody can see it.
    let isClean = !isBent && frame.isRight && body.isRight && usedText == .utf8
    if frame.mayBeTaken { acceptable = content.acceptable }
    if isClean {
      required = content.required
      requiredCode = content.requiredCode
    }
    acceptsAnything = isBent
  }

  /// Whether the answer is over without a time limit: it is whole, or the connection goes.
  package var endsByItself: Bool { ending != .kept || required != nil || requiredCode != nil }

  /// Whether a change anywhere may have changed the token itself.
  private var acceptsAnything = false

  /// What is wrong with taking this token from it; nil when all is well.
  package func contradiction(token: String?, lifetime: Int64?, code: Int?) -> String? {
    if let token {
      if acceptsAnything { return nil }
      guard let longest = acceptable[token] else { return "a token was taken" }
      guard let lifetime, lifetime > 0, lifetime <= longest else {
        return "too long a life was taken"
      }
      return nil
    }
    if required != nil { return "the token was not taken" }
    if let requiredCode, code != requiredCode { return "the errcode \(requiredCode) was not taken" }
    return nil
  }

  // MARK: Shape

  /// What the body says, as UTF-8.
  private struct Content {
    var bytes: [UInt8] = []
    var acceptable: [String: Int64] = [:]
    var required: String?
    var requiredCode: Int?
    var kind = ""

    /// A life beyond a month is not believed.
    private static let longestLife: Int64 = 30 * 86_400

    init(seed: UInt64, using random: inout SeededGenerator) {
      let token = Self.token(seed, length: Int.random(in: 60...512, using: &random))
      switch Int.random(in: 0...11, using: &random) {
      case 0...3: plain(token, using: &random)
      case 4, 5: error(using: &random)
      case 6:
        kind = "token and error"
        bytes = Array(
          #"{"access_token":"\#(token)","expires_in":7200,"errcode":40001,"errmsg":"no"}"#.utf8)
      case 7: neither(token, using: &random)
      case 8:
        let other = Self.token(seed &+ 1 << 40, length: 80)
        kind = "duplicates"
        bytes = Array(
          (#"{"access_token":"\#(token)","expires_in":7200,"access_token":"\#(other)","#
            + #""expires_in":100}"#).utf8)
        acceptable = [token: 7200, other: 7200]
      case 9: strange(token, using: &random)
      case 10:
        kind = "huge"
        let sizes = [1000, 1000, 1000, 1000, 10_000, 10_000, 30_000, 66_000, 200_000]
        let size = sizes.randomElement(using: &random) ?? 0
        bytes = Array(
          (#"{"x":"\#(String(repeating: "x", count: size))","access_token":"\#(token)","#
            + #""expires_in":7200}"#).utf8)
        acceptable = [token: 7200]
      default:
        plain(token, using: &random)
        kind = "cut " + kind
        let removed = Int.random(in: 1...bytes.count, using: &random)
        // Without the white space at its end it is as whole as before.
        if bytes.suffix(removed).contains(UInt8(ascii: "}")) { acceptable = [:] }
        bytes.removeLast(removed)
        required = nil
      }
    }

    private static func token(_ seed: UInt64, length: Int) -> String {
      let start = "\(HostileAnswer.mark)_\(seed)_"
      return start + String(repeating: "t", count: max(0, length - start.utf8.count))
    }

    private mutating func plain(_ token: String, using random: inout SeededGenerator) {
      let lives: [(String, Int64?)] = [
        ("7200", 7200), ("7200", 7200), ("7200", 7200), ("\"7200\"", 7200), ("1", 1), ("0", nil),
        ("-5", nil), ("2592000", 2_592_000), ("2592001", nil), ("9223372036854775808", nil),
        ("\"\"", nil), ("null", nil), ("true", nil), ("[7200]", nil), ("{}", nil),
      ]
      // As numbers these may be read as whole.
      let doubtful: [(String, Int64)] = [
        ("7200.0", 7200), ("72e2", 7200), ("\" 7200\"", 7200), ("\"+7200\"", 7200),
      ]
      let (written, life): (String, Int64?)
      if Int.random(in: 0...9, using: &random) == 0 {
        let (text, most) = doubtful.randomElement(using: &random) ?? ("7200.0", 7200)
        (written, life) = (text, nil)
        acceptable = [token: most]
      } else {
        (written, life) = lives.randomElement(using: &random) ?? ("7200", 7200)
        if let life {
          acceptable = [token: life]
          required = token
        }
      }
      kind = "token for \(written)"
      var members = [#""access_token":"\#(token)""#, #""expires_in":\#(written)"#]
      if Bool.random(using: &random) {
        members.insert(#""errcode":0,"errmsg":"ok""#, at: Int.random(in: 0...2, using: &random))
      }
      if Bool.random(using: &random) { members.append(#""new":{"a":[1,null,"\u00e9"]}"#) }
      if Bool.random(using: &random) { members.reverse() }
      let blank = ["", "", " ", "\r\n\t"].randomElement(using: &random) ?? ""
      bytes = Array((blank + "{\(members.joined(separator: ",\(blank)"))}" + blank).utf8)
    }

    private mutating func error(using random: inout SeededGenerator) {
      let codes = [40001, 40013, 40125, 40164, 45009, 45011, 48004, 50002, 89503, 12345, -1]
      let code = codes.randomElement(using: &random) ?? -1
      let messages = [
        "invalid appid rid: 65f1e2d3-1a2b3c4d-5e6f7a8b", "",
        "invalid ip 10.1.2.3 ipv6 ::ffff:10.1.2.3",
        #"a\u0000b\u001b[31m\r\nc"#, "\\ud800", "不合法", String(repeating: "e", count: 5000),
        "rid: " + String(repeating: "f", count: 4000),
      ]
      let message = messages.randomElement(using: &random) ?? ""
      let written = Int.random(in: 0...4, using: &random) == 0 ? "\"\(code)\"" : "\(code)"
      kind = "errcode \(written)"
      bytes = Array(#"{"errcode":\#(written),"errmsg":"\#(message)"}"#.utf8)
      // Half a surrogate is no text: whether the rest is read does not matter.
      if message != "\\ud800" { requiredCode = code }
    }

    private mutating func neither(_ token: String, using random: inout SeededGenerator) {
      let texts = [
        "{}", "[]", "null", "7", "\"\(token)\"", "", " ", token, "<html>\(token)</html>",
        #"{"data":{"access_token":"\#(token)","expires_in":7200}}"#,
        #"[{"access_token":"\#(token)","expires_in":7200}]"#,
        #"{"Access_Token":"\#(token)","expires_in":7200}"#,
        #"{"access_token":["\#(token)"],"expires_in":7200}"#,
        #"{"access_token":null,"expires_in":7200}"#, #"{"expires_in":7200}"#,
        #"callback({"access_token":"\#(token)","expires_in":7200})"#,
        #"access_token=\#(token)&expires_in=7200"#,
      ]
      kind = "no token"
      bytes = Array((texts.randomElement(using: &random) ?? "").utf8)
    }

    private mutating func strange(_ token: String, using random: inout SeededGenerator) {
      let refused = [
        "", token + " ", token + #"\n"#, token + #"\u0000"#, "a b", token + #"\u007f"#,
        token + String(repeating: "t", count: 3000),
      ]
      kind = "strange token"
      switch Int.random(in: 0...3, using: &random) {
      case 0:
        let depth = [100, 600, 30_000].randomElement(using: &random) ?? 0
        let nest = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        bytes = Array(#"{"x":\#(nest),"access_token":"\#(token)","expires_in":7200}"#.utf8)
        acceptable = [token: 7200]
      case 1:
        // The same token, written otherwise.
        let escaped = token.unicodeScalars.map {
          "\\u00" + String($0.value, radix: 16, uppercase: Bool.random(using: &random))
        }.joined()
        bytes = Array(#"{"access_token":"\#(escaped)","expires_in":7200}"#.utf8)
        acceptable = [token: 7200]
        required = token
      default:
        let written = refused.randomElement(using: &random) ?? ""
        bytes = Array(#"{"access_token":"\#(written)","expires_in":7200}"#.utf8)
      }
    }
  }

  // MARK: Charset

  fileprivate enum Charset: CaseIterable {
    case utf8, bom, gbk, utf16Little, utf16Big, invalid

    func applied(to bytes: [UInt8]) -> [UInt8] {
      switch self {
      case .utf8: return bytes
      case .bom: return [0xef, 0xbb, 0xbf] + bytes
      case .gbk, .invalid:
        // In a member of its own, where the text has an object's beginning.
        guard let brace = bytes.firstIndex(of: UInt8(ascii: "{")) else { return bytes }
        let word: [UInt8] =
          self == .gbk ? [0xb2, 0xbb, 0xba, 0xcf, 0xb7, 0xa8] : [0xff, 0xc0, 0x80]
        var with = bytes
        with.insert(
          contentsOf: Array("\"m\":\"".utf8) + word + Array("\",".utf8), at: brace + 1)
        return with
      case .utf16Little, .utf16Big:
        let units = Array(String(decoding: bytes, as: UTF8.self).utf16)
        return ([0xfeff] + units).flatMap { unit in
          let (low, high) = (UInt8(unit & 0xff), UInt8(unit >> 8))
          return self == .utf16Little ? [low, high] : [high, low]
        }
      }
    }
  }

  // MARK: Coding

  fileprivate enum Coding: CaseIterable {
    case identity, gzip, deflate, rawDeflate, brokenGzip, bomb, unknown, pretended

    var header: String? {
      switch self {
      case .identity: nil
      case .gzip, .brokenGzip, .bomb, .pretended: "gzip"
      case .deflate, .rawDeflate: "deflate"
      case .unknown: "br"
      }
    }

    /// The bytes, and whether who reads the header gets the content back.
    func applied(to content: [UInt8], using random: inout SeededGenerator) -> (
      bytes: [UInt8], isRight: Bool
    ) {
      switch self {
      case .identity: return (content, true)
      case .gzip: return (Compressed.gzip(content), true)
      case .deflate: return (Compressed.zlib(content), true)
      case .rawDeflate: return (Compressed.stored(content), false)
      case .unknown, .pretended: return (content, false)
      case .bomb: return (Compressed.bomb, false)
      case .brokenGzip:
        let good = Compressed.gzip(content)
        var bytes = good
        HostileConnection.bend(&bytes, using: &random)
        // The time, the effort and the system in the head say nothing of the content, and a cut
        // trailer leaves it whole.
        var harmless = bytes
        if bytes.count >= 10 { harmless.replaceSubrange(4..<10, with: good[4..<10]) }
        let isHarmless = harmless.count >= good.count - 8 && good.starts(with: harmless)
        return (bytes, isHarmless)
      }
    }
  }

  // MARK: Framing

  private struct Frame {
    var bytes: [UInt8] = []
    var ending = Ending.closed
    var kind = ""
    /// Whether the whole body comes over, and nothing is wrong.
    var isRight = false
    /// Whether an object that is whole may be found in it.
    var mayBeTaken = true

    init(body: [UInt8], coding: Coding, using random: inout SeededGenerator) {
      let endings: [Ending] = [.closed, .closed, .kept, .halfClosed, .reset]
      ending = endings.randomElement(using: &random) ?? .closed
      // Nobody waits long for what does not come.
      if ending == .kept, Int.random(in: 0...9, using: &random) > 0 { ending = .closed }
      var isUsual = true
      let statuses = [
        200, 200, 200, 200, 200, 200, 200, 201, 204, 302, 304, 400, 403, 404, 429, 500, 502, 503,
      ]
      let status = statuses.randomElement(using: &random) ?? 200
      var head = ""
      if Int.random(in: 0...9, using: &random) == 0 {
        let interim = [
          "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n",
          "HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n",
        ]
        for _ in 0...Int.random(in: 0...2, using: &random) {
          head += interim.randomElement(using: &random) ?? ""
        }
      }
      head += "HTTP/1.1 \(status) OK\r\n"
      if let name = coding.header { head += "Content-Encoding: \(name)\r\n" }
      head += Self.extra(&isUsual, using: &random)
      var content = body
      switch Int.random(in: 0...12, using: &random) {
      case 0...3:
        kind = "length"
        head += "Content-Length: \(body.count)\r\n\r\n"
      case 4, 5:
        kind = "chunks"
        head += "Transfer-Encoding: chunked\r\n\r\n"
        content = Self.chunks(body, using: &random)
      case 6:
        kind = "until the end"
        head += "Connection: close\r\n\r\n"
        isUsual = isUsual && (ending == .closed || ending == .halfClosed)
      case 7:
        kind = "too short a length"
        let length = Int.random(in: 0..<max(1, body.count), using: &random)
        head += "Content-Length: \(length)\r\n\r\n"
        isUsual = false
      case 8:
        kind = "too long a length"
        head += "Content-Length: \(body.count + Int.random(in: 1...500, using: &random))\r\n\r\n"
        isUsual = false
      case 9:
        kind = "hostile chunks"
        head += "Transfer-Encoding: chunked\r\n\r\n"
        content = HostileConnection.chunked(body, using: &random)
        isUsual = false
      case 10:
        kind = "strange lengths"
        let lengths = [
          "Content-Length: \(body.count)\r\nContent-Length: \(body.count + 1)",
          "Content-Length: \(body.count)\r\nTransfer-Encoding: chunked", "Content-Length: -1",
          "Content-Length: 99999999999999999999", "Transfer-Encoding: xchunked",
          "Content-Length: 9000000000000000000", "Content-Length: \(body.count), \(body.count)",
        ]
        head += (lengths.randomElement(using: &random) ?? "") + "\r\n\r\n"
        isUsual = false
      case 11:
        kind = "extra bytes"
        head += "Content-Length: \(body.count)\r\n\r\n"
        content += HostileConnection.noise(using: &random)
        isUsual = false
      default:
        kind = "no answer of HTTP"
        let starts = [
          "", "HTTP/1.1\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
          "HTTP/1.1 2000 X",
          "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n", "\r\n\r\n\r\n",
          "HTTP/1.1 200 OK\r\n" + String(repeating: "X: y\r\n", count: 20_000),
          "HTTP/1.1 200 OK\r\nX: " + String(repeating: "y", count: 300_000),
        ]
        head = starts.randomElement(using: &random) ?? ""
        isUsual = false
      }
      if status != 200 {
        kind += " with status \(status)"
        isUsual = false
        mayBeTaken = (200..<300).contains(status)
      }
      if Int.random(in: 0...19, using: &random) == 0 {
        head = head.replacing("\r\n", with: "\n")
        kind += ", line feeds alone"
        isUsual = false
      }
      if body.count > 60_000 || ending == .reset { isUsual = false }
      bytes = Array(head.utf8) + content
      isRight = isUsual
    }

    /// A header that says something, or nothing.
    private static func extra(_ isUsual: inout Bool, using random: inout SeededGenerator) -> String
    {
      let harmless = [
        "Content-Type: application/json; encoding=utf-8\r\n", "Content-Type: text/plain\r\n",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "Date: yesterday\r\n", "Set-Cookie: a=b\r\n",
        "Connection: close\r\n", "Connection: keep-alive\r\n", "Server: nginx\r\n", "", "",
      ]
      let harmful = [
        "Age: 100\r\n", "Age: 9999999999\r\n", "Age: -1\r\n", "Age: x\r\n", "X: \u{0}\r\n",
        "no colon\r\n", "Location: https://evil.com/\r\n", "X: a\r\n b\r\n", "Upgrade: h2c\r\n",
        "Content-Range: bytes 0-1/2\r\n", "Warning: 110 - \"stale\"\r\n", "Trailer: X\r\n",
      ]
      guard Int.random(in: 0...4, using: &random) == 0 else {
        return harmless.randomElement(using: &random) ?? ""
      }
      isUsual = false
      return harmful.randomElement(using: &random) ?? ""
    }

    private static func chunks(_ body: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
      var chunks: [UInt8] = []
      var rest = body[...]
      while !rest.isEmpty {
        let size = Int.random(in: 1...max(1, rest.count), using: &random)
        let written = String(size, radix: 16, uppercase: Bool.random(using: &random))
        let detail = Int.random(in: 0...5, using: &random) == 0 ? ";a=b" : ""
        chunks += Array("\(written)\(detail)\r\n".utf8) + rest.prefix(size) + [13, 10]
        rest = rest.dropFirst(size)
      }
      let trailer = Int.random(in: 0...5, using: &random) == 0 ? "X: y\r\n" : ""
      return chunks + Array("0\r\n\(trailer)\r\n".utf8)
    }
  }
}
