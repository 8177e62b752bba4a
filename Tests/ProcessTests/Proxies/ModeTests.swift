import Foundation
import RedisClient
import TestSupport
import Testing

/// What deployments go through, in each way in which a Redis or a proxy can lack something;
/// with `WCH_REDIS=1`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["WCH_REDIS"] != nil), .serialized)
struct ModeTests {
  @Test(
    "start, report, a leader killed, one that ends, Redis restarted empty: no dead token",
    arguments: StrictProxy.Rules.Mode.allCases)
  func course(mode: StrictProxy.Rules.Mode) async throws {
    try await Deployment.run(alone: true, behind: StrictProxy.Rules(mode)) { deployment in
      let start = ContinuousClock.now
      try await deployment.start(count: 3, Deployment.brisk)
      try await deployment.withReader { reader in
        var times: [String: Duration] = ["token": start.duration(to: .now)]
        func time(_ name: String, _ body: () async throws -> Void) async throws {
          let start = ContinuousClock.now
          try await body()
          times[name] = start.duration(to: .now)
        }
        let first = try await deployment.waitForLiveToken()
        try await deployment.ask("RPUSH", "WCH_refresh_requests", first)
        try await time("report") {
          try await waitUntil("the report is served", within: patience) {
            try await deployment.token() != first
          }
        }
        #expect(deployment.mints == 2)
        let killed = try await deployment.waitForLeader()
        killed.kill()
        try await time("after SIGKILL") {
          try await deployment.waitForLeader(otherThan: killed, within: patience)
        }
        let ended = try await deployment.waitForLeader(otherThan: killed)
        ended.terminate()
        try await time("after SIGTERM") {
          try await deployment.waitForLeader(otherThan: ended, within: patience)
        }
        #expect(try await ended.waitForExit() == .code(0))
        #expect(deployment.mints == 2, "a live token is kept")
        #expect(reader.missingReadings == 0)
        let last = try await deployment.waitForLeader(otherThan: ended)
        try await last.waitForStatus(200, of: "/readyz", within: patience)
        try await deployment.redis.restart()
        try await time("after a restart") {
          try await deployment.waitForLiveToken(within: patience)
        }
        #expect(deployment.mints <= 3)
        #expect(reader.deadReadings == 0)
        try Self.expectEachLackOnce(deployment)
        try Self.record(mode, times, deployment)
      }
    }
  }

  private static func expectEachLackOnce(_ deployment: Deployment) throws {
    for process in deployment.processes {
      let told = ProxyTests.told(process)
      #expect(told.count == Set(told).count, "\(told)")
      // A refusal in a step would be a line a step.
      #expect(process.log.count { ["warning", "error"].contains($0.level) } < 25)
    }
  }

  /// For the table in CONTRIBUTING.md.
  private static func record(
    _ mode: StrictProxy.Rules.Mode, _ times: [String: Duration], _ deployment: Deployment
  ) throws {
    let shown = times.sorted { $0.key < $1.key }.map { name, time in
      let milliseconds =
        time.components.seconds * 1000
        + time.components.attoseconds / 1_000_000_000_000_000
      return "\(name) \(milliseconds) ms"
    }
    print("mode \(mode.rawValue): \(shown.joined(separator: ", ")); \(deployment.mints) tokens")
  }
}
