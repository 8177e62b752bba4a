import TestSupport
import Testing
import WeChatSimulator

@Suite struct ProbeTests {
  private static let settings = ["WCH_PROBE": "1s"]
  private static let verdict = "Tokens die before their time: somebody else fetches them"

  @Test("a token that another party's fetch killed is replaced, and the second time it is said")
  func foreignFetch() async throws {
    // A replaced token dies at once here: nobody has complained yet.
    try await Deployment.run(grace: 100) { deployment in
      let leader = try await deployment.start(count: 1, Self.settings)
      let first = try #require(try await deployment.token())
      deployment.simulator.schedule(.foreignToken, for: Deployment.appID)
      // Asked within a second, and again 5 s later.
      try await waitUntil("another token", within: .seconds(15)) {
        try await deployment.token() != first
      }
      let second = try await deployment.waitForLiveToken()
      try await leader.waitForLog("The token died before its time; fetching another")
      #expect(!leader.errorText.contains(Self.verdict))
      #expect(try await leader.metric("wechat_token_foreign_refreshes_total") == 1)

      deployment.simulator.schedule(.foreignToken, for: Deployment.appID)
      try await waitUntil("the verdict", within: .seconds(15)) {
        leader.errorText.contains(Self.verdict)
      }
      #expect(try await leader.metric("wechat_token_foreign_refreshes_total") == 2)
      let lines = leader.log.filter { $0.message.hasSuffix(Self.verdict) }
      #expect(lines.count == 1)
      #expect(lines.first?.level == "error")
      // Two fetches that reports or probes cause are half a minute apart.
      try await waitUntil("another token again", within: .seconds(35)) {
        try await deployment.token() != second
      }
      #expect(leader.log.filter { $0.message.hasSuffix(Self.verdict) }.count == 1)
    }
  }

  @Test("one refusal of a live token is no proof: it is asked about again, and kept")
  func spuriousRefusal() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 1, Self.settings)
      deployment.simulator.setFault(.errorCode(40001), endpoint: .quota)
      try await deployment.simulator.waitUntilAudit("the question after the doubt") { audit in
        let answers = audit.events.filter { Endpoint.quota.covers($0.path) }.map(\.code)
        return answers.first(where: { $0 == 40001 }) != nil && answers.last == 0
      }
      #expect(deployment.mints == 1)
      #expect(try await leader.metric("wechat_token_foreign_refreshes_total") == 0)
      let times = deployment.simulator.audit.events
        .filter { Endpoint.quota.covers($0.path) }
      let refused = try #require(times.firstIndex { $0.code == 40001 })
      #expect(times[refused + 1].time - times[refused].time >= 4900)
    }
  }
}
