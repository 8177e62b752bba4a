import RedisClient
import Sidecar
import TestSupport
import Testing
import TokenCore

/// The scripts, step by step, on a real Redis.
@Suite("The steps at Redis")
struct TokenStoreTests {
  static let account = CredentialID.unnamed
  static let layout = KeyLayout(prefix: "WCH_")

  /// A store on a fresh Redis of its own.
  private func withStore(
    _ body: @Sendable (TokenStore, RedisServer) async throws -> Void
  ) async throws {
    let server = try await RedisServer.start()
    defer { server.stop() }
    try await server.withReplicasRights(Self.layout) { client in
      try await body(
        TokenStore(
          client: client, layout: Self.layout, apps: AppRegister([Self.account.account: "wx1"]),
          lacks: .untold),
        server)
    }
  }

  func term(_ name: String) -> Term {
    Term(instance: InstanceID(name)!, nonce: String(repeating: name, count: 4))
  }

  func takeOver(_ epoch: Epoch, runID: String? = "r") -> StoreCommand {
    .takeOver(.init(account: Self.account, epoch: epoch, runID: runID, outputs: Self.outputs))
  }

  func begin(
    _ epoch: Epoch, _ sequence: Int64, kills: Bool = true, hasHistory: Bool = false
  ) -> StoreCommand {
    .begin(
      .init(
        account: Self.account, version: Version(epoch: epoch, sequence: sequence),
        span: .seconds(6), kills: kills, hasHistory: hasHistory, outputs: Self.outputs))
  }

  func resolve(_ version: Version) -> StoreCommand {
    .resolve(.init(account: Self.account, version: version, outputs: Self.outputs))
  }

  func commit(
    fence: Epoch, _ epoch: Epoch, _ sequence: Int64, token: String, parent: Version? = nil,
    begunAt: RedisTime? = nil, kills: Bool = true, isRecommit: Bool = false,
    age: Duration = .milliseconds(100), instance: String = "a"
  ) -> StoreCommand {
    .commit(
      .init(
        account: Self.account, fence: fence, version: Version(epoch: epoch, sequence: sequence),
        token: AccessToken(token), outputs: Self.outputs, lifetime: .seconds(7200), age: age,
        begunAt: begunAt,
        parent: parent, kills: kills, isRecommit: isRecommit, runID: "r",
        instance: InstanceID(instance)!))
  }

  func republish(
    fence: Epoch, _ version: Version, token: String, certain: Duration,
    until: RedisTime? = nil, slack: Duration = .seconds(2), begunAt: RedisTime? = nil
  ) -> StoreCommand {
    .republish(
      .init(
        account: Self.account, fence: fence, version: version, token: AccessToken(token),
        outputs: Self.outputs,
        lifetime: .seconds(7200), certain: certain, until: until, slack: slack,
        begunAt: begunAt))
  }

  /// - Parameters:
  ///   - age: how long ago the fetch's BEGIN was sent.
  ///   - known: how long its outcome has been known; nil while it is not.
  func mark(
    _ version: Version, age: Duration = .zero, begunAt: RedisTime? = nil,
    known: Duration? = .zero
  ) -> StoreCommand {
    .mark(
      .init(
        account: Self.account, version: version, age: age, begunAt: begunAt, knownFor: known,
        outputs: Self.outputs))
  }

  static let outputs = Output.own(Margins())
  static let looking = StoreCommand.look(.init(account: account, outputs: outputs))

  private func view(_ store: TokenStore) async throws -> AccountView {
    let reply = try await store.run(Self.looking)
    guard case .account(let view) = reply else { throw Unexpected(reply: reply) }
    return view
  }

  private struct Unexpected: Error { let reply: StoreReply }

  @Test("a lock is given once, kept by its holder, and its epochs grow")
  func locking() async throws {
    try await withStore { store, server in
      let first = term("a")
      let reply = try await store.run(.acquire(first, lease: .seconds(15), floor: .none))
      guard case .acquired(let epoch) = reply else { throw Unexpected(reply: reply) }
      #expect(
        try await store.run(.acquire(first, lease: .seconds(15), floor: .none)) == .acquired(epoch),
        "a repeated ACQUIRE keeps its epoch")
      guard
        case .held("a:aaaa", let left) = try await store.run(
          .acquire(term("b"), lease: .seconds(15), floor: .none))
      else { return #expect(Bool(false), "the lock is held") }
      #expect(left > .seconds(10) && left <= .seconds(15))
      #expect(try await store.run(.renew(first, lease: .seconds(15))) == .renewed)
      #expect(try await store.run(.renew(term("b"), lease: .seconds(15))) == .lost)
      #expect(try await store.run(.release(term("b"))) == .released)
      #expect(try await server.command("EXISTS", Self.layout.leader).number == 1)
      #expect(try await store.run(.release(first)) == .released)
      #expect(try await server.command("EXISTS", Self.layout.leader).number == 0)
      let later = try await store.run(.acquire(term("b"), lease: .seconds(15), floor: .none))
      guard case .acquired(let next) = later else { throw Unexpected(reply: later) }
      #expect(next > epoch)
    }
  }

