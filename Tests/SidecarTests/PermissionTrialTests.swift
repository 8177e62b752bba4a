import Testing
import TokenCore

@testable import Sidecar

/// What `check --connect` tries at Redis.
@Suite struct PermissionTrialTests {
  private static let layout = KeyLayout(prefix: "WCH_")

  @Test("exactly the commands that the daemon's user is given are tried")
  func commands() {
    let trials = PermissionTrials(layout: Self.layout, credentials: [.unnamed], database: 0)
    #expect(trials.permissions.sorted() == AccessRules.replicaCommands.sorted())
  }

  @Test("the keys of every account are tried")
  func keys() throws {
    let shop = try #require(CredentialID("shop"))
    let trials = PermissionTrials(layout: Self.layout, credentials: [.unnamed, shop], database: 0)
    #expect(
      trials.keys.map { $0.object?.dropFirst() } == [
        "WCH_leader", "WCH_epoch:{WCH_leader}", "WCH_replicas", "WCH_refresh_requests",
        "WCH_access_token", "WCH_expires_in", "WCH_state:{WCH_access_token}",
        "WCH_access_token:{shop}", "WCH_expires_in:{shop}", "WCH_state:{shop}",
      ])
  }

  @Test("another database than 0 cannot be done without SELECT", arguments: [0, 3])
  func select(database: Int) {
    let trials = PermissionTrials(layout: Self.layout, credentials: [.unnamed], database: database)
    #expect(trials.isOptional("+select") == (database == 0))
    #expect(!trials.isOptional("+evalsha"))
  }

  @Test func `the keys of other software are tried, too`() {
    let trials = PermissionTrials(
      layout: Self.layout, credentials: [.unnamed], others: ["wechatpy:wx_access_token"],
      database: 0)
    #expect(trials.keys.last?.object == "~wechatpy:wx_access_token")
  }
}
