import Testing

@testable import TokenCore

/// Accounts that come and go while the keeper runs (TokenCore.md#accounts-that-come-and-go).
@Suite struct KeeperAccountTests {
  private static func name(_ text: String) throws -> CredentialID {
    let name = CredentialID(text)
    return try #require(name)
  }

  private static func added(_ names: CredentialID...) -> Keeper.Event {
    .accountsChanged(
      added: names.map { NewAccount(name: $0, credential: Credential()) }, removed: [])
  }

  private static func removed(_ names: CredentialID...) -> Keeper.Event {
    .accountsChanged(added: [], removed: names)
  }

  /// Gives a keeper another account beside the one that transcripts are about, so that this may go.
  private static func accompany(_ it: inout Transcript) throws {
    let other = try name("other")
    for action in it.post(added(other)) where action.isTakeOver || action.isLook {
      it.answer(action, .account(it.view("O", version(9, 1))))
    }
  }

  private static func names(_ it: Transcript) -> [String] {
    it.keeper.accounts.map(\.name.description)
  }

  @Test func `one that comes at a leader is taken over at once, and nobody else is looked at`()
    throws
  {
    var it = Transcript()
    it.publish()
    var view = it.keeper.view
    _ = it.keeper.show(in: &view)
    let shop = try Self.name("shop")
    let actions = it.post(Self.added(shop))
    #expect(actions.compactMap { $0.isHeartbeat ? nil : $0.command?.account } == [shop])
    let takingOver = actions.first(where: \.isTakeOver)
    #expect(it.keeper.show(in: &view) == [.unnamed, shop])
    #expect(view[shop] != nil && view[.unnamed]?.copy != nil)
    // What Redis has is kept.
    let adopting = it.answer(takingOver, .account(it.view("S", version(9, 4))))
    #expect(
      adopting.notes.contains { if case .adopted(shop, _, _) = $0 { true } else { false } })
    #expect(!it.outstanding.has(\.isBegin) && !it.outstanding.has(\.isFetch))
  }

  @Test func `what others keep is heard at once, soon again, and then as usual`() throws {
    var it = Transcript()
    it.post(.started)
    it.post(.storeConnected(runID: "one"))
    func answer(_ actions: [Keeper.Action], _ it: inout Transcript) -> Bool {
      for action in actions {
        if action.isPoll { it.answer(action, .lock(holder: "b:1", remaining: .seconds(9))) }
        if action.isLook { it.answer(action, .account(it.view())) }
        if action.isHeartbeat { it.answer(action, .replicas([], now: it.redisTime)) }
      }
      return actions.contains(where: \.isHeartbeat)
    }
    _ = answer(it.outstanding, &it)
    it.pass(.seconds(5))
    let start = it.now
    var beats: [Duration] = answer(it.post(Self.added(try Self.name("shop"))), &it) ? [.zero] : []
    while let wake = it.keeper.nextWake, wake <= start + .seconds(60) {
      it.now = max(it.now, wake)
      if answer(it.post(.woke), &it) { beats.append(it.now - start) }
    }
    #expect(beats == [0, 1, 3, 7, 15, 25, 35, 45, 55].map { .seconds($0) })
  }

  @Test func `one that comes at a follower is looked at, and fetched for by nobody here`() throws {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: "one"))
    it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
    let shop = try Self.name("shop")
    let look = it.post(Self.added(shop)).first { $0.isLook && $0.command?.account == shop }
    it.answer(look, .account(it.view()))
    #expect(!it.outstanding.has(\.isBegin))
    #expect(Self.names(it) == ["default", "shop"])
  }

  @Test func `one that has nothing under way goes at once, and what comes late is nobody's`() throws
  {
    var it = Transcript()
    it.publish()
    try Self.accompany(&it)
    var view = it.keeper.view
    _ = it.keeper.show(in: &view)
    let late = it.post(.hinted(Transcript.account)).first(where: \.isLook)
    it.post(Self.removed(Transcript.account))
    #expect(Self.names(it) == ["other"])
    #expect(it.keeper.show(in: &view).contains(Transcript.account))
    #expect(view[Transcript.account] == nil)
    #expect(it.answer(late, .account(it.view("T", version(10, 1)))).isEmpty)
    it.post(.reported(.rejected(AccessToken("T"))))
    it.post(.fetched(Transcript.account, version(10, 1), it.token("T")))
    #expect(Self.names(it) == ["other"])
    #expect(it.keeper.isLeader(at: it.now))
  }

  @Test func `one whose call is under way goes once its token is in Redis`() throws {
    var it = Transcript()
    let asked = it.fetch()
    let order = try #require(asked)
    try Self.accompany(&it)
    let leaving = it.post(Self.removed(Transcript.account))
    #expect(!leaving.contains { if case .cancelFetch = $0 { true } else { false } })
    #expect(Self.names(it) == ["default", "other"])
    let commit = it.post(.fetched(Transcript.account, order.version, it.token("T")))
      .first(where: \.isCommit)
    // Nobody knows whether it was carried out: it is sent again.
    let failing = try #require(commit)
    it.fail(failing, mayHaveRun: true)
    #expect(Self.names(it) == ["default", "other"])
    let again = it.next(where: Transcript.account, \.isCommit)
    it.answer(again, .committed(isCertain: true))
    #expect(Self.names(it) == ["other"])
    #expect(it.keeper.isLeader(at: it.now))
  }

  @Test func `one that may ask and has not gives that back first`() throws {
    var it = Transcript()
    let begin = it.answer(it.lead(), .account(it.view())).first(where: \.isBegin)
    try Self.accompany(&it)
    it.post(Self.removed(Transcript.account))
    #expect(Self.names(it) == ["default", "other"])
    let resolving = it.answer(begin, .began(it.receipt()))
    #expect(!resolving.has(\.isFetch))
    it.answer(resolving.first(where: \.isResolve), .resolved)
    #expect(Self.names(it) == ["other"])
  }

  @Test func `one that owes a mark goes once it is acknowledged`() throws {
    var it = Transcript()
    let asked = it.fetch()
    let order = try #require(asked)
    try Self.accompany(&it)
    // The lease is over; the call was not answered.
    it.now = it.now + .seconds(20)
    let mark = it.post(.woke).first(where: \.isMark)
    it.post(Self.removed(Transcript.account))
    #expect(Self.names(it) == ["default", "other"])
    it.answer(mark, .marked)
    it.post(
      .fetched(
        Transcript.account, order.version,
        .knownFailure(FetchFailure(.transient, reason: "nothing was sent"))))
    #expect(Self.names(it) == ["other"])
  }

  @Test func `one that comes again while it is let end has never gone`() throws {
    var it = Transcript()
    let asked = it.fetch()
    let order = try #require(asked)
    try Self.accompany(&it)
    it.post(Self.removed(Transcript.account))
    #expect(!it.post(Self.added(Transcript.account)).has(\.isTakeOver))
    let commit = it.post(.fetched(Transcript.account, order.version, it.token("T")))
      .first(where: \.isCommit)
    it.answer(commit, .committed(isCertain: true))
    #expect(Self.names(it) == ["default", "other"])
    #expect(it.keeper.accounts[0].copy?.token == AccessToken("T"))
  }

  @Test func `one that comes again in the same lead numbers its fetches on`() throws {
    var it = Transcript()
    let asked = it.fetch()
    let order = try #require(asked)
    #expect(order.version == version(10, 1))
    try Self.accompany(&it)
    it.post(
      .fetched(
        Transcript.account, order.version,
        .unknown(FetchFailure(.transient, reason: "nothing came"))))
    it.post(Self.removed(Transcript.account))
    #expect(Self.names(it) == ["other"])
    let takingOver = it.post(Self.added(Transcript.account)).first(where: \.isTakeOver)
    let beginning = it.answer(takingOver, .account(it.view())).first(where: \.isBegin)
    guard case .begin(let begin)? = beginning?.command else {
      Issue.record("nothing is begun")
      return
    }
    #expect(begin.version == version(10, 2))
  }

  @Test func `at the end nobody comes, and who goes does not hold it up`() throws {
    var it = Transcript()
    it.publish()
    try Self.accompany(&it)
    let release = it.post(.shutdownRequested).first(where: \.isRelease)
    it.post(Self.added(try Self.name("late")))
    it.post(Self.removed(Transcript.account))
    #expect(!Self.names(it).contains("late"))
    it.answer(release, .released)
    #expect(it.hasStopped || it.outstanding.has(\.isMark))
  }

  @Test func `what stood in one's way is gone with it`() throws {
    var it = Transcript()
    it.post(.started)
    let looks = it.post(.storeConnected(runID: "one"))
    it.answer(looks.first(where: \.isLook), .foreignApp(remaining: .seconds(900)))
    #expect(it.keeper.conflict != nil)
    it.post(Self.added(try Self.name("other")))
    it.post(Self.removed(Transcript.account))
    #expect(it.keeper.conflict == nil)
  }

  @Test func `whatever comes and goes, the table has everybody in order`() throws {
    var generator = SystemRandomNumberGenerator()
    var it = Transcript(accounts: [Transcript.account], maximumFetches: 2)
    it.answer(it.lead(), .account(it.view()))
    var there: Set<String> = ["default"]
    let names = try (0..<9).map { try Self.name("a\($0)") }
    for _ in 0..<200 {
      let chosen = names.filter { _ in Bool.random(using: &generator) }
      let (gone, new) = (
        chosen.filter { there.contains($0.description) },
        chosen.filter { !there.contains($0.description) }
      )
      it.post(
        .accountsChanged(
          added: new.map { NewAccount(name: $0, credential: Credential()) }, removed: gone))
      there.subtract(gone.map(\.description))
      there.formUnion(new.map(\.description))
      for action in it.outstanding where Bool.random(using: &generator) {
        if action.isTakeOver { it.answer(action, .account(it.view())) }
        if action.isBegin { it.answer(action, .began(it.receipt())) }
        if action.isResolve { it.answer(action, .resolved) }
        if case .fetch(let order) = action {
          it.post(.fetched(order.account, order.version, it.token("T\(order.version)")))
        }
        if action.isCommit { it.answer(action, .committed(isCertain: true)) }
      }
      let all = it.keeper.accounts
      #expect(all.map(\.name) == all.map(\.name).sorted())
      #expect(Set(all.filter { !$0.isLeaving }.map(\.name.description)) == there)
      #expect(all.filter(\.isLeaving).allSatisfy { $0.hasUnfinishedBusiness(at: it.now) })
      #expect(all.count(where: \.isFetching) == it.keeper.table.fetching)
      #expect(it.keeper.table.fetching <= 2)
    }
  }
}

extension Transcript {
  /// Lets time pass until this is done for the account.
  fileprivate mutating func next(
    where account: CredentialID, _ isIt: (Keeper.Action) -> Bool
  ) -> Keeper.Action? {
    next { isIt($0) && $0.command?.account == account }
  }
}
