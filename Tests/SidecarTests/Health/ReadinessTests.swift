import Testing
import TokenCore

@testable import Sidecar

/// Whether a replica is ready, by what is wrong and by what is asked about.
@Suite struct ReadinessTests {
  private static let shop = AccountName("shop") ?? .unnamed
  private static let game = AccountName("game") ?? .unnamed
  private static let accounts = [AccountName.unnamed, shop, game]

  private static func missing(_ account: AccountName?) -> Condition {
    Condition(
      account == nil ? .foreignApp : .noToken, .critical, account: account.map { CredentialID($0) },
      since: Timestamp(second: 1))
  }

  @Test(arguments: [
    (Settings.Ready.any, [], true), (.any, [shop], true), (.any, [.unnamed, shop], true),
    (.any, [.unnamed, shop, game], false), (.any, [nil], false),
    (.all([]), [], true), (.all([]), [shop], false), (.all([shop]), [shop], false),
    (.all([shop]), [game, .unnamed], true), (.all([shop, game]), [game], false),
    (.all([shop]), [nil], false),
  ])
  func `it is ready as its scope says`(
    scope: Settings.Ready, without: [AccountName?], isReady: Bool
  ) {
    let readiness = Readiness(
      of: scope, accounts: Self.accounts, conditions: without.map(Self.missing))
    #expect(readiness.isReady == isReady)
    let named: [AccountName] =
      if case .all(let names) = scope, !names.isEmpty { names } else { Self.accounts }
    let missing = without.contains(nil) ? Set(named) : Set(without.compactMap(\.self))
    #expect(Set(readiness.degraded) == missing.intersection(named))
  }

  @Test func `what prevents it comes first in its sentence, and mild things are not told`() {
    let failing = Condition(
      .refreshFailing, .warning, account: CredentialID(Self.shop), since: Timestamp(second: 1))
    let mild = Condition(.replicaSilent, .notice, since: Timestamp(second: 1))
    let foreign = Condition(
      .refreshFailing, .error, account: CredentialID(Self.game), since: Timestamp(second: 1))
    let readiness = Readiness(
      of: .all([Self.shop]), accounts: Self.accounts,
      conditions: [Self.missing(Self.shop), foreign, failing, mild])
    #expect(readiness.detail == "account shop: there is no live token")
    #expect(readiness.conditions.map(\.kind) == [.noToken, .refreshFailing])
  }

  @Test func `a condition that is young says so only when it prevents reading`() {
    var young = Self.missing(Self.shop)
    young.isPending = true
    var leaderless = Condition(.noLeader, .error, since: Timestamp(second: 1))
    leaderless.isPending = true
    let readiness = Readiness(
      of: .all([]), accounts: [Self.shop], conditions: [young, leaderless])
    #expect(!readiness.isReady)
    #expect(readiness.conditions.map(\.kind) == [.noToken])
  }
}
