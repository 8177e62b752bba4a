import TestSupport
import Testing
import WeChatSimulator

extension Deployment {
  /// The account's record.
  static let record = "WCH_state:{WCH_access_token}"
  /// What a replica says whose fetch may have killed what Redis has.
  static let confession =
    "An earlier fetch of this replica may have replaced the token; its life was cut short"
  /// How long a token's life is certain at most after something began that may kill it.
  static let certain: Milliseconds = 290_000
  /// How long after its BEGIN a request may still be processed.
  static let straggling: Duration = .seconds(90)

  /// Has the leader fetch although its token is good for two hours, as a person may want.
  func provokeHeldFetch(_ fault: Fault) async throws {
    simulator.setFault(fault)
    try await ask("RPUSH", "WCH_refresh_requests", #"{"force":true}"#)
    try await simulator.waitUntilHeld()
  }

  /// Waits until both keys end when a doubt of now says, or sooner.
  @discardableResult
  func waitForShortLife() async throws -> PublishedKeys {
    try await waited(for: "a short life of both keys", within: patience) {
      let keys = try await keys()
      return (1...Self.certain).contains(keys.tokenTTL) && keys.endTogether ? keys : nil
    }
  }

  /// Waits until both keys have the whole life that WeChat gave the token.
  @discardableResult
  func waitForWholeLife(within limit: Duration = patience) async throws -> PublishedKeys {
    try await waited(for: "the whole life of both keys", within: limit) {
      let keys = try await keys()
      return keys.tokenTTL > 7_000_000 && keys.endTogether ? keys : nil
    }
  }
}
