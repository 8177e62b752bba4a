import Testing

@testable import Sidecar

@Suite struct ProxySettingsTests {
  private static let url = "http://someone:hush@proxy.example:3128"

  private func load(_ environment: [String: String]) throws -> Settings {
    try loadSettings([], leastEnvironment.merging(environment) { $1 })
  }

  @Test func `the proxy's password is used, and shown nowhere`() throws {
    let settings = try load(["WCH_API_PROXY": Self.url])
    let proxy = settings.proxies.proxy(forHost: "api.weixin.qq.com", port: 443, isHTTPS: true)
    #expect(proxy?.credentials?.revealed == "someone:hush")
    #expect(!settings.describe().contains("hush"))
    #expect(settings.describe().contains("http://someone:***@proxy.example:3128"))
  }

  @Test func `a proxy with a password is refused as a flag, and one without is not`() throws {
    let problems = settingsProblems(["--api-proxy", Self.url])
    #expect(problems.count == 1)
    #expect(problems.first?.contains("WCH_API_PROXY") == true)
    #expect(problems.first?.contains("hush") == false)
    let settings = try loadSettings(["--api-proxy", "socks5://127.0.0.1:1080"], leastEnvironment)
    #expect(settings.proxies.proxy?.kind == .socks5)
  }

  @Test func `the environment's proxy counts unless the setting says otherwise`() throws {
    let environment = ["HTTPS_PROXY": Self.url]
    #expect(try load(environment).proxies.proxy?.host == "proxy.example")
    #expect(
      try load(environment.merging(["WCH_API_PROXY": "off"]) { $1 }).proxies.proxy == nil)
  }

  @Test func `a proxy that cannot be used is a problem, told without its password`() {
    let problems = settingsProblems(
      [], leastEnvironment.merging(["WCH_API_PROXY": "ftp://someone:hush@proxy.example"]) { $1 })
    #expect(problems.count == 1)
    #expect(problems.first?.contains("WCH_API_PROXY") == true)
    #expect(problems.first?.contains("hush") == false)
  }

  @Test(arguments: ["HTTPS_PROXY", "https_proxy"], ["https://u:hush@proxy", "ftp://u:hush@proxy"])
  func `a proxy of the environment that cannot be used is told, and WeChat is called directly`(
    name: String, url: String
  ) throws {
    let settings = try load([name: url])
    #expect(settings.proxies.proxy == nil)
    #expect(settings.warnings.count == 1)
    let warning = "\(try #require(settings.warnings.first))"
    #expect(warning.contains("\(name) is not used"))
    #expect(warning.contains("WCH_API_PROXY"))
    #expect(!warning.contains("hush"))
    #expect(try load([name: url, "WCH_API_PROXY": "off"]).warnings.isEmpty)
  }

  @Test func `socks5h is another word for socks5`() throws {
    #expect(try load(["HTTPS_PROXY": "socks5h://proxy.example"]).proxies.proxy?.kind == .socks5)
  }

  @Test(arguments: [("1", true), ("1000", true), ("0", false), ("1001", false), ("many", false)])
  func `the number of calls at a time has bounds`(value: String, isTaken: Bool) throws {
    let environment = leastEnvironment.merging(["WCH_API_CONCURRENCY": value]) { $1 }
    #expect(settingsProblems([], environment).isEmpty == isTaken)
  }

  @Test func `a file without a certificate is a problem`() {
    let files = FakeFiles(["/ca.pem": "no certificate"])
    for path in ["/ca.pem", "/nowhere.pem"] {
      let problems = settingsProblems(
        [], leastEnvironment.merging(["WCH_API_CA_FILE": path]) { $1 }, files: files)
      #expect(problems.count == 1)
      #expect(problems.first?.contains(path) == true)
    }
  }
}
