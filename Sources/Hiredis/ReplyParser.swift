internal import CHiredis

/// Turns the bytes of one connection into replies, by hiredis's `redisReader`.
///
/// A parser that has thrown stays failed: after an error nobody knows where the next reply begins.
/// It belongs to one event loop and is not `Sendable`. No pointer leaves it: hence `@safe`.
@safe
package final class ReplyParser {
  private let limits: ReplyLimits
  private let builder: ReplyBuilder
  /// Allocated here and freed by `deinit`, after the reader that points at it.
  private let sink: UnsafeMutablePointer<chiredis_sink>
  /// Made by hiredis and freed by `deinit`; nil when there was no memory for it.
  private let reader: UnsafeMutablePointer<redisReader>?
  private var failure: ReplyError? = nil

  /// What hiredis gets at a time, so that its buffer stays small and every header is seen before
  /// more is taken in.
  private static let chunkBytes = 16 << 10
  /// `-9223372036854775808` and its end of line fit: a longer header announces no number.
  private static let longestHeader = 22

  package init(limits: ReplyLimits = .standard) {
    self.limits = limits
    builder = ReplyBuilder(limits: limits)
    unsafe sink = .allocate(capacity: 1)
    // The builder is not retained by the sink: this object holds it for longer than the reader
    // lives, and hiredis calls back only inside `feed`.
    unsafe sink.initialize(
      to: chiredis_sink(
        context: Unmanaged.passUnretained(builder).toOpaque(),
        take_bytes: { unsafe ReplyParser.takeBytes($0, $1, $2, $3) },
        take_array: { unsafe ReplyParser.takeArray($0, $1, $2) },
        take_integer: { unsafe ReplyParser.builder($0).take(.integer($1)) },
        take_null: { unsafe ReplyParser.builder($0).take(.null) },
        take_unsupported: { unsafe ReplyParser.builder($0).refuse(.unsupportedType) }))
    unsafe reader = chiredis_reader_create(sink)
    if unsafe reader == nil { failure = .outOfMemory }
  }

  deinit {
    if let reader = unsafe reader { unsafe redisReaderFree(reader) }
    unsafe sink.deinitialize(count: 1)
    unsafe sink.deallocate()
  }

  /// Takes bytes as they arrived, in pieces of any size, and hands over every reply they complete.
  ///
  /// - Throws: when the bytes are not RESP2 or exceed the limits; replies before the offence have
  ///   been handed over.
  package func feed(_ bytes: Span<UInt8>, receive: (RedisReply) -> Void) throws(ReplyError) {
    var offset = 0
    while offset < bytes.count {
      let end = min(offset + Self.chunkBytes, bytes.count)
      do {
        try feedChunk(bytes.extracting(offset..<end), receive: receive)
      } catch {
        failure = error
        throw error
      }
      offset = end
    }
  }

  private func feedChunk(_ chunk: Span<UInt8>, receive: (RedisReply) -> Void) throws(ReplyError) {
    if let failure { throw failure }
    guard let reader = unsafe reader else { throw .outOfMemory }
    let fed = unsafe chunk.withUnsafeBytes { bytes in
      // hiredis copies the bytes.
      unsafe redisReaderFeed(
        reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    }
    guard fed == REDIS_OK else { throw unsafe hiredisFailure(reader) }
    while true {
      // What hiredis hands over is the sink's own address: a mark, not an object to free.
      var mark: UnsafeMutableRawPointer? = nil
      guard unsafe redisReaderGetReply(reader, &mark) == REDIS_OK else {
        throw unsafe hiredisFailure(reader)
      }
      guard unsafe mark != nil, let reply = builder.finish() else { break }
      receive(reply)
    }
    unsafe try checkPending(reader)
  }

  /// Refuses what the unfinished value announces, before the bytes for it are taken in.
  private func checkPending(_ reader: UnsafeMutablePointer<redisReader>) throws(ReplyError) {
    let type = unsafe chiredis_pending_type(reader)
    // hiredis's buffer: valid until it is fed again.
    let pending = unsafe UnsafeRawBufferPointer(
      start: UnsafeRawPointer(reader.pointee.buf) + reader.pointee.pos,
      count: reader.pointee.len - reader.pointee.pos)
    guard type == REDIS_REPLY_STRING else {
      guard pending.count <= limits.lineBytes else { throw .lineTooLong(limit: limits.lineBytes) }
      return
    }
    let header = unsafe pending.prefix(Self.longestHeader).prefix { $0 != UInt8(ascii: "\r") }
    guard unsafe header.count < pending.count else { return }
    guard unsafe header.count < Self.longestHeader else {
      throw .lineTooLong(limit: Self.longestHeader)
    }
    // hiredis would look for the end of line further on, in all that follows.
    guard
      unsafe header.count + 1 == pending.count || pending[header.count + 1] == UInt8(ascii: "\n")
    else { throw .malformed("Bad bulk string length") }
    // What is not a number hiredis refuses as soon as the line is complete.
    guard let bytes = unsafe Int64(String(decoding: header, as: UTF8.self)) else { return }
    guard bytes <= limits.bulkBytes else {
      throw .bulkTooLong(bytes: bytes, limit: limits.bulkBytes)
    }
  }

  private func hiredisFailure(_ reader: UnsafeMutablePointer<redisReader>) -> ReplyError {
    if let refusal = builder.failure { return refusal }
    if unsafe reader.pointee.err == REDIS_ERR_OOM { return .outOfMemory }
    let reason = unsafe withUnsafeBytes(of: &reader.pointee.errstr) { text in
      unsafe String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    }
    return .malformed(reason)
  }

  // MARK: Called by hiredis, inside `feed` only

  private static func builder(_ context: UnsafeMutableRawPointer?) -> ReplyBuilder {
    guard let context = unsafe context else { preconditionFailure("the sink lost its builder") }
    return unsafe Unmanaged<ReplyBuilder>.fromOpaque(context).takeUnretainedValue()
  }

  private static func takeBytes(
    _ context: UnsafeMutableRawPointer?, _ type: CInt, _ bytes: UnsafePointer<CChar>?, _ count: Int
  ) -> Bool {
    let builder = unsafe builder(context)
    let copy = unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
    return switch type {
    case REDIS_REPLY_STRING: builder.takeBulk(copy)
    case REDIS_REPLY_STATUS: builder.takeLine(copy, isError: false)
    case REDIS_REPLY_ERROR: builder.takeLine(copy, isError: true)
    default: builder.refuse(.unsupportedType)
    }
  }

  private static func takeArray(
    _ context: UnsafeMutableRawPointer?, _ type: CInt, _ count: Int
  ) -> Bool {
    let builder = unsafe builder(context)
    guard type == REDIS_REPLY_ARRAY else { return builder.refuse(.unsupportedType) }
    return builder.takeArray(count: count)
  }
}
