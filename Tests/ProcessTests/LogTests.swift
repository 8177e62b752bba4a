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

  @Test("an outage is told when it begins, worsens, when the key has lapsed, and when it is over")
  func outage() async throws {
    // Of 20 s clients leave a quarter unused; it is refreshed with 7.5 s left.
    try await Deployment.run(life: 20_000) { deployment in
      let leader = try await deployment.start(
        count: 2, Deployment.brisk.merging(["WCH_LOG_LEVEL": "info"]) { $1 })
      deployment.simulator.setFault(.errorCode(-1), count: nil)
      func condition(_ kind: String, _ event: String) -> (SidecarProcess.LogLine) -> Bool {
        { $0.fields["condition"] == kind && $0.fields["event"] == "condition.\(event)" }
      }
      func line(
        of process: SidecarProcess, _ kind: String, _ event: String, within limit: Duration
      ) async throws -> SidecarProcess.LogLine {
        try await waited(for: "\(kind) \(event) at \(process.instance)", within: limit) {
          process.log.first(where: condition(kind, event))
        }
      }
      let began = try await line(of: leader, "refresh_failing", "began", within: patience)
      #expect(began.level == "warning" && began.fields["wechat.errcode"] == "-1")
      let lapsing = try await line(of: leader, "token_lapsing", "began", within: patience)
      #expect(lapsing.level == "error" && lapsing.fields["cause"] == "refresh_failing")
      let worse = try await line(of: leader, "token_lapsing", "worsened", within: patience)
      #expect(worse.level == "critical")
      // That the key has lapsed is everybody's; why it has, only the leader tells aloud.
      for process in deployment.processes {
        let gone = try await line(of: process, "no_token", "began", within: patience)
        #expect(gone.level == "critical")
        // A follower may hear of it a few seconds later: then it says so.
        let why = try await waited(for: "the cause at \(process.instance)", within: patience) {
          process.log.first {
            $0.fields["condition"] == "no_token" && $0.fields["cause"] == "refresh_failing"
          }
        }
        #expect(why.level == "critical" && why.fields["help"] == "/runbook#errcode--1")
        #expect(
          process.log.count { condition("refresh_failing", "began")($0) }
            == (process === leader ? 1 : 0))
      }
      deployment.simulator.clearFaults()
      for process in deployment.processes {
        let over = try await line(of: process, "no_token", "ended", within: .seconds(45))
        #expect(over.level == "notice")
        #expect(Double(over.fields["duration_seconds"] ?? "").map { $0 >= 1 } == true)
      }
      let healed = try await line(of: leader, "refresh_failing", "ended", within: patience)
      #expect(Double(healed.fields["duration_seconds"] ?? "").map { $0 >= 7 } == true)
      // All of it, from the start on.
      for process in deployment.processes {
        #expect(process.log.count <= 20, "\(process.errorText)")
        #expect(process.log.allSatisfy { $0.fields["event"] != nil })
      }
    }
  }

  @Test("another AppID whose predecessor's token is over takes its keys without an error")
  func anotherAppID() async throws {
    try await Deployment.run(life: 8000) { deployment in
      let other = "wxfedcba9876543210"
      deployment.simulator.register(AppSettings(appID: other, secret: Deployment.secret))
      let first = try await deployment.start(count: 1, Deployment.brisk)
      first.terminate()
      #expect(try await first.waitForExit() == .code(0))
      try await waitUntil("its token is over", within: patience) {
        try await deployment.token() == nil
      }
      let second = try deployment.start(
        "b", Deployment.brisk.merging(["WCH_APPID": other]) { $1 })
      try await second.waitForStatus(200, of: "/readyz")
      #expect(
        !second.log.contains { ["error", "critical"].contains($0.level) }, "\(second.errorText)")
    }
  }
}
