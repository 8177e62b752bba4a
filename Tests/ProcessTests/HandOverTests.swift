import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct HandOverTests {
  @Test("a killed leader is replaced within the lease and a second, without a fetch")
  func killedLeader() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 3)
      leader.kill()
      let killedAt = ContinuousClock.now
      let successor = try await deployment.waitForLeader(otherThan: leader)
      #expect(ContinuousClock.now - killedAt <= .seconds(15 + 1))
      try await successor.waitForLog("The token in Redis is ours and alive; it is kept")
      #expect(deployment.mints == 1)
      #expect(try await deployment.waitForLeader() === successor)
    }
  }

  @Test("on SIGTERM a leader hands over within 500 ms, ends with 0, and nobody fetches")
  func terminatedLeader() async throws {
    try await Deployment.run(alone: true) { deployment in
      var leader = try await deployment.start(count: 4)
      for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
      var best: Duration = .seconds(1000)
      for _ in 0..<3 {
        let start = ContinuousClock.now
        leader.terminate()
        let successor = try await deployment.waitForLeader(otherThan: leader)
        best = min(best, ContinuousClock.now - start)
        #expect(try await leader.waitForExit() == .code(0))
        try await successor.waitForLog("The token in Redis is ours and alive; it is kept")
        leader = successor
      }
      #expect(best <= .milliseconds(500))
      #expect(deployment.mints == 1)
      leader.terminate()
      #expect(try await leader.waitForExit() == .code(0))
      #expect(try await deployment.ask("EXISTS", "WCH_leader").number == 0)
    }
  }

  @Test("on SIGTERM a leader finishes the fetch in flight, publishes it, and hands over")
  func terminatedInFetch() async throws {
    // A token of 8 s is refreshed at a remaining life of 3 s.
    try await Deployment.run(life: 8000, grace: 3000) { deployment in
      let leader = try await deployment.start(count: 2, Deployment.brisk)
      deployment.simulator.setFault(.mintThenHold)
      try await deployment.withReader { reader in
        try await deployment.simulator.waitUntilHeld()
        leader.terminate()
        try await waitUntil("the end begins", within: .seconds(5)) {
          let role = try? await leader.status()["role"] as? String
          return role == "stopping" || !leader.isRunning
        }
        deployment.simulator.releaseHeld()
        #expect(try await leader.waitForExit() == .code(0))
        #expect(deployment.mints == 2)
        #expect(
          try await deployment.token()
            == deployment.simulator.newestToken(of: Deployment.appID))
        let successor = try await deployment.waitForLeader(otherThan: leader)
        try await successor.waitForLog("The token in Redis is ours and alive; it is kept")
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
    }
  }

  @Test("a rolling restart of all replicas goes unnoticed by readers, and costs no fetch")
  func rollingRestart() async throws {
    // A token of 8 s is refreshed at a remaining life of 3 s: every 5 s.
    let period: Milliseconds = 5000
    try await Deployment.run(life: 8000, grace: 2000) { deployment in
      try await deployment.start(count: 3, Deployment.brisk)
      try await deployment.withReader { reader in
        for round in 1...2 {
          for instance in ["a", "b", "c"] {
            let old = try #require(deployment.processes.last { $0.instance == instance })
            old.terminate()
            #expect(try await old.waitForExit() == .code(0))
            let new = try deployment.start(instance, Deployment.brisk)
            try await new.waitForStatus(200, of: "/readyz")
          }
          try await deployment.simulator.waitUntilAudit("refresh \(round)") {
            $0.mints().count > round
          }
        }
        let times = deployment.simulator.audit.mints().map(\.time)
        for (earlier, later) in zip(times, times.dropFirst()) {
          #expect(later - earlier >= period - 500, "a fetch too many")
          #expect(later - earlier <= period + 1000, "a fetch too late")
        }
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
    }
  }

  @Test("on SIGTERM without Redis it ends with 0 all the same")
  func terminatedWithoutRedis() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 2)
      deployment.redis.kill()
      for process in deployment.processes {
        try await process.waitForLog(
          "Redis is lost; readers keep what they have, and nobody fetches until it is back")
        process.terminate()
      }
      for process in deployment.processes {
        #expect(try await process.waitForExit() == .code(0))
      }
    }
  }

  @Test("a leader paused past its lease neither fetches nor takes the lock back")
  func pausedLeader() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 3, Deployment.brisk)
      leader.pause()
      let successor = try await deployment.waitForLeader(otherThan: leader)
      let position = leader.logPosition
      leader.resume()
      try await leader.waitForLog("This replica no longer leads", after: position)
      let other = try await firstExcept(for: Deployment.briskLease) { () -> String? in
        let holder = try await deployment.waitForLeader()
        return holder === successor ? nil : holder.instance
      }
      #expect(other == nil)
      #expect(deployment.mints == 1)
    }
  }

  /// Where a leader is killed between its question to WeChat and its commit.
  enum Moment: CaseIterable {
    case whileWeChatHoldsTheAnswer, beforeItReadsTheAnswer, beforeRedisTakesTheCommit
  }

  @Test("a leader killed in a fetch leaves no dead token to readers", arguments: Moment.allCases)
  func killedInFetch(moment: Moment) async throws {
    // A replaced token dies after 7.5 s: as long as the lease and the wait for stragglers take.
    try await Deployment.run(grace: 7500) { deployment in
      let leader = try await deployment.start(count: 3, Deployment.brisk)
      try await deployment.withReader { reader in
        try await deployment.provokeHeldFetch(.mintThenHold)
        switch moment {
        case .whileWeChatHoldsTheAnswer:
          leader.kill()
        case .beforeItReadsTheAnswer:
          leader.pause()
          deployment.simulator.releaseHeld()
          leader.kill()
        case .beforeRedisTakesTheCommit:
          try await deployment.ask("CLIENT", "PAUSE", "20000", "WRITE")
          deployment.simulator.releaseHeld()
          try await waitUntil("a commit waits in Redis", within: .seconds(5)) {
            try await deployment.hasCommitWaiting(of: leader)
          }
          leader.kill()
          try await deployment.ask("CLIENT", "UNPAUSE")
        }
        let lost = try #require(deployment.simulator.newestToken(of: Deployment.appID))
        #expect(try await deployment.token() != lost)
        try await deployment.simulator.waitUntilAudit("the successor's fetch") {
          $0.mints().count >= 3
        }
        try await waitUntil("its token is in Redis", within: .seconds(5)) {
          let token = try await deployment.token()
          return token == deployment.simulator.newestToken(of: Deployment.appID)
        }
        let successor = try await deployment.waitForLeader()
        #expect(successor !== leader)
        try await successor.waitForLog("A new token is in Redis") {
          $0.fields["refresh.trigger"] == "takeover"
        }
        #expect(deployment.mints == 3)
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
      deployment.simulator.releaseHeld()
    }
  }

  @Test("with stable_token the successor of a leader killed in a fetch gets the same token")
  func killedInStableFetch() async throws {
    try await Deployment.run { deployment in
      deployment.simulator.setFault(.mintThenHold)
      let settings = Deployment.brisk.merging(["WCH_API": "stable_token"]) { $1 }
      for instance in ["a", "b"] { try deployment.start(instance, settings) }
      try await deployment.simulator.waitUntilHeld()
      let held = deployment.simulator.newestToken(of: Deployment.appID, kind: .stable)
      let leader = try await deployment.waitForLeader()
      leader.kill()
      #expect(try await deployment.waitForLiveToken() == held)
      #expect(deployment.mints == 1)
    }
  }

  @Test("were the intent not written before the fetch, the same readers would meet a dead token")
  func oracle() async throws {
    try await Deployment.run(grace: 7500) { deployment in
      let leader = try await deployment.start(count: 3, Deployment.brisk)
      try await deployment.withReader { reader in
        try await deployment.provokeHeldFetch(.mintThenHold)
        leader.kill()
        try await deployment.ask(
          "HDEL", Deployment.record, "intent_epoch", "intent_seq", "intent_at", "intent_deadline")
        try await waitUntil("a dead token is read", within: .seconds(15)) {
          reader.deadReadings > 0
        }
      }
    }
  }

  /// When WeChat does the work of a fetch whose leader is paused.
  enum Work: CaseIterable {
    /// Before the successor's fetch: harmless, but nobody can know.
    case beforeTheSuccessor
    /// After it: the token that the successor published is dying.
    case afterTheSuccessor
  }

  @Test(
    "a leader deposed in a fetch marks the account, and the new leader fetches again",
    arguments: Work.allCases)
  func deposedInFetch(work: Work) async throws {
    try await Deployment.run(grace: 7500) { deployment in
      let leader = try await deployment.start(count: 3, Deployment.brisk)
      try await deployment.withReader { reader in
        try await deployment.provokeHeldFetch(
          work == .beforeTheSuccessor ? .mintThenHold : .holdBeforeMint)
        leader.pause()
        let before = deployment.mints
        let successor = try await deployment.waitForLeader(otherThan: leader)
        try await successor.waitForLog("A new token is in Redis")
        #expect(deployment.mints == before + 1)

        deployment.simulator.releaseHeld()
        let position = successor.logPosition
        leader.resume()
        try await leader.waitForLog(
          "An earlier fetch of this replica may have replaced the token; the leader was told")
        try await successor.waitForLog("A new token is in Redis", after: position) {
          $0.fields["refresh.trigger"] == "dirty"
        }
        #expect(
          try await deployment.token()
            == deployment.simulator.newestToken(of: Deployment.appID))
        #expect(try await deployment.waitForLeader() === successor)
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
    }
  }
}

extension Deployment {
  /// Whether a replica's connection has a COMMIT at Redis that is not executed: the only command
  /// of that size.
  fileprivate func hasCommitWaiting(of replica: SidecarProcess) async throws -> Bool {
    let commitBytes = 900
    let list = try await ask("CLIENT", "LIST").text ?? ""
    return list.split(separator: "\n").contains { line in
      var fields: [Substring: Substring] = [:]
      for field in line.split(separator: " ") {
        let parts = field.split(separator: "=", maxSplits: 1)
        if parts.count == 2 { fields[parts[0]] = parts[1] }
      }
      let waiting = ["qbuf", "argv-mem"].compactMap { fields[$0].flatMap { Int($0) } }
      return fields["name"] == "wch-sidecar:\(replica.instance)"
        && fields["flags"]?.contains("b") == true && waiting.reduce(0, +) >= commitBytes
    }
  }
}
