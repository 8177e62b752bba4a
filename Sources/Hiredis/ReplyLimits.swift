/// What a server may send before it is refused; hiredis 0.14 has no such limits of its own.
package struct ReplyLimits: Hashable, Sendable {
  /// The longest line: a status, an error, a number or a header.
  ///
  /// Redis's own are below 1 KiB; an error of a script may quote a good part of the script.
  package var lineBytes = 16 << 10
  /// The longest single string.
  ///
  /// A token has at most 1 KiB, a report 2 KiB, `INFO` about 8 KiB.
  package var bulkBytes = 1 << 20
  /// The most bytes of text in one reply, all its strings together: a thousand reports of 2 KiB are
  /// half of it.
  package var replyBytes = 4 << 20
  /// The most values in one reply, those in nested arrays included.
  package var values = 16_384
  /// The deepest nesting of arrays; hiredis 0.14 itself ends at 8, and we use 2.
  package var depth = 7

  package init() {}

  /// The limits of every connection.
  package static let standard = ReplyLimits()
}

/// Why the bytes of a server are refused: the connection that they came from is of no use any more.
package enum ReplyError: Error, Hashable, Sendable {
  /// The bytes are not RESP2; the reason is hiredis's.
  case malformed(String)
  /// A line goes on and on without its end.
  case lineTooLong(limit: Int)
  /// A string's header announces more bytes than the limit.
  case bulkTooLong(bytes: Int64, limit: Int)
  /// The strings of one reply are too long together.
  case replyTooLong(limit: Int)
  /// The arrays of one reply announce more values than the limit.
  case tooManyValues(limit: Int)
  /// Arrays nest deeper than the limit.
  case tooDeep(limit: Int)
  /// A type of RESP3, which was never asked for.
  case unsupportedType
  case outOfMemory
}

extension ReplyError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformed(let reason): "the bytes are not the Redis protocol (\(reason))"
    case .lineTooLong(let limit): "a line is longer than \(limit) bytes"
    case .bulkTooLong(let bytes, let limit):
      "a string of \(bytes) bytes is announced, more than \(limit)"
    case .replyTooLong(let limit): "a reply is longer than \(limit) bytes"
    case .tooManyValues(let limit): "a reply has more than \(limit) values"
    case .tooDeep(let limit): "a reply nests deeper than \(limit) arrays"
    case .unsupportedType: "a reply has a RESP3 type, which was not asked for"
    case .outOfMemory: "no memory was left to hold a reply"
    }
  }
}
