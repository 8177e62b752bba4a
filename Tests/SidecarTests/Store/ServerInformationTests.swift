import Testing

@testable import Sidecar

/// What `INFO` tells of a server.
@Suite struct ServerInformationTests {
  @Test(
    "versions whose scripts do not heed min-replicas-to-write are known",
    arguments: [
      ("5.0.6", true), ("6.0.16", true), ("6.2.5", true), ("6.2.13", true), ("6.2.14", false),
      ("6.2.19", false), ("7.0.0", false), ("7.0.15", false), ("7.2.4", false), ("8.2.3", false),
      ("", false), ("unknown", false),
    ])
  func unguarded(version: String, isUnguarded: Bool) {
    let information = ServerInformation("# Server\r\nredis_version:\(version)\r\n")
    #expect(information.unguardedVersion == (isUnguarded ? version : nil))
  }

  @Test("what is not told is no reason to worry anybody")
  func silent() {
    let silent = ServerInformation("")
    #expect(silent.evictingPolicy == nil && silent.unguardedVersion == nil && silent.replicas == 0)
    let told = ServerInformation("maxmemory_policy:allkeys-lru\nconnected_slaves:2\n")
    #expect(told.evictingPolicy == "allkeys-lru" && told.replicas == 2)
    #expect(ServerInformation("maxmemory_policy:noeviction").evictingPolicy == nil)
  }

  @Test(
    "memory is full where its limit is reached and nothing is evicted",
    arguments: [
      ("noeviction", 100, true), ("noeviction", 99, false), ("allkeys-lru", 100, false),
    ])
  func full(policy: String, used: Int, isFull: Bool) {
    let text = "used_memory:\(used)\r\nmaxmemory:100\r\nmaxmemory_policy:\(policy)\r\n"
    #expect(ServerInformation(text).isFull == isFull)
    #expect(!ServerInformation("used_memory:9\nmaxmemory:0\n").isFull)
  }

  @Test("slots on the move are found in the node's own line")
  func moves() {
    let nodes = """
      a1 127.0.0.1:7000@17000 master - 0 0 1 connected 5461-10922 [7->-a1]
      a2 127.0.0.1:7001@17001 myself,master - 0 0 2 connected 0-5460 [2590->-a1] [5194-<-a3]
      """
    #expect(Inspection.slotsOnTheMove(nodes) == [2590, 5194])
    #expect(Inspection.slotsOnTheMove("") == [])
  }
}
