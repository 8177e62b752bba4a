import Synchronization
import Testing

@testable import WeChatSimulator

@Suite("The simulator without sockets") struct SimulatorTests {
  private static let start: Milliseconds = 1_700_000_000_000

  private func fetch(_ simulator: Simulator, _ appID: String = "wx1") -> SimulatedAnswer {
    simulator.answer(Self.request(appID))
  }

  private static func request(_ appID: String) -> SimulatedRequest {
    SimulatedRequest(
      path: "/cgi-bin/token",
      query: [("grant_type", "client_credential"), ("appid", appID), ("secret", "s")])
  }

  private func use(_ simulator: Simulator, _ token: String?) -> SimulatedAnswer {
    simulator.answer(
      SimulatedRequest(path: "/cgi-bin/anything", query: [("access_token", token ?? "")]))
  }

  /// A simulator whose clock moves only when it is moved.
  private func simulator(
    seed: UInt64 = 1, _ appIDs: [String] = ["wx1"], _ change: (inout AppSettings) -> Void = { _ in }
  ) -> Simulator {
    let simulator = Simulator(seed: seed, startingAt: Self.start, clockRate: 0)
    for appID in appIDs {
      var app = AppSettings(appID: appID, secret: "s")
      change(&app)
      simulator.register(app)
    }
    return simulator
  }

  // MARK: The clock

  @Test("a clock runs at its rate, and goes on from where it was when the rate changes")
  func runsAtRates() {
    let start = ContinuousClock.now
    var clock = VirtualClock(showing: 1000, at: start)
    #expect(clock.time(at: start + .milliseconds(250)) == 1250)
    clock.setRate(60, at: start + .seconds(1))
    #expect(clock.time(at: start + .seconds(2)) == 62_000)
    clock.setRate(0.5, at: start + .seconds(2))
    #expect(clock.time(at: start + .seconds(6)) == 64_000)
    clock.setRate(0, at: start + .seconds(6))
    #expect(clock.time(at: start + .seconds(3600)) == 64_000)
    clock.advance(by: 500, at: start + .seconds(3600))
    #expect(clock.time(at: start + .seconds(7200)) == 64_500)
  }

  @Test("a clock never goes back and never runs away")
  func keepsBounds() {
    let start = ContinuousClock.now
    var clock = VirtualClock(showing: 0, at: start, rate: -1)
    #expect(clock.rate == 0)
    clock.advance(by: -5, at: start)
    #expect(clock.time(at: start) == 0)
    clock.setRate(.infinity, at: start)
    #expect(clock.rate == VirtualClock.maxRate)
  }

  @Test("a running clock carries tokens to their ends")
  func carriesTokens() {
    let simulator = simulator()
    let token = fetch(simulator).token ?? ""
    simulator.advance(by: 7_199_999)
    #expect(simulator.judge(token).isLive)
    simulator.advance(by: 1)
    #expect(simulator.judge(token) == .dead(42001))
    simulator.setClockRate(VirtualClock.maxRate)
    #expect(simulator.clockRate == VirtualClock.maxRate)
    #expect(simulator.now >= Self.start + 7_200_000)
  }

  // MARK: The audit

  @Test("the audit knows the most mints in any window, and the least time between two")
  func countsMints() {
    let simulator = simulator(["wx1", "wx2"])
    #expect(simulator.audit.maxMints(within: 1000) == 0)
    #expect(simulator.audit.minimumMintSpacing() == nil)
    for (pause, appID) in [
      (0, "wx1"), (10_000, "wx1"), (5_000, "wx1"), (1_000, "wx2"), (44_000, "wx1"),
    ] {
      simulator.advance(by: Milliseconds(pause))
      #expect(fetch(simulator, appID).minted)
    }
    // Minted 0, 10, 15 and 60 s after the start.
    let audit = simulator.audit
    #expect(audit.mints(of: "wx1").count == 4)
    #expect(audit.maxMints(within: 5000, of: "wx1") == 1)
    #expect(audit.maxMints(within: 5001, of: "wx1") == 2)
    #expect(audit.maxMints(within: 15_000, of: "wx1") == 2)
    #expect(audit.maxMints(within: 15_001, of: "wx1") == 3)
    #expect(audit.maxMints(within: 60_001, of: "wx1") == 4)
    #expect(audit.maxMints(within: 5001) == 2)
    #expect(audit.maxMints(within: 6001) == 3)
    #expect(audit.minimumMintSpacing(of: "wx1") == 5000)
    #expect(audit.minimumMintSpacing() == 1000)
    #expect(audit.minimumMintSpacing(of: "wx2") == nil)
  }

