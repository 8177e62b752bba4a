/// A key as a pattern of Redis's ACL that means this key and no other.
struct KeyPattern: CustomStringConvertible {
  private let key: String

  init(_ key: String) { self.key = key }

  /// Whether patterns, `redis-cli` and shells all read the character as itself.
  static func isPlain(_ character: Character) -> Bool {
    guard let byte = character.asciiValue, character.utf8.count == 1 else { return false }
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      return true
    default: return "._-:{}".utf8.contains(byte)
    }
  }

  /// The key with its wildcards escaped.
  var description: String {
    String(
      key.flatMap { character -> [Character] in
        switch character {
        case "*", "?", "[", "]", "\\", "^": ["\\", character]
        default: [character]
        }
      })
  }
}
