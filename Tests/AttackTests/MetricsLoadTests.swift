import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Pages that cost something, asked for as fast as they are answered.
@Suite("Loads of metrics", .serialized, .enabled(if: Attack.isWanted, "they take minutes"))
struct MetricsLoadTests {
  @Test("48 clients at each of two replicas with 256 accounts, whose tokens live for a minute")
  func manyAccounts() async throws {
    try await load("48 clients, 256 accounts", accounts: 256, connections: 48, for: .seconds(75))
  }

  @Test("400 clients at each of two replicas, with 200 requests on the way each")
  func pipelining() async throws {
    try await load(
      "400 clients, 200 requests at once", connections: 400, pipelining: 200, for: .seconds(40))
  }

  @Test("508 clients at each of two replicas, one request on the way each")
  func manyClients() async throws {
    try await load("508 clients", connections: 508, for: .seconds(22))
  }

  private func load(
    _ name: String, accounts: Int = 1, connections: Int, pipelining: Int = 1, for span: Duration
  ) async throws {
    let life: Milliseconds = 60_000
    try await Deployment.run(alone: true, life: life) { deployment in
      let (settings, keys) = try deployment.accounts(count: accounts, life: life)
      let targets = try await deployment.startTargets(count: 2, settings)
      try await waitUntil("all have tokens", within: .seconds(30)) {
        try await deployment.client.execute(
          RedisCommand("EXISTS", keys), deadline: .now + patience
        ).number == Int64(keys.count)
      }
      let attackers = { @Sendable (target: Target) throws -> any Attackers in
        try LoadGenerator(
          connections: connections, to: target.port, pipelining: pipelining,
          for: span + .seconds(60), in: deployment.redis.directory)
      }
      let descriptors = targets.map { $0.figures?.descriptors ?? 0 }
      let report = try await Watch.over(
        name, deployment, targets, keys: keys, for: span, attackers)
      report.expectNoHarm()
      try await expectRecovery(name, deployment, targets, descriptors: descriptors, attackers)
    }
  }
}
