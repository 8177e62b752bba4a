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

  // Until its successor's token is there, the keys end before the old token can: 110 s after the
  // BEGIN, when what may still arrive is over, one fetch settles it.
  @Test(
    "a leader killed in a mid-life fetch leaves a short life at once, and its heir fetches once",
    arguments: Moment.allCases)
  func killedInFetch(moment: Moment) async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 3, Deployment.brisk)
      let old = try #require(try await deployment.token())
      try await deployment.withReader { reader in
        try await deployment.provokeHeldFetch(.mintThenHold)
        let begun = ContinuousClock.now
        // BEGIN has cut it already, before anything happened to the leader.
        let keys = try await deployment.keys()
        #expect(keys.tokenTTL <= Deployment.certain && keys.endTogether, "\(keys)")
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
        #expect(try await deployment.token() == old)
        let successor = try await deployment.waitForLeader(otherThan: leader)
        try await deployment.expectHonestKeys()
        try await deployment.simulator.waitUntilAudit("its fetch", within: .seconds(150)) {
          $0.mints().count >= 3
        }
        #expect(ContinuousClock.now - begun > Deployment.straggling)
        try await successor.waitForLog("A new token is in Redis", within: patience) {
          $0.fields["refresh.trigger"] == "doubt"
        }
        let settled = try await deployment.waitForWholeLife()
        #expect(settled.token == deployment.simulator.newestToken(of: Deployment.appID))
        #expect(deployment.mints == 3)
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
      }
      deployment.simulator.releaseHeld()
    }
  }

  @Test("when all replicas are killed in a mid-life fetch, both keys end before the token can")
  func allKilledInFetch() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 2, Deployment.brisk)
      try await deployment.provokeHeldFetch(.mintThenHold)
      for process in deployment.processes { process.kill() }
      let keys = try await deployment.waitForShortLife()
      #expect(keys.expiresIn.map { $0 - keys.redisTime < 290 } == true)
      try await deployment.expectHonestKeys()
      deployment.simulator.releaseHeld()
    }
  }

  @Test("a fetch that is known to have minted nothing gives the life back that its BEGIN took")
  func knownFailure() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2, Deployment.brisk)
      let before = try await deployment.keys()
      // Asked, and not answered yet: the life is short.
      deployment.simulator.setFault(.errorCode(45011))
      deployment.simulator.setLatency(700...700)
      try await deployment.ask("RPUSH", "WCH_refresh_requests", #"{"force":true}"#)
      try await deployment.waitForShortLife()
      try await leader.waitForLog("WeChat gave no token; what Redis has stays", within: patience)
      let after = try await deployment.waitForWholeLife()
      #expect(after.token == before.token)
      #expect(after.expiresIn == before.expiresIn)
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
          "HDEL", Deployment.record, "intent_epoch", "intent_seq", "intent_at", "intent_deadline",
          "intent_kills")
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
    "a leader deposed in a fetch says so, and what its successor published is short of life",
    arguments: Work.allCases)
  func deposedInFetch(work: Work) async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 3, Deployment.brisk)
      try await deployment.withReader { reader in
        try await deployment.provokeHeldFetch(
          work == .beforeTheSuccessor ? .mintThenHold : .holdBeforeMint)
        leader.pause()
        let before = deployment.mints
        let successor = try await deployment.waitForLeader(otherThan: leader)
        // Somebody wants another token before the doubt is settled.
        try await deployment.ask("RPUSH", "WCH_refresh_requests", #"{"force":true}"#)
        try await successor.waitForLog("A new token is in Redis", within: patience)
        #expect(deployment.mints == before + 1)

        deployment.simulator.releaseHeld()
        leader.resume()
        try await leader.waitForLog(
          Deployment.confession)
        try await deployment.waitForShortLife()
        try await deployment.expectHonestKeys()
        let position = successor.logPosition
        try await successor.waitForLog(
          "A new token is in Redis", after: position, within: .seconds(150)
        ) { $0.fields["refresh.trigger"] == "doubt" }
        let settled = try await deployment.waitForWholeLife()
        #expect(settled.token == deployment.simulator.newestToken(of: Deployment.appID))
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
