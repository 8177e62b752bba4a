/// Decodes what gzip and deflate made (RFC 1950, 1951, 1952), within a bound.
///
/// WeChat is asked for answers without a coding; this reads the one that comes all the same, from
/// something on the way. A few hundred bytes need no fast decoder, and no library in C.
struct Inflate {
  /// The bytes are not what their coding says, or become too many.
  struct Problem: Error, Hashable, CustomStringConvertible {
    let description: String

    static let malformed = Problem(description: "is not what its coding says")
  }

  /// What was decoded, and whether it has its end: a cut one is as good as it goes.
  struct Output: Hashable {
    var bytes: [UInt8] = []
    var isWhole = false
  }

  /// More input is needed than there is.
  private struct Cut: Error {}

  private let input: [UInt8]
  private var position: Int
  private var bits: UInt32 = 0
  private var bitCount = 0
  private var output: [UInt8] = []
  private let limit: Int

  private init(_ input: [UInt8], from position: Int, limit: Int) {
    self.input = input
    self.position = position
    self.limit = limit
  }

  /// Decodes `gzip`.
  static func gzip(_ input: [UInt8], limit: Int) throws(Problem) -> Output {
    guard input.count >= 10 else { return Output() }
    guard input[0] == 0x1f, input[1] == 0x8b, input[2] == 8 else { throw .malformed }
    let flags = input[3]
    var start = 10
    if flags & 4 != 0 {
      guard start + 2 <= input.count else { return Output() }
      start += 2 + Int(input[start]) + Int(input[start + 1]) << 8
    }
    for flag in [UInt8(8), 16] where flags & flag != 0 {
      guard start < input.count, let end = input[start...].firstIndex(of: 0) else {
        return Output()
      }
      start = end + 1
    }
    if flags & 2 != 0 { start += 2 }
    guard start <= input.count else { return Output() }
    let (output, end) = try decode(input, from: start, limit: limit)
    guard output.isWhole else { return output }
    var trailer = bytes(of: checksum(output.bytes))
    trailer += bytes(of: UInt32(truncatingIfNeeded: output.bytes.count))
    try check(input[end...], against: trailer)
    return output
  }

  /// What was bent on its way may still read as an answer, with another token in it; a byte that
  /// was lost makes the trailer shorter, so what there is of it is compared.
  private static func check(_ found: ArraySlice<UInt8>, against trailer: [UInt8]) throws(Problem) {
    let count = min(found.count, trailer.count)
    guard found.prefix(count).elementsEqual(trailer.prefix(count)) else { throw .malformed }
  }

