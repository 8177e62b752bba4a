package import RedisClient

/// What a Redis Cluster says of the slots that this replica uses.
package struct ClusterState: Hashable, Sendable {
  /// A node that serves some of them.
  package struct Node: Hashable, Sendable {
    package let address: RedisEndpoint.Address
    package let slots: [Int]
  }

  /// In the order of their first slots.
  package let nodes: [Node]
  /// The slots that nobody serves.
  package let unserved: [Int]
  /// The slots that somebody has left half-way between two nodes.
  package let stuck: [Int]

  package init(_ owners: [HashSlot: RedisEndpoint.Address?], stuck: [HashSlot] = []) {
    var slots: [RedisEndpoint.Address: [Int]] = [:]
    var unserved: [Int] = []
    for (slot, owner) in owners.sorted(by: { $0.key < $1.key }) {
      if let owner {
        slots[owner, default: []].append(slot.number)
      } else {
        unserved.append(slot.number)
      }
    }
    nodes = slots.map { Node(address: $0.key, slots: $0.value) }
      .sorted { $0.slots[0] < $1.slots[0] }
    self.unserved = unserved
    self.stuck = stuck.map(\.number)
  }

  /// So many slots are named; of more it is enough to know that there are.
  private static let shown = 4

  /// Slots in words: `11304, 2590`.
  package static func list(_ slots: [Int]) -> String {
    slots.prefix(shown).map(String.init).joined(separator: ", ")
      + (slots.count > shown ? " and \(slots.count - shown) more" : "")
  }

  /// What is wrong with slots of ours; nil when nothing is.
  var trouble: String? {
    let parts = [
      unserved.isEmpty ? nil : "no node serves slot \(Self.list(unserved))",
      stuck.isEmpty
        ? nil
        : "slot \(Self.list(stuck)) was left half-way between two nodes (TRYAGAIN):"
          + " `redis-cli --cluster fix HOST:PORT` ends the move",
    ].compactMap(\.self)
    return parts.isEmpty ? nil : parts.joined(separator: "; ")
  }
}

extension ClusterState.Node: Encodable {
  private enum CodingKeys: String, CodingKey { case address, slots }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode("\(address)", forKey: .address)
    try container.encode(slots, forKey: .slots)
  }
}
