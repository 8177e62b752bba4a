/// Where a text stops being JSON5: the decoder itself does not say it on Linux.
///
/// Only for messages. What it takes for right the decoder may still refuse.
struct JSON5Mistake: Error, Hashable, CustomStringConvertible {
  /// Counted from 1.
  let line: Int
  /// In characters of UTF-8's first bytes, counted from 1.
  let column: Int
  /// What would have been right there.
  let expected: String

  var description: String { "line \(line), column \(column): expected \(expected)" }

  /// The first mistake that can be told; nil when there is none of the common ones.
  static func first(in bytes: [UInt8]) -> JSON5Mistake? {
    var scanner = JSON5Scanner(bytes: bytes)
    do throws(JSON5Mistake) {
      try scanner.scanDocument()
      return nil
    } catch {
      return error
    }
  }
}

/// Walks through objects, lists, texts, words and comments, and keeps nothing.
private struct JSON5Scanner {
  let bytes: [UInt8]
  private var index = 0

  /// The decoder's own limit.
  private static let deepest = 512

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func scanDocument() throws(JSON5Mistake) {
    try scanValue(depth: 0)
    try skipSpace()
    if current != nil { throw mistake("the end") }
  }

  private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard current == UInt8(ascii: scalar) else { return false }
    index += 1
    return true
  }

  private mutating func scanValue(depth: Int) throws(JSON5Mistake) {
    try skipSpace()
    if depth > Self.deepest { throw mistake("fewer levels") }
    if take("{") {
      try scanMembers(until: "}", depth: depth) { scanner throws(JSON5Mistake) in
        try scanner.scanKey()
        try scanner.skipSpace()
        guard scanner.take(":") else { throw scanner.mistake("`:` after the key") }
      }
    } else if take("[") {
      try scanMembers(until: "]", depth: depth) { _ throws(JSON5Mistake) in }
    } else if try !scanText() {
      let start = index
      let word = takeWord()
      let isNumber = word.first.map { "+-.0123456789".utf8.contains($0) } == true
      if !isNumber,
        !["true", "false", "null", "Infinity", "NaN"].contains(where: {
          word.elementsEqual($0.utf8)
        })
      {
        index = start
        throw mistake("a value, texts in quotes")
      }
    }
  }

  private mutating func scanMembers(
    until end: Unicode.Scalar, depth: Int,
    _ scanKey: (inout JSON5Scanner) throws(JSON5Mistake) -> Void
  ) throws(JSON5Mistake) {
    while true {
      try skipSpace()
      if take(end) { return }
      try scanKey(&self)
      try scanValue(depth: depth + 1)
      try skipSpace()
      if take(end) { return }
      guard take(",") else { throw mistake("`,` or `\(end)`") }
    }
  }

  private mutating func scanKey() throws(JSON5Mistake) {
    if try scanText() { return }
    if takeWord().isEmpty { throw mistake("a key or `}`") }
  }

  /// Passes a text in quotes; false when there is none.
  private mutating func scanText() throws(JSON5Mistake) -> Bool {
    guard let quote = current, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
      return false
    }
    let start = index
    index += 1
    while let byte = current, byte != UInt8(ascii: "\n") {
      // What follows a backslash is part of the text, be it the end of the line.
      index += byte == UInt8(ascii: "\\") ? 2 : 1
      if byte == quote { return true }
    }
    index = start
    throw mistake("the text's closing quote on the same line")
  }

  private mutating func takeWord() -> ArraySlice<UInt8> {
    let start = index
    while let byte = current, !" \t\r\n{}[]:,\"'/".utf8.contains(byte) { index += 1 }
    return bytes[start..<index]
  }

  private mutating func skipSpace() throws(JSON5Mistake) {
    while let byte = current {
      if " \t\r\n".utf8.contains(byte) {
        index += 1
      } else if bytes[index...].starts(with: "//".utf8) {
        while current != nil, current != UInt8(ascii: "\n") { index += 1 }
      } else if bytes[index...].starts(with: "/*".utf8) {
        let start = index
        while current != nil, !bytes[index...].starts(with: "*/".utf8) { index += 1 }
        if current == nil {
          index = start
          throw mistake("`*/` at the comment's end")
        }
        index += 2
      } else {
        return
      }
    }
  }

  private func mistake(_ expected: String) -> JSON5Mistake {
    let before = bytes[..<min(index, bytes.count)]
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    // Continuation bytes of UTF-8 are no characters of their own.
    let column = before[lineStart...].count { $0 & 0xc0 != 0x80 }
    return JSON5Mistake(
      line: before.count { $0 == UInt8(ascii: "\n") } + 1, column: column + 1, expected: expected)
  }
}
