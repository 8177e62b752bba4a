import Foundation
import RedisClient
import TestSupport
import Testing

/// The figures that the README states; `deploy/test measure` prints them.
///
/// They assert nothing: what is promised is asserted where it is tested.
@Suite(
  "Measurements", .serialized,
  .enabled(if: ProcessInfo.processInfo.environment["WCH_MEASURE"] != nil, "they take minutes"),
  .enabled(if: ReleaseTests.isRelease, "figures are about the release program"))
struct MeasurementTests {
  private static let rounds = 20

  @Test("the size of the program")
  func size() throws {
    let size = try FileManager.default.attributesOfItem(atPath: SidecarProcess.binary)[.size]
    print("figure: program: \((size as? Int ?? 0) / 1000) kB")
  }

  @Test("from the start of the program to a token in Redis, WeChat answering at once")
  func start() async throws {
    var times: [Duration] = []
    for _ in 0..<Self.rounds {
      times.append(
        try await Deployment.run(alone: true) { deployment in
          let replica = try deployment.start("a")
          try await deployment.waitForLiveToken()
          return .now - replica.startedAt
        })
    }
    report("start to token", times)
  }

  @Test("from a report of the token to the next one in Redis, WeChat answering at once")
  func report() async throws {
    var times: [Duration] = []
    for _ in 0..<Self.rounds {
      times.append(
        try await Deployment.run(alone: true) { deployment in
          try await deployment.start(count: 2)
          // Two fetches are at least a second apart: a token as young as that is no usual one.
          try await waitUntil("the token is older", within: .seconds(5)) {
            try await deployment.keys().tokenTTL < 7_198_500
          }
          let token = try await deployment.token() ?? ""
          let start = ContinuousClock.now
          try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
          try await waitUntil("the next token", within: .seconds(5), every: .milliseconds(1)) {
            try await deployment.token() != token
          }
          return .now - start
        })
    }
    report("RPUSH to the next token", times)
  }

  @Test("from the end of a leader to the next one, with the lease of 15 s")
  func handOver() async throws {
    for (name, isClean, rounds) in [("SIGTERM", true, Self.rounds), ("SIGKILL", false, 8)] {
      let times = try await Deployment.run(alone: true) { deployment in
        var leader = try await deployment.start(count: 3)
        var times: [Duration] = []
        for round in 0..<rounds {
          for process in deployment.processes where process.isRunning {
            try await process.waitForStatus(200, of: "/readyz")
          }
          // Somewhere between two renewals, five seconds apart: by what the lock has left.
          if !isClean {
            let left = Int64(15_000 - 5000 * round / rounds)
            try await waitUntil("the lock is that old", within: .seconds(10)) {
              let now = try await deployment.ask("PTTL", "WCH_leader").number ?? 0
              return now > left - 500 && now <= left
            }
          }
          let start = ContinuousClock.now
          if isClean { leader.terminate() } else { leader.kill() }
          let successor = try await deployment.waitForLeader(otherThan: leader)
          times.append(.now - start)
          _ = try await leader.waitForExit()
          leader = successor
          try deployment.start("r\(round)")
        }
        return times
      }
      report("\(name) to the next leader", times)
    }
  }

  @Test("two minutes of idling: a leader and a follower")
  func idling() async throws {
    try await Deployment.run(alone: true) { deployment in
      let leader = try deployment.start("leader")
      try await deployment.waitForLiveToken()
      let follower = try deployment.start("follower")
      try await follower.waitForStatus(200, of: "/readyz")
      let before = try await [leader.usage(), follower.usage()]
      // Idling has no event to wait for: the span itself is what is measured over.
      let span = 120.0
      let end = ContinuousClock.now + .seconds(span)
      try await waitUntil("the span is over", within: .seconds(span + 10)) {
        ContinuousClock.now >= end
      }
      for (process, before) in zip([leader, follower], before) {
        let usage = try await process.usage()
        func rate(_ value: (Usage) -> Double) -> String {
          String(format: "%.2f", (value(usage) - value(before)) / span)
        }
        print(
          "figure: idle \(process.instance): RssAnon \(usage.anonymousKiB) KiB,"
            + " VmRSS \(usage.residentKiB) KiB, \(rate { $0.processorSeconds * 100 }) % of a core,"
            + " \(rate(\.redisCommands)) Redis commands a second,"
            + " \(try await deployment.connections(of: process)) connections")
      }
    }
  }

  @Test("how often SIGTERM soon after the start is an orderly end")
  func earlySignals() async throws {
    for (milliseconds, isBlocked) in [
      (0, true), (0, false), (1, false), (2, false), (5, false), (20, false), (40, false),
      (80, false),
    ] {
      let orderly = try await Deployment.run(alone: true) { deployment in
        var orderly = 0
        for round in 0..<100 {
          let process = try SidecarProcess(
            environment: deployment.environment(instance: "e\(round)"), instance: "e\(round)",
            blockedSignals: isBlocked ? [SIGTERM] : [])
          let end = ContinuousClock.now + .milliseconds(milliseconds)
          while ContinuousClock.now < end { await Task.yield() }
          process.terminate()
          if try await process.waitForExit() == .code(0) { orderly += 1 }
        }
        return orderly
      }
      print(
        "figure: SIGTERM \(milliseconds) ms after exec\(isBlocked ? ", blocked at exec" : ""):"
          + " \(orderly) of 100 ended with 0")
    }
  }

  private func report(_ name: String, _ times: [Duration]) {
    let sorted = times.map { Int($0 / .milliseconds(1)) }.sorted()
    print(
      "figure: \(name): median \(sorted[sorted.count / 2]) ms, from \(sorted[0])"
        + " to \(sorted[sorted.count - 1]) ms, \(sorted.count) times")
  }
}
