import Sidecar
import TestSupport
import Testing
import TokenCore

/// What is refused, and then leaves everything as it was: another layout's record, another AppID's,
/// and every step at a server that takes no writes.
extension TokenStoreTests {
  private static let current = Version(epoch: Epoch(5), sequence: 1)
  private static let state = layout.state(account)
  private static let start = StoppedRedis.time(0)

  /// Leaves a record with everything that there is, a token, and an expiry key to be restored.
  private func fill(_ redis: StoppedRedis) async throws {
    let epoch = Epoch(5)
    _ = try await redis.store.run(.acquire(term("a"), lease: .seconds(15), floor: .none))
    _ = try await redis.store.run(takeOver(epoch))
    _ = try await redis.store.run(begin(epoch, 1))
    _ = try await redis.store.run(commit(fence: epoch, epoch, 1, token: "T1"))
    _ = try await redis.store.run(begin(epoch, 2))
    _ = try await redis.store.run(mark(Version(epoch: Epoch(4), sequence: 9)))
    try await redis.server.command("DEL", Self.layout.expiresIn(Self.account.account))
  }

  /// The steps that heed the guards: such as would write, such as would only mark the account, and
  /// such as would only be refused.
  private var guarded: [StoreCommand] {
    [
      Self.looking, takeOver(Epoch(6)), takeOver(Epoch(4)),
      begin(Epoch(6), 1), begin(Epoch(5), 2), begin(Epoch(5), 1), begin(Epoch(4), 1),
      commit(fence: Epoch(5), Epoch(5), 2, token: "T2"),
      commit(fence: Epoch(6), Epoch(6), 1, token: "T3"),
      commit(fence: Epoch(5), Epoch(5), 1, token: "T1", isRecommit: true),
      commit(fence: Epoch(4), Epoch(4), 1, token: "T4"),
      commit(fence: Epoch(5), Epoch(4), 1, token: "T4"),
      commit(fence: Epoch(4), Epoch(5), 1, token: "T1"),
      commit(fence: Epoch(5), Epoch(5), 0, token: "T0"),
      republish(fence: Epoch(4), Self.current, token: "T1", certain: .seconds(7200)),
      republish(fence: Epoch(5), Self.current, token: "T1", certain: .seconds(7200)),
    ]
  }

  /// The steps that write the account's record whatever it says.
  private var unguarded: [StoreCommand] {
    [
      resolve(Version(epoch: Epoch(5), sequence: 2)),
      mark(Version(epoch: Epoch(4), sequence: 8)), mark(Self.current),
    ]
  }

  @Test("a newer layout is left alone by every step that reads or writes the token")
  func newerLayout() async throws {
    try await StoppedRedis.run { redis in
      try await fill(redis)
      try await redis.server.command("HSET", Self.state, "v", "3")
      for command in guarded {
        let outcome = try await redis.outcome(of: command)
        #expect(outcome == .init(reply: .newerLayout(3), changes: [:]), "\(command)")
      }
      // Our own is not newer: the same steps are carried out.
      try await redis.server.command("HSET", Self.state, "v", "2")
      for command in guarded {
        let reply = try await redis.store.run(command)
        if case .newerLayout = reply { Issue.record("\(command)") }
      }
    }
  }

