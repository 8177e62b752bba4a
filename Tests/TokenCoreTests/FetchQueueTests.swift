import Testing

@testable import TokenCore

/// Of many accounts only some ask WeChat at the same time, and one that fails does not stop others
/// (TokenCore.md#the-algorithm).
@Suite struct FetchQueueTests {
  /// A leader of accounts that have no token, each of which Redis has just shown.
  private static func leader(accounts count: Int, maximumFetches: Int) throws -> Transcript {
    let names = try (1...count).map { try #require(CredentialID("a\($0)")) }
    var it = Transcript(accounts: names, maximumFetches: maximumFetches)
    let acquiring = it.acquire()
    for action in it.outstanding where action.isLook { it.answer(action, .account(it.view())) }
    for action in it.answer(acquiring, .acquired(Epoch(10))) where action.isTakeOver {
      it.answer(action, .account(it.view()))
    }
    return it
  }

  /// Whose BEGINs Redis has not answered, in order.
  private static func beginning(_ it: Transcript) -> [String] {
    it.outstanding.filter(\.isBegin).compactMap { $0.command?.account?.description }
  }

  /// Answers the BEGIN of an account; what WeChat is asked.
  private static func begin(_ it: inout Transcript, _ name: String) -> FetchOrder? {
    let begin = it.outstanding.first { $0.isBegin && $0.command?.account?.description == name }
    return it.answer(begin, .began(it.receipt())).firstOrder
  }

  @Test func `no more begin than may fetch at once, and who waits is served in order`() throws {
    var it = try Self.leader(accounts: 5, maximumFetches: 2)
    #expect(Self.beginning(it) == ["a1", "a2"])
    let failure = FetchFailure(.transient, reason: "nothing came")
    // However the fetch before ends, the next one begins, and not before.
    let second = try #require(Self.begin(&it, "a2"))
    #expect(Self.beginning(it) == ["a1"])
    it.post(.fetched(second.account, second.version, it.token("T2")))
    #expect(Self.beginning(it) == ["a1", "a3"])
    let first = try #require(Self.begin(&it, "a1"))
    it.post(.fetched(first.account, first.version, .unknown(failure)))
    #expect(Self.beginning(it) == ["a3", "a4"])
    let third = try #require(Self.begin(&it, "a3"))
    it.post(.fetched(third.account, third.version, .knownFailure(failure)))
    #expect(Self.beginning(it) == ["a4", "a5"])
  }

  @Test func `who failed waits for its turn again, behind who waited meanwhile`() throws {
    var it = try Self.leader(accounts: 4, maximumFetches: 1)
    let failure = FetchFailure(.transient, reason: "nothing came")
    var order: [String] = []
    for round in 0..<5 {
      let name = try #require(Self.beginning(it).first)
      order.append(name)
      let asked = try #require(Self.begin(&it, name))
      it.post(
        .fetched(
          asked.account, asked.version,
          round == 0 ? .unknown(failure) : it.token("T\(round)")))
      Self.keepUp(&it, until: it.now + .seconds(2))
    }
    #expect(order == ["a1", "a2", "a3", "a4", "a1"])
  }

  @Test func `a fetch that is never answered does not keep its place for ever`() throws {
    var it = try Self.leader(accounts: 2, maximumFetches: 1)
    _ = Self.begin(&it, "a1")
    it.forget()
    Self.keepUp(&it, until: it.now + Timing().apiTimeout + Timing.slack)
    #expect(Self.beginning(it) == ["a2"])
  }

  @Test func `who waited when the lead ended waits for nothing`() throws {
    var it = try Self.leader(accounts: 3, maximumFetches: 1)
    it.pass(.seconds(20))
    it.post(.woke)
    it.forget()
    #expect(it.keeper.accounts.allSatisfy { !$0.isQueued })
    let acquiring = it.answer(it.next(\.isPoll), .lock(holder: nil, remaining: nil))
    for action in it.answer(acquiring.first(where: \.isAcquire), .acquired(Epoch(20)))
    where action.isTakeOver {
      it.answer(action, .account(it.view()))
    }
    #expect(Self.beginning(it) == ["a1"])
    #expect(it.keeper.accounts.filter(\.isQueued).map(\.name.description) == ["a2", "a3"])
  }

  @Test func `a wait for one's turn is no loop`() throws {
    var it = try Self.leader(accounts: 3, maximumFetches: 1)
    it.post(.woke)
    it.post(.woke)
    #expect(it.keeper.nextWake.map { $0 > it.now } ?? false)
  }

  // MARK: Giving the lead up

  /// A leader of two accounts beside a live replica, where the second's transport has failed three
  /// times in a row, and the first got a token so long before the fourth.
  private static func failing(_ sinceSuccess: Duration?) throws -> [Keeper.Action] {
    var it = try leader(accounts: 2, maximumFetches: 2)
    let replica = Replica(
      instance: try #require(InstanceID("b")), isLeader: false, seenAt: it.redisTime,
      abdicatedAt: nil)
    it.answer(
      it.outstanding.first(where: \.isHeartbeat), .replicas([replica], now: it.redisTime))
    let success = try #require(Self.begin(&it, "a1"))
    if sinceSuccess != nil {
      let committing = it.post(.fetched(success.account, success.version, it.token("T")))
      it.committed(committing.first(where: \.isCommit), "T", success.version)
    }
    let end = it.now + (sinceSuccess ?? .seconds(9))
    let failure = FetchFailure(.transient, reason: "no route", isTransport: true)
    var failures = 0
    while failures < 3 {
      for action in it.outstanding where action.isBegin {
        it.answer(action, .began(it.receipt()))
      }
      let order = try #require(orders(it).first { $0.account.description == "a2" })
      it.post(.fetched(order.account, order.version, .knownFailure(failure)))
      failures += 1
      for action in it.outstanding where action.isResolve { it.answer(action, .resolved) }
      keepUp(&it, until: failures < 3 ? it.now + .seconds(3) : end)
    }
    for action in it.outstanding where action.isBegin { it.answer(action, .began(it.receipt())) }
    let order = try #require(orders(it).first { $0.account.description == "a2" })
    it.now = max(it.now, end)
    return it.post(.fetched(order.account, order.version, .knownFailure(failure)))
  }

  private static func orders(_ it: Transcript) -> [FetchOrder] {
    it.outstanding.compactMap { if case .fetch(let order) = $0 { order } else { nil } }
  }

  /// Lets time pass with a Redis that renews the lease and shows what was published.
  private static func keepUp(_ it: inout Transcript, until end: Moment) {
    serve(&it)
    while let wake = it.keeper.nextWake, wake <= end {
      it.now = max(it.now, wake)
      it.post(.woke)
      serve(&it)
    }
    it.now = max(it.now, end)
  }

  private static func serve(_ it: inout Transcript) {
    for action in it.outstanding {
      switch action.command {
      case .renew: it.answer(action, .renewed)
      case .heartbeat:
        let replicas = it.keeper.replicas.map {
          Replica(instance: $0.instance, isLeader: false, seenAt: it.redisTime, abdicatedAt: nil)
        }
        it.answer(action, .replicas(replicas, now: it.redisTime))
      case .look(let look):
        let copy = it.keeper.view[look.account]?.copy
        let view = copy.map {
          it.view($0.token.revealed, $0.version, left: $0.expiresAt - it.now)
        }
        it.answer(action, .account(view ?? it.view()))
      case .pollLock, .acquire, .release, .takeOver, .begin, .resolve, .commit, .republish, .mark,
        nil:
        break
      }
    }
  }

  @Test func `the lead is kept while another account got a token lately`() throws {
    #expect(!(try Self.failing(.seconds(9)).notes.contains(.steppedDown(.abdicated))))
    #expect(try Self.failing(nil).notes.contains(.steppedDown(.abdicated)))
  }
}
