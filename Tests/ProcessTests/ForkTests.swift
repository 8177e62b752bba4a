import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// A demoted primary that goes on taking writes, beside the one that was promoted.
@Suite struct ForkTests {
  @Test("what the old leader fetched at a demoted primary is told at the new one when it is back")
  func oldLeaderComesBack() async throws {
    try await Deployment.run { deployment in
      // The deployment's own server is the one that will be promoted.
      let old = try await RedisServer.start()
      defer { old.stop() }
      try await deployment.ask("REPLICAOF", "127.0.0.1", "\(old.port)")
      try await waitUntil("the replica is in step", within: patience) {
        let info = try await deployment.ask("INFO", "replication").text ?? ""
        return info.contains("master_link_status:up")
      }
      try await Partition.run(to: old.port) { here in
        try await Partition.run(to: old.port) { there in
          let leader = try deployment.start("a", Self.settings(behind: here))
          try await waitUntil("a leader and its token", within: .seconds(20)) {
            guard try await deployment.leader() === leader else { return false }
            return try await deployment.token() != nil
          }
          let heir = try deployment.start("b", Self.settings(behind: there))
          try await heir.waitForStatus(200, of: "/readyz")

          // The heir's side is cut off, and its server promoted.
          there.lead(to: deployment.redis.port)
          try await deployment.ask("REPLICAOF", "NO", "ONE")
          there.heal()
          #expect(try await deployment.waitForLeader(otherThan: leader) === heir)
          try await deployment.withReader { reader in
            // What the other side has done meanwhile nobody knows here: that is settled first.
            try await deployment.waitForShortLife()
            try await heir.waitForLog("A new token is in Redis", within: .seconds(150)) {
              $0.fields["refresh.trigger"] == "doubt"
            }
            try await deployment.waitForWholeLife()

            // The old leader still leads at the old primary, and fetches there.
            let mints = deployment.mints
            _ = try await old.command("RPUSH", "WCH_refresh_requests", #"{"force":true}"#)
            try await waitUntil("the fetch at the old primary", within: patience) {
              deployment.mints == mints + 1
            }
            try await leader.waitForLog("A new token is in Redis", within: patience) {
              $0.fields["refresh.trigger"] == "force"
            }

            // The cut ends, and the old leader finds the new primary.
            here.lead(to: deployment.redis.port)
            here.heal()
            try await leader.waitForLog(
              Deployment.confession, within: patience)
            try await deployment.waitForShortLife()
            try await deployment.expectHonestKeys()
            #expect(reader.deadReadings == 0)
            #expect(reader.missingReadings == 0)
          }
          // One of the two leads, and the other has no lock of its own.
          #expect(try await deployment.waitForLeader() === heir)
        }
      }
    }
  }

  private static func settings(behind network: Partition) -> [String: String] {
    Deployment.brisk.merging(["WCH_REDIS_URL": "redis://127.0.0.1:\(network.port)/0"]) { $1 }
  }
}
