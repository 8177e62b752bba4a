import Glibc
import Testing
import TokenCore

@testable import Sidecar

@Suite("How answers of HTTP are read") struct AnswerReadingTests {
  /// Reads an answer cut at a place, and the end of the connection after it.
  private func read(
    _ text: String, cutAt cut: Int = 0, ends: Bool = true
  ) throws -> ResponseParser {
    var parser = ResponseParser(longestBody: 1024)
    let bytes = Array(text.utf8)
    try parser.feed(Array(bytes[..<cut]))
    try parser.feed(Array(bytes[cut...]))
    if ends { parser.end() }
    return parser
  }

  private static let body = #"{"access_token":"a","expires_in":7200}"#

  @Test(
    "every framing that RFC 9112 allows is read, wherever it is cut",
    arguments: [
      "HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n\(body)",
      "HTTP/1.1 200 OK\r\nContent-Length: 38\r\ncontent-length: 38\r\n\r\n\(body)",
      "HTTP/1.1 200 OK\r\nContent-Length: 38, 38\r\n\r\n\(body)more",
      "HTTP/1.1 200\nContent-Length:38\n\n\(body)",
      "\r\nHTTP/1.1 200 OK\r\n\r\n\(body)",
      "HTTP/1.0 200 OK\r\nX: a\r\n b\r\nno field\r\n\r\n\(body)",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n\(body)",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
        + "10;a=b\r\n\(body.prefix(16))\r\n 16 \r\n\(body.dropFirst(16))\r\n0\r\nT: 1\r\n\r\n",
      "HTTP/1.1 200 OK\nTransfer-Encoding: Chunked\n\n26\n\(body)\n0\n\n",
    ])
  func reads(text: String) throws {
    for cut in 0...text.utf8.count {
      let parser = try read(text, cutAt: cut)
      #expect(parser.isComplete)
      #expect(parser.status == 200)
      #expect(parser.body == Array(Self.body.utf8))
    }
  }

  @Test(
    "what cannot be understood is told in words",
    arguments: [
      ("220 smtp.example ready\r\n", "no answer of HTTP/1"),
      ("HTTP/2 200\r\n", "no answer of HTTP/1"),
      ("HTTP/1.1 2000 OK\r\n", "no answer of HTTP/1"),
      ("HTTP/1.1 101 Switching\r\n\r\n", "another protocol"),
      ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "that differ"),
      ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
      ("HTTP/1.1 200 OK\r\nContent-Length: 1025\r\n\r\n", "longer than 1024"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "chunk of the answer"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than it says"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\r\n", "longer than it says"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n", "longer than 1024"),
      ("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "a", count: 1025), "longer than 1024"),
      ("HTTP/1.1 200 OK\r\nX: " + String(repeating: "a", count: 65_536), "head was longer"),
    ])
  func refuses(text: String, words: String) {
    let problem = #expect(throws: ResponseParser.Problem.self) { try read(text) }
    #expect(problem?.description.contains(words) == true, "\(problem?.description ?? "nothing")")
  }

  @Test(
    "an answer that ends before its time is not complete",
    arguments: [
      "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n\(body)",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n26\r\n\(body)\r\n",
    ])
  func missesTheEnd(text: String) throws {
    #expect(!(try read(text).isComplete))
  }

  @Test("gzip and deflate are read, and what is cut as far as it goes")
  func inflates() throws {
    let (gzip, zlib) = (Self.gzip, Self.zlib)
    let whole = Inflate.Output(bytes: Array(Self.body.utf8), isWhole: true)
    #expect(try Inflate.gzip(gzip, limit: 100) == whole)
    #expect(try Inflate.deflate(zlib, limit: 100) == whole)
    #expect(try Inflate.deflate(Array(zlib[2...]), limit: 100) == whole)
    for end in 0..<gzip.count - 9 {
      let cut = try Inflate.gzip(Array(gzip[..<end]), limit: 100)
      #expect(!cut.isWhole)
      #expect(Self.body.utf8.starts(with: cut.bytes))
    }
  }

  @Test("a body that lost a byte, so that its block takes one of the trailer's, is refused")
  func checksWhatThereIsOfTheTrailer() throws {
    var gzip = Self.bytes("1f8b08000000000000ff010700f8ff7b2261223a317dafac1b5607000000")
    var zlib = Self.bytes("7801010700f8ff7b2261223a317d082a0209")
    #expect(try Inflate.gzip(gzip, limit: 100).bytes == Array(#"{"a":1}"#.utf8))
    #expect(try Inflate.deflate(zlib, limit: 100).bytes == Array(#"{"a":1}"#.utf8))
    gzip.remove(at: 17)
    zlib.remove(at: 9)
    #expect(throws: Inflate.Problem.malformed) { try Inflate.gzip(gzip, limit: 100) }
    #expect(throws: Inflate.Problem.malformed) { try Inflate.deflate(zlib, limit: 100) }
  }

  @Test("a block with codes of its own is read")
  func inflatesDynamicCodes() throws {
    let text = (0..<200).map { "\($0 * 7 % 31)-" }.joined()
    #expect(
      try Inflate.deflate(Self.dynamic, limit: 4096)
        == Inflate.Output(bytes: Array(text.utf8), isWhole: true))
  }

