import Logging
import RedisClient
import Sidecar
import TestSupport

extension RedisServer {
  /// Runs a client with exactly the rights that `acl` prints, for as long as the body runs.
  func withReplicasRights<Result: Sendable>(
    _ layout: KeyLayout, others: [String] = [],
    _ body: @Sendable (RedisClient) async throws -> Result
  ) async throws -> Result {
    let rules = AccessRules(layout: layout, others: others).replica
    _ = try await command("ACL", ["SETUSER", "replica", "reset", "on", ">pw"] + rules)
    return try await withClient(user: "replica", password: "pw", body)
  }
}

extension RedisLacks {
  /// One whose findings nobody reads.
  static var untold: RedisLacks { RedisLacks(logger: Logger(label: "test")) }
}
