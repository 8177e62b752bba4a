import TestSupport
import Testing
import WeChatSimulator

@Suite struct ScheduleTests {
  @Test("five replicas fetch once a token lifetime, never two at once, and readers never notice")
  func fiveReplicas() async throws {
    // A token of 4 s is refreshed at a remaining life of 4/4 + 4/8 s: every 2.5 s.
    let period: Milliseconds = 2500
    let lifetimes = 6
    try await Deployment.run(life: 4000, grace: 1000) { deployment in
      try await deployment.start(count: 5, Deployment.brisk)
      try await deployment.withReader { reader in
        let seen = deployment.mints
        try await deployment.simulator.waitUntilAudit(
          "\(lifetimes) more tokens", within: .seconds(40)
        ) { $0.mints().count >= seen + lifetimes }
        try await waitUntil("the last token is in Redis", within: .seconds(5)) {
          reader.tokens.last == deployment.simulator.newestToken(of: Deployment.appID)
        }
        let audit = deployment.simulator.audit
        let times = audit.mints().map(\.time)
        for (earlier, later) in zip(times, times.dropFirst()) {
          #expect(later - earlier >= period - 500, "a fetch too many")
          #expect(later - earlier <= period + 700, "a fetch too late")
        }
        #expect(audit.maxParallelFetches() == 1)
        #expect(audit.requests(to: .token) == times.count)
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
        #expect(reader.tokens == audit.mints().compactMap(\.token).suffix(reader.tokens.count))
      }
    }
  }

  @Test("an answer that is lost on the way is asked for again before the old token dies")
  func lostAnswer() async throws {
    // A token of 8 s is refreshed at a remaining life of 3 s.
    try await Deployment.run(life: 8000, grace: 2500) { deployment in
      try await deployment.start(count: 1, Deployment.brisk)
      deployment.simulator.setFault(.mintThenDrop)
      try await deployment.withReader { reader in
        try await deployment.simulator.waitUntilAudit("a token after the lost one") {
          $0.mints().count >= 3
        }
        try await waitUntil("it is in Redis", within: .seconds(5)) {
          reader.tokens.last == deployment.simulator.newestToken(of: Deployment.appID)
        }
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
    }
  }
}