  @Test("nothing decodes to more than its bound, and nonsense ends in an error or an end")
  func boundsInflation() throws {
    #expect(throws: Inflate.Problem.self) { try Inflate.deflate(Self.bomb, limit: 65_536) }
    var generator = Numbers(state: 7)
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0..<64, using: &generator)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      for body in [bytes, Self.bytes("1f8b08000000000000ff") + bytes] {
        if let output = try? Inflate.gzip(body, limit: 300) { #expect(output.bytes.count <= 300) }
        if let output = try? Inflate.deflate(body, limit: 300) {
          #expect(output.bytes.count <= 300)
        }
      }
    }
  }

  static func bytes(_ text: String) -> [UInt8] {
    stride(from: 0, to: text.utf8.count, by: 2).compactMap { index in
      UInt8(text.dropFirst(index).prefix(2), radix: 16)
    }
  }
  /// The body above by zlib, with fixed codes.
  static let gzip = bytes(
    "1f8b0800000000000003ab564a4c4e4e2d2e8e2fc9cf4ecd53b2524a54d2"
      + "514aad28c82c4a2d8ecf040a981b1918d40200987a1ea726000000")
  static let zlib = bytes(
    "789cab564a4c4e4e2d2e8e2fc9cf4ecd53b2524a54d2514aad28c82c4a2d"
      + "8ecf040a981b1918d4020003b30cb7")
  /// 200,000 zeros.
  static let bomb = bytes(
    "78daedc13101000000c2a0f54f6d067fa00000000000000000000000000000000000000000000000"
      + "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
      + "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
      + "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
      + "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
      + "0000000000000000000080d7000d6d0001")
  static let dynamic = bytes(
    "78daedccc10900310cc4c08a04de7512dbfd3796b471702fa1cf048516166e16126abc118d36361e"
      + "de1a0d3e98412f490607250e5c240a5478113ff979f20209c56636")
}

/// The same numbers in every run.
private struct Numbers: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state
  }
}

@Suite("How the text of WeChat's answers is read") struct AnswerTextTests {
  private func refusal(_ body: [UInt8], status: Int = 200) -> FetchFailure? {
    switch FetchClassifier.classify(status: status, body: body, sentAt: .origin) {
    case .token: nil
    case .knownFailure(let failure), .unknown(let failure): failure
    }
  }

  private static let head = #"{"errcode":40164,"errmsg":"invalid ip 1.2.3.4 "#
  private static let tail = #", not in whitelist rid: 6a13bf01-1-2"}"#

  @Test(
    "neither code nor rid nor address is lost to the bytes between them",
    arguments: [
      // GBK, of which a second byte may be a backslash; half a character; control characters.
      [0xce, 0xa2, 0xd0, 0xc5], [0x95, 0x5c], [0xc3], [0xe5, 0xbe], [0x01, 0x0a, 0x09, 0x00],
      [0xff, 0xfe], [0xe9, 0x5c, 0x22],
    ] as [[UInt8]])
  func keepsWhatCounts(middle: [UInt8]) throws {
    let body = Array(Self.head.utf8) + middle + Array(Self.tail.utf8)
    let failure = try #require(refusal(body))
    #expect(failure.code == 40164)
    #expect(failure.requestID == "6a13bf01-1-2")
    #expect(failure.egressAddress == "1.2.3.4")
  }

  @Test("GBK whose last byte looks like a backslash does not swallow the end of the text")
  func endsInGBK() throws {
    let body = Array(Self.head.utf8) + [0x95, 0x5c] + Array("\"}".utf8)
    #expect(try #require(refusal(body)).egressAddress == "1.2.3.4")
  }

  @Test("a byte order mark and UTF-16 are read")
  func readsUTF16() throws {
    let text = Self.head + Self.tail
    let units = Array(text.utf16)
    let little = units.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    let big = units.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    for body in [
      [0xef, 0xbb, 0xbf] + Array(text.utf8), little, big, [0xff, 0xfe] + little,
      [0xfe, 0xff] + big,
    ] {
      #expect(refusal(body)?.requestID == "6a13bf01-1-2")
    }
  }

  @Test("a gateway's error leaves the outcome unknown, and shows what its body says")
  func showsGatewaysErrors() throws {
    let body = Array((Self.head + Self.tail).utf8)
    for status in [500, 502, 503, 504] {
      guard
        case .unknown(let failure) = FetchClassifier.classify(
          status: status, body: body, sentAt: .origin)
      else {
        Issue.record("status \(status) passed for known")
        continue
      }
      #expect(failure.category == .transient)
      #expect(failure.code == 40164)
      #expect(failure.requestID == "6a13bf01-1-2")
      #expect(failure.egressAddress == "1.2.3.4")
      #expect(failure.reason.contains("status \(status) and errcode 40164"))
    }
  }

  @Test("a token in bytes that are no text is not taken")
  func refusesBrokenTokens() {
    let body = Array(#"{"access_token":"a"#.utf8) + [0xc3] + Array(#"","expires_in":7200}"#.utf8)
    guard case .unknown = FetchClassifier.classify(status: 200, body: body, sentAt: .origin) else {
      Issue.record("it was taken")
      return
    }
  }

  @Test("Age is taken off the life, and beyond the life nothing is left")
  func shortensByAge() throws {
    let body = Array(#"{"access_token":"a","expires_in":100}"#.utf8)
    let now = Moment.origin + .seconds(1000)
    func classify(_ age: Int64) -> FetchOutcome {
      FetchClassifier.classify(status: 200, body: body, sentAt: now, age: .seconds(age))
    }
    #expect(classify(0).fetched?.sentAt == now)
    #expect(classify(99).fetched?.sentAt == .origin + .seconds(901))
    for age in [100, 101, 1 << 31] {
      #expect(
        classify(Int64(age)).unknown?.reason.contains("is there a cache before WeChat?") == true)
    }
  }
}
