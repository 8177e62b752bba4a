/// Which node serves which slots, as one node of a cluster told it.
package struct SlotMap: Hashable, Sendable {
  package typealias Address = RedisEndpoint.Address

  /// Slots in a row that one primary serves.
  package struct Shard: Hashable, Sendable {
    package let slots: ClosedRange<Int>
    /// Nil when the node that told it does not know where that is.
    package let primary: Address?
    package let replicas: [Address]
  }

  /// In the order of their slots, none of which is in two.
  package private(set) var shards: [Shard]
  /// What single answers have told since.
  private var corrections: [HashSlot: Address] = [:]

  /// A cluster of the most nodes that are advised, with every slot by itself, has fewer.
  static let mostShards = HashSlot.count
  /// No shard has more; of others it is enough to know some.
  private static let mostReplicas = 16

  /// Reads an answer to `CLUSTER SLOTS`.
  ///
  /// - Parameter asked: who answered: a node that does not know its own address gives none, and
  ///   means the one at which it was asked.
  /// - Returns: nil for anything that is no such answer, and for one that knows no slots.
  init?(_ reply: RedisReply, from asked: Address) {
    guard let entries = reply.elements, (1...Self.mostShards).contains(entries.count) else {
      return nil
    }
    var shards: [Shard] = []
    for entry in entries {
      guard let fields = entry.elements, fields.count >= 3,
        let first = fields[0].number.flatMap({ HashSlot(Int($0)) }),
        let last = fields[1].number.flatMap({ HashSlot(Int($0)) }), first <= last
      else { return nil }
      let nodes = fields.dropFirst(2).prefix(1 + Self.mostReplicas).map {
        Self.address($0, from: asked)
      }
      shards.append(
        Shard(
          slots: first.number...last.number, primary: nodes[0],
          replicas: nodes.dropFirst().compactMap(\.self)))
    }
    shards.sort { $0.slots.lowerBound < $1.slots.lowerBound }
    for (one, next) in zip(shards, shards.dropFirst())
    where one.slots.upperBound >= next.slots.lowerBound { return nil }
    self.shards = shards
  }

  /// Who serves the slot; nil when nobody is known to.
  package subscript(slot: HashSlot) -> Address? {
    if let correction = corrections[slot] { return correction }
    // The last that begins at or before it.
    var (low, high) = (0, shards.count)
    while low < high {
      let middle = (low + high) / 2
      if shards[middle].slots.lowerBound <= slot.number { low = middle + 1 } else { high = middle }
    }
    guard low > 0, shards[low - 1].slots.contains(slot.number) else { return nil }
    return shards[low - 1].primary
  }

  /// A node has said that another one serves the slot.
  mutating func move(_ slot: HashSlot, to address: Address) { corrections[slot] = address }

  /// Every primary, once, in the order of their slots.
  package var primaries: [Address] { Self.each(shards.compactMap(\.primary)) }

  /// Every node, once: primaries first.
  package var nodes: [Address] {
    Self.each(
      shards.compactMap(\.primary) + corrections.values + shards.flatMap(\.replicas))
  }

  /// How many slots nobody serves.
  package var unserved: Int {
    HashSlot.count - shards.reduce(0) { $0 + ($1.primary == nil ? 0 : $1.slots.count) }
  }

  /// Whether both name the same primaries for the same slots, whatever the replicas.
  func agrees(with other: SlotMap) -> Bool {
    owners == other.owners && corrections == other.corrections
  }

  private struct Owned: Hashable {
    var slots: ClosedRange<Int>
    let owner: Address?
  }

  private var owners: [Owned] {
    var owners: [Owned] = []
    for shard in shards {
      if let last = owners.last, last.owner == shard.primary,
        last.slots.upperBound + 1 == shard.slots.lowerBound
      {
        owners[owners.count - 1].slots = last.slots.lowerBound...shard.slots.upperBound
      } else {
        owners.append(Owned(slots: shard.slots, owner: shard.primary))
      }
    }
    return owners
  }

  private static func each(_ addresses: [Address]) -> [Address] {
    var seen: Set<Address> = []
    return addresses.filter { seen.insert($0).inserted }
  }

  /// A node: host, port, and what else there is.
  private static func address(_ entry: RedisReply, from asked: Address) -> Address? {
    guard let fields = entry.elements, fields.count >= 2, let port = fields[1].number else {
      return nil
    }
    let host = fields[0].isNull ? "" : fields[0].text
    return host.flatMap { Address(host: $0, port: Int(port), toldBy: asked) }
  }
}

extension RedisEndpoint.Address {
  /// The place that a node names.
  ///
  /// An empty host is the host of the node that names it, the port 0 its port; `?` is none: the
  /// node does not know.
  init?(host: String, port: Int, toldBy asked: Self) {
    guard case .tcp(let ownHost, let ownPort) = asked else { return nil }
    let host = host.isEmpty ? ownHost : host
    let port = port == 0 ? ownPort : port
    guard host != "?", (1...65_535).contains(port),
      (1...Self.longestHost).contains(host.utf8.count),
      host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
    else { return nil }
    self = .tcp(host: host, port: port)
  }

  /// A domain name's length in text, RFC 1035.
  private static let longestHost = 253
}
