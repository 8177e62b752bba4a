import Foundation

extension HostileConnection {
  /// What was received of the answers.
  package struct Received: Sendable {
    package var bytes: [UInt8]
    /// Whether the other side ended the connection, so that nothing more was to come.
    package var isWhole: Bool

    package init(bytes: [UInt8], isWhole: Bool) {
      self.bytes = bytes
      self.isWhole = isWhole
    }
  }

  /// Every status that strangers may be given.
  private static let statuses: Set = [
    200, 400, 401, 403, 404, 405, 408, 411, 413, 414, 417, 421, 426, 429, 431, 501, 503, 505,
  ]
  private static let headEnd = Array("\r\n\r\n".utf8)

  /// What is wrong with the answers; nil when all is well.
  ///
  /// - Parameter permitted: whether who sent this may have the token.
  package func contradiction(in received: Received, permitted: Bool) -> String? {
    var rest = received.bytes[...]
    // With the method bent, only the answer tells whether it was a HEAD.
    let mayBeHead = bytes.contains("HEAD")
    while !rest.isEmpty {
      guard let end = rest.firstRange(of: Self.headEnd) else {
        return received.isWhole ? "an answer's head is cut" : startProblem(rest)
      }
      let head = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
      rest = rest[end.upperBound...]
      switch AnswerHead.parsed(head) {
      case .failure(let problem): return problem.text
      case .success(let answer):
        if answer.status == 100 { continue }
        guard Self.statuses.contains(answer.status) else { return "status \(answer.status)" }
        if answer.status == 405, answer.headers["allow"] == nil { return "405 without Allow" }
        guard let length = answer.headers["content-length"].flatMap({ Int($0) }), length >= 0
        else { return "an answer of unknown length" }
        let isHead =
          mayBeHead && length > 0 && (rest.isEmpty || rest.starts(with: "HTTP/1.1 ".utf8))
        if isHead { continue }
        guard rest.count >= length else {
          return received.isWhole ? "an answer's body is cut" : nil
        }
        if let problem = bodyProblem(rest.prefix(length), of: answer, permitted: permitted) {
          return problem
        }
        rest = rest.dropFirst(length)
      }
    }
    return nil
  }

  private func startProblem(_ rest: ArraySlice<UInt8>) -> String? {
    let start = Array("HTTP/1.1 ".utf8)
    return rest.prefix(start.count).elementsEqual(start.prefix(rest.count))
      ? nil : "no answer of HTTP"
  }

  private func bodyProblem(
    _ body: ArraySlice<UInt8>, of answer: AnswerHead, permitted: Bool
  ) -> String? {
    if !permitted, body.contains("\"access_token\":\"") { return "the token" }
    guard answer.status >= 400 else { return nil }
    let type = answer.headers["content-type"] ?? ""
    // A limited refresh has an object of its own.
    if answer.status == 429, type == "application/json" { return nil }
    guard type == "application/problem+json" else { return "\(answer.status) as `\(type)`" }
    let object = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
    guard object?["status"] as? Int == answer.status else {
      return "\(answer.status) without a problem that says so"
    }
    return nil
  }
}

/// The head of an answer.
private struct AnswerHead {
  struct Problem: Error { let text: String }

  let status: Int
  /// Names in lower case.
  let headers: [String: String]

  static func parsed(_ text: String) -> Result<AnswerHead, Problem> {
    let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
    let words = lines[0].split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard words.count == 3, words[0] == "HTTP/1.1", words[1].utf8.count == 3,
      let status = Int(words[1])
    else { return .failure(Problem(text: "the status line `\(lines[0])`")) }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":"), colon > line.startIndex,
        !line.contains("\n"), !line.contains("\r")
      else { return .failure(Problem(text: "the header line `\(line)`")) }
      let name = line[..<colon].lowercased()
      guard headers[name] == nil else { return .failure(Problem(text: "`\(name)` twice")) }
      headers[name] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
    return .success(AnswerHead(status: status, headers: headers))
  }
}

extension Collection<UInt8> {
  /// Whether that text is within.
  package func contains(_ text: String) -> Bool { firstRange(of: Array(text.utf8)) != nil }
}
