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
}
