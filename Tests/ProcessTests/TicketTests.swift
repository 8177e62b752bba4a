import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Tickets and WeCom, as whoever uses them meets them.
@Suite struct TicketTests {
  private static let tickets = ["WCH_TICKETS": "jsapi,wx_card"]

  /// Key and expiry of a credential, with what is left of their lives in milliseconds.
  private static func published(
    _ key: String, _ expiry: String, in deployment: Deployment
  ) async throws -> (value: String?, expiry: Int64?, left: [Int64]) {
    let values = try await deployment.ask("MGET", key, expiry).elements ?? []
    var left: [Int64] = []
    for name in [key, expiry] { left.append(try await deployment.ask("PTTL", name).number ?? -3) }
    return (values.first?.text, values.last?.number, left)
  }

  /// Waits until Redis has a ticket that WeChat accepts.
  private static func waitForTicket(
    _ key: String, otherThan former: String? = nil, in deployment: Deployment
  ) async throws -> String {
    try await waited(for: "a ticket in \(key)", within: .seconds(20), every: .milliseconds(5)) {
      guard let ticket = try? await deployment.ask("GET", key).text, ticket != former,
        deployment.simulator.accepts(ticket: ticket)
      else { return nil }
      return ticket
    }
  }

  @Test("a ticket is fetched with the token, published like it, and told on every surface")
  func endToEnd() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2, Self.tickets)
      let ticket = try await Self.waitForTicket("WCH_jsapi_ticket", in: deployment)
      let card = try await Self.waitForTicket("WCH_wx_card_ticket", in: deployment)
      #expect(ticket != card)
      let found = try await Self.published(
        "WCH_jsapi_ticket", "WCH_jsapi_ticket_expires_in", in: deployment)
      #expect(found.left.allSatisfy { $0 > 2_000_000 }, "\(found.left)")
      let second = try #require(found.expiry)
      #expect(deployment.mints == 1)

      // Every replica has it, under its own name and with the expiry of Redis.
      for process in deployment.processes {
        try await waitUntil("\(process.instance) has it", within: patience) {
          let answer = try? await process.get("/v1/token?account=default/jsapi_ticket")
          return answer?.body.contains(ticket) == true && answer?.body.contains("\(second)") == true
        }
        // Ready is who has the other ticket, too.
        try await process.waitForStatus(200, of: "/readyz")
        let metrics = try await process.get("/metrics").body
        #expect(metrics.contains(#"wechat_token_valid{account="default/jsapi_ticket"} 1"#))
        #expect(
          metrics.contains(
            #"wechat_token_upstream_requests_total{account="default/wx_card_ticket","#
              + #"endpoint="getticket",errcode="0"}"#))
        for page in ["/", "/v1/status", "/metrics"] {
          #expect(try await !process.get(page).body.contains(ticket))
        }
      }
      for line in leader.log { #expect(!"\(line)".contains(ticket)) }
      #expect(!deployment.transcript.contains(ticket))
    }
  }

  @Test("another ticket is published when it is asked for again, and a key that is lost comes back")
  func changes() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(
        count: 1, Deployment.brisk.merging(Self.tickets) { $1 })
      let first = try await Self.waitForTicket("WCH_jsapi_ticket", in: deployment)
      try await deployment.ask("DEL", "WCH_jsapi_ticket")
      #expect(try await Self.waitForTicket("WCH_jsapi_ticket", in: deployment) == first)
      #expect(deployment.mints == 1)
      // By WeChat's clock its time is over; a forced refresh looks.
      deployment.simulator.advance(by: 7_200_000)
      let process = try #require(deployment.processes.first)
      let answer = try await process.ask(
        "POST", "/v1/refresh", body: #"{"account":"default/jsapi_ticket","force":true}"#)
      #expect(answer.status == 200, "\(answer.body)")
      let next = try await Self.waitForTicket(
        "WCH_jsapi_ticket", otherThan: first, in: deployment)
      #expect(next != first)
    }
  }

  @Test("once waits for the tickets of an account, and a dead source costs one more token")
  func once() async throws {
    try await Deployment.run { deployment in
      let process = try SidecarProcess(
        ["once"],
        environment: deployment.environment(instance: "once").merging(Self.tickets) { $1 },
        instance: "once")
      #expect(try await process.waitForExit() == .code(0), "\(process.errorText)")
      #expect(
        process.outputText.split(separator: "\n").map { $0.prefix { $0 != " " } } == [
          "default", "default/jsapi_ticket", "default/wx_card_ticket",
        ])
      #expect(try await deployment.ask("EXISTS", "WCH_jsapi_ticket").number == 1)
      #expect(deployment.mints == 1)
    }
  }

  @Test("an app of WeCom stands beside the account, with hosts, token and tickets of its own")
  func corporation() async throws {
    try await Deployment.run { deployment in
      let corp = CorpApp(corpID: "ww0123456789abcdef", secret: "corp-secret-0123456789")
      deployment.simulator.register(corp)
      let file = deployment.redis.directory.appendingPathComponent("corp.json5")
      try Data(
        """
        { accounts: { corp: { appid: "\(corp.id.corpID)", appsecret: "\(corp.id.secret)",
          api: "gettoken", apiUrl: ["\(deployment.weChat.url)"],
          tickets: ["jsapi", "agent_config"] } } }
        """.utf8
      ).write(to: file)
      let leader = try await deployment.start(count: 1, ["WCH_CONFIG": file.path])
      for key in ["WCH_jsapi_ticket:{corp}", "WCH_agent_config_ticket:{corp}"] {
        try await waitUntil("\(key) is there", within: patience) {
          (try? await deployment.ask("EXISTS", key).number) == 1
        }
      }
      let token = try #require(try await deployment.ask("GET", "WCH_access_token:{corp}").text)
      #expect(deployment.simulator.judge(token).isLive)
      #expect(deployment.simulator.audit.requests(to: .path("/cgi-bin/gettoken")) == 1)
      let status = try await leader.get("/v1/status").body
      #expect(status.contains("corp/agent_config_ticket"))
      #expect(!deployment.transcript.contains(token))
      #expect(!deployment.transcript.contains(corp.id.secret))
    }
  }
}
