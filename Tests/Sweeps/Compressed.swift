/// Codings of content, written by hand: what a server may send, and what none should.
enum Compressed {
  /// gzip (RFC 1952) of stored blocks.
  static func gzip(_ content: [UInt8]) -> [UInt8] {
    let (sum, size) = (crc(content), UInt32(truncatingIfNeeded: content.count))
    return gzipHead + stored(content) + littleEndian(sum) + littleEndian(size)
  }

  /// zlib (RFC 1950), which HTTP calls deflate.
  static func zlib(_ content: [UInt8]) -> [UInt8] {
    var (a, b): (UInt32, UInt32) = (1, 0)
    for byte in content {
      a = (a + UInt32(byte)) % 65_521
      b = (b + a) % 65_521
    }
    return [0x78, 0x01] + stored(content) + littleEndian((b << 16 | a).byteSwapped)
  }

  /// A gzip of 12 MB that is about two hundred times as long when it is unpacked; the sum at its
  /// end is wrong, but nobody should come so far.
  static let bomb: [UInt8] = {
    let size = 12_000_000
    var bits = Bits()
    bits.append(1, 1)
    bits.append(1, 2)
    // A blank, and then the length 258 at distance 1 again and again, by the fixed codes.
    bits.append(reversed: 0x30 + 0x20, 8)
    for _ in 0..<(size / 258) {
      bits.append(reversed: 0xc5, 8)
      bits.append(reversed: 0, 5)
    }
    bits.append(reversed: 0, 7)
    return gzipHead + bits.bytes + littleEndian(0) + littleEndian(UInt32(size))
  }()

  private static let gzipHead: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]

  /// deflate (RFC 1951) that does not compress.
  static func stored(_ content: [UInt8]) -> [UInt8] {
    var blocks: [UInt8] = []
    var rest = content[...]
    repeat {
      let part = rest.prefix(0xffff)
      rest = rest.dropFirst(part.count)
      let size = UInt16(part.count)
      blocks.append(rest.isEmpty ? 1 : 0)
      blocks += [UInt8(size & 0xff), UInt8(size >> 8), UInt8(~size & 0xff), UInt8(~size >> 8)]
      blocks += part
    } while !rest.isEmpty
    return blocks
  }

  private static func crc(_ content: [UInt8]) -> UInt32 {
    ~content.reduce(0xffff_ffff) { sum, byte in
      sum >> 8 ^ sums[Int(UInt8(truncatingIfNeeded: sum) ^ byte)]
    }
  }

  /// What each byte does to the sum.
  private static let sums: [UInt32] = (UInt32(0)..<256).map { byte in
    (0..<8).reduce(byte) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xedb8_8320 : sum >> 1 }
  }

  private static func littleEndian(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// Bits from the least significant one of each byte on, as deflate has them.
  private struct Bits {
    private(set) var bytes: [UInt8] = []
    private var used = 8

    mutating func append(_ value: UInt, _ count: Int) {
      for place in 0..<count {
        if used == 8 {
          bytes.append(0)
          used = 0
        }
        bytes[bytes.count - 1] |= UInt8(value >> place & 1) << used
        used += 1
      }
    }

    /// A code, which begins with its most significant bit.
    mutating func append(reversed code: UInt, _ count: Int) {
      for place in stride(from: count - 1, through: 0, by: -1) { append(code >> place & 1, 1) }
    }
  }
}
