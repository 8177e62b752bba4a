import FoundationEssentials
package import TokenCore

/// The body of an answer, read leniently: numbers may come as strings.
struct WeChatAnswer: Decodable {
  /// A number as WeChat may write it.
  enum Number: Hashable {
    case absent
    case whole(Int64)
    /// Something stands there, but no number.
    case malformed
  }

  var errorCode = Number.absent
  var message = ""
  var accessToken: String?
  var ticket: String?
  var lifetime = Number.absent
  var quota: QuotaFigures?

  /// The object within `quota/get`'s answer.
  struct QuotaFigures: Decodable {
    var dailyLimit = Number.absent
    var remaining = Number.absent

    private enum CodingKeys: String, CodingKey {
      case dailyLimit = "daily_limit"
      case remaining = "remain"
    }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      dailyLimit = members.number(.dailyLimit)
      remaining = members.number(.remaining)
    }
  }

  private enum CodingKeys: String, CodingKey {
    case errorCode = "errcode"
    case message = "errmsg"
    case accessToken = "access_token"
    case ticket
    case lifetime = "expires_in"
    case quota
  }

  /// Nil when the bytes are not one JSON object.
  init?(_ body: [UInt8]) {
    for text in AnswerText.readings(of: body) {
      guard let answer = try? JSONDecoder().decode(WeChatAnswer.self, from: Data(text)) else {
        continue
      }
      self = answer
      return
    }
    return nil
  }

  init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    errorCode = members.number(.errorCode)
    message = (try? members.decode(String.self, forKey: .message)) ?? ""
    accessToken = try? members.decode(String.self, forKey: .accessToken)
    ticket = try? members.decode(String.self, forKey: .ticket)
    lifetime = members.number(.lifetime)
    quota = try? members.decode(QuotaFigures.self, forKey: .quota)
  }
}

extension KeyedDecodingContainer {
  /// The number of that name, written as one or as a string.
  fileprivate func number(_ key: Key) -> WeChatAnswer.Number {
    guard contains(key), (try? decodeNil(forKey: key)) != true else { return .absent }
    if let whole = try? decode(Int64.self, forKey: key) { return .whole(whole) }
    if let text = try? decode(String.self, forKey: key), let whole = Int64(text) {
      return .whole(whole)
    }
    return .malformed
  }
}

/// The text of an answer, made fit for a strict reader of JSON.
///
/// WeChat's messages have come with raw control characters and in other encodings than UTF-8
/// (co-wechat-api#63, wechatpy#154); what stands beside such a message must not be lost with it.
enum AnswerText {
  /// The readings to try, in this order: of bytes that are no UTF-8 there are two.
  static func readings(of body: [UInt8]) -> [[UInt8]] {
    let text = utf8(body).map { $0 < 0x20 ? 0x20 : $0 }
    guard String(validating: text, as: UTF8.self) == nil else { return [text] }
    return [replacingPairs(in: text), Array(String(decoding: text, as: UTF8.self).utf8)]
  }

  /// Without a byte order mark, and not in UTF-16.
  private static func utf8(_ body: [UInt8]) -> [UInt8] {
    if body.starts(with: [0xef, 0xbb, 0xbf]) { return Array(body.dropFirst(3)) }
    let isLittle = body.starts(with: [0xff, 0xfe]) || (body.count > 1 && body[1] == 0)
    let isBig = body.starts(with: [0xfe, 0xff]) || (body.count > 1 && body[0] == 0)
    guard isLittle || isBig else { return body }
    var units: [UInt16] = []
    for index in stride(from: 0, to: body.count - 1, by: 2) {
      let (first, second) = (UInt16(body[index]), UInt16(body[index + 1]))
      units.append(isBig ? first << 8 | second : second << 8 | first)
    }
    let text = units.first == 0xfeff ? units[1...] : units[...]
    return Array(String(decoding: text, as: UTF16.self).utf8)
  }

  /// Replaces what GBK writes in two bytes, whose second one may look like a backslash.
  private static func replacingPairs(in text: [UInt8]) -> [UInt8] {
    var replaced: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      guard byte >= 0x80 else {
        replaced.append(byte)
        continue
      }
      if let second = rest.first, second >= 0x40, second != 0x7f { rest.removeFirst() }
      replaced += "\u{FFFD}".utf8
    }
    return replaced
  }
}

