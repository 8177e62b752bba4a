import RedisClient
import Sidecar
import TestSupport
import Testing
import TokenCore

/// Steps whose keys are in several slots, on a real Redis: what follows the record in calls of its
/// own.
extension TokenStoreTests {
  private static let others =
    Output.own(Margins()) + [
      Output(key: .other("sdk:token"), content: .token(.plain))
    ]

  private func withSplitStore(
    tellsServer: Bool = true, _ body: @Sendable (TokenStore, RedisServer) async throws -> Void
  ) async throws {
    let server = try await RedisServer.start()
    defer { server.stop() }
    try await server.withReplicasRights(Self.layout, others: ["sdk:token"]) { client in
      try await body(
        TokenStore(
          client: client, layout: Self.layout, apps: AppRegister([Self.account.account: "wx1"]),
          lacks: .untold, plan: .split(tellsServer: tellsServer)),
        server)
    }
  }

  private func committing(_ epoch: Epoch, _ sequence: Int64, _ token: String) -> StoreCommand {
    guard case .commit(var commit) = commit(fence: epoch, epoch, sequence, token: token) else {
      preconditionFailure("it is a commit")
    }
    commit.outputs = Self.others
    return .commit(commit)
  }

  private func beginning(_ epoch: Epoch, _ sequence: Int64) -> StoreCommand {
    guard case .begin(var begin) = begin(epoch, sequence) else {
      preconditionFailure("it is a begin")
    }
    begin.outputs = Self.others
    return .begin(begin)
  }

  @Test("keys in slots of their own are written after the record, shortened by a BEGIN, and fenced")
  func apart() async throws {
    try await withSplitStore { store, server in
      func left(_ key: String) async throws -> Int64 {
        try await server.command("PTTL", key).number ?? -2
      }
      let epoch = Epoch(1000)
      _ = try await store.run(takeOver(epoch))
      _ = try await store.run(beginning(epoch, 1), number: 1)
      #expect(
        try await store.run(committing(epoch, 1, "T1"), number: 2) == .committed(isCertain: true))
      #expect(try await server.command("GET", "sdk:token").text == "T1")
      #expect(try await left("sdk:token") > 7_190_000)
      #expect(try await left("WCH_expires_in") > 7_190_000)
      _ = try await store.run(beginning(epoch, 2), number: 3)
      for key in ["WCH_access_token", "WCH_expires_in", "sdk:token"] {
        #expect(try await left(key) <= 290_000, "\(key) ends before the fetch can have killed it")
      }
      #expect(
        try await server.command("HGET", "WCH_fence:{sdk:token}", "step").text == "3")
      // A leader that another one has followed.
      _ = try await store.run(
        .takeOver(
          .init(account: Self.account, epoch: Epoch(2000), runID: nil, outputs: Self.others)),
        number: 1)
      #expect(
        try await server.command("HGET", "WCH_fence:{WCH_expires_in}", "epoch").text == "2000")
      _ = try await server.command("HSET", "WCH_state:{WCH_access_token}", "epoch", "1000")
      #expect(
        try await store.run(committing(epoch, 2, "T2"), number: 4) == .superseded(Epoch(2000)),
        "its record is forged; what lies apart knows better")
      #expect(try await server.command("GET", "sdk:token").text == "T1")
    }
  }

  @Test("what its software has written into a key since our token ended is left alone")
  func leftAlone() async throws {
    try await withSplitStore { store, server in
      let epoch = Epoch(1000)
      _ = try await store.run(takeOver(epoch))
      _ = try await store.run(beginning(epoch, 1), number: 1)
      _ = try await store.run(committing(epoch, 1, "T1"), number: 2)
      try await server.command("SET", "sdk:token", "theirs", "PX", "100000")
      try await server.command("HSET", "WCH_state:{WCH_access_token}", "expires_at", "1")
      _ = try await store.run(beginning(epoch, 2), number: 3)
      #expect(try await server.command("GET", "sdk:token").text == "theirs")
      #expect(try await server.command("PTTL", "sdk:token").number ?? 0 > 90_000)
      #expect(try await server.command("EXISTS", "WCH_access_token", "WCH_expires_in").number == 0)
      // What is left of ours is taken away.
      try await server.command("SET", "sdk:token", "T1", "PX", "100000")
      _ = try await store.run(beginning(epoch, 3), number: 4)
      #expect(try await server.command("EXISTS", "sdk:token").number == 0)
    }
  }

  @Test("a step asks which server carries it out, where the connection cannot know")
  func ownServer() async throws {
    try await withSplitStore { store, server in
      let info = try await server.command("INFO", "server").text ?? ""
      let lines = info.split(whereSeparator: \.isNewline)
      let runID = lines.first { $0.hasPrefix("run_id:") }.map { String($0.dropFirst(7)) }
      _ = try await store.run(takeOver(Epoch(1000), runID: "of another server"))
      _ = try await store.run(beginning(Epoch(1000), 1))
      _ = try await store.run(committing(Epoch(1000), 1, "T1"))
      guard case .account(let view) = try await store.run(Self.looking) else {
        return #expect(Bool(false), "the record is ours")
      }
      #expect(view.server == runID && view.runID == runID)
      #expect(view.others.map(\.isRead) == [true])
    }
  }

  @Test("a key in a slot of its own that cannot be written fails no step")
  func unreachable() async throws {
    try await withSplitStore { store, server in
      try await server.command("ACL", "SETUSER", "replica", "resetkeys", "~WCH_*")
      _ = try await store.run(takeOver(Epoch(1000)))
      _ = try await store.run(beginning(Epoch(1000), 1))
      #expect(
        try await store.run(committing(Epoch(1000), 1, "T1")) == .committed(isCertain: true))
      #expect(try await server.command("EXISTS", "sdk:token").number == 0)
      #expect(try await server.command("EXISTS", "WCH_expires_in").number == 1)
    }
  }

  @Test("a proxy that runs no script over several slots is found out by its refusal")
  func refusedSlots() async throws {
    let server = try await RedisServer.start()
    defer { server.stop() }
    var rules = StrictProxy.Rules()
    rules.needsOneSlot = true
    let proxy = try await StrictProxy.start(before: server.port, rules: rules)
    try await server.withClient(through: proxy.port) { client in
      let store = TokenStore(
        client: client, layout: Self.layout, apps: AppRegister([Self.account.account: "wx1"]),
        lacks: .untold)
      _ = try await store.run(takeOver(Epoch(1000)))
      _ = try await store.run(beginning(Epoch(1000), 1))
      _ = try await store.run(committing(Epoch(1000), 1, "T1"))
      #expect(try await server.command("GET", "sdk:token").text == "T1")
      #expect(try await server.command("PTTL", "WCH_expires_in").number ?? 0 > 7_190_000)
      #expect(proxy.stopped("EVALSHA") + proxy.stopped("EVAL") <= 2, "it is found out once")
    }
    await proxy.stop()
  }
}
