/// One of the 16384 parts that the keys of a cluster are dealt to
/// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
package struct HashSlot: Hashable, Comparable, Sendable {
  /// 0 to 16383.
  package let number: Int

  static let count = 16384

  init?(_ number: Int) {
    guard (0..<Self.count).contains(number) else { return nil }
    self.number = number
  }

  /// The slot of a key.
  package init(of key: String) {
    number = Int(Self.checksum(Self.tag(of: key).utf8)) % Self.count
  }

  /// What of a key decides its slot: what stands in its first braces, if there is anything in them.
  package static func tag(of key: String) -> Substring {
    let bytes = key.utf8
    guard let open = bytes.firstIndex(of: UInt8(ascii: "{")) else { return key[...] }
    let start = bytes.index(after: open)
    guard let close = bytes[start...].firstIndex(of: UInt8(ascii: "}")), close > start else {
      return key[...]
    }
    return key[start..<close]
  }

  package static func < (a: HashSlot, b: HashSlot) -> Bool { a.number < b.number }

  /// CRC16 as XMODEM has it: the polynomial 0x1021, beginning with 0, nothing reflected.
  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt16 {
    var sum: UInt16 = 0
    for byte in bytes {
      sum ^= UInt16(byte) << 8
      for _ in 0..<8 { sum = sum & 0x8000 == 0 ? sum << 1 : sum << 1 ^ 0x1021 }
    }
    return sum
  }
}

extension HashSlot: CustomStringConvertible {
  package var description: String { "\(number)" }
}
