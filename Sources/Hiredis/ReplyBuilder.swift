/// Puts the values that hiredis reports, in the order of the wire, together as one reply.
///
/// It refuses what exceeds the limits when a header announces it, before anything is reserved.
final class ReplyBuilder {
  private struct OpenArray {
    let count: Int
    var elements: [RedisReply] = []
  }

  private let limits: ReplyLimits
  /// The arrays whose elements are still arriving, outermost first.
  private var open: [OpenArray] = []
  private var announcedValues = 1
  private var bytes = 0
  private var complete: RedisReply? = nil

  /// Why the builder refused a value; hiredis itself only knows that it did.
  private(set) var failure: ReplyError? = nil

  init(limits: ReplyLimits) { self.limits = limits }

  /// Hands the finished reply over and begins the next.
  func finish() -> RedisReply? {
    defer {
      complete = nil
      announcedValues = 1
      bytes = 0
    }
    return complete
  }

  func takeLine(_ line: [UInt8], isError: Bool) -> Bool {
    guard line.count <= limits.lineBytes else {
      return refuse(.lineTooLong(limit: limits.lineBytes))
    }
    guard count(line.count) else { return false }
    // A status or an error is text for people and for comparison with ASCII words: what is not
    // UTF-8 in it is replaced, not refused.
    let text = String(decoding: line, as: UTF8.self)
    return take(isError ? .error(RedisServerError(text)) : .status(text))
  }

  func takeBulk(_ string: [UInt8]) -> Bool {
    guard string.count <= limits.bulkBytes else {
      return refuse(.bulkTooLong(bytes: Int64(string.count), limit: limits.bulkBytes))
    }
    guard count(string.count) else { return false }
    return take(.bulk(string))
  }

  func takeArray(count: Int) -> Bool {
    guard open.count < limits.depth else { return refuse(.tooDeep(limit: limits.depth)) }
    let (sum, overflow) = announcedValues.addingReportingOverflow(count)
    guard !overflow, count >= 0, sum <= limits.values else {
      return refuse(.tooManyValues(limit: limits.values))
    }
    announcedValues = sum
    guard count > 0 else { return take(.array([])) }
    open.append(OpenArray(count: count))
    return true
  }

  func take(_ value: RedisReply) -> Bool {
    var value = value
    while var array = open.popLast() {
      array.elements.append(value)
      guard array.elements.count == array.count else {
        open.append(array)
        return true
      }
      value = .array(array.elements)
    }
    complete = value
    return true
  }

  func refuse(_ error: ReplyError) -> Bool {
    failure = error
    return false
  }

  private func count(_ more: Int) -> Bool {
    bytes += more
    return bytes <= limits.replyBytes || refuse(.replyTooLong(limit: limits.replyBytes))
  }
}
