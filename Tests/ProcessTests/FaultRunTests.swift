import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Real replicas, short-lived tokens, and everything that WeChat and the network do to an answer.
///
/// `WCH_FAULT_RUNS=200` makes so many runs instead of 20, `WCH_FAULT_SEED=7` begins with that seed
/// instead of a random one: a failure names its seed, and the seed alone makes the plan. Any twenty
/// seeds in a row have every kind of blow, a host that is down, and a leader killed in a fetch.
@Suite struct FaultRunTests {
  /// Runs that are made side by side: they wait for most of their time.
  private static let side = 5

  @Test("whatever happens to WeChat's answers and to the leader, readers see no dead token")
  func randomised() async throws {
    let environment = ProcessInfo.processInfo.environment
    let runs = environment["WCH_FAULT_RUNS"].flatMap { UInt64($0) } ?? 20
    let first = environment["WCH_FAULT_SEED"].flatMap { UInt64($0) } ?? .random(in: 0..<1_000_000)
    let failures = await withTaskGroup(of: String?.self) { group in
      var failures: [String] = []
      var ended: UInt64 = 0
      for number in 0..<runs {
        if number >= Self.side, let result = await group.next() {
          ended += 1
          if let failure = result { failures.append(failure) }
        }
        group.addTask { await Self.failure(of: FaultPlan(seed: first + number)) }
      }
      for await failure in group { if let failure { failures.append(failure) } }
      return failures
    }
    for failure in failures { Issue.record("\(failure)") }
  }

  @Test("twenty runs have every kind of blow, a host down and a leader killed while WeChat holds")
  func coverage() {
    for first: UInt64 in [0, 7, 999_983] {
      let plans = (first..<first + 20).map { FaultPlan(seed: $0) }
      for blow in FaultPlan.Blow.allCases {
        #expect(plans.contains { $0.blows.contains(blow) }, "no run from \(first) has \(blow)")
      }
      #expect(plans.contains { $0.isHostDown })
      #expect(plans.contains { $0.fate == .killed })
    }
  }

  @Test("such a reader does see a token that died and was not replaced")
  func oracle() async throws {
    try await Deployment.run(life: 40_000, grace: 200) { deployment in
      let fetch = SimulatedRequest(
        method: "GET", path: "/cgi-bin/token",
        query: [
          ("grant_type", "client_credential"), ("appid", Deployment.appID),
          ("secret", Deployment.secret),
        ])
      let token = try #require(deployment.simulator.answer(fetch).token)
      try await deployment.ask("SET", "WCH_access_token", token)
      try await deployment.withReader { reader in
        try await waitUntil("a live reading", within: .seconds(5)) { reader.liveReadings > 0 }
        // An answer that nobody stores.
        _ = deployment.simulator.answer(fetch)
        try await waitUntil("a dead reading", within: .seconds(5)) { reader.deadReadings > 0 }
      }
    }
  }

  // MARK: One run

  /// Carries a plan out; says what went wrong.
  private static func failure(of plan: FaultPlan) async -> String? {
    do {
      try await Deployment.run(life: FaultPlan.life, grace: plan.grace) { deployment in
        // An address of its own, so that nobody takes the port of the host that is down.
        let weChat = try await SimulatorServer.start(
          deployment.simulator, hosts: 2, address: "127.0.1.\(1 + plan.seed % 250)")
        do {
          try await run(plan, deployment, weChat)
        } catch {
          await weChat.stop()
          throw error
        }
        await weChat.stop()
      }
      return nil
    } catch {
      return "\(plan)\n\(error)"
    }
  }

  private static func run(
    _ plan: FaultPlan, _ deployment: Deployment, _ weChat: SimulatorServer
  ) async throws {
    let simulator = deployment.simulator
    let settings = Deployment.brisk.merging([
      "WCH_API_URL": weChat.urls.joined(separator: ","), "WCH_API_TIMEOUT": "500ms",
    ]) { $1 }
    let first = try await deployment.start(count: plan.replicas, settings)
    let old = try #require(try await deployment.token())
    try await deployment.withReader { reader in
      try await waitUntil("a live reading", within: .seconds(5)) { reader.liveReadings > 0 }
      for blow in plan.blows { simulator.setFault(blow.fault) }
      if plan.fate != .spared { simulator.setFault(.mintThenHold) }
      if plan.isHostDown { await weChat.takeDown() }
      try await deployment.ask("RPUSH", "WCH_refresh_requests", old)

      var struck: SidecarProcess?
      if plan.fate != .spared {
        try await simulator.waitUntilHeld()
        let leader = try await deployment.leader() ?? first
        struck = leader
        switch plan.fate {
        case .spared: break
        case .killed: leader.kill()
        case .paused: leader.pause()
        case .terminated: leader.terminate()
        }
      }
      try await waitForNewest(old, reader, simulator)
      if plan.fate == .paused, let struck {
        let position = struck.logPosition
        struck.resume()
        try await struck.waitForLog("This replica no longer leads", after: position)
      }
      simulator.releaseHeld()
      if let struck, plan.fate == .terminated {
        guard try await struck.waitForExit() == .code(0) else {
          throw SidecarProcess.Failure("\(struck.instance) did not end in order")
        }
      }
      // Nothing follows that would kill the token again, nor after a mark of the deposed leader.
      try await waitForNewest(old, reader, simulator)
      try await deployment.expectHonestKeys()
      let later = try await firstExcept(for: .seconds(1)) { () -> String? in
        reader.deadReadings > 0 ? "a dead token" : nil
      }
      try await waitForNewest(old, reader, simulator)
      guard later == nil, reader.deadReadings == 0 else {
        throw SidecarProcess.Failure("\(reader.deadReadings) dead readings: \(reader.changes)")
      }
      guard reader.missingReadings == 0 else {
        throw SidecarProcess.Failure("\(reader.missingReadings) readings without a token")
      }
      // A plan that was not carried out proves nothing.
      let met = simulator.audit.events.compactMap(\.fault)
      let planned = plan.blows.map(\.fault) + (plan.fate == .spared ? [] : [.mintThenHold])
      guard planned.allSatisfy(met.contains) else {
        throw SidecarProcess.Failure("of \(planned) only \(met) were met")
      }
      // One for the start, one an attempt, one for a mark or a successor's doubt.
      let most = 1 + plan.blows.count + 4
      guard deployment.mints <= most else {
        throw SidecarProcess.Failure("\(deployment.mints) tokens, more than \(most)")
      }
    }
  }

  /// Waits until readers have WeChat's newest token, and fails when they have a dead one before.
  private static func waitForNewest(
    _ old: String, _ reader: TokenReader, _ simulator: Simulator
  ) async throws {
    do {
      try await waitUntil("the newest token is in Redis", within: .seconds(45)) {
        guard reader.deadReadings == 0 else {
          throw SidecarProcess.Failure("a dead token in Redis")
        }
        let last = reader.tokens.last
        return last != old && last == simulator.newestToken(of: Deployment.appID)
      }
    } catch {
      let mints = simulator.audit.mints().map(\.time)
      let start = mints.first ?? 0
      throw SidecarProcess.Failure(
        "\(error); minted at \(mints.map { $0 - start }) ms;"
          + " requests at \(simulator.audit.events.map { "\($0.time - start)=\($0.code)" })")
    }
  }
}
