import Hiredis
import Testing

/// Feeds the pieces to one new parser and collects what it hands over.
private func parse(
  _ pieces: [ArraySlice<UInt8>], limits: ReplyLimits = .standard
) throws(ReplyError) -> [RedisReply] {
  let parser = ReplyParser(limits: limits)
  var replies: [RedisReply] = []
  for piece in pieces {
    try parser.feed(Array(piece).span) { replies.append($0) }
  }
  return replies
}

private func parse(_ text: String, limits: ReplyLimits = .standard) throws(ReplyError)
  -> [RedisReply]
{
  try parse([Array(text.utf8)[...]], limits: limits)
}

@Suite("Replies of a well-behaved server")
struct WellFormedReplyTests {
  static let stream =
    "+OK\r\n-ERR no\r\n:-42\r\n$5\r\nhello\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
    + "*2\r\n:1\r\n*1\r\n$2\r\n\r\n\r\n"
    + "*3\r\n*0\r\n$-1\r\n+x\r\n:9223372036854775807\r\n"
  static let replies: [RedisReply] = [
    .status("OK"), .error(RedisServerError("ERR no")), .integer(-42), .bulk(Array("hello".utf8)),
    .bulk([]), .null, .null, .array([]), .array([.integer(1), .array([.bulk([13, 10])])]),
    .array([.array([]), .null, .status("x")]), .integer(.max),
  ]

  @Test("every type of RESP2 is parsed, several in one piece")
  func whole() throws {
    #expect(try parse(Self.stream) == Self.replies)
  }

  @Test("the same replies come out of bytes split at every position and every pair of positions")
  func splitEverywhere() throws {
    let bytes = Array(Self.stream.utf8)
    for first in 0...bytes.count {
      for second in first...bytes.count {
        let pieces = [bytes[..<first], bytes[first..<second], bytes[second...]]
        let replies = try parse(pieces)
        guard replies == Self.replies else {
          Issue.record("split at \(first) and \(second): \(replies)")
          return
        }
      }
    }
    #expect(try parse(bytes.indices.map { bytes[$0...$0] }) == Self.replies)
  }

  @Test("a string of the greatest length is taken, in pieces of any size")
  func largestBulk() throws {
    let limits = ReplyLimits.standard
    let text = "$\(limits.bulkBytes)\r\n" + String(repeating: "x", count: limits.bulkBytes) + "\r\n"
    let bytes = Array(text.utf8)
    for size in [1000, 16_384, bytes.count] {
      let pieces = stride(from: 0, to: bytes.count, by: size).map {
        bytes[$0..<min($0 + size, bytes.count)]
      }
      #expect(try parse(pieces).first?.bytes?.count == limits.bulkBytes)
    }
  }

  @Test("limits count for each reply, not for the connection")
  func limitsPerReply() throws {
    var limits = ReplyLimits()
    limits.values = 3
    limits.replyBytes = 6
    let one = "*2\r\n$3\r\nabc\r\n$3\r\ndef\r\n"
    #expect(try parse(one + one + one, limits: limits).count == 3)
  }

  @Test("no text shows in a description or a dump")
  func redacted() {
    let reply = RedisReply.array([.bulk(Array("hunter2".utf8)), .status("hunter2")])
    var dumped = ""
    dump(reply, to: &dumped)
    #expect(reply.description == "array[bulk(7 bytes), status(7 bytes)]")
    #expect(!dumped.contains("hunter2"))
  }
}

@Suite("Replies of a hostile server")
struct HostileReplyTests {
  private func failure(_ text: String, limits: ReplyLimits = .standard) -> ReplyError? {
    do throws(ReplyError) {
      _ = try parse(text, limits: limits)
      return nil
    } catch { return error }
  }

