/// What one asking of a cluster's nodes came to.
package struct ClusterSight: Sendable {
  /// One node, and what it said; nil when it was not waited for.
  package struct Voice: Sendable {
    package let node: RedisEndpoint.Address
    package let answer: Result<SlotMap, RedisFailure>?
  }

  package let voices: [Voice]
  /// Who serves what by that, or why nobody knows.
  package let outcome: Result<SlotMap, RedisFailure>
}

/// Why one node was of no help.
package struct NodeTrouble: Hashable, Sendable {
  package let node: String
  package let failure: RedisFailure
}

extension NodeTrouble {
  /// What is wrong with it.
  package var reason: String { failure.reason(at: node) }
}

/// What the nodes that were asked say, one by one, and whom to believe.
struct SlotPoll {
  typealias Address = RedisEndpoint.Address

  private(set) var asked: [Address] = []
  private var answers: [Address: Result<SlotMap, RedisFailure>] = [:]

  mutating func ask(_ nodes: [Address]) { asked += nodes.filter { !asked.contains($0) } }

  mutating func heard(_ answer: Result<SlotMap, RedisFailure>, from node: Address) {
    answers[node] = answer
  }

  var isAnswered: Bool { answers.values.contains { (try? $0.get()) != nil } }
  var isComplete: Bool { asked.allSatisfy { answers[$0] != nil } }

  /// - Parameter known: what was known before: of two that have as many voices the other one is
  ///   taken, since something is the reason for asking.
  func sight(known: SlotMap?) -> ClusterSight {
    let voices = asked.map { ClusterSight.Voice(node: $0, answer: answers[$0]) }
    let maps = voices.compactMap { try? $0.answer?.get() }
    var best: (map: SlotMap, count: Int, isNews: Bool)?
    for map in maps {
      let count = maps.filter { $0.agrees(with: map) }.count
      let isNews = known.map { !$0.agrees(with: map) } ?? true
      if let best, (best.count, best.isNews ? 1 : 0) >= (count, isNews ? 1 : 0) { continue }
      best = (map, count, isNews)
    }
    if let best { return ClusterSight(voices: voices, outcome: .success(best.map)) }
    let troubles = voices.compactMap { voice -> NodeTrouble? in
      guard case .failure(let failure)? = voice.answer else { return nil }
      return NodeTrouble(node: "\(voice.node)", failure: failure)
    }
    return ClusterSight(
      voices: voices,
      outcome: .failure(troubles.isEmpty ? .deadlinePassed : .noClusterNode(troubles)))
  }
}

/// The command that asks a node, and what its reply means.
enum SlotQuestion {
  /// `CLUSTER SHARDS` is 7.0's, and lists primaries that have failed.
  static let command = RedisCommand("CLUSTER", "SLOTS")

  static func answer(
    _ replies: [RedisReply], from node: RedisEndpoint.Address
  ) -> Result<SlotMap, RedisFailure> {
    guard let reply = replies.first else { return .failure(.unmatchedReply) }
    if let refusal = reply.refusal {
      let isAlone = refusal.message.contains("cluster support disabled")
      return .failure(
        isAlone ? .notClustered("\(node)") : .refused(command: "CLUSTER SLOTS", refusal))
    }
    if reply.elements?.isEmpty == true {
      return .failure(.unwanted(reason: "it knows of no slots: it has joined no cluster yet"))
    }
    return SlotMap(reply, from: node).map { .success($0) } ?? .failure(.unmatchedReply)
  }
}
