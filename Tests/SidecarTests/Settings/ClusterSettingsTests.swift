import RedisClient
import Testing
import TokenCore

@testable import Sidecar

@Suite struct ClusterSettingsTests {
  private static let url = ["WCH_REDIS_URL": "redis-cluster://h1,h2"]

  private static func problem(_ environment: [String: String], file: String = "{}") -> String {
    do {
      _ = try Settings.load(
        arguments: ["--config", "/c"], environment: environment,
        readFile: { _ in Array(file.utf8) })
      return ""
    } catch {
      return "\(error)"
    }
  }

  private static let accounts =
    "{ accounts: { shop: { appid: \"wx1\", appsecret: \"hush\", tickets: \"jsapi\" } } }"

  @Test func `a prefix may begin with one tag, and has no other braces`() {
    for prefix in ["{wch}WCH_", "{a}", "{a}:", "WCH_"] {
      #expect(hasOneTagAtMost(prefix), "\(prefix)")
    }
    for prefix in ["{}", "{}a", "{a", "a}", "a{b}", "{a}{b}", "{{a}", "{a}}", "{a}b{", "}{"] {
      #expect(!hasOneTagAtMost(prefix), "\(prefix)")
    }
  }

  @Test func `a cluster takes the unnamed account, and any other`() {
    #expect(Self.problem(leastEnvironment.merging(Self.url) { $1 }) == "")
    let tagged = leastEnvironment.merging(Self.url) { $1 }
      .merging(["WCH_KEY_PREFIX": "{wch}WCH_", "WCH_TICKETS": "jsapi,wx_card"]) { $1 }
    #expect(Self.problem(tagged) == "")
    #expect(Self.problem(Self.url, file: Self.accounts) == "")
    #expect(Self.problem(leastEnvironment) == "")
  }

  @Test func `in a cluster other software's keys may be in other slots`() {
    let file = Self.accounts.replacing("tickets: \"jsapi\"", with: "outputs: [\"wechatpy\"]")
    #expect(Self.problem(Self.url, file: file) == "")
  }

  @Test func `all keys behind a tag are in one slot, a named account's in its own`() {
    let tagged = KeyLayout(prefix: "{wch}WCH_")
    let plain = KeyLayout(prefix: "WCH_")
    for kind in CredentialID.Kind.allCases {
      for account in [AccountName.unnamed, AccountName("shop")].compactMap(\.self) {
        let credential = CredentialID(account, kind)
        for key in [
          tagged.state(credential), tagged.key(.credential, credential),
          tagged.key(.expiry, credential), tagged.leader, tagged.epoch, tagged.replicas,
          tagged.refreshRequests,
        ] {
          #expect(HashSlot(of: key) == HashSlot(of: "wch"), "\(key)")
        }
        guard !account.isUnnamed else { continue }
        for key in [
          plain.state(credential), plain.key(.credential, credential),
          plain.key(.expiry, credential),
        ] {
          #expect(HashSlot(of: key) == HashSlot(of: "shop"), "\(key)")
        }
      }
    }
    #expect(HashSlot(of: plain.epoch) == HashSlot(of: plain.leader))
  }

  @Test func `a cluster's rights have what asking nodes takes, and others' have not`() {
    let layout = KeyLayout(prefix: "{wch}WCH_")
    let rules = AccessRules(layout: layout, isClustered: true)
    for rule in ["+asking", "+cluster|slots"] {
      #expect(rules.replica.contains(rule) && rules.reader.contains(rule))
      #expect(!AccessRules(layout: layout).replica.contains(rule))
    }
    #expect(rules.replica.contains("~{wch}WCH_*"))
  }

  @Test func `slots that nobody serves and slots that are stuck are told`() throws {
    let node = RedisEndpoint.Address.tcp(host: "h", port: 1)
    let (lock, token) = (HashSlot(of: "WCH_leader"), HashSlot(of: "WCH_access_token"))
    let sound = ClusterState([lock: node, token: node])
    #expect(sound.nodes == [.init(address: node, slots: [2590, 11304])])
    #expect(sound.trouble == nil)
    let gone = ClusterState([lock: nil, token: node])
    #expect(gone.trouble == "no node serves slot 11304")
    let stuck = try #require(ClusterState([lock: node], stuck: [lock]).trouble)
    #expect(stuck.contains("slot 11304") && stuck.contains("redis-cli --cluster fix"))
    #expect(ClusterState.list([1, 2, 3, 4, 5, 6]) == "1, 2, 3, 4 and 2 more")
  }
}
