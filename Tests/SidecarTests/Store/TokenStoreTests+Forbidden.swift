import RedisClient
import TestSupport
import Testing
import TokenCore

@testable import Sidecar

/// Keys of other software that the ACL forbids, on a real Redis.
extension TokenStoreTests {
  private static let others = ["wechatpy:wx1_access_token", "cache:wx1_access_token"]

  private static let published =
    outputs + others.map { Output(key: .other($0), content: .token(.plain)) }

  private func takeOver(_ epoch: Epoch) -> StoreCommand {
    .takeOver(.init(account: Self.account, epoch: epoch, runID: "r", outputs: Self.published))
  }

  private func begin(_ epoch: Epoch) -> StoreCommand {
    .begin(
      .init(
        account: Self.account, version: Version(epoch: epoch, sequence: 1), span: .seconds(6),
        kills: true, hasHistory: false, outputs: Self.published))
  }

  private func commit(_ epoch: Epoch) -> StoreCommand {
    .commit(
      .init(
        account: Self.account, fence: epoch, version: Version(epoch: epoch, sequence: 1),
        token: AccessToken("T1"), outputs: Self.published, lifetime: .seconds(7200),
        age: .milliseconds(100), begunAt: nil, parent: nil, kills: true, isRecommit: false,
        runID: "r", instance: InstanceID("a")!))
  }

  private static let lookingAtAll = StoreCommand.look(
    .init(account: account, outputs: published))

  @Test("a key of other software that is forbidden is left out, and written again once it may be")
  func forbiddenOutput() async throws {
    let server = try await RedisServer.start()
    defer { server.stop() }
    let lacks = RedisLacks.untold
    try await server.withReplicasRights(Self.layout, others: [Self.others[0]]) { client in
      let store = TokenStore(
        client: client, layout: Self.layout, apps: AppRegister([Self.account.account: "wx1"]),
        lacks: lacks)
      let epoch = Epoch(1000)
      _ = try await store.run(takeOver(epoch))
      #expect(lacks.absentKeys.map(\.key) == [Self.others[1]])
      #expect("\(lacks.absentKeys.map(\.reason))".contains("NOPERM"))
      _ = try await store.run(begin(epoch))
      #expect(try await store.run(commit(epoch)) == .committed(isCertain: true))
      #expect(try await server.command("GET", Self.layout.accessToken(.unnamed)).text == "T1")
      #expect(try await server.command("GET", Self.others[0]).text == "T1")
      #expect(try await server.command("EXISTS", Self.others[1]).number == 0)
      // It is no damage that would have to be mended for ever.
      let reply = try await store.run(Self.lookingAtAll)
      guard case .account(let view) = reply else { return #expect(Bool(false), "\(reply)") }
      #expect(view.others.count == 3 && view.others[1].text == "T1")
      #expect(view.others[2] == .unread)

      try await server.command("ACL", "SETUSER", "replica", "~\(Self.others[1])")
      _ = try await store.run(Self.lookingAtAll)
      #expect(lacks.absentKeys.count == 1, "it is not tried with every step")
    }
    // With the next connection it is.
    try await server.withClient(user: "replica", password: "pw") { client in
      lacks.connected(to: RedisServerInfo(runID: nil, version: nil))
      let store = TokenStore(
        client: client, layout: Self.layout, apps: AppRegister([Self.account.account: "wx1"]),
        lacks: lacks)
      let reply = try await store.run(Self.lookingAtAll)
      guard case .account(let view) = reply else { return #expect(Bool(false), "\(reply)") }
      #expect(view.others[2] == HeldOutput(text: nil, remaining: nil))
      #expect(lacks.absentKeys.isEmpty)
    }
  }

  @Test("the record and the credential's own keys are never left out")
  func forbiddenOwnKey() async throws {
    let server = try await RedisServer.start()
    defer { server.stop() }
    try await server.withReplicasRights(Self.layout, others: Self.others) { client in
      _ = try await server.command(
        "ACL",
        ["SETUSER", "replica", "resetkeys"]
          + (Self.others + [Self.layout.state(Self.account)]).map { "~\($0)" })
      let lacks = RedisLacks.untold
      let store = TokenStore(
        client: client, layout: Self.layout, apps: AppRegister([Self.account.account: "wx1"]),
        lacks: lacks)
      let result = await store.perform(takeOver(Epoch(1000)), number: 1, deadline: .now + patience)
      guard case .failure(let failure) = result else { return #expect(Bool(false), "\(result)") }
      #expect(failure.kind == .permission && failure.needsOperator)
      #expect(lacks.absentKeys.isEmpty)
    }
  }

  @Test("without scripts an account is read by plain commands, as LOOK would read it")
  func plainLook() async throws {
    let server = try await RedisServer.start()
    defer { server.stop() }
    let layout = Self.layout
    try await server.withReplicasRights(layout, others: Self.others) { client in
      let apps = AppRegister([Self.account.account: "wx1"])
      let store = TokenStore(client: client, layout: layout, apps: apps, lacks: .untold)
      let epoch = Epoch(1000)
      _ = try await store.run(takeOver(epoch))
      _ = try await store.run(begin(epoch))
      _ = try await store.run(commit(epoch))
      guard case .account(var scripted) = try await store.run(Self.lookingAtAll) else {
        return #expect(Bool(false), "it can be read")
      }
      try await server.command("ACL", "SETUSER", "replica", "-eval", "-evalsha")
      let plain = TokenStore(client: client, layout: layout, apps: apps, lacks: .untold)
      guard case .account(let view) = try await plain.run(Self.lookingAtAll) else {
        return #expect(Bool(false), "it can be read without scripts")
      }
      #expect(view.token?.revealed == "T1" && view.tokenMatchesRecord)
      // Only time has passed.
      scripted.now = view.now
      scripted.tokenRemaining = view.tokenRemaining
      scripted.others = view.others
      #expect(view == scripted)
      #expect(view.others.map(\.text).last == "T1")

      let other = TokenStore(
        client: client, layout: layout, apps: AppRegister([Self.account.account: "wx2"]),
        lacks: .untold)
      guard case .foreignApp = try await other.run(Self.lookingAtAll) else {
        return #expect(Bool(false), "another AppID's record")
      }
      try await server.command("HSET", layout.state(Self.account), "v", "3")
      #expect(try await plain.run(Self.lookingAtAll) == .newerLayout(3))
      // Nothing else is done without scripts.
      guard
        case .failure = await plain.perform(
          takeOver(Epoch(1001)), number: 1, deadline: .now + patience)
      else { return #expect(Bool(false), "nobody takes an account over") }
    }
  }
}
