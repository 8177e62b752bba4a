import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// A leader that dies after a step, before what the step owes to another slot.
@Suite(.serialized, .enabled(if: Topologies.areWanted)) struct ClusterCrashTests {
  /// How far it has come when it dies; the expiry's node carries no write of it out.
  enum Boundary: CaseIterable {
    /// WeChat is asked, and mints only when the leader is gone.
    case asked
    /// WeChat has minted, and has not answered.
    case minted
    /// The token is in Redis.
    case committed
  }

  @Test(
    "the next leader writes what the former one owed to the expiry's slot",
    arguments: Boundary.allCases)
  func owed(_ boundary: Boundary) async throws {
    var options = ClusterGroup.Options()
    options.keys = .plain
    try await Deployment.run(withCluster: options) { deployment, group in
      try await ClusterFailOver.startApart(deployment, group)
      let node = try await group.waitForPrimary(of: group.keys.expiry)
      let (token, leader) = (try await deployment.token(), try await deployment.leader())
      let former = try #require(leader)
      switch boundary {
      case .asked: deployment.simulator.setFault(.holdBeforeMint)
      case .minted: deployment.simulator.setFault(.mintThenHold)
      case .committed: break
      }
      try await deployment.withReader { reader in
        try await node.command("CLIENT", "PAUSE", "60000", "WRITE")
        try await deployment.ask("RPUSH", group.keys.reports, token ?? "")
        switch boundary {
        case .asked, .minted: try await deployment.simulator.waitUntilHeld()
        case .committed:
          try await waitUntil("the next token", within: patience) {
            try await deployment.token() != token
          }
        }
        let before = try await deployment.ask("GET", group.keys.expiry).text
        former.kill()
        deployment.simulator.releaseHeld()
        try await node.command("CLIENT", "UNPAUSE")
        try await deployment.waitForLeader(otherThan: former)
        // Whether shortened or the next token's, it is another one than what was left there.
        try await waitUntil("the expiry is the token's", within: patience) {
          let (left, until) = (
            try await deployment.ask("PTTL", group.keys.token).number ?? -2,
            try await deployment.ask("PTTL", group.keys.expiry).number ?? -2
          )
          guard left > 0, abs(left - until) < 1000 else { return false }
          return try await deployment.ask("GET", group.keys.expiry).text != before
        }
        #expect(reader.deadReadings == 0 && reader.missingReadings == 0)
        // What was committed needs no other one.
        let most = boundary == .committed ? 2 : 3
        #expect((2...most).contains(deployment.mints), "\(deployment.mints) tokens")
      }
    }
  }
}
