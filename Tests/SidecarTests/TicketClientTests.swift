import Logging
import NIOPosix
import TestSupport
import Testing
import TokenCore
import WeChatSimulator

@testable import Sidecar

/// Tickets, and all of WeCom, at the simulated WeChat.
@Suite("Tickets and WeCom") struct TicketClientTests {
  private static let corp = CorpApp.ID(corpID: "ww0123456789abcdef", secret: "corp-secret")

  /// Runs the body with a WeChat that has an app of WeCom beside its own.
  private static func run(
    _ change: (inout CorpApp) -> Void = { _ in },
    _ body: (WeChatBench, AccessToken) async throws -> Void
  ) async throws {
    try await WeChatBench.run { bench in
      var app = CorpApp(corpID: corp.corpID, secret: corp.secret)
      change(&app)
      bench.simulator.register(app)
      try await body(bench, try #require(await corpToken(bench).fetched?.token))
    }
  }

  private static func corpToken(
    _ bench: WeChatBench, corpID: String = corp.corpID, secret: String = corp.secret
  ) async -> FetchOutcome {
    await bench.fetch(.corpToken, appID: corpID, secret: secret)
  }

  private static func ticket(
    _ kind: CredentialID.Kind, _ source: AccessToken, _ bench: WeChatBench, from api: API = .token,
    hosts: [BaseURL]? = nil
  ) async -> (outcome: FetchOutcome, facts: CallFacts) {
    await bench.client.fetch(
      WeChatRequest(
        account: .unnamed, .ticket(kind, source: source), api: api, hosts: hosts,
        notAfter: .now + patience, timeout: patience))
  }

  @Test("a ticket comes for a live token, with a life that does not count down")
  func fetchesTicket() async throws {
    try await WeChatBench.run { bench in
      let token = try #require(await bench.fetch().fetched?.token)
      let first = try #require(await Self.ticket(.jsapiTicket, token, bench).outcome.fetched)
      #expect(bench.simulator.accepts(ticket: first.token.revealed))
      bench.simulator.advance(by: 3_600_000)
      let (outcome, facts) = await Self.ticket(.jsapiTicket, token, bench)
      #expect(outcome.fetched?.token == first.token)
      #expect(outcome.fetched?.lifetime == .seconds(7200))
      #expect(facts.endpoint == "/cgi-bin/ticket/getticket")
      let card = try #require(await Self.ticket(.wxCardTicket, token, bench).outcome.fetched)
      #expect(card.token != first.token)
      #expect(bench.simulator.audit.mints().count == 1)
    }
  }

  @Test("a token that is replaced or over is what is wrong, and nobody's matter but its own")
  func rejectsSource() async throws {
    try await WeChatBench.run { bench in
      let token = try #require(await bench.fetch().fetched?.token)
      for (source, code) in [(AccessToken("none"), 40001), (token, 42001)] {
        if source == token { bench.simulator.advance(by: 7_200_000) }
        let failure = try #require(await Self.ticket(.jsapiTicket, source, bench).outcome.known)
        #expect(failure.code == code)
        #expect(failure.rejectsSource)
        #expect(failure.category == .transient)
        #expect(!failure.isForPeople)
        #expect(!failure.isTransport)
        #expect(!"\(failure)".contains(token.revealed))
      }
      bench.simulator.setFault(.errorCode(40014), endpoint: .any)
      #expect(await Self.ticket(.jsapiTicket, token, bench).outcome.known?.rejectsSource == true)
      // Of a fetch of a token the same code is about the secret.
      bench.simulator.setFault(.errorCode(40001))
      let refused = try #require(await bench.fetch().known)
      #expect(!refused.rejectsSource && refused.category == .configuration)
    }
  }

  @Test(
    "each code of a ticket is a known failure of its class",
    arguments: WeChatError.ticketTable.map(\.code) + [45011, 40164, 48004, 99999])
  func classifiesTickets(code: Int) async throws {
    try await WeChatBench.run { bench in
      let token = try #require(await bench.fetch().fetched?.token)
      bench.simulator.setFault(.errorCode(code), endpoint: .any)
      let failure = try #require(await Self.ticket(.jsapiTicket, token, bench).outcome.known)
      let expected: FetchFailure.Class =
        switch code {
        case 40001, 40014, 42001: .transient
        case 40097, 41001: .configuration
        case 45009: .quota
        case 45011: .rate
        default: .operator
        }
      #expect(failure.category == expected)
      #expect(failure.code == code)
      #expect(failure.refusesAddress == (code == 40164))
    }
  }

  @Test("a hostile answer to a ticket is as unknown as one to a token")
  func distrusts() async throws {
    try await WeChatBench.run { bench in
      let token = try #require(await bench.fetch().fetched?.token)
      for body in [
        #"{"errcode":0,"errmsg":"ok","expires_in":7200}"#,
        #"{"errcode":0,"access_token":"t","expires_in":7200}"#,
        #"{"errcode":0,"ticket":"a b","expires_in":7200}"#, #"{"errcode":0,"ticket":"t"}"#,
        #"{"errcode":0,"ticket":"","expires_in":7200}"#,
        #"{"errcode":0,"ticket":"t","expires_in":-1}"#,
        #"{"errcode":40001,"ticket":"t","expires_in":7200}"#, "<html>", "",
      ] {
        bench.simulator.setFault(.body(body), endpoint: .any)
        let failure = await Self.ticket(.jsapiTicket, token, bench).outcome.unknown
        #expect(failure?.category == .transient, "\(body)")
        #expect(failure?.rejectsSource == false, "\(body)")
      }
      bench.simulator.setFault(
        .body(#"{"ticket":"t","expires_in":"60"}"#), endpoint: .any)
      #expect(
        await Self.ticket(.jsapiTicket, token, bench).outcome.fetched?.lifetime == .seconds(60))
    }
  }

  @Test("WeCom hands out the same token, and both of its tickets, at paths of their own")
  func corporation() async throws {
    try await Self.run { bench, token in
      #expect(await Self.corpToken(bench).fetched?.token == token)
      let (corp, facts) = await Self.ticket(.jsapiTicket, token, bench, from: .corpToken)
      let (app, appFacts) = await Self.ticket(.agentConfigTicket, token, bench, from: .corpToken)
      #expect(facts.endpoint == "/cgi-bin/get_jsapi_ticket")
      #expect(appFacts.endpoint == "/cgi-bin/ticket/get")
      #expect(corp.fetched != nil && app.fetched != nil)
      #expect(corp.fetched?.token != app.fetched?.token)
      bench.simulator.killToken(of: Self.corp)
      let dead = try #require(
        await Self.ticket(.jsapiTicket, token, bench, from: .corpToken).outcome.known)
      #expect(dead.code == 40014 && dead.rejectsSource && dead.category == .transient)
    }
  }

  @Test("WeCom's codes are those of its own table, with its hint and the address that it saw")
  func corporationRefusals() async throws {
    try await Self.run { bench, _ in
      let secret = try #require(await Self.corpToken(bench, secret: "other").known)
      #expect(secret.code == 40001 && secret.category == .configuration)
      #expect(
        secret.reason == "WeCom answered with errcode 40001: the app's secret is wrong;"
          + " correct it")
      let hint = try #require(secret.requestID)
      let second = try #require(ErrorMessage.second(ofRequestID: hint))
      #expect(abs(second - bench.simulator.now / 1000) < 60)
      let corp = try #require(await Self.corpToken(bench, corpID: "wwother").known)
      #expect(corp.code == 40013 && corp.reason.contains("corp id"))
    }
    try await Self.run({ $0.trustedAddresses = ["10.9.8.7"] }) { bench, token in
      let failure = try #require(
        await Self.ticket(.jsapiTicket, token, bench, from: .corpToken).outcome.known)
      #expect(failure.code == 60020 && failure.category == .operator && failure.refusesAddress)
      #expect(failure.egressAddress?.hasPrefix("127.") == true)
    }
    try await Self.run({ $0.hourlyAppTickets = 0 }) { bench, token in
      let failure = try #require(
        await Self.ticket(.jsapiTicket, token, bench, from: .corpToken).outcome.known)
      #expect(failure.code == 45009 && failure.category == .rate)
    }
  }

  @Test("every row of WeCom's table is its own, and each anchor of the runbook one row's")
  func tables() {
    #expect(Set(WeChatError.all.map(\.anchor)).count == WeChatError.all.count)
    for row in WeChatError.corpTable {
      #expect(WeChatError.row(row.code, to: .corpToken) == row)
      #expect(WeChatError.anchor(of: row.code, to: .corpToken) == "wecom-errcode-\(row.code)")
    }
    #expect(WeChatError.anchor(of: 40164, to: .ticket) == "errcode-40164")
    #expect(WeChatError.row(40001).anchor == "errcode-40001")
    #expect(WeChatError.row(45009, to: .corpTicket).anchor == "wecom-errcode-45009")
  }

  @Test("WeCom's token is proved by a call that hands out nothing")
  func probes() async throws {
    try await Self.run { bench, token in
      func probe() async -> (outcome: ProbeOutcome, facts: CallFacts) {
        await bench.client.probe(
          token, from: .corpToken, notAfter: .now + patience, timeout: patience)
      }
      let (outcome, facts) = await probe()
      #expect(outcome == .alive(dailyLimit: nil, remaining: nil))
      #expect(facts.endpoint == "/cgi-bin/get_api_domain_ip")
      bench.simulator.killToken(of: Self.corp)
      guard case .dead(40014, _?) = await probe().outcome else {
        Issue.record("The killed token passed for live")
        return
      }
      bench.simulator.setFault(.status(502), endpoint: .any)
      guard case .unclear = await probe().outcome else {
        Issue.record("A gateway's error passed for proof")
        return
      }
    }
  }

  @Test("a host that is down for one account is not left by accounts with other hosts")
  func separatesHosts() async throws {
    try await WeChatBench.run(hosts: 2) { bench in
      let urls = bench.server.urls.map { BaseURL($0)! }
      let token = try #require(await bench.fetch().fetched?.token)
      let gone = BaseURL("http://127.0.0.1:1")!
      let own = [gone, urls[1]]
      let (lost, _) = await Self.ticket(.jsapiTicket, token, bench, hosts: own)
      #expect(lost.known?.isTransport == true)
      // The next attempt goes to its second host; who has another list goes on with its first.
      #expect(
        await Self.ticket(.jsapiTicket, token, bench, hosts: own).facts.host
          == bench.authority(of: 1))
      #expect(await Self.ticket(.jsapiTicket, token, bench).facts.host == bench.authority(of: 0))
      #expect(
        await Self.ticket(.jsapiTicket, token, bench, hosts: [gone]).facts.host == "127.0.0.1:1")
    }
  }
}
