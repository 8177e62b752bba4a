import Testing
import TokenCore

/// One account whose record is another AppID's is no reason not to lead the others.
@Suite struct RefusedAccountTests {
  private static let other = CredentialID("shop")

  /// A leader of two accounts, up to both TAKEOVERs.
  private func leader() throws -> (Transcript, own: Keeper.Action, other: Keeper.Action) {
    let other = try #require(Self.other)
    var it = Transcript(accounts: [Transcript.account, other])
    let acquiring = it.acquire()
    let won = it.answer(acquiring, .acquired(Epoch(10))).filter(\.isTakeOver)
    let own = try #require(won.first { $0.command?.account == Transcript.account })
    return (it, own, try #require(won.first { $0.command?.account == other }))
  }

  private func isTakeOver(of name: CredentialID?, _ action: Keeper.Action) -> Bool {
    action.isTakeOver && action.command?.account == name
  }

  @Test func `the others are led, and it is asked for again with every tick`() throws {
    var (it, own, other) = try leader()
    let refused = it.answer(other, .foreignApp(remaining: .seconds(7000)))
    #expect(refused.contains(.note(.conflict(.foreignApp(remaining: .seconds(7000))))))
    #expect(it.keeper.election.leadership != nil)
    let begun = it.answer(own, .account(it.view())).first(where: \.isBegin)
    #expect(begun != nil)
    #expect(it.keeper.conflict == .foreignApp(remaining: .seconds(7000)))
    it.now = it.now + .seconds(5)
    for action in it.post(.woke) {
      if case .store(.renew, _) = action { it.answer(action, .renewed) }
    }
    let again = it.run(until: it.now + .seconds(16)).first { isTakeOver(of: Self.other, $0) }
    #expect(again != nil)
    // The same is not told twice, and what is settled is forgotten.
    #expect(it.answer(again, .foreignApp(remaining: .seconds(6980))).isEmpty)
    let third = it.run(until: it.now + .seconds(21)).first { isTakeOver(of: Self.other, $0) }
    it.answer(third, .account(it.view()))
    #expect(it.keeper.conflict == nil)
    #expect(it.keeper.election.leadership != nil)
  }

  @Test func `when every account is refused the lead is given up`() throws {
    var (it, own, other) = try leader()
    it.answer(other, .newerLayout(2))
    let actions = it.answer(own, .foreignApp(remaining: nil))
    #expect(it.keeper.election.leadership == nil)
    let released = actions.first(where: \.isRelease)
    #expect(released != nil)
  }
}