  /// The least significant byte first.
  private static func bytes(of value: UInt32) -> [UInt8] {
    stride(from: UInt32(0), to: 32, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  /// CRC-32 as RFC 1952 section 8 has it.
  private static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var value = UInt32.max
    for byte in bytes {
      value ^= UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
    }
    return ~value
  }

  /// Decodes `deflate`: with the wrapping of zlib as it should be, or without, as some send it.
  static func deflate(_ input: [UInt8], limit: Int) throws(Problem) -> Output {
    let isWrapped =
      input.count >= 2 && input[0] & 15 == 8
      && (Int(input[0]) << 8 + Int(input[1])) % 31 == 0 && input[1] & 32 == 0
    let (output, end) = try decode(input, from: isWrapped ? 2 : 0, limit: limit)
    if isWrapped, output.isWhole {
      try check(input[end...], against: bytes(of: adler(output.bytes)).reversed())
    }
    return output
  }

  /// Adler-32 as RFC 1950 section 8.2 has it.
  private static func adler(_ bytes: [UInt8]) -> UInt32 {
    var (low, high): (UInt32, UInt32) = (1, 0)
    for byte in bytes {
      low = (low + UInt32(byte)) % 65521
      high = (high + low) % 65521
    }
    return high << 16 | low
  }

  /// What the blocks from there on hold, and where the first byte behind them is.
  private static func decode(
    _ input: [UInt8], from start: Int, limit: Int
  ) throws(Problem) -> (output: Output, end: Int) {
    var decoder = Inflate(input, from: start, limit: limit)
    do {
      while try !decoder.block() {}
      // Bytes that were taken for their bits and not used are behind the last block.
      let end = decoder.position - decoder.bitCount / 8
      return (Output(bytes: decoder.output, isWhole: true), end)
    } catch let problem as Problem {
      throw problem
    } catch {
      return (Output(bytes: decoder.output, isWhole: false), input.count)
    }
  }

  // MARK: Blocks

  /// Decodes one block; true when it was the last.
  private mutating func block() throws -> Bool {
    let isLast = try take(1) == 1
    switch try take(2) {
    case 0: try stored()
    case 1: try coded(literals: .fixedLiterals, distances: .fixedDistances)
    case 2:
      let (literals, distances) = try codes()
      try coded(literals: literals, distances: distances)
    default: throw Problem.malformed
    }
    return isLast
  }

  private mutating func stored() throws {
    bits = 0
    bitCount = 0
    guard position + 4 <= input.count else { throw Cut() }
    let length = Int(input[position]) | Int(input[position + 1]) << 8
    let check = Int(input[position + 2]) | Int(input[position + 3]) << 8
    guard length == ~check & 0xffff else { throw Problem.malformed }
    position += 4
    for _ in 0..<length {
      guard position < input.count else { throw Cut() }
      try put(input[position])
      position += 1
    }
  }

  private mutating func coded(literals: Code, distances: Code) throws {
    while true {
      let symbol = try read(literals)
      switch symbol {
      case 0..<256: try put(UInt8(symbol))
      case 256: return
      default:
        guard symbol - 257 < Self.lengths.count else { throw Problem.malformed }
        let (base, extra) = Self.lengths[symbol - 257]
        let length = try base + take(extra)
        let code = try read(distances)
        guard code < Self.distances.count else { throw Problem.malformed }
        let (nearest, more) = Self.distances[code]
        let distance = try nearest + take(more)
        guard distance <= output.count else { throw Problem.malformed }
        for _ in 0..<length { try put(output[output.count - distance]) }
      }
    }
  }

  /// The two codes at the beginning of a block that brings its own.
  private mutating func codes() throws -> (literals: Code, distances: Code) {
    let literals = try 257 + take(5)
    let distances = try 1 + take(5)
    let count = try 4 + take(4)
    guard literals <= 286 else { throw Problem.malformed }
    var meta = [UInt8](repeating: 0, count: 19)
    for index in Self.metaOrder.prefix(count) { meta[index] = UInt8(try take(3)) }
    let code = try Code(meta)
    var lengths: [UInt8] = []
    while lengths.count < literals + distances {
      let symbol = try read(code)
      switch symbol {
      case 0..<16: lengths.append(UInt8(symbol))
      case 16:
        guard let last = lengths.last else { throw Problem.malformed }
        lengths += repeatElement(last, count: try 3 + take(2))
      case 17: lengths += repeatElement(0, count: try 3 + take(3))
      default: lengths += repeatElement(0, count: try 11 + take(7))
      }
    }
    guard lengths.count == literals + distances else { throw Problem.malformed }
    return (try Code(Array(lengths[..<literals])), try Code(Array(lengths[literals...])))
  }

  // MARK: Bits

  private mutating func take(_ count: Int) throws -> Int {
    while bitCount < count {
      guard position < input.count else { throw Cut() }
      bits |= UInt32(input[position]) << UInt32(bitCount)
      position += 1
      bitCount += 8
    }
    let value = bits & (1 << UInt32(count) - 1)
    bits >>= UInt32(count)
    bitCount -= count
    return Int(value)
  }

  private mutating func read(_ code: Code) throws -> Int {
    var value = 0
    var first = 0
    var index = 0
    for length in 1...15 {
      value |= try take(1)
      let count = code.counts[length]
      if value - count < first { return code.symbols[index + value - first] }
      index += count
      first = (first + count) << 1
      value <<= 1
    }
    throw Problem.malformed
  }

  private mutating func put(_ byte: UInt8) throws {
    guard output.count < limit else {
      throw Problem(description: "becomes longer than \(limit) bytes")
    }
    output.append(byte)
  }

  /// A canonical Huffman code: how many symbols have each length, and the symbols in that order.
  private struct Code {
    var counts = [Int](repeating: 0, count: 16)
    var symbols: [Int]

    init(_ lengths: [UInt8]) throws(Problem) {
      for length in lengths { counts[Int(length)] += 1 }
      counts[0] = 0
      var left = 1
      for length in 1...15 {
        left = left << 1 - counts[length]
        guard left >= 0 else { throw .malformed }
      }
      symbols = (UInt8(1)...15).flatMap { length in
        lengths.indices.filter { lengths[$0] == length }
      }
    }

    private init(unchecked lengths: [UInt8]) {
      for length in lengths { counts[Int(length)] += 1 }
      symbols = (UInt8(1)...15).flatMap { length in
        lengths.indices.filter { lengths[$0] == length }
      }
    }

    static let fixedLiterals = Code(
      unchecked: (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 })
    static let fixedDistances = Code(unchecked: [UInt8](repeating: 5, count: 30))
  }

  private static let metaOrder = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
  ]

  /// The shortest length of each code from 257 on, and how many bits say how much more it is.
  private static let lengths: [(base: Int, extra: Int)] = {
    var table = (0..<8).map { (base: $0 + 3, extra: 0) }
    for code in 8..<28 {
      let extra = code / 4 - 1
      table.append((base: (4 + code % 4) << extra + 3, extra: extra))
    }
    return table + [(base: 258, extra: 0)]
  }()

  /// The same of distances.
  private static let distances: [(base: Int, extra: Int)] = {
    var table = (0..<4).map { (base: $0 + 1, extra: 0) }
    for code in 4..<30 {
      let extra = code / 2 - 1
      table.append((base: (2 + code % 2) << extra + 1, extra: extra))
    }
    return table
  }()
}