  @Test(
    "another AppID's record is left alone while its token's key is there",
    arguments: [nil, "PERSIST", "RPUSH"])
  func foreignRecord(damage: String?) async throws {
    try await StoppedRedis.run { redis in
      try await fill(redis)
      let token = Self.layout.accessToken(Self.account.account)
      if damage == "PERSIST" { try await redis.server.command("PERSIST", token) }
      if damage == "RPUSH" {
        try await redis.server.command("DEL", token)
        try await redis.server.command("RPUSH", token, "x")
      }
      let left: Duration? = damage == nil ? .seconds(290) : nil
      for command in guarded {
        let outcome = try await redis.outcome(of: command, by: redis.other)
        #expect(
          outcome == .init(reply: .foreignApp(remaining: left), changes: [:]), "\(command)")
      }
    }
  }

  /// A step of another AppID, and the record that it leaves in place of one whose token is over.
  struct Adoption: Sendable {
    let command: StoreCommand
    let fields: [String: String]
  }

  private static let adoptions = [
    Adoption(command: TokenStoreTests().takeOver(Epoch(6)), fields: [:]),
    Adoption(
      command: TokenStoreTests().begin(Epoch(6), 1),
      fields: [
        "intent_epoch": "6", "intent_seq": "1", "intent_at": "\(start)",
        "intent_deadline": "\(start + .seconds(6))", "intent_kills": "1", "day": "20833",
        "fetches": "1",
      ]),
    Adoption(
      command: TokenStoreTests().commit(fence: Epoch(6), Epoch(6), 1, token: "T2"),
      fields: [
        "committed_epoch": "6", "committed_seq": "1", "parent_epoch": "0", "parent_seq": "0",
        "expires_at": "\(start + .milliseconds(7_199_900))", "lifetime": "7200000",
        "run_id": "r", "sha256": TokenStore.digest("T2"), "fetched_by": "a",
        "fetched_at": "\(start - .milliseconds(100))",
        "doubt_first": "\(start - .milliseconds(100))",
        "doubt_last": "\(start)",
      ]),
  ]

  @Test(
    "once its token is over another AppID's record is forgotten, but for its fence",
    arguments: adoptions)
  func adopting(_ adoption: Adoption) async throws {
    try await StoppedRedis.run { redis in
      try await fill(redis)
      try await redis.server.command("DEL", Self.layout.accessToken(Self.account.account))
      let look = try await redis.outcome(of: Self.looking, by: redis.other)
      #expect(look == .init(reply: .foreignApp(remaining: nil), changes: [:]))
      _ = try await redis.other.run(adoption.command)
      let own = ["v": "2", "app": TokenStore.digest("wx2"), "epoch": "6"]
      #expect(try await redis.record() == own.merging(adoption.fields) { $1 })
    }
  }

  @Test("also the fence of another AppID's record keeps out whoever is below it")
  func foreignFence() async throws {
    try await StoppedRedis.run { redis in
      try await fill(redis)
      try await redis.server.command("DEL", Self.layout.accessToken(Self.account.account))
      for command in [begin(Epoch(4), 1), takeOver(Epoch(4))] {
        let outcome = try await redis.outcome(of: command, by: redis.other)
        #expect(outcome == .init(reply: .fenced(Epoch(5)), changes: [:]))
      }
    }
  }

  @Test("a lock that another AppID's replica holds is left alone until it lapses")
  func foreignLock() async throws {
    try await StoppedRedis.run { redis in
      let acquire = StoreCommand.acquire(term("b"), lease: .seconds(15), floor: .none)
      _ = try await redis.store.run(.acquire(term("a"), lease: .seconds(15), floor: .none))
      for second in [0, 14, 15] as [Int64] {
        try redis.move(to: second)
        let outcome = try await redis.outcome(of: acquire, by: redis.other)
        #expect(
          outcome
            == .init(reply: .foreignApp(remaining: .seconds(15 - second)), changes: [:]))
      }
      try redis.move(to: 16)
      guard case .acquired = try await redis.other.run(acquire) else {
        return #expect(Bool(false), "the lock is free")
      }
    }
  }

  @Test(
    "a server that takes no writes refuses every step that may write, whatever it holds",
    arguments: [false, true])
  func readOnly(isEmpty: Bool) async throws {
    try await StoppedRedis.run { redis in
      try await fill(redis)
      if isEmpty { try await redis.server.command("FLUSHALL") }
      let before = try await redis.contents()
      try await redis.server.command("REPLICAOF", "127.0.0.1", "1")
      let lease = Duration.seconds(15)
      let steps: [StoreCommand] =
        guarded.dropFirst() + unguarded + [
          .acquire(term("a"), lease: lease, floor: .none),
          .acquire(term("b"), lease: lease, floor: .none), .renew(term("a"), lease: lease),
          .renew(term("b"), lease: lease), .release(term("a")), .release(term("b")),
          .heartbeat(
            .init(instance: InstanceID("a")!, isLeader: true, abdicates: false)),
        ]
      for step in steps {
        // Each on a connection of its own, since the client gives up one that is refused so.
        let outcome = try await redis.server.withClient { client in
          await TokenStore(
            client: client, layout: Self.layout,
            apps: AppRegister([Self.account.account: "wx1"]), lacks: .untold
          )
          .perform(step, number: 1, deadline: .now + patience)
        }
        switch outcome {
        case .success(let reply): Issue.record("\(reply) to \(step)")
        case .failure(let failure):
          #expect(failure.reason.contains("READONLY") && failure.mayHaveRun, "\(step)")
          #expect(!failure.needsOperator)
        }
      }
      // Only what writes nothing is answered, from what this server has.
      guard case .account(let view) = try await redis.store.run(Self.looking),
        case .lock(let holder, _) = try await redis.store.run(.pollLock)
      else { return #expect(Bool(false), "a replica can be read") }
      #expect(view.committed == (isEmpty ? nil : Self.current))
      #expect(holder == (isEmpty ? nil : term("a").description))
      #expect(try await redis.contents() == before)
    }
  }
}
