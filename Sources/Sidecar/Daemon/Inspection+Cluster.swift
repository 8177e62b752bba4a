import NIOPosix
import RedisClient
import TokenCore

/// A Redis Cluster: who serves what, and what each node is that serves keys of ours.
extension Inspection {
  func inspectCluster(
    _ view: ClusterView, _ client: RedisClient, _ deadline: ContinuousClock.Instant,
    _ report: inout Report
  ) async throws(RedisError) {
    let sight = await view.look(
      redis, by: deadline, on: MultiThreadedEventLoopGroup.singleton.next())
    for voice in sight.voices {
      if case .failure(let failure)? = voice.answer {
        report.add(.doubtful, "node \(voice.node)", "\(failure)")
      }
    }
    guard let map = try? sight.outcome.get() else { return }
    let missing = map.unserved
    report.add(
      missing == 0 ? .good : .doubtful, "cluster",
      "\(map.primaries.count) primaries, \(map.nodes.count - map.primaries.count) replicas"
        + (missing == 0
          ? ", all slots are served"
          : "; \(missing) slots are served by none (`redis-cli --cluster fix`)"))
    var uses: [RedisEndpoint.Address: [String]] = [:]
    for key in keys {
      let slot = HashSlot(of: key)
      if let node = map[slot] {
        uses[node, default: []].append(key)
      } else {
        report.add(.bad, key, "is in slot \(slot), which no node serves")
      }
    }
    for shard in map.shards where shard.primary.map({ uses[$0] != nil }) ?? false {
      guard let node = shard.primary, let keys = uses.removeValue(forKey: node) else { continue }
      let subject = "node \(node)"
      let shown = keys.prefix(Self.shownKeys).joined(separator: ", ")
      let rest = keys.count - Self.shownKeys
      report.add(
        shard.replicas.isEmpty ? .doubtful : .good, subject,
        "serves \(shown)" + (rest > 0 ? " and \(rest) more" : "") + "; "
          + (shard.replicas.isEmpty
            ? "it has no replica that could take its place"
            : "its replicas are \(shard.replicas.map(\.description).joined(separator: ", "))"))
      try await inspect(node, subject, client, deadline, &report)
    }
  }

  private func inspect(
    _ node: RedisEndpoint.Address, _ subject: String, _ client: RedisClient,
    _ deadline: ContinuousClock.Instant, _ report: inout Report
  ) async throws(RedisError) {
    let information = try await client.execute(RedisCommand("INFO"), at: node, deadline: deadline)
    guard let text = information.text else {
      return report.add(
        .doubtful, "\(subject) INFO", "refused; version, role and persistence are unknown")
    }
    let saves = try await client.execute(
      RedisCommand("CONFIG", "GET", "save"), at: node, deadline: deadline)
    inspect(ServerInformation(text), saves: saves.elements?.last?.text, of: subject, &report)
  }

  private static let shownKeys = 6

  /// Each key that the daemon uses, the lock first.
  private var keys: [String] {
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    return [layout.leader, layout.refreshRequests, layout.replicas]
      + accounts.flatMap(\.credentials).flatMap { credential in
        [
          layout.state(credential), layout.key(.credential, credential),
          layout.key(.expiry, credential),
        ]
      }
  }
}
