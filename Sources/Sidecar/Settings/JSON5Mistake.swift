import FoundationEssentials

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

/// A key that an object of a JSON5 text has twice: the decoder takes one of them without a word.
struct JSON5Duplicate: Hashable {
  /// From the outermost object's key to the one that is there twice.
  let path: [String]
  /// Of the second, both counted from 1.
  let line: Int
  let column: Int

  /// The first repetition of each key, in the text's order, as far as settings nest.
  static func all(in bytes: [UInt8]) -> [JSON5Duplicate] {
    var scanner = JSON5Scanner(bytes: bytes)
    // What comes after a mistake is not looked at: the decoder judges that.
    do throws(JSON5Mistake) { try scanner.scanDocument() } catch {}
    return scanner.duplicates
  }
}

/// Walks through objects, lists, texts, words and comments, and keeps only which keys come twice.
private struct JSON5Scanner {
  let bytes: [UInt8]
  private(set) var duplicates: [JSON5Duplicate] = []
  private var index = 0
  /// The keys of the objects around.
  private var path: [String] = []

  /// The decoder's own limit.
  private static let deepest = 512
  /// `accounts.shop.appid`: what is deeper is no setting.
  private static let deepestKey = 3
  /// Whoever has more mends these first; each costs a count of the lines before it.
  private static let mostDuplicates = 50

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
      // How often each key came; at depths where settings are.
      var seen: [String: Int] = [:]
      let outer = path
      defer { path = outer }
      try scanMembers(until: "}", depth: depth) { scanner throws(JSON5Mistake) in
        let start = scanner.index
        let key = try scanner.scanKey()
        scanner.path = outer + [outer.count < Self.deepestKey ? scanner.text(of: key) : ""]
        scanner.note(&seen, at: start)
        try scanner.skipSpace()
        guard scanner.take(":") else { throw scanner.mistake("`:` after the key") }
      }
    } else if take("[") {
      // No setting is a list, so that keys within count as deeper.
      let outer = path
      defer { path = outer }
      path += Array(repeating: "", count: Self.deepestKey)
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

  /// Passes a key, with its quotes if it has some.
  private mutating func scanKey() throws(JSON5Mistake) -> ArraySlice<UInt8> {
    let start = index
    if try scanText() { return bytes[start..<index] }
    if takeWord().isEmpty { throw mistake("a key or `}`") }
    return bytes[start..<index]
  }

  /// What a key says, however it is written.
  private func text(of key: ArraySlice<UInt8>) -> String {
    let isQuoted = key.first == UInt8(ascii: "\"") || key.first == UInt8(ascii: "'")
    let inner = isQuoted ? key.dropFirst().dropLast() : key
    let plain = String(decoding: inner, as: UTF8.self)
    guard inner.contains(UInt8(ascii: "\\")) else { return plain }
    // Escapes are the decoder's business.
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    let list = [UInt8(ascii: "[")] + (isQuoted ? Array(key) : Array("'\(plain)'".utf8))
    let texts = try? decoder.decode([String].self, from: Data(list + [UInt8(ascii: "]")]))
    return texts?.first ?? plain
  }

  /// Counts the key at the path's end, and keeps it when it comes the second time.
  private mutating func note(_ seen: inout [String: Int], at start: Int) {
    guard path.count <= Self.deepestKey, let key = path.last else { return }
    seen[key, default: 0] += 1
    guard seen[key] == 2, duplicates.count < Self.mostDuplicates else { return }
    let (line, column) = place(of: start)
    duplicates.append(JSON5Duplicate(path: path, line: line, column: column))
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
    let (line, column) = place(of: index)
    return JSON5Mistake(line: line, column: column, expected: expected)
  }

  private func place(of index: Int) -> (line: Int, column: Int) {
    let before = bytes[..<min(index, bytes.count)]
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    // Continuation bytes of UTF-8 are no characters of their own.
    let column = before[lineStart...].count { $0 & 0xc0 != 0x80 }
    return (before.count { $0 == UInt8(ascii: "\n") } + 1, column + 1)
  }
}
