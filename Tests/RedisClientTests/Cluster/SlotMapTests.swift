import Testing

@testable import RedisClient

extension RedisEndpoint.Address {
  static func node(_ host: String, _ port: Int = 7000) -> Self { .tcp(host: host, port: port) }
}

extension RedisReply {
  static func text(_ text: String) -> RedisReply { .bulk(Array(text.utf8)) }

  /// What a node says of slots in a row: host, port and id of each node.
  static func shard(
    _ first: Int64, _ last: Int64, _ nodes: [(host: RedisReply, port: Int64)]
  ) -> RedisReply {
    .array(
      [.integer(first), .integer(last)]
        + nodes.map { .array([$0.host, .integer($0.port), .text("id"), .array([])]) })
  }
}

@Suite("Slot maps")
struct SlotMapTests {
  private static let asked = RedisEndpoint.Address.node("asked", 7100)

  private func map(_ shards: RedisReply...) throws -> SlotMap {
    try #require(SlotMap(.array(shards), from: Self.asked))
  }

  @Test("each slot belongs to the primary of its shard, first and last included")
  func shards() throws {
    let map = try map(
      .shard(5461, 16383, [(.text("b"), 7001)]),
      .shard(0, 5460, [(.text("a"), 7000), (.text("c"), 7002)]))
    for (slot, owner) in [(0, "a"), (5460, "a"), (5461, "b"), (16383, "b")] {
      #expect(map[try #require(HashSlot(slot))] == .node(owner, owner == "a" ? 7000 : 7001))
    }
    #expect(map.primaries == [.node("a"), .node("b", 7001)])
    #expect(map.nodes == [.node("a"), .node("b", 7001), .node("c", 7002)])
    #expect(map.unserved == 0)
  }

