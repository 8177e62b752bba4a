import TestSupport
import Testing
import WeChatSimulator

@Suite struct StalledRedisTests {
  // What a server that stands still finds in its buffers it carries out, however late: also when
  // whoever sent it has hung up and leads no more.
  @Test("a COMMIT that Redis carries out late does not lengthen the token's life")
  func lateCommit() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2, Deployment.brisk)
      try await deployment.provokeHeldFetch(.mintThenHold)
      let minted = ContinuousClock.now
      deployment.redis.pause()
      deployment.simulator.releaseHeld()
      try await leader.waitForLog("This replica no longer leads")
      deployment.redis.resume()
      let newest = try #require(deployment.simulator.newestToken(of: Deployment.appID))
      try await waitUntil("the token is in Redis", within: .seconds(10)) {
        try await deployment.token() == newest
      }
      let keys = try await deployment.keys()
      let age = ContinuousClock.now - minted
      #expect(age > .seconds(2))
      // Redis's clock is the machine's; what it rounds is a millisecond.
      #expect(
        .milliseconds(keys.tokenTTL) <= .seconds(7200) - age + .milliseconds(100),
        "\(keys.tokenTTL) ms of life after \(age)")
      #expect(keys.tokenTTL > 7_100_000)
    }
  }
}
