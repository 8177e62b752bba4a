import Testing

@testable import TokenCore

/// A credential that is fetched with another one (TokenCore.md#credentials).
@Suite struct SourceTests {
  // An application reports the token while Redis still has the ticket's BEGIN before it.
  @Test func `a ticket is not asked for with a token that is said to be dead meanwhile`() throws {
    let token = Transcript.account
    let ticket = CredentialID(token.account, .jsapiTicket)
    var credential = Credential()
    credential.fetch = .reads(.ticket)
    credential.source = token
    var it = Transcript(accounts: [token, ticket], credentials: [ticket: credential])
    let acquiring = it.acquire()
    for action in it.outstanding where action.isLook { it.answer(action, .account(it.view())) }
    for action in it.answer(acquiring, .acquired(Epoch(10))) where action.isTakeOver {
      it.answer(action, .account(it.view()))
    }
    let begin = it.outstanding.first(where: \.isBegin)
    let order = try #require(it.answer(begin, .began(it.receipt())).firstOrder)
    it.post(.fetched(token, order.version, it.token("T1")))
    let commit = it.outstanding.first { $0.command?.kind == .commit }
    it.answer(commit, .committed(isCertain: true))
    let asking = try #require(it.outstanding.first { $0.isBegin && $0.command?.account == ticket })

    it.post(.reported(.rejected(AccessToken("T1"))))
    let after = it.answer(asking, .began(it.receipt()))
    #expect(!after.contains { if case .fetch = $0 { true } else { false } })
    #expect(after.contains { $0.command?.kind == .resolve })
  }
}
