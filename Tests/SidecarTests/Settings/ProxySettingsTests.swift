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

  @Test(arguments: ["WCH_API_PROXY", "HTTPS_PROXY"])
  func `a proxy that cannot be used is a problem, told without its password`(name: String) {
    let problems = settingsProblems(
      [], leastEnvironment.merging([name: "ftp://someone:hush@proxy.example"]) { $1 })
    #expect(problems.count == 1)
    #expect(problems.first?.contains(name) == true)
    #expect(problems.first?.contains("hush") == false)
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
