import TestSupport
import Testing
import WeChatSimulator

/// WeChat that does what it is asked and answers nothing, while applications ask for more.
@Suite("WeChat is silent", .serialized, .enabled(if: Attack.isWanted, "it takes seven minutes"))
struct SilentWeChatTests {
  @Test("answers are lost for six minutes under reports: the keys end, and none is read dead")
  func silentForSixMinutes() async throws {
    try await Deployment.run { deployment in
      // The replicas take turns, and ask more often than that many.
      deployment.simulator.update(Deployment.appID) { $0.maxOldTokens = 1000 }
      try await deployment.start(count: 2, ["WCH_LOG_LEVEL": "info"])
      let token = try #require(try await deployment.token())
      try await deployment.withReader { reader in
        deployment.simulator.setFault(.mintThenDrop, count: nil)
        let start = ContinuousClock.now
        try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
        var ended: Duration?
        while ContinuousClock.now - start < .seconds(360) {
          try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
          let found = try await firstExcept(for: .seconds(10)) {
            try await deployment.token() == nil ? ContinuousClock.now - start : nil
          }
          if ended == nil { ended = found }
          try await deployment.expectHonestKeys()
        }
        let end = try #require(ended, "the keys stayed")
        #expect(end <= .seconds(291))
        #expect(reader.deadReadings == 0)
        let asked = deployment.mints - 1
        deployment.simulator.clearFaults()
        try await waitUntil("a live token again", within: .seconds(60)) {
          try await deployment.token().map { deployment.simulator.judge($0).isLive } ?? false
        }
        print(
          "figure: six minutes without an answer: the keys ended after"
            + " \(end.components.seconds) s, \(asked) requests, \(reader.deadReadings) dead"
            + " readings, a token again with the first answer")
      }
    }
  }
}