  @Test("the audit tells calls that needed the overlap, and calls with dead tokens")
  func tellsUses() {
    let simulator = simulator { $0.grace = 5000 }
    let first = fetch(simulator).token
    #expect(use(simulator, first).tokenUse == .current)
    let second = fetch(simulator).token
    #expect(use(simulator, first).tokenUse == .overlap)
    #expect(use(simulator, second).tokenUse == .current)
    simulator.advance(by: 4999)
    #expect(use(simulator, first).tokenUse == .overlap)
    simulator.advance(by: 1)
    #expect(use(simulator, first).tokenUse == .dead)
    #expect(use(simulator, "never-minted").tokenUse == .dead)
    #expect(use(simulator, "").tokenUse == nil)
    let audit = simulator.audit
    #expect(audit.callsInOverlap().map(\.token) == [first, first])
    #expect(audit.callsInOverlap(of: "wx1").count == 2)
    #expect(audit.callsInOverlap(of: "wx2").isEmpty)
    #expect(audit.callsWithDeadTokens().map(\.code) == [40001, 40001])
    #expect(audit.callsWithDeadTokens(of: "wx1").map(\.token) == [first])
  }

  @Test("the audit goes by the truth where propagation is played")
  func auditsTruth() {
    let simulator = simulator {
      $0.spuriousRefusals = 1
      $0.revivalShare = 1
      $0.grace = 0
    }
    let first = fetch(simulator).token
    let refused = use(simulator, first)
    #expect(refused.code == 40001)
    #expect(refused.tokenUse == .current)
    _ = fetch(simulator)
    simulator.advance(by: 1)
    let revived = use(simulator, first)
    #expect(revived.code == 0)
    #expect(revived.tokenUse == .dead)
    #expect(simulator.audit.callsWithDeadTokens().map(\.code) == [0])
  }

  @Test("tokens of WeCom are audited, too")
  func auditsWeCom() {
    let simulator = simulator()
    let app = CorpApp(corpID: "corp", secret: "s")
    simulator.register(app)
    let token = simulator.answer(
      SimulatedRequest(
        path: "/cgi-bin/gettoken", query: [("corpid", "corp"), ("corpsecret", "s")])
    ).token
    #expect(use(simulator, token).tokenUse == .current)
    simulator.killToken(of: app.id)
    #expect(use(simulator, token).code == 40014)
    #expect(simulator.audit.callsWithDeadTokens(of: "corp").map(\.token) == [token])
  }

  // MARK: Seeds and apps

  /// What a caller gets of sixty requests that meet faults and latency by chance, to the byte.
  private func transcript(seed: UInt64) -> [String] {
    let simulator = simulator(seed: seed, ["wx1", "wx2"]) { $0.shortestLife = 60_000 }
    simulator.setLatency(5...500)
    simulator.setFault(.truncatedBody, count: nil, share: 0.2)
    simulator.setFault(.errorCode(-1), appID: "wx2", count: nil, share: 0.3)
    simulator.setFault(.mintThenReset, count: nil, share: 0.1)
    let deliveries = Mutex<[String]>([])
    for index in 0..<60 {
      let appID = index % 3 == 0 ? "wx2" : "wx1"
      simulator.handle(Self.request(appID), appID: appID, parallel: 1) { delivery in
        let body = String(decoding: delivery.body, as: UTF8.self)
        deliveries.withLock {
          $0.append("\(delivery.ending) \(delivery.delay) \(delivery.sentBytes ?? -1) \(body)")
        }
      }
      simulator.advance(by: 1000)
    }
    return deliveries.withLock { $0 }
  }

  @Test("the same seed brings the same faults, delays and bytes, and another seed others")
  func isDeterministic() {
    let first = transcript(seed: 7)
    #expect(first.count == 60)
    #expect(first == transcript(seed: 7))
    #expect(first != transcript(seed: 8))
    // Every kind of chance has played a part.
    #expect(first.contains { $0.hasPrefix("reset ") })
    #expect(first.contains { $0.contains("system error") })
    #expect(first.contains { $0.hasPrefix("answered ") && !$0.contains(" -1 ") })
  }

  @Test("what happens to one app does not touch another")
  func separatesApps() throws {
    let simulator = simulator(["wx1", "wx2"]) { $0.dailyTokenQuota = 3 }
    let others = try #require(fetch(simulator, "wx2").token)
    for _ in 0..<3 { #expect(fetch(simulator).code == 0) }
    #expect(fetch(simulator).code == 45009)
    simulator.schedule(.resetSecret("new", killsTokens: true), for: "wx1")
    simulator.schedule(.accountState(.punished), for: "wx1")
    simulator.schedule(.allowAddresses([]), for: "wx1")
    simulator.update("wx1") { $0.spuriousRefusals = 10 }
    simulator.advance(by: 600_000)
    #expect(simulator.judge(others).isLive)
    #expect(use(simulator, others).code == 0)
    #expect(simulator.newestToken(of: "wx2") == others)
    #expect(simulator.apps["wx2"]?.mints == 1)
    #expect(fetch(simulator, "wx2").code == 0)
    #expect(simulator.audit.mints(of: "wx2").count == 2)
  }
}
