import Dialing
import Testing

@testable import Sidecar

/// Hosts as they may be written, and over which of their addresses they are reached.
@Suite("Settings of hosts and addresses")
struct AddressSettingsTests {
  private func settings(_ environment: [String: String]) throws -> Settings {
    try loadSettings([], leastEnvironment.merging(environment) { $1 })
  }

  @Test(
    "WeChat's host is read in every spelling of RFC 3986",
    arguments: [
      ("https://API.weixin.QQ.com", "api.weixin.qq.com", 443, "https://api.weixin.qq.com"),
      ("HTTPS://h.:8443", "h.", 8443, "https://h.:8443"), ("https://h:", "h", 443, "https://h"),
      ("https://h:00443/", "h", 443, "https://h"),
      ("https://%61pi_1", "api_1", 443, "https://api_1"),
      ("http://127.1:1/p", "127.0.0.1", 1, "http://127.0.0.1:1/p"),
      ("http://0x7f.1", "127.0.0.1", 80, "http://127.0.0.1"),
      ("http://[::1]:", "::1", 80, "http://[::1]"),
      ("http://[FE80::1%25lo]:1", "fe80::1%lo", 1, "http://[fe80::1%25lo]:1"),
      ("http://[fe80::1%lo]", "fe80::1%lo", 80, "http://[fe80::1%25lo]"),
      ("http://[::ffff:127.0.0.1]", "::ffff:127.0.0.1", 80, "http://[::ffff:127.0.0.1]"),
    ])
  func spelling(url: String, host: String, port: Int, usual: String) throws {
    let base = try #require(try settings(["WCH_API_URL": url]).apiURLs.first)
    #expect(base.host == host)
    #expect(base.port == port)
    #expect(base.url == usual)
  }

  @Test(
    "what is no host of WeChat is refused",
    arguments: [
      "https://a b", "https://a!b", "https://a%2fb", "https://a%zz", "https://[::1", "https://::1",
      "https://[::1]x", "https://[1.2.3.4]", "https://h:0", "https://h:65536", "https://h:+1",
      "https://:1", "https://%e4%b8%ad.test",
    ])
  func refused(url: String) {
    #expect(settingsProblems([], leastEnvironment.merging(["WCH_API_URL": url]) { $1 }).count == 1)
  }

  @Test("a name that is not ASCII is refused with the form that is right")
  func international() {
    let problems = settingsProblems(
      [], leastEnvironment.merging(["WCH_API_URL": "https://微信.test"]) { $1 })
    #expect(problems.count == 1)
    #expect(problems.first?.contains("in its ASCII form, xn--…") == true)
  }

  @Test(
    "only plain HTTP that leaves the machine is warned about",
    arguments: [
      ("http://127.1", 0), ("http://LOCALHOST", 0), ("http://[::1]:80", 0), ("https://h", 0),
      ("http://h", 1), ("HTTP://10.0.0.1", 1), ("http://[fd00::1]", 1),
    ])
  func plain(url: String, warnings: Int) throws {
    #expect(try settings(["WCH_API_URL": url]).warnings.count == warnings)
  }

  @Test("the family of WeChat's addresses is any, 4 or 6")
  func family() throws {
    #expect(try settings([:]).apiFamily == .any)
    #expect(try settings(["WCH_API_IP": "any"]).apiFamily == .any)
    #expect(try settings(["WCH_API_IP": "4"]).apiFamily == .ipv4)
    #expect(try settings(["WCH_API_IP": "6"]).apiFamily == .ipv6)
    #expect(
      settingsProblems([], leastEnvironment.merging(["WCH_API_IP": "ipv4"]) { $1 })
        == ["environment variable WCH_API_IP: `ipv4` is not `any` or `4` or `6`"])
  }

  @Test("an attempt to connect to Redis has 5 s, or what is set")
  func connectTimeout() throws {
    #expect(try settings([:]).redis.connectTimeout == .seconds(5))
    #expect(
      try settings(["WCH_REDIS_CONNECT_TIMEOUT": "700ms"]).redis.connectTimeout
        == .milliseconds(700))
    for wrong in ["5", "50ms", "2m"] {
      #expect(
        settingsProblems(
          [], leastEnvironment.merging(["WCH_REDIS_CONNECT_TIMEOUT": wrong]) { $1 }
        ).count == 1)
    }
  }
}
