import NIOPosix
import RedisClient
import TokenCore

/// A Redis Cluster: who serves what, and what each node is that serves keys of ours.
extension Inspection {
  func inspectCluster(
    _ view: ClusterView, _ client: RedisClient, limit: Duration, _ report: inout Report
  ) async {
    let sight = await view.look(
      redis, by: .now + limit, on: MultiThreadedEventLoopGroup.singleton.next())
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
      // One that cannot be asked hides nothing about the others, and takes no time of theirs.
      do throws(RedisError) {
        try await inspect(node, subject, client, .now + limit, &report)
      } catch {
        report.isUnreachable = true
        report.add(.bad, subject, "\(error)")
      }
    }
  }

  private func inspect(
    _ node: RedisEndpoint.Address, _ subject: String, _ client: RedisClient,
    _ deadline: ContinuousClock.Instant, _ report: inout Report
  ) async throws(RedisError) {
    func ask(_ words: String...) async throws(RedisError) -> RedisReply {
      let command = RedisCommand(words[0], Array(words.dropFirst()))
      return try await client.execute(command, at: node, deadline: deadline)
    }
    if let refusal = try await ask("EVAL", "return 1", "0").refusal {
      report.add(.bad, "\(subject) EVAL", "\(refusal)")
    }
    // Who may not ask is not told of a move.
    let nodes = try await ask("CLUSTER", "NODES").text ?? ""
    let slots = Set(keys.map { HashSlot(of: $0).number })
    for slot in Self.slotsOnTheMove(nodes) where slots.contains(slot) {
      report.add(
        .doubtful, subject,
        "slot \(slot) is being moved; if nobody does that now, `redis-cli --cluster fix` ends it")
    }
    guard let text = try await ask("INFO").text else {
      return report.add(
        .doubtful, "\(subject) INFO", "refused; version, role and persistence are unknown")
    }
    let saves = try await ask("CONFIG", "GET", "save")
    inspect(ServerInformation(text), saves: saves.elements?.last?.text, of: subject, &report)
  }

  /// The slots that a node is giving away or taking over, by its own `CLUSTER NODES`.
  static func slotsOnTheMove(_ nodes: String) -> [Int] {
    let own = nodes.split(separator: "\n").first { $0.contains("myself") } ?? ""
    return own.split(separator: " ").filter { $0.hasPrefix("[") }
      .compactMap { Int($0.dropFirst().prefix { $0 != "-" }) }
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
