/// A value that a Redis server answered (RESP2).
///
/// Its description shows shapes and sizes only: replies carry tokens.
package enum RedisReply: Hashable, Sendable {
  /// A simple string such as `OK`.
  case status(String)
  /// A refusal: a reply like any other, since only its caller knows whether it was expected.
  case error(RedisServerError)
  case integer(Int64)
  /// A binary-safe string.
  case bulk([UInt8])
  /// The null bulk string or the null array: RESP2's two spellings of nothing.
  case null
  case array([RedisReply])
}

extension RedisReply {
  /// The bytes of a bulk or simple string as text; nil for other values and for invalid UTF-8.
  package var text: String? {
    switch self {
    case .status(let text): text
    case .bulk(let bytes): String(validating: bytes, as: UTF8.self)
    case .error, .integer, .null, .array: nil
    }
  }

  /// The bytes of a bulk or simple string.
  package var bytes: [UInt8]? {
    switch self {
    case .status(let text): Array(text.utf8)
    case .bulk(let bytes): bytes
    case .error, .integer, .null, .array: nil
    }
  }

  /// An integer reply, or a string that spells one, as scripts and hashes return numbers.
  package var number: Int64? {
    switch self {
    case .integer(let value): value
    case .status, .bulk: text.flatMap { Int64($0) }
    case .error, .null, .array: nil
    }
  }

  /// The elements of an array reply.
  package var elements: [RedisReply]? {
    if case .array(let elements) = self { elements } else { nil }
  }

  /// The server's refusal, when the reply is one.
  package var refusal: RedisServerError? {
    if case .error(let error) = self { error } else { nil }
  }

  /// Whether the reply is one of the two nulls.
  package var isNull: Bool { self == .null }
}

extension RedisReply: CustomStringConvertible, CustomReflectable {
  package var description: String {
    switch self {
    case .status(let text): "status(\(text.utf8.count) bytes)"
    case .error(let error): "error(\(error))"
    case .integer(let value): "integer(\(value))"
    case .bulk(let bytes): "bulk(\(bytes.count) bytes)"
    case .null: "null"
    case .array(let elements): "array\(elements)"
    }
  }

  package var customMirror: Mirror { Mirror(self, children: [:]) }
}