  @Test("slots in no shard are served by nobody")
  func gaps() throws {
    let map = try map(
      .shard(10, 19, [(.text("a"), 1)]), .shard(30, 30, [(.text("b"), 2)]))
    for slot in [0, 9, 20, 29, 31, 16383] { #expect(map[try #require(HashSlot(slot))] == nil) }
    #expect(map[try #require(HashSlot(30))] == .node("b", 2))
    #expect(map.unserved == 16384 - 11)
  }

  @Test("no host is the host asked, no port its port, and ? is nobody's")
  func unknown() throws {
    let map = try map(
      .shard(0, 0, [(.null, 7001)]), .shard(1, 1, [(.text(""), 7002)]),
      .shard(2, 2, [(.text("x"), 0)]), .shard(3, 3, [(.text("?"), 7004)]),
      .shard(4, 4, [(.text("::1"), 7005)]), .shard(5, 5, [(.text("no host"), 7006)]),
      .shard(6, 6, [(.text("x"), 65536)]))
    func owner(_ slot: Int) throws -> RedisEndpoint.Address? { map[try #require(HashSlot(slot))] }
    #expect(try owner(0) == .node("asked", 7001))
    #expect(try owner(1) == .node("asked", 7002))
    #expect(try owner(2) == .node("x", 7100))
    #expect(try owner(3) == nil)
    #expect(try owner(4) == .node("::1", 7005))
    #expect(try owner(5) == nil && owner(6) == nil)
    #expect(map.unserved == 16384 - 4)
  }

  @Test(
    "what is no such answer is refused",
    arguments: [
      RedisReply.array([]), .null, .text("no"), .array([.text("no")]),
      .array([.array([.integer(0), .integer(1)])]),
      .array([.shard(1, 0, [(.text("a"), 1)])]), .array([.shard(0, 16384, [(.text("a"), 1)])]),
      .array([.shard(-1, 0, [(.text("a"), 1)])]),
      .array([.shard(0, 10, [(.text("a"), 1)]), .shard(10, 11, [(.text("b"), 1)])]),
    ])
  func malformed(reply: RedisReply) { #expect(SlotMap(reply, from: Self.asked) == nil) }

  @Test("a node that is told of by a redirection serves the slot from then on")
  func corrections() throws {
    var map = try map(.shard(0, 16383, [(.text("a"), 1)]))
    let slot = try #require(HashSlot(7))
    map.move(slot, to: .node("b", 2))
    #expect(map[slot] == .node("b", 2))
    #expect(map[try #require(HashSlot(8))] == .node("a", 1))
    #expect(map.nodes.contains(.node("b", 2)))
  }

  @Test("maps agree that name the same primaries, however they are cut and whatever the replicas")
  func agreement() throws {
    let whole = try map(.shard(0, 9, [(.text("a"), 1), (.text("c"), 3)]))
    let cut = try map(.shard(0, 4, [(.text("a"), 1)]), .shard(5, 9, [(.text("a"), 1)]))
    let other = try map(.shard(0, 4, [(.text("a"), 1)]), .shard(5, 9, [(.text("b"), 1)]))
    #expect(whole.agrees(with: cut) && !whole.agrees(with: other))
  }
}

@Suite("What nodes of a cluster say")
struct SlotPollTests {
  private func map(_ owner: String) throws -> SlotMap {
    try #require(
      SlotMap(.array([.shard(0, 16383, [(.text(owner), 1)])]), from: .node("asked")))
  }

  private func elected(_ owners: [String], known: String? = nil) throws -> SlotMap {
    var poll = SlotPoll()
    for (number, owner) in owners.enumerated() {
      let node = RedisEndpoint.Address.node("n\(number)")
      poll.ask([node])
      poll.heard(.success(try map(owner)), from: node)
    }
    return try poll.sight(known: try known.map(map)).outcome.get()
  }

  @Test("most voices win, and of two with as many the one that is news")
  func voices() throws {
    #expect(try elected(["a", "b", "b"]) == map("b"))
    #expect(try elected(["a", "b"], known: "a") == map("b"))
    #expect(try elected(["b", "a"], known: "a") == map("b"))
    #expect(try elected(["a", "a", "b"], known: "a") == map("a"))
  }

  @Test("when nobody answers, each one's trouble is told")
  func nobody() throws {
    var poll = SlotPoll()
    let (a, b) = (RedisEndpoint.Address.node("a"), RedisEndpoint.Address.node("b"))
    poll.ask([a, b])
    poll.heard(.failure(.unreachable("a:7000", reason: "connection refused")), from: a)
    #expect(!poll.isComplete && !poll.isAnswered)
    poll.heard(.failure(.notClustered("b:7000")), from: b)
    #expect(poll.isComplete && !poll.isAnswered)
    guard case .failure(let failure) = poll.sight(known: nil).outcome else {
      Issue.record("there is no outcome")
      return
    }
    #expect("\(failure)".contains("a:7000: connection refused; b:7000: takes no part in a cluster"))
  }

  @Test("a node that cannot be used is named once, with what it refuses")
  func named() {
    let login = RedisFailure.authenticationFailed(RedisServerError("NOAUTH no"))
    let failure = RedisFailure.notConnected(.node("a:7000", login))
    #expect(failure.needsOperator)
    #expect("\(failure)".hasPrefix("there is no connection to Redis: node a:7000: \(login)"))
    let down = RedisFailure.node("a:7000", .unreachable("a:7000", reason: "connection refused"))
    #expect("\(down)" == "node a:7000: connection refused" && !down.needsOperator)
  }

  @Test("what refuses or knows nothing is told apart")
  func refusals() {
    let node = RedisEndpoint.Address.node("a")
    func answer(_ reply: RedisReply) -> RedisFailure? {
      guard case .failure(let failure) = SlotQuestion.answer([reply], from: node) else {
        return nil
      }
      return failure
    }
    let alone = RedisServerError("ERR This instance has cluster support disabled")
    #expect(answer(.error(alone)) == .notClustered("a:7000"))
    let forbidden = RedisServerError(
      "NOPERM this user has no permissions to run the 'cluster|slots' command")
    #expect(answer(.error(forbidden)) == .refused(command: "CLUSTER SLOTS", forbidden))
    #expect("\(answer(.array([])) ?? .stopped)".contains("joined no cluster"))
    #expect(answer(.text("?")) == .unmatchedReply)
  }
}

@Suite("Slots on their way")
struct SplitSlotTests {
  @Test("one is stuck when commands have found it split for five seconds, until one finds it whole")
  func stuck() throws {
    var splits = SplitSlots()
    let slot = try #require(HashSlot(11304))
    let start = ContinuousClock.now
    func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }
    splits.note(slot, isSplit: true, at: at(0))
    splits.note(slot, isSplit: true, at: at(4))
    #expect(splits.stuck(at: at(4)) == [])
    splits.note(slot, isSplit: true, at: at(5))
    #expect(splits.stuck(at: at(5)) == [slot] && splits.stuck(at: at(35)) == [slot])
    #expect(splits.stuck(at: at(36)) == [])
    splits.note(slot, isSplit: false, at: at(6))
    #expect(splits.stuck(at: at(6)) == [])
    splits.note(slot, isSplit: true, at: at(7))
    #expect(splits.stuck(at: at(7)) == [])
  }

  @Test("what was split long ago does not count")
  func forgotten() throws {
    var splits = SplitSlots()
    let slot = try #require(HashSlot(1))
    let start = ContinuousClock.now
    splits.note(slot, isSplit: true, at: start)
    splits.note(slot, isSplit: true, at: start + .seconds(60))
    #expect(splits.stuck(at: start + .seconds(60)) == [])
  }
}
