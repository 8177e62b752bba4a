/// Reads one answer of HTTP/1 as its bytes come (RFC 9112), however they are cut.
///
/// NIO's parser refuses what the RFC allows (the same Content-Length twice, a length beside
/// chunks, lines that end without CR), and says no more than `HTTPParserError`. There is one answer
/// on a connection, from a server that was asked for it: being lenient with its framing can confuse
/// no request after it. What cannot be understood is told in words.
struct ResponseParser {
  /// The bytes are no answer, or none that can be taken.
  struct Problem: Error, Hashable, CustomStringConvertible {
    let description: String
  }

  private enum State {
    /// Followed by `fields`.
    case statusLine
    /// Followed by one of the bodies, by `complete`, or, after 1xx, by `statusLine`.
    case fields
    /// So many bytes of a body of known length are still to come. Followed by `complete`.
    case counted(Int)
    /// The body ends with the connection.
    case endless
    /// Followed by `chunk` or `trailers`.
    case chunkSize
    /// So many bytes of a chunk are still to come. Followed by `chunkEnd`.
    case chunk(Int)
    /// The line end behind a chunk. Followed by `chunkSize`.
    case chunkEnd
    /// Followed by `complete`.
    case trailers
    case complete
  }

  /// All lines of a head together, those of interim answers and trailers included.
  static let longestHead = 64 * 1024
  /// One line that holds the size of a chunk.
  static let longestChunkLine = 1024
  /// Empty lines that may come before the answer (RFC 9112 section 2.2 allows one to servers).
  static let mostEmptyLines = 4

  /// 0 before the head is complete.
  private(set) var status = 0
  /// The fields of the head, names in lower case.
  private(set) var fields: [(name: String, value: String)] = []
  private(set) var body: [UInt8] = []

  private var state = State.statusLine
  private var line: [UInt8] = []
  /// Whether the line read last had a CR before its end, and whether that of the chunk's size had.
  private var lineHasReturn = false
  private var chunkHasReturn = false
  private var headBytes = 0
  private var emptyLines = 0
  private let longestBody: Int

  init(longestBody: Int) { self.longestBody = longestBody }

  /// Whether everything that the head announced has come.
  var isComplete: Bool { if case .complete = state { true } else { false } }

  /// Whether a final head has come.
  var isHeadComplete: Bool {
    switch state {
    case .statusLine, .fields: false
    case .counted, .endless, .chunkSize, .chunk, .chunkEnd, .trailers, .complete: true
    }
  }

  /// Whether anything at all has come.
  var hasBegun: Bool { headBytes > 0 }

  /// All values of a field, each separated by commas into its members.
  func members(of name: String) -> [String] {
    fields.filter { $0.name == name }.flatMap { $0.value.split(separator: ",") }
      .map { $0.trimmed }
  }

  /// Takes more bytes; what comes after a complete answer is dropped.
  mutating func feed(_ bytes: [UInt8]) throws(Problem) {
    var rest = bytes[...]
    while !rest.isEmpty {
      switch state {
      case .complete: return
      case .statusLine, .fields, .chunkSize, .chunkEnd, .trailers:
        try takeLine(from: &rest)
      case .counted(let wanted):
        let left = wanted - (try takeBody(wanted, from: &rest))
        state = left == 0 ? .complete : .counted(left)
      case .endless: _ = try takeBody(rest.count, from: &rest)
      case .chunk(let wanted):
        let left = wanted - (try takeBody(wanted, from: &rest))
        state = left == 0 ? .chunkEnd : .chunk(left)
      }
    }
  }

  /// The connection was closed: the end of a body that has no other.
  mutating func end() {
    if case .endless = state { state = .complete }
  }

  private mutating func takeBody(
    _ wanted: Int, from rest: inout ArraySlice<UInt8>
  ) throws(Problem) -> Int {
    let taken = rest.prefix(wanted)
    guard body.count + taken.count <= longestBody else { throw tooLong }
    body += taken
    rest = rest.dropFirst(taken.count)
    return taken.count
  }

  private var tooLong: Problem {
    Problem(description: "the answer was longer than \(longestBody) bytes")
  }

  private mutating func takeLine(from rest: inout ArraySlice<UInt8>) throws(Problem) {
    let end = rest.firstIndex(of: UInt8(ascii: "\n"))
    let part = rest[..<(end ?? rest.endIndex)]
    try count(part.count + 1)
    line += part
    guard let end else {
      rest = []
      return
    }
    rest = rest[(end + 1)...]
    lineHasReturn = line.last == UInt8(ascii: "\r")
    if lineHasReturn { line.removeLast() }
    let whole = line
    line = []
    try take(whole)
  }

