internal import CHiredis

/// One Redis command: its name and its arguments, all of them binary-safe.
///
/// Its description shows the name and the sizes only: arguments carry tokens and passwords.
package struct RedisCommand: Hashable, Sendable {
  /// The command's name first, then its arguments.
  package private(set) var arguments: [[UInt8]]

  package init(_ name: String, _ arguments: String...) {
    self.init(name, arguments)
  }

  package init(_ name: String, _ arguments: [String]) {
    self.arguments = [Array(name.utf8)] + arguments.map { Array($0.utf8) }
  }

  package init(_ name: String, bytes arguments: [[UInt8]]) {
    self.arguments = [Array(name.utf8)] + arguments
  }

  /// Adds an argument of any bytes.
  package mutating func append(_ argument: [UInt8]) { arguments.append(argument) }

  /// Adds an argument of text.
  package mutating func append(_ argument: String) { arguments.append(Array(argument.utf8)) }

  /// The most bytes that one command's arguments may have together: far above any command of ours,
  /// and far below where hiredis 0.14 would overflow the `int` in which it adds lengths up.
  package static let maximumBytes = 8 << 20
  /// The most arguments that one command may have, so that headers cannot add up to much either.
  package static let maximumArguments = 65_536

  /// The command as it goes over the wire.
  ///
  /// - Throws: when it is larger than the limits above, or when memory has run out.
  package func encoded() throws(RedisCommandError) -> [UInt8] {
    var wire: [UInt8] = []
    try withEncoded { bytes in unsafe bytes.withUnsafeBytes { unsafe wire.append(contentsOf: $0) } }
    return wire
  }

  /// Lends the command as it goes over the wire, without a copy.
  ///
  /// - Throws: when it is larger than the limits above, or when memory has run out.
  package func withEncoded(_ body: (RawSpan) -> Void) throws(RedisCommandError) {
    guard arguments.count <= Self.maximumArguments else {
      throw .tooManyArguments(arguments.count)
    }
    let size = arguments.reduce(0) { $0 + $1.count }
    guard size <= Self.maximumBytes else { throw .tooLarge(bytes: size) }

    // All arguments end to end in one buffer: hiredis wants their addresses at the same time, and
    // Swift lends the address of one array at a time.
    var joined: [UInt8] = []
    joined.reserveCapacity(size + 1)
    for argument in arguments { joined += argument }
    joined.append(0)
    let lengths = arguments.map(\.count)
    var formatted: UnsafeMutablePointer<CChar>? = nil
    // hiredis allocates `formatted`; it is ours until redisFreeCommand below.
    let count = unsafe joined.withUnsafeBytes { bytes -> Int64 in
      guard var next = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else {
        return -1
      }
      var addresses: [UnsafePointer<CChar>?] = unsafe []
      unsafe addresses.reserveCapacity(lengths.count)
      for length in lengths {
        unsafe addresses.append(next)
        unsafe next += length
      }
      return unsafe chiredis_format(&formatted, CInt(lengths.count), &addresses, lengths)
    }
    guard count > 0, let command = unsafe formatted else { throw .outOfMemory }
    defer { unsafe redisFreeCommand(command) }
    body(unsafe RawSpan(_unsafeStart: command, byteCount: Int(count)))
  }
}

extension RedisCommand: CustomStringConvertible, CustomReflectable {
  package var description: String {
    let name = String(decoding: arguments[0].prefix(32), as: UTF8.self)
    let bytes = arguments.dropFirst().reduce(0) { $0 + $1.count }
    return "\(name) (\(arguments.count - 1) arguments, \(bytes) bytes)"
  }

  package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Why a command cannot be put on the wire.
package enum RedisCommandError: Error, Hashable, Sendable, CustomStringConvertible {
  case tooManyArguments(Int)
  case tooLarge(bytes: Int)
  case outOfMemory

  package var description: String {
    switch self {
    case .tooManyArguments(let count):
      "the command has \(count) arguments, more than \(RedisCommand.maximumArguments)"
    case .tooLarge(let bytes):
      "the command has \(bytes) bytes, more than \(RedisCommand.maximumBytes)"
    case .outOfMemory: "no memory was left to format the command"
    }
  }
}
