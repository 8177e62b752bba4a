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

@Suite("Cluster URLs")
struct ClusterURLTests {
  @Test("nodes, user, password and TLS are read, and shown without the password")
  func read() throws {
    let endpoint = try RedisEndpoint(url: "redis-cluster://u:p@h1,h2:7001,[::1]:7002")
    let nodes: [RedisEndpoint.Address] = [.node("h1", 6379), .node("h2", 7001), .node("::1", 7002)]
    #expect(endpoint.topology == .cluster(nodes))
    #expect(endpoint.username == "u" && endpoint.password?.revealed == "p" && endpoint.tls == nil)
    #expect("\(endpoint)" == "redis-cluster://u:***@h1:6379,h2:7001,[::1]:7002")
    let encrypted = try RedisEndpoint(url: "rediss-cluster://h/0?ca_file=/ca&server_name=n")
    #expect(encrypted.tls?.caFile == "/ca" && encrypted.tls?.serverName == "n")
    #expect("\(encrypted)" == "rediss-cluster://h:6379?ca_file=/ca&server_name=n")
  }

  @Test(
    "what is wrong is refused, with what to write",
    arguments: [
      ("redis-cluster://h/1", "database 0 only"), ("redis-cluster://h?db=2", "database 0 only"),
      ("redis-cluster://h,h:6379", "twice"), ("redis-cluster://", "no host"),
      ("redis-cluster://h,", "no host"), ("redis://h1,h2", "redis-cluster://"),
      ("redis+cluster://h", "write redis-cluster://"),
      ("redis://h?cluster=true", "redis-cluster://"),
      ("redis-cluster://h?master=x", "redis-sentinel://"),
      ("redis-cluster://" + (1...17).map { "h\($0)" }.joined(separator: ","), "more than 16"),
    ])
  func refused(url: String, words: String) {
    do throws(RedisURLError) {
      _ = try RedisEndpoint(url: url)
      Issue.record("\(url) was taken")
    } catch {
      #expect("\(error)".contains(words), "\(error)")
    }
  }
}
