import Foundation
import TestSupport
import Testing

/// What is promised to whoever looks while everything that the daemon needs stands still.
@Suite("Pages while Redis and WeChat stand still", .serialized)
struct StalledPagesTests {
  private static let paths = ["/", "/v1/status", "/metrics", "/readyz"]
  /// So long may an answer take.
  private static let limit: Duration = .milliseconds(50)
  /// The best of these counts: a busy machine delays some.
  private static let tries = 3

  @Test(
    "the page, the status, the metrics and the checks are there within 50 ms",
    .enabled(if: ReleaseTests.isRelease, "the promise is about the release build"))
  func stopped() async throws {
    try await Deployment.run(alone: true) { deployment in
      let weChat = try SidecarProcess(
        [
          "simulate-wechat", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0",
          "--appid", Deployment.appID, "--secret", Deployment.secret,
        ], environment: [:], instance: "wechat")
      let address = try await waited(for: "its address", within: .seconds(10)) { () -> String? in
        let lines = weChat.outputText.split(separator: "\n").map(String.init)
        return lines.count == 2 ? lines[0] : nil
      }
      let processes = try ["a", "b"].map {
        try deployment.start($0, ["WCH_API_URL": address])
      }
      for process in processes { try await process.waitForStatus(200, of: "/readyz") }
      weChat.pause()
      try await deployment.ask("RPUSH", "WCH_refresh_requests", #"{"force":true}"#)
      try await waitUntil("a call is under way", within: .seconds(10)) {
        for process in processes {
          let accounts = try await process.status()["accounts"] as? [[String: Any]]
          if accounts?.first?["phase"] as? String == "fetching" { return true }
        }
        return false
      }
      deployment.redis.pause()
      try await look(at: processes, "at once")
      for process in processes {
        try await waitUntil("\(process.instance) misses Redis", within: .seconds(30)) {
          (try await process.status()["redis"] as? [String: Any])?["connected"] as? Bool == false
        }
      }
      try await look(at: processes, "when Redis is missed")
      deployment.redis.resume()
      weChat.resume()
      weChat.kill()
    }
  }

  private func look(at processes: [SidecarProcess], _ moment: String) async throws {
    for process in processes {
      for path in Self.paths {
        var best: Duration?
        for _ in 0..<Self.tries {
          let start = ContinuousClock.now
          let answer = try await process.get(path)
          let took = ContinuousClock.now - start
          #expect([200, 503].contains(answer.status), "\(path)")
          best = min(best ?? took, took)
        }
        let time = try #require(best)
        #expect(time < Self.limit, "\(path) of \(process.instance) \(moment): \(time)")
      }
    }
  }
}
