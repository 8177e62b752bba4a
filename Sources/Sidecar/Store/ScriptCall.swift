import RedisClient

/// Runs scripts by their digest, and by their text where the server does not know them yet, or
/// where it takes no digests.
struct ScriptCall: Sendable {
  let lacks: RedisLacks

  func run(
    _ script: Script, _ keys: [String], _ arguments: [String], on client: RedisClient,
    by deadline: ContinuousClock.Instant
  ) async throws(RedisError) -> RedisReply {
    let rest = ["\(keys.count)"] + keys + arguments
    // All keys of a script are in the slot of its first one.
    let key = keys.first
    if lacks.takesDigests,
      let reply = try await runDigest(script, rest, key, on: client, by: deadline)
    {
      return reply
    }
    return try await client.execute(
      RedisCommand("EVAL", [script.source] + rest), key: key, deadline: deadline)
  }

  /// - Returns: nil when the text is to be sent.
  private func runDigest(
    _ script: Script, _ rest: [String], _ key: String?, on client: RedisClient,
    by deadline: ContinuousClock.Instant
  ) async throws(RedisError) -> RedisReply? {
    let reply: RedisReply
    do throws(RedisError) {
      reply = try await client.execute(
        RedisCommand("EVALSHA", [script.digest] + rest), key: key, deadline: deadline)
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
