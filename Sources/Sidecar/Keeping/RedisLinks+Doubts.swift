import Logging
import RedisClient

/// What looks unwise on the Redis that the tokens are in.
extension RedisLinks {
  /// A Redis that is not there within this is asked no more.
  private static let longestWaitForRedis: Duration = .seconds(3600)

  /// Says once, loudly, what of the server's settings endangers the tokens.
  ///
  /// Proxies and ACLs that refuse the question are no reason to worry anybody.
  func warnOfDoubts() async {
    let deadline = ContinuousClock.now + Self.longestWaitForRedis
    // What hangs up on INFO has done so when the connection was made.
    let ping = try? await commands.execute(
      RedisCommand("PING"), deadline: deadline, waitForConnection: true)
    guard ping != nil, !lacks.hangsUp else { return }
    let replies = try? await commands.execute(
      ["server", "memory", "replication"].map { RedisCommand("INFO", $0) }, deadline: deadline,
      waitForConnection: true)
    let information = ServerInformation((replies ?? []).compactMap(\.text).joined(separator: "\n"))
    if let policy = information.evictingPolicy {
      logger.tell(
        .redisEvicts,
        """
        Redis evicts keys when its memory is full; the lock, which has a TTL, goes among the \
        first. Set maxmemory-policy to noeviction on the Redis that the tokens are in
        """, .keyed([.reason: "maxmemory-policy is \(policy)"]))
    }
    if let version = information.unguardedVersion, information.replicas > 0 {
      logger.tell(
        .redisUnguarded,
        """
        This Redis has replicas, and its scripts do not heed min-replicas-to-write: cut off from \
        its replicas it goes on taking tokens that a fail-over loses. Use Redis 6.2.14, or 7.0 and \
        later
        """,
        .keyed([.redisVersion: "\(version)", .count: .number(information.replicas)]))
    }
  }
}
