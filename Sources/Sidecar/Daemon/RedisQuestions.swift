import RedisClient

/// Asks a Redis one thing after the other, also one that hangs up on what it does not know.
struct RedisQuestions: Sendable {
  /// A command, and of a cluster the key that it is about; nil for none.
  typealias Question = (command: RedisCommand, key: String?)

  let client: RedisClient
  /// So long each question may take.
  let limit: Duration

  /// - Parameter key: whether the second word is the key that it is about.
  func ask(
    _ words: String..., isAboutKey: Bool = false
  ) async throws(RedisError) -> RedisReply {
    let command = RedisCommand(words[0], Array(words.dropFirst()))
    return try await ask([(command, isAboutKey ? words[1] : nil)])[0]
  }

  /// Asks all at once, and one by one where that has ended the connection.
  ///
  /// - Returns: of a command that was hung up on a refusal as of one that is not known.
  func ask(_ questions: [Question]) async throws(RedisError) -> [RedisReply] {
    do throws(RedisError) {
      return try await client.execute(
        each: questions, deadline: .now + limit, waitForConnection: true)
    } catch {
      guard case .outcomeUnknown(let failure) = error, failure.isHangUp else { throw error }
      guard questions.count == 1, let name = questions[0].command.arguments.first else {
        var replies: [RedisReply] = []
        for question in questions { replies += try await ask([question]) }
        return replies
      }
      let words = String(decoding: name, as: UTF8.self)
      return [.error(RedisServerError("ERR unsupported command '\(words)'"))]
    }
  }
}
