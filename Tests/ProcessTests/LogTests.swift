import TestSupport
import Testing
import WeChatSimulator

@Suite struct LogTests {
  @Test("a quiet deployment logs nothing above debug")
  func quiet() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 2, Deployment.brisk)
      for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
      let before = deployment.processes.map(\.logPosition)
      // Two ticks and several renewals.
      let line = try await firstExcept(for: .seconds(5)) {
        zip(deployment.processes, before).lazy
          .compactMap { process, position in
            process.log.dropFirst(position).first { $0.level != "debug" }?.text
          }.first
      }
      #expect(line == nil)
    }
  }

  @Test("without WCH_LOG_LEVEL the start, the leadership and the token are told, and no debug")
  func usual() async throws {
    try await Deployment.run { deployment in
      let replica = try deployment.start("a", ["WCH_LOG_LEVEL": "info"])
      for message in [
        "wch-sidecar starts", "Redis is connected", "This replica leads",
        "A new token is in Redis",
      ] {
        try await replica.waitForLog(message)
      }
      replica.terminate()
      #expect(try await replica.waitForExit() == .code(0))
      #expect(replica.log.last?.message == "wch-sidecar has ended in order")
      #expect(!replica.log.contains { $0.level == "debug" })
      for line in replica.log { #expect(line.fields["time"]?.hasSuffix("Z") == true) }
    }
  }
}
