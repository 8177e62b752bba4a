import Testing

@testable import Sidecar

/// What the verbs that ask a daemon read, and what does not concern them.
@Suite struct DaemonAddressTests {
  private static func load(
    _ arguments: [String] = [], _ environment: [String: String] = [:],
    files: FakeFiles = FakeFiles(), needsBearer: Bool = false
  ) throws(SettingsError) -> DaemonAddress {
    try DaemonAddress.load(
      arguments: arguments, environment: environment, needsBearer: needsBearer,
      readFile: files.read)
  }

  @Test(arguments: [
    ["WCH_APPSECRET_FILE": "/gone"], ["WCH_FOO": "1"], ["WCH_LEASE": "soon"], ["WCH_APPID": ""],
    ["WCH_REDIS_URL": "http://x"], ["WCH_HTTP_BEARER_FILE": "/gone"], ["WCH_READY": "nobody"],
    ["WCH_HTTP_TLS_KEY_FILE": "/gone"], ["WCH_HTTP_TLS_CERT_FILE": "/gone"],
    ["WCH_LOG_FILE": "/no/such/place"],
  ])
  func `other settings that are broken do not matter`(environment: [String: String]) throws {
    let address = try Self.load([], environment.merging(["WCH_HTTP_LISTEN": "[::1]:1"]) { $1 })
    #expect(address.listen == .tcp(host: "::1", port: 1))
    #expect(address.warnings.isEmpty)
  }

  @Test func `a file that cannot be read is a warning, and one that is full of slips is none`()
    throws
  {
    let gone = try Self.load(["--config", "/gone"], ["WCH_HTTP_LISTEN": "unix:/s"])
    #expect(gone.listen == .unix(path: "/s"))
    #expect(gone.warnings.count == 1)
    let files = FakeFiles(["/c": "{httpListen:'127.0.0.1:7', leese:'1', accounts:{a:{}}}"])
    let slips = try Self.load(["--config", "/c"], files: files)
    #expect(slips.listen == .tcp(host: "127.0.0.1", port: 7))
    #expect(slips.warnings.isEmpty)
  }

  @Test(arguments: [
    (["WCH_HTTP_LISTEN": "nowhere"], false), (["WCH_HTTP_LISTEN": ""], false),
    (["WCH_HTTP_CA_FILE": "/gone"], false), (["WCH_HTTP_TLS_CERT_FILE": "/gone"], true),
    (["WCH_HTTP_BEARER_FILE": "/gone"], true),
  ])
  func `what is needed must be right`(environment: [String: String], needsBearer: Bool) {
    #expect(throws: SettingsError.self) { try Self.load([], environment, needsBearer: needsBearer) }
  }

  @Test func `a mistyped flag is told the one that was meant`() {
    #expect(throws: SettingsError.self) { try Self.load(["--htpt-listen", "x"]) }
  }

  @Test func `an authority comes before the certificate, which need not be readable then`() throws {
    let files = FakeFiles(["/ca": "x"])
    let address = try Self.load(
      [], ["WCH_HTTP_CA_FILE": "/ca", "WCH_HTTP_TLS_CERT_FILE": "/gone"], files: files)
    #expect(address.authorities == "/ca")
    #expect(address.certificate == nil)
  }
}
