import TestSupport
import Testing

@Suite struct MetricLabelTests {
  /// The series of calls to WeChat, with their values.
  private static func upstream(_ replica: SidecarProcess) async throws -> [String: String] {
    let lines = try await replica.get("/metrics").body.split(separator: "\n")
      .filter { $0.hasPrefix("wechat_token_upstream_requests_total{") }
    return Dictionary(
      uniqueKeysWithValues: lines.map { line in
        let space = line.lastIndex(of: " ") ?? line.endIndex
        return (String(line[..<space]), String(line[space...].dropFirst()))
      })
  }

  private static func name(_ endpoint: String) -> String {
    "wechat_token_upstream_requests_total{account=\"default\",endpoint=\"\(endpoint)\","
      + "errcode=\"0\"}"
  }

  @Test(
    "calls to WeChat are counted in the series that are there from the start",
    arguments: ["token", "stable_token"])
  func upstreamRequests(api: String) async throws {
    try await Deployment.run { deployment in
      // Without Redis nothing is asked yet.
      deployment.redis.kill()
      let replica = try deployment.start("a", ["WCH_API": api, "WCH_PROBE": "1s"])
      try await replica.waitForStatus(200, of: "/livez")
      let before = try await Self.upstream(replica)
      #expect(Set(before.values) == ["0"])
      try await deployment.redis.restart()
      try await waitUntil("a fetch and a probe are counted", within: patience) {
        let now = try await Self.upstream(replica)
        return now[Self.name(api)] != "0" && now[Self.name("quota")] != "0"
      }
      #expect(try await Self.upstream(replica).keys == before.keys)
    }
  }
}
