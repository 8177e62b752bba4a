import Testing
import TokenCore

@Suite("Answers that something on the way repeats") struct RepeatedAnswerTests {
  /// Up to the fetch of somebody who reports a token of the account as dead.
  private func refetch(_ it: inout Transcript, _ token: String) throws -> FetchOrder {
    // Reports may cause a fetch every half minute.
    _ = it.run(until: it.now + .seconds(31))
    for look in it.outstanding where look.isLook { it.fail(look) }
    let begun = it.post(.reported(.rejected(AccessToken(token))))
    let begin = begun.first(where: \.isBegin)
    return try #require(it.answer(begin, .began(it.receipt())).firstOrder)
  }

  @Test func `a token that is held already is no answer: neither its life nor its probe changes`()
    throws
  {
    var it = Transcript(probe: .seconds(300))
    it.publish(token: "T")
    let account = try #require(it.keeper.accounts.first)
    let order = try refetch(&it, "T")
    let actions = it.post(.fetched(order.account, order.version, it.token("T")))
    #expect(!actions.has(\.isCommit))
    #expect(it.keeper.accounts[0].copy?.expiresAt == account.copy?.expiresAt)
    #expect(it.keeper.accounts[0].copy?.version == account.copy?.version)
    #expect(it.keeper.accounts[0].wanted?.trigger == .report, "it is asked for again")
    guard
      case .refreshFailed(_, .report, let failure, isUnknown: true, inARow: 1, let wait)? =
        actions.notes.first
    else {
      Issue.record("\(actions.notes)")
      return
    }
    #expect(failure == .repetition)
    #expect(failure.reason.contains("is there a cache before WeChat?"))
    #expect(wait <= .seconds(2))
    let another = it.run(until: it.now + wait + .seconds(1))
    #expect(another.has(\.isBegin))
  }

  @Test func `a former token is one that was held, and so is one that Redis showed`() throws {
    var it = Transcript()
    it.publish(token: "A")
    for (held, next) in [("A", "B"), ("B", "C")] {
      let order = try refetch(&it, held)
      let commit = it.post(.fetched(order.account, order.version, it.token(next)))
      it.answer(commit.first(where: \.isCommit), .committed(isCertain: true))
    }
    let order = try refetch(&it, "C")
    #expect(!it.post(.fetched(order.account, order.version, it.token("A"))).has(\.isCommit))

    var follower = Transcript()
    let takingOver = follower.lead()
    follower.answer(takingOver, .account(follower.view("S", version(9, 1))))
    let refetched = try refetch(&follower, "S")
    let actions = follower.post(
      .fetched(refetched.account, refetched.version, follower.token("S")))
    #expect(!actions.has(\.isCommit))
  }

  @Test func `an answer that came too late for its attempt is remembered, too`() throws {
    var it = Transcript()
    let order = it.fetch()
    let late = try #require(order)
    it.pass(.seconds(20))
    it.post(.woke)
    it.post(.fetched(late.account, late.version, it.token("T")))
    #expect(!it.keeper.accounts[0].traces.debts.isEmpty)
    let polling = it.run(until: it.now + .seconds(3)).first(where: \.isPoll)
    let acquiring = it.answer(polling, .lock(holder: nil, remaining: nil))
    let won = it.answer(acquiring.first(where: \.isAcquire), .acquired(Epoch(20)))
    let begin = it.answer(won.first(where: \.isTakeOver), .account(it.view()))
    let again = it.answer(begin.first(where: \.isBegin), .began(it.receipt())).firstOrder
    let order2 = try #require(again)
    #expect(!it.post(.fetched(order2.account, order2.version, it.token("T"))).has(\.isCommit))
  }

  @Test func `only the last few tokens are remembered`() throws {
    var it = Transcript()
    it.publish(token: "0")
    for number in 1...8 {
      let order = try refetch(&it, "\(number - 1)")
      let commit = it.post(.fetched(order.account, order.version, it.token("\(number)")))
      it.answer(commit.first(where: \.isCommit), .committed(isCertain: true))
    }
    let order = try refetch(&it, "8")
    #expect(it.post(.fetched(order.account, order.version, it.token("0"))).has(\.isCommit))
  }

  @Test func `a failure that the next attempt may be spared is tried again at once`() throws {
    var it = Transcript()
    let fetch = it.fetch()
    let order = try #require(fetch)
    let refusal = FetchFailure(
      .operator, code: 40164, reason: "IPv6", refusesAddress: true, retriesSoon: true)
    it.post(.fetched(order.account, order.version, .knownFailure(refusal)))
    #expect(it.keeper.accounts[0].wanted?.notBefore == it.now + Backoff.shortest)
    #expect(it.keeper.isLeader(at: it.now), "it is not yet another replica's turn")
  }
}