/// What is read from an error message, whose wording is never compared: it changes.
package enum ErrorMessage {
  /// The request id behind `rid:`, or in WeCom's `hint: […]`; nil when there is none.
  package static func requestID(in message: String) -> String? {
    rid(in: message) ?? hint(in: message)
  }

  /// WeCom's: digits, of which the first ten are the second.
  private static func hint(in message: String) -> String? {
    guard let mark = message.utf8.firstRange(of: "hint: [") else { return nil }
    let digits = message.utf8[mark.upperBound...].prefix { isDigit($0) }
    let isClosed = message.utf8[digits.endIndex...].first == UInt8(ascii: "]")
    return isClosed && (11...40).contains(digits.count) ? String(Substring(digits)) : nil
  }

  private static func rid(in message: String) -> String? {
    guard let mark = message.utf8.firstRange(of: "rid:") else { return nil }
    let id = message.utf8[mark.upperBound...].drop { $0 == UInt8(ascii: " ") }
      .prefix { isRequestIDByte($0) }
    // Eight, eight and eight digits with two dashes: anything far longer is not one.
    return (1...40).contains(id.count) ? String(Substring(id)) : nil
  }

  /// The server's Unix second, which is the first part of a request id; nil when it isn't one.
  package static func second(ofRequestID id: String) -> Int64? {
    if id.utf8.count > 10, id.utf8.allSatisfy(isDigit) { return Int64(id.prefix(10)) }
    guard let first = id.split(separator: "-").first, first.utf8.count == 8 else { return nil }
    return Int64(first, radix: 16)
  }

  /// The first address in a message such as `invalid ip 123.56.6.137 ipv6 …`, which is the one
  /// that WeChat saw us come from.
  package static func address(in message: String) -> String? {
    message.utf8.split { !isAddressByte($0) }.lazy.map { String(Substring($0)) }
      .first(where: isAddress)
  }

  /// Four numbers up to 255, or what looks like IPv6: at least two colons.
  private static func isAddress(_ text: String) -> Bool {
    guard text.utf8.count <= 45 else { return false }
    if text.utf8.count(where: { $0 == UInt8(ascii: ":") }) >= 2 { return text.utf8.count > 2 }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func isRequestIDByte(_ byte: UInt8) -> Bool {
    isHexadecimal(byte) || byte == UInt8(ascii: "-")
  }

  private static func isAddressByte(_ byte: UInt8) -> Bool {
    isHexadecimal(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: ":")
  }

}

extension String.UTF8View {
  /// The first place of that ASCII text.
  fileprivate func firstRange(of text: StaticString) -> Range<Index>? {
    let wanted = Array("\(text)".utf8)
    var start = startIndex
    while start != endIndex {
      if self[start...].starts(with: wanted) {
        return start..<index(start, offsetBy: wanted.count)
      }
      start = index(after: start)
    }
    return nil
  }
}

/// Judges a whole answer to a fetch: which of the three outcomes it is.
package enum FetchClassifier {
  /// Tokens are 136 to 157 bytes today and documented up to 512.
  static let maxTokenBytes = 2048
  /// WeChat says at most two hours; a life beyond a month is not believed.
  static let maxLifetime: Int64 = 30 * 86_400

  /// The outcome of an answer that arrived whole.
  ///
  /// - Parameters:
  ///   - sentAt: just before the request was written.
  ///   - age: how long caches on the way say that they have kept it: its life began before that.
  ///   - question: what it answers.
  package static func classify(
    status: Int, body: [UInt8], sentAt: Moment, age: Duration = .zero,
    to question: Question = .token
  ) -> FetchOutcome {
    let (who, noun) = (question.speaker, question.noun)
    let answer = WeChatAnswer(body)
    guard status < 500 else { return .unknown(gatewayError(status, answer, question)) }
    guard let answer else {
      let what = body.isEmpty ? "an empty body" : "a body that is no JSON object"
      return .unknown(nonsense("\(who) answered with status \(status) and \(what)"))
    }
    let found = question.isForTicket ? answer.ticket : answer.accessToken
    switch answer.errorCode {
    case .whole(0), .absent:
      guard (200..<300).contains(status) else {
        return .unknown(nonsense("\(who) answered with status \(status) and no errcode"))
      }
      return credential(found, answer.lifetime, sentAt: sentAt, age: age, question)
    case .malformed:
      return .unknown(nonsense("\(who) answered with an errcode that is no number"))
    case .whole(let code):
      guard found == nil else {
        return .unknown(
          nonsense("\(who) answered with errcode \(code) and a \(noun) in one", code: Int(code)))
      }
      let failure = failure(Int(clamping: code), message: answer.message, to: question)
      return code == Int64(WeChatError.systemError) ? .unknown(failure) : .knownFailure(failure)
    }
  }

  /// The failure that an errcode and its message stand for.
  package static func failure(
    _ code: Int, message: String, to question: Question = .token
  ) -> FetchFailure {
    let row = WeChatError.row(code, to: question)
    let refusesAddress = WeChatError.addressRefusals.contains(code)
    return FetchFailure(
      row.category, code: code,
      reason: "\(question.speaker) answered with errcode \(code): \(row.advice)",
      requestID: ErrorMessage.requestID(in: message),
      egressAddress: refusesAddress ? ErrorMessage.address(in: message) : nil,
      refusesAddress: refusesAddress,
      rejectsSource: question.isForTicket && WeChatError.deadTokenCodes.contains(code),
      holdOff: row.holdOff)
  }

  /// A gateway's error says nothing about what was minted behind it, whatever its body says; but
  /// what that says is worth being read by people.
  private static func gatewayError(
    _ status: Int, _ answer: WeChatAnswer?, _ question: Question
  ) -> FetchFailure {
    let gateway = "\(question.speaker)'s gateway answered with status \(status)"
    guard case .whole(let number)? = answer?.errorCode, number != 0 else {
      return nonsense(gateway)
    }
    let code = Int(clamping: number)
    let refusal = failure(code, message: answer?.message ?? "", to: question)
    let advice = WeChatError.row(code, to: question).advice
    return FetchFailure(
      .transient, code: code, reason: "\(gateway) and errcode \(code): \(advice)",
      requestID: refusal.requestID, egressAddress: refusal.egressAddress)
  }

  /// What an answer without an errcode came to.
  private static func credential(
    _ text: String?, _ lifetime: WeChatAnswer.Number, sentAt: Moment, age: Duration,
    _ question: Question
  ) -> FetchOutcome {
    let noun = question.noun
    func answered(_ what: String) -> FetchOutcome {
      .unknown(nonsense("\(question.speaker) answered with \(what)"))
    }
    guard let text, !text.isEmpty else { return answered("neither a \(noun) nor an errcode") }
    guard text.utf8.count <= maxTokenBytes else {
      return answered("a \(noun) longer than \(maxTokenBytes) bytes")
    }
    // The last one stands for bytes that were no text.
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }), !text.contains("\u{FFFD}") else {
      return answered("a \(noun) that has blanks or control bytes")
    }
    // What has no life that can be believed was minted, but must not be published.
    switch lifetime {
    case .absent: return answered("a \(noun) but no expires_in")
    case .malformed: return answered("a \(noun) whose expires_in is no number")
    case .whole(0): return answered("a \(noun) whose expires_in is 0")
    case .whole(let seconds) where seconds < 0:
      return answered("a \(noun) whose expires_in is negative")
    case .whole(let seconds) where seconds > maxLifetime:
      return answered("a \(noun) whose expires_in is over 30 days")
    case .whole(let seconds) where .seconds(seconds) <= age:
      return .unknown(
        nonsense(
          "an answer was older (Age) than its \(noun) may become; is there a cache before"
            + " \(question.speaker)?"))
    case .whole(let seconds):
      return .token(
        FetchedToken(
          token: AccessToken(text), lifetime: .seconds(seconds), sentAt: sentAt + (.zero - age)))
    }
  }

  private static func nonsense(_ reason: String, code: Int? = nil) -> FetchFailure {
    FetchFailure(.transient, code: code, reason: reason)
  }
}
