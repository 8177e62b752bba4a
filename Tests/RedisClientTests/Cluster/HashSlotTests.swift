import Testing

@testable import RedisClient

@Suite("Hash slots")
struct HashSlotTests {
  @Test("the checksum is the specification's")
  func checksum() {
    #expect(HashSlot.checksum("123456789".utf8) == 0x31C3)
    #expect(HashSlot.checksum("".utf8) == 0)
  }

  @Test(
    "a key's slot is that of CLUSTER KEYSLOT",
    arguments: [
      ("123456789", 12739), ("foo", 12182), ("", 0), ("WCH_leader", 11304),
      ("WCH_access_token", 2590), ("WCH_expires_in", 5194), ("WCH_replicas", 3675),
      ("WCH_refresh_requests", 1939),
    ])
  func slots(key: String, slot: Int) { #expect(HashSlot(of: key).number == slot) }

  @Test(
    "what stands in the first braces decides, if there is anything in them",
    arguments: [
      ("{user1000}.following", "user1000"), ("foo{}{bar}", "foo{}{bar}"), ("foo{{bar}}zap", "{bar"),
      ("foo{bar}{zap}", "bar"), ("{a", "{a"), ("a}", "a}"), ("}a{b}", "b"), ("{}", "{}"),
      ("WCH_state:{WCH_access_token}", "WCH_access_token"), ("WCH_expires_in:{shop}", "shop"),
      ("{wch}WCH_state:{{wch}WCH_access_token}", "wch"),
    ])
  func tags(key: String, tag: String) {
    let alone = HashSlot(HashSlot.checksum(tag.utf8) % 16384)
    #expect(HashSlot(of: key) == alone)
  }

  @Test("there are 16384")
  func bounds() {
    #expect(HashSlot(0) != nil && HashSlot(16383) != nil)
    #expect(HashSlot(-1) == nil && HashSlot(16384) == nil)
  }
}

extension HashSlot {
  fileprivate init?(_ number: UInt16) { self.init(Int(number)) }
}