  /// Holds the lines within their bounds.
  private mutating func count(_ bytes: Int) throws(Problem) {
    switch state {
    case .chunkSize, .chunkEnd:
      guard line.count + bytes <= Self.longestChunkLine else {
        throw Problem(description: "the size of a chunk of the answer is no number")
      }
    case .statusLine, .fields, .trailers, .counted, .endless, .chunk, .complete:
      headBytes += bytes
      guard headBytes <= Self.longestHead else {
        throw Problem(description: "the answer's head was longer than \(Self.longestHead) bytes")
      }
    }
  }

  private mutating func take(_ line: [UInt8]) throws(Problem) {
    switch state {
    case .statusLine: try takeStatus(line)
    case .fields:
      guard line.isEmpty else { return takeField(line) }
      try beginBody()
    case .chunkSize: try takeChunkSize(line)
    case .chunkEnd:
      // A chunk that says one byte too much ends between CR and LF.
      guard line.isEmpty, lineHasReturn == chunkHasReturn else {
        throw Problem(description: "a chunk of the answer is longer than it says")
      }
      state = .chunkSize
    case .trailers: if line.isEmpty { state = .complete }
    case .counted, .endless, .chunk, .complete: break
    }
  }

  /// `HTTP/1.1 200 OK`, with any reason or none.
  private mutating func takeStatus(_ line: [UInt8]) throws(Problem) {
    if line.isEmpty, emptyLines < Self.mostEmptyLines {
      emptyLines += 1
      return
    }
    let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
    guard parts.count >= 2, parts[0].starts(with: Array("HTTP/1.".utf8)), parts[1].count == 3,
      let code = Int(String(decoding: parts[1], as: UTF8.self)), (100...999).contains(code)
    else { throw Problem(description: "what came is no answer of HTTP/1") }
    status = code
    state = .fields
  }

  private mutating func takeField(_ line: [UInt8]) {
    if let first = line.first, first == UInt8(ascii: " ") || first == UInt8(ascii: "\t") {
      // A line that goes on with the one before, as it was once allowed.
      guard let last = fields.indices.last else { return }
      fields[last].value += " " + String(decoding: line, as: UTF8.self).trimmed
      return
    }
    // A line that is no field says nothing about the answer's end, and is no reason to lose it.
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
    fields.append(
      (
        String(decoding: line[..<colon], as: UTF8.self).lowercased().trimmed,
        String(decoding: line[(colon + 1)...], as: UTF8.self).trimmed
      ))
  }

  /// Where the body ends (RFC 9112 section 6.3).
  private mutating func beginBody() throws(Problem) {
    switch status {
    case 101: throw Problem(description: "the answer leaves HTTP/1 for another protocol")
    case 100..<200:
      status = 0
      fields = []
      state = .statusLine
      return
    case 204, 304:
      state = .complete
      return
    default: break
    }
    let codings = members(of: "transfer-encoding")
    if let last = codings.last {
      // Beside chunks a Content-Length does not count.
      state = last.lowercased() == "chunked" ? .chunkSize : .endless
      return
    }
    let lengths = Set(members(of: "content-length"))
    guard let text = lengths.first else {
      state = .endless
      return
    }
    guard lengths.count == 1 else {
      throw Problem(description: "the answer has several lengths that differ")
    }
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(text) else {
      throw Problem(description: "the answer's Content-Length is no number")
    }
    guard length <= longestBody else { throw tooLong }
    state = length == 0 ? .complete : .counted(length)
  }

  /// `1a` or `1A;name=value`, with blanks around it.
  private mutating func takeChunkSize(_ line: [UInt8]) throws(Problem) {
    let text = String(decoding: line.prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self).trimmed
    guard !text.isEmpty, text.utf8.allSatisfy(isHexadecimal), let size = Int(text, radix: 16)
    else { throw Problem(description: "the size of a chunk of the answer is no number") }
    guard size <= longestBody else { throw tooLong }
    chunkHasReturn = lineHasReturn
    state = size == 0 ? .trailers : .chunk(size)
  }
}

extension StringProtocol {
  /// Without blanks and tabs at either end.
  fileprivate var trimmed: String {
    let text = drop { $0 == " " || $0 == "\t" }
    guard let last = text.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
    return String(text[...last])
  }
}