  @Test("epochs grow over a wiped Redis, by the floor that a replica saw")
  func epochsSurviveAWipe() async throws {
    try await withStore { store, server in
      let floor = Epoch(99_999_999_999_999)
      _ = try await server.command("FLUSHALL")
      #expect(
        try await store.run(.acquire(term("a"), lease: .seconds(15), floor: floor))
          == .acquired(Epoch(floor.rawValue + 1)))
    }
  }

  @Test("a commit writes both keys at once, and the same expiry and life")
  func committing() async throws {
    try await withStore { store, server in
      let epoch = Epoch(1000)
      guard case .account = try await store.run(takeOver(epoch)) else {
        return #expect(Bool(false), "a fresh account can be taken over")
      }
      guard case .began(let receipt) = try await store.run(begin(epoch, 1)) else {
        return #expect(Bool(false), "a begin in order is allowed")
      }
      #expect(receipt.committed == nil && receipt.fetchesToday == 1)
      #expect(receipt.now.milliseconds > 1_700_000_000_000 && receipt.at == receipt.now)
      #expect(try await view(store).intent?.version == Version(epoch: epoch, sequence: 1))
      #expect(
        try await store.run(commit(fence: epoch, epoch, 1, token: "T1"))
          == .committed(isCertain: true))
      let seen = try await view(store)
      #expect(seen.token == AccessToken("T1") && seen.tokenMatchesRecord)
      #expect(seen.intent == nil && seen.doubt == nil)
      #expect(seen.fetchedAt == receipt.at && seen.fetchedBy == "a" && seen.runID == "r")
      let record = try #require(seen.expiresAt)
      let expiry = try #require(seen.others.first)
      #expect(expiry.text == "\((record.milliseconds - 120_000) / 1000)")
      let left = try #require(seen.tokenRemaining)
      #expect(left <= .milliseconds(7_199_900) && left > .seconds(7190))
      // Redis 7.0 reads its clock for each of the two.
      let other = try #require(expiry.remaining)
      #expect(abs((left - other).wholeMilliseconds) < 1000)
    }
  }

  @Test("a deposed leader cannot write, and its commit leaves a doubt")
  func fencing() async throws {
    try await withStore { store, _ in
      _ = try await store.run(takeOver(Epoch(1)))
      _ = try await store.run(begin(Epoch(1), 1))
      _ = try await store.run(takeOver(Epoch(2)))
      let reply = try await store.run(commit(fence: Epoch(1), Epoch(1), 1, token: "T1"))
      let seen = try await view(store)
      #expect(reply == .deposed(Epoch(2)))
      #expect(seen.token == nil)
      let began = try #require(seen.intent?.at)
      #expect(try #require(seen.doubt?.first) <= began)
      #expect(try await store.run(begin(Epoch(1), 2)) == .fenced(Epoch(2)))
    }
  }

  @Test("a token that was published in its turn is superseded, not doubted")
  func superseded() async throws {
    try await withStore { store, _ in
      _ = try await store.run(takeOver(Epoch(1)))
      _ = try await store.run(begin(Epoch(1), 1))
      _ = try await store.run(commit(fence: Epoch(1), Epoch(1), 1, token: "T1"))
      _ = try await store.run(takeOver(Epoch(2)))
      #expect(
        try await store.run(commit(fence: Epoch(1), Epoch(1), 1, token: "T1"))
          == .superseded(Epoch(2)))
      #expect(try await view(store).doubt == nil)
    }
  }

  @Test("a lock that has more than its lease left is shortened to that, by whoever wants it")
  func locksLapse() async throws {
    try await withStore { store, server in
      _ = try await store.run(.acquire(term("a"), lease: .seconds(15), floor: .none))
      for damage in [["PERSIST"], ["PEXPIRE", "3600000"]] {
        _ = try await server.command(
          damage[0], [Self.layout.leader] + damage.dropFirst())
        let reply = try await store.run(.acquire(term("b"), lease: .seconds(60), floor: .none))
        #expect(reply == .held(holder: "a:aaaa", remaining: .seconds(15)))
        let left = try #require(try await server.command("PTTL", Self.layout.leader).number)
        #expect(left > 0 && left <= 15_000)
      }
      // Of a lock that no replica took nobody knows how long it may be.
      _ = try await server.command("SET", Self.layout.leader, "somebody")
      let reply = try await store.run(.acquire(term("b"), lease: .seconds(60), floor: .none))
      #expect(reply == .held(holder: "somebody", remaining: .milliseconds(-1)))
    }
  }

  @Test(
    "damaged keys are restored, and sound ones are left alone",
    arguments: ["none", "deleted", "overwritten", "list", "persisted", "longer", "shorter"])
  func republishing(damage: String) async throws {
    try await withStore { store, server in
      let key = Self.layout.accessToken(Self.account.account)
      _ = try await store.run(takeOver(Epoch(1)))
      _ = try await store.run(begin(Epoch(1), 1))
      _ = try await store.run(commit(fence: Epoch(1), Epoch(1), 1, token: "T1"))
      switch damage {
      case "deleted": _ = try await server.command("DEL", key)
      case "overwritten": _ = try await server.command("SET", key, "foreign", "PX", "7199000")
      case "list":
        _ = try await server.command("DEL", key)
        _ = try await server.command("RPUSH", key, "x")
      case "persisted": _ = try await server.command("PERSIST", key)
      case "longer": _ = try await server.command("PEXPIRE", key, "9999999")
      case "shorter": _ = try await server.command("PEXPIRE", key, "60000")
      default: break
      }
      let command = republish(
        fence: Epoch(1), Version(epoch: Epoch(1), sequence: 1), token: "T1",
        certain: .milliseconds(7_199_800))
      #expect(try await store.run(command) == .republished(wrote: damage != "none"))
      let seen = try await view(store)
      #expect(seen.token == AccessToken("T1"))
      #expect(try #require(seen.tokenRemaining) > .seconds(7190))
      #expect(try #require(seen.tokenRemaining) <= .seconds(7200))
      #expect(try await store.run(command) == .republished(wrote: false))
    }
  }

  @Test("processes of one name see each other, and a version without lives is one more")
  func namesakes() async throws {
    try await withStore { store, server in
      func beat(_ life: UInt64, abdicates: Bool = false) async throws -> [Replica] {
        let heartbeat = StoreCommand.Heartbeat(
          instance: InstanceID("a")!, isLeader: false, abdicates: abdicates, life: life)
        let reply = try await store.run(.heartbeat(heartbeat))
        guard case .replicas(let others, _) = reply else { throw Unexpected(reply: reply) }
        return others
      }
      func field() async throws -> String {
        try #require(try await server.command("HGET", Self.layout.replicas, "a").text)
      }
      #expect(try await beat(1).isEmpty)
      #expect(try await beat(.max).map(\.life) == [1])
      #expect(try await beat(1, abdicates: true).map(\.life) == [.max])
      #expect(try await beat(.max).map { $0.abdicatedAt == nil } == [false])
      // A version without lives reads what stands first, and writes over all of it.
      let old = try await field().prefix { $0 != "," }
      #expect(old.hasPrefix("{\"seen\":"))
      try await server.command(
        "HSET", Self.layout.replicas, "a", "\(old),\"leader\":true,\"abdicated\":0}")
      let heard = try await beat(1)
      #expect(heard.map(\.life) == [nil] && heard[0].isLeader)
      #expect(try await beat(.max).map(\.life) == [1, nil])
      // However many there are, one field stays short.
      for life in 2...40 { _ = try await beat(UInt64(life)) }
      #expect(try await field().utf8.count < 1000)
      #expect(try await beat(1).count == 8)
      // What no replica writes does not end the script.
      for nonsense in ["{\"seen\":1e18,\"life\":7,\"others\":3}", "[]", "{\"others\":[1,{}]}"] {
        try await server.command("HSET", Self.layout.replicas, "a", nonsense)
        _ = try await beat(1)
      }
      #expect(try await server.command("HLEN", Self.layout.replicas).number == 1)
    }
  }

  @Test("replicas see each other, and those that are gone are forgotten")
  func heartbeats() async throws {
    try await withStore { store, server in
      func beat(_ name: String, abdicates: Bool = false) async throws -> [Replica] {
        let heartbeat = StoreCommand.Heartbeat(
          instance: InstanceID(name)!, isLeader: name == "a", abdicates: abdicates)
        let reply = try await store.run(.heartbeat(heartbeat))
        guard case .replicas(let others, _) = reply else { throw Unexpected(reply: reply) }
        return others
      }
      _ = try await server.command(
        "HSET", Self.layout.replicas, "gone", "{\"seen\":1000}", "broken", "nonsense")
      #expect(try await beat("a", abdicates: true).isEmpty)
      let others = try await beat("b")
      #expect(others.map(\.instance.rawValue) == ["a"])
      #expect(others.first?.isLeader == true && others.first?.abdicatedAt != nil)
      #expect(try await server.command("HLEN", Self.layout.replicas).number == 2)
    }
  }
}

extension TokenStore {
  /// The step's answer; a failure ends the test.
  func run(_ command: StoreCommand, number: Int64 = 1) async throws -> StoreReply {
    try await perform(command, number: number, deadline: .now + patience).get()
  }
}
