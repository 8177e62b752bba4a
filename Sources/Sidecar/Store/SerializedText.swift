import FoundationEssentials

/// Texts as clients of Redis leave them: `redis-cli -x` adds a line end, serializers add their own.
enum SerializedText {
  private static let quote = UInt8(ascii: "\"")

  /// The bytes without blanks and line ends around them.
  static func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
    guard let first = bytes.firstIndex(where: { !isBlank($0) }),
      let last = bytes.lastIndex(where: { !isBlank($0) })
    else { return [] }
    return Array(bytes[first...last])
  }

  /// What a string of JSON, or one that PHP has serialized, says; nil when it is neither.
  static func unwrapped(_ bytes: [UInt8]) -> [UInt8]? {
    guard bytes.count >= 2 else { return nil }
    if bytes.first == quote, bytes.last == quote {
      return (try? JSONDecoder().decode(String.self, from: Data(bytes))).map { Array($0.utf8) }
    }
    return phpString(bytes)
  }

  /// What `s:3:"abc";` says.
  private static func phpString(_ bytes: [UInt8]) -> [UInt8]? {
    guard bytes.starts(with: "s:".utf8), bytes.suffix(2).elementsEqual("\";".utf8) else {
      return nil
    }
    let digits = bytes.dropFirst(2).prefix { (0x30...0x39).contains($0) }
    let rest = bytes[digits.endIndex...]
    guard digits.count <= 4, let count = Int(String(decoding: digits, as: UTF8.self)),
      rest.starts(with: ":\"".utf8)
    else { return nil }
    let content = rest.dropFirst(2).dropLast(2)
    return content.count == count ? Array(content) : nil
  }
}

extension ReportItem {
  /// What an item that means nothing looks like, without telling what it holds.
  static func form(of item: [UInt8]) -> String {
    let trimmed = SerializedText.trimmed(item[...])
    guard let first = trimmed.first else { return "\(item.count) bytes, all of them blank" }
    if let binary = trimmed.prefix(8).first(where: { $0 < 0x20 || $0 >= 0x7f }) {
      let head = trimmed.prefix(2).contains(binary) ? trimmed.prefix(2) : [binary]
      return "\(item.count) bytes, binary, with "
        + head.map { "0x" + hexadecimal([$0]) }.joined(separator: " ") + " at the beginning"
    }
    switch first {
    case UInt8(ascii: "{"):
      let isObject = (try? JSONDecoder().decode([String: Ignored].self, from: Data(trimmed))) != nil
      return "\(item.count) bytes, begins with {: "
        + (isObject ? "an object of JSON that asks for nothing known here" : "no JSON")
    case UInt8(ascii: "["): return "\(item.count) bytes, begins with [: a list"
    case UInt8(ascii: "\""): return "\(item.count) bytes, begins with \": a string of no token"
    default:
      let second = trimmed.dropFirst().first
      let isPHP = second == UInt8(ascii: ":") && "aOCsib".utf8.contains(first)
      return "\(item.count) bytes, "
        + (isPHP ? "serialized by PHP" : "text with characters that no token has")
    }
  }

  /// Any value at all.
  private struct Ignored: Decodable { init(from decoder: any Decoder) {} }
}