  @Test(
    "bytes that are not RESP2 are refused with hiredis's reason",
    arguments: [
      "HTTP/1.1 400 Bad Request\r\n\r\n", "\0", "$abc\r\n", "$-2\r\n", "*-2\r\n", "*x\r\n",
      ":1.5\r\n",
      ":\r\n", "$5\rhello\r\n", ":99999999999999999999\r\n", "*99999999999999999999\r\n",
      "\u{15}\u{3}\u{1}",
    ])
  func garbage(text: String) {
    guard case .malformed(let reason) = failure(text) else {
      Issue.record("\(text.debugDescription): \(String(describing: failure(text)))")
      return
    }
    #expect(!reason.isEmpty)
  }

  @Test(
    "a header that announces a huge array is refused by the header alone",
    arguments: ["*2147483647\r\n", "*16384\r\n", "*2\r\n*16382\r\n"])
  func hugeArray(text: String) {
    #expect(failure(text) == .tooManyValues(limit: 16_384))
  }

  @Test("a header of 4294967296 values is refused")
  func hugerArray() {
    #expect(failure("*4294967296\r\n") != nil)
  }

  @Test(
    "a header that announces a huge string is refused by the header alone",
    arguments: [1_048_577, 536_870_912, 4_294_967_296, Int64.max])
  func hugeBulk(bytes: Int64) {
    #expect(failure("$\(bytes)\r\n") == .bulkTooLong(bytes: bytes, limit: 1_048_576))
    #expect(failure("*1\r\n$\(bytes)\r") == .bulkTooLong(bytes: bytes, limit: 1_048_576))
  }

  @Test("nesting deeper than the limit is refused")
  func nestingBomb() {
    #expect(failure(String(repeating: "*1\r\n", count: 7)) == nil)
    #expect(failure(String(repeating: "*1\r\n", count: 8)) == .tooDeep(limit: 7))
    #expect(failure(String(repeating: "*1\r\n", count: 100_000)) == .tooDeep(limit: 7))
  }

  @Test("a line without an end is refused", arguments: ["+", "-", ":", "*", "$"])
  func endlessLine(type: String) {
    let parser = ReplyParser()
    var fed = 0
    let piece = Array(repeating: UInt8(ascii: "1"), count: 1000)
    do throws(ReplyError) {
      try parser.feed(Array(type.utf8).span) { _ in }
      while fed < 1 << 20 {
        try parser.feed(piece.span) { _ in }
        fed += piece.count
      }
      Issue.record("never refused")
    } catch {
      #expect(error == .lineTooLong(limit: type == "$" ? 22 : 16_384))
      #expect(fed <= 16_384)
    }
  }

  @Test("a line that is too long is refused though its end came with it")
  func longLine() {
    #expect(failure("+" + String(repeating: "x", count: 16_384) + "\r\n") == nil)
    #expect(
      failure("+" + String(repeating: "x", count: 16_385) + "\r\n") == .lineTooLong(limit: 16_384))
  }

  @Test("many strings that are too long together are refused")
  func longReply() {
    let one = "$1000000\r\n" + String(repeating: "x", count: 1_000_000) + "\r\n"
    #expect(
      failure("*5\r\n" + String(repeating: one, count: 5)) == .replyTooLong(limit: 4_194_304))
  }

  // RESP3's null reads as null where hiredis knows it (1.x), which harms nobody.
  @Test(
    "types of RESP3 are refused",
    arguments: [
      ",1.5\r\n", "#t\r\n", "%1\r\n+a\r\n+b\r\n", "~1\r\n+a\r\n", ">1\r\n+a\r\n",
    ])
  func resp3(text: String) {
    #expect(failure(text) != nil)
  }

  @Test("replies before the offence are handed over, and none after it")
  func stopsAtOffence() {
    let parser = ReplyParser()
    var replies: [RedisReply] = []
    let bytes = Array("+a\r\n:1\r\n!\r\n+b\r\n".utf8)
    #expect(throws: ReplyError.self) { try parser.feed(bytes.span) { replies.append($0) } }
    #expect(throws: ReplyError.self) {
      try parser.feed(Array("+c\r\n".utf8).span) { replies.append($0) }
    }
    #expect(replies == [.status("a"), .integer(1)])
  }
}
