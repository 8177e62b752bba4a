import TestSupport
import WeChatSimulator

extension Deployment {
  /// The account's record.
  static let record = "WCH_state:{WCH_access_token}"

  /// Has the leader fetch although its token is good for two hours, and leaves of that only what
  /// the leader itself wrote: with a token near its end, every successor would fetch anyway.
  func provokeHeldFetch(_ fault: Fault) async throws {
    simulator.setFault(fault)
    try await ask("HSET", Self.record, "dirty", "1.1@1")
    try await simulator.waitUntilHeld()
    try await ask("HDEL", Self.record, "dirty")
  }
}
