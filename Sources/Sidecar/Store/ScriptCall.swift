import RedisClient

/// Runs scripts by their digest, and by their text where the server does not know them yet, or where
/// it takes no digests.
struct ScriptCall: Sendable {
  let lacks: RedisLacks

  /// - Parameter rest: how many keys there are, the keys, all in the slot of the first of them, and
  ///   the arguments.
  func run(
    _ script: Script, _ rest: [String], on client: RedisClient,
    by deadline: ContinuousClock.Instant
  ) async throws(RedisError) -> RedisReply {
    if lacks.takesDigests,
      let reply = try await runDigest(script, rest, on: client, by: deadline)
    {
      return reply
    }
    return try await client.execute(
      RedisCommand("EVAL", [script.source] + rest), key: rest[1], deadline: deadline)
  }

  /// - Returns: nil when the text is to be sent.
  private func runDigest(
    _ script: Script, _ rest: [String], on client: RedisClient,
    by deadline: ContinuousClock.Instant
  ) async throws(RedisError) -> RedisReply? {
    let reply: RedisReply
    do throws(RedisError) {
      reply = try await client.execute(
        RedisCommand("EVALSHA", [script.digest] + rest), key: rest[1], deadline: deadline)
    } catch {
      if case .outcomeUnknown(let failure) = error { lacks.lostDigest(failure) }
      throw error
    }
    lacks.answeredDigest()
    guard let refusal = reply.refusal else { return reply }
    if refusal.kind == .noScript { return nil }
    guard refusal.refuses("EVALSHA") else { return reply }
    lacks.refusedDigest(.refused(command: "EVALSHA", refusal))
    return nil
  }
}
