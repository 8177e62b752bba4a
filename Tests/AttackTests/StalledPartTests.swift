import TestSupport
import Testing
import WeChatSimulator

/// What the daemon needs stands still, and somebody looks at its pages.
@Suite(
  "Pages while parts stand still", .serialized,
  .enabled(if: Attack.isWanted, "they take minutes"))
struct StalledPartTests {
  private static let paths = ["/", "/v1/status", "/livez", "/metrics", "/v1/token"]

  @Test("Redis is stopped for longer than the lease, and nothing is lost")
  func stoppedRedis() async throws {
    try await look("Redis stopped") { deployment in
      deployment.redis.pause()
    } end: { deployment in
      deployment.redis.resume()
    }
  }

  @Test("WeChat does not answer, and nothing is lost")
  func hangingWeChat() async throws {
    try await look("WeChat hangs") { deployment in
      deployment.simulator.setFault(.holdBeforeMint, count: nil)
      try await deployment.ask("RPUSH", "WCH_refresh_requests", #"{"force":true}"#)
      try await deployment.simulator.waitUntilHeld()
    } end: { deployment in
      deployment.simulator.clearFaults()
      deployment.simulator.releaseHeld()
    }
  }

  private func look(
    _ name: String, begin: @escaping @Sendable (Deployment) async throws -> Void,
    end: @escaping @Sendable (Deployment) async throws -> Void
  ) async throws {
    try await Deployment.run(alone: true) { deployment in
      let targets = try await deployment.startTargets(count: 2)
      try await deployment.withReader { reader in
        try await begin(deployment)
        var looks: [Prober.Look] = []
        _ = try await firstExcept(for: .seconds(20), every: .milliseconds(200)) { () -> Int? in
          for target in targets {
            looks += Self.paths.map { Prober.look(at: target.port, path: $0) }
          }
          return nil
        }
        try await end(deployment)
        let start = ContinuousClock.now
        try await deployment.waitForLiveToken(within: .seconds(20))
        try await deployment.waitForLeader()
        let healed = ContinuousClock.now - start
        let late = looks.count { !$0.isGood }
        #expect(late == 0, "\(late) of \(looks.count) pages did not come within 1 s")
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
        let times = looks.map(\.took).sorted()
        print(
          "figure: \(name): \(looks.count) pages, median"
            + " \(times[times.count / 2].wholeMilliseconds) ms, worst"
            + " \((times.last ?? .zero).wholeMilliseconds) ms; a leader and a live token"
            + " \(healed.wholeMilliseconds) ms after it")
      }
    }
  }
}
