import TestSupport
import Testing
import WeChatSimulator

@Suite struct StartTests {
  @Test("a live token is in Redis within 300 ms of the start and one round trip to WeChat")
  func startsFast() async throws {
    let roundTrip: Duration = .milliseconds(100)
    var best: Duration = .seconds(1000)
    for _ in 0..<3 {
      let took = try await Deployment.run(alone: true) { deployment in
        deployment.simulator.setLatency(100...100)
        let replica = try deployment.start("a")
        try await deployment.waitForLiveToken()
        let took = ContinuousClock.now - replica.startedAt
        let keys = try await deployment.keys()
        #expect(abs(keys.tokenTTL - keys.expiresInTTL) <= 5)
        #expect(abs(keys.tokenTTL - 7_200_000) <= 2000)
        #expect(abs((keys.expiresIn ?? 0) - (keys.redisTime + 7200 - 120)) <= 1)
        #expect(deployment.mints == 1)
        return took
      }
      best = min(best, took)
    }
    #expect(best <= .milliseconds(300) + roundTrip)
  }
}
