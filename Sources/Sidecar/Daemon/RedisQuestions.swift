import RedisClient

/// Asks a Redis one thing after the other, also one that hangs up on what it does not know.
struct RedisQuestions: Sendable {
  let client: RedisClient
  /// So long each question may take.
  let limit: Duration

  func ask(_ words: String...) async throws(RedisError) -> RedisReply {
    try await ask([RedisCommand(words[0], Array(words.dropFirst()))])[0]
  }

  /// Asks all at once, and one by one where that has ended the connection.
  ///
  /// - Returns: of a command that was hung up on a refusal as of one that is not known.
  func ask(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisReply] {
    do throws(RedisError) {
      return try await client.execute(
        commands, deadline: .now + limit, waitForConnection: true)
    } catch {
      guard case .outcomeUnknown(let failure) = error, failure.isHangUp else { throw error }
      guard commands.count == 1, let name = commands[0].arguments.first else {
        var replies: [RedisReply] = []
        for command in commands { replies += try await ask([command]) }
        return replies
      }
      let words = String(decoding: name, as: UTF8.self)
      return [.error(RedisServerError("ERR unsupported command '\(words)'"))]
    }
  }
}
