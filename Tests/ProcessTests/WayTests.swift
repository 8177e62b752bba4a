import TestSupport
import Testing
import WeChatSimulator

/// The program's ways to WeChat: TLS with an authority of one's own, and proxies.
@Suite struct WayTests {
  private static let told = "WeChat gave no token; what Redis has stays"
  /// `someone:hu:sh`, whose colon and percent sign must survive the URL.
  private static let credentials = "someone:hu%3Ash"
  private static let authorization = "Basic c29tZW9uZTpodTpzaA=="

  /// The settings for WeChat behind TLS.
  private static func settings(_ deployment: Deployment, _ port: Int) throws -> [String: String] {
    [
      "WCH_API_URL": "https://localhost:\(port)", "WCH_API_CA_FILE": try deployment.authorityFile(),
    ]
  }

  @Test("an authority in apiCaFile is trusted, and without it nothing is sent")
  func authority() async throws {
    try await Deployment.run { deployment in
      try await deployment.withEncryptedWeChat { port in
        let settings = try Self.settings(deployment, port)
        let distrusting = try deployment.start(
          "a", settings.merging(["WCH_API_CA_FILE": ""]) { $1 })
        let line = try await distrusting.waitForLog(Self.told)
        #expect(line.fields["error"]?.contains("TLS failed") == true, "\(line.text)")
        #expect(line.fields["error"]?.contains("localhost:\(port)") == true, "\(line.text)")
        #expect(deployment.simulator.audit.count == 0, "the secret stays here")
        distrusting.terminate()
        #expect(try await distrusting.waitForExit() == .code(0))

        try deployment.start("b", settings)
        try await deployment.waitForLiveToken()
        #expect(deployment.mints == 1)
      }
    }
  }

  @Test("WCH_API_PROXY is gone through with its password, end to end encrypted, for every call")
  func proxySetting() async throws {
    try await Deployment.run { deployment in
      try await deployment.withEncryptedWeChat { port in
        let proxy = try await ConnectProxy.start(authorization: Self.authorization)
        let url = "http://\(Self.credentials)@127.0.0.1:\(proxy.port)"
        let replica = try deployment.start(
          "a",
          try Self.settings(deployment, port).merging([
            "WCH_API_PROXY": url, "WCH_PROBE": "1s",
            // The setting comes before the environment.
            "HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "*",
          ]) { $1 })
        let token = try await deployment.waitForLiveToken()
        try await deployment.simulator.waitUntilAudit("a probe") {
          $0.requests(to: .quota) >= 1
        }
        let requests = deployment.simulator.audit.events
        #expect(proxy.targets.count >= requests.count)
        #expect(proxy.targets.allSatisfy { $0 == "localhost:\(port)" })
        #expect(requests.allSatisfy { !$0.headerNames.contains("proxy-authorization") })
        for head in proxy.heads {
          #expect(!head.contains(Deployment.secret) && !head.contains(token))
        }
        #expect(!replica.errorText.contains("hu:sh") && !replica.errorText.contains("hu%3Ash"))
        await proxy.stop()
      }
    }
  }

  @Test(
    "HTTPS_PROXY is gone through, but not to a host that NO_PROXY names", arguments: [true, false])
  func proxyEnvironment(isException: Bool) async throws {
    try await Deployment.run { deployment in
      try await deployment.withEncryptedWeChat { port in
        let proxy = try await ConnectProxy.start()
        try deployment.start(
          "a",
          try Self.settings(deployment, port).merging([
            "HTTPS_PROXY": "http://127.0.0.1:\(proxy.port)",
            "NO_PROXY": isException ? "example.com,localhost" : "example.com,ocalhost",
          ]) { $1 })
        try await deployment.waitForLiveToken()
        #expect(proxy.targets == (isException ? [] : ["localhost:\(port)"]))
        #expect(deployment.mints == 1)
        await proxy.stop()
      }
    }
  }

  @Test("a proxy that refuses or is gone is told without its password, and tried again")
  func proxyFailures() async throws {
    try await Deployment.run { deployment in
      try await deployment.withEncryptedWeChat { port in
        let refusing = try await ConnectProxy.start(authorization: "Basic other")
        let settings = try Self.settings(deployment, port).merging([
          "WCH_API_PROXY": "http://\(Self.credentials)@127.0.0.1:\(refusing.port)"
        ]) { $1 }
        let replica = try deployment.start("a", settings)
        let line = try await replica.waitForLog(Self.told)
        #expect(line.fields["error"]?.contains("was not reached") == true, "\(line.text)")
        #expect(line.fields["error"]?.lowercased().contains("proxy") == true, "\(line.text)")
        await refusing.stop()
        let position = replica.logPosition
        let gone = try await replica.waitForLog(Self.told, after: position) {
          $0.fields["error"]?.contains("refused") == true
        }
        #expect(gone.fields["refresh.consecutive_failures"] != "1")
        #expect(deployment.simulator.audit.count == 0)
        #expect(!replica.errorText.contains("hu:sh") && !replica.errorText.contains("hu%3Ash"))
        #expect(!replica.errorText.contains("c29tZW9uZTpodTpzaA"))
      }
    }
  }

  @Test("a machine without a CA bundle says where it looked, and the given file suffices")
  func noBundle() async throws {
    try await Deployment.run { deployment in
      try await deployment.withEncryptedWeChat { port in
        let bare = ["WCH_API_URL": "https://localhost:\(port)", "SSL_CERT_FILE": "/nowhere.pem"]
        let check = try SidecarProcess(
          ["check"], environment: deployment.environment(instance: "c").merging(bare) { $1 })
        #expect(try await check.waitForExit() == .code(0))
        let words = "this machine has no CA bundle (looked for /nowhere.pem): install"
        #expect(check.errorText.contains("warning: \(words)"), "\(check.errorText)")

        let replica = try deployment.start("a", bare)
        let line = try await replica.waitForLog(Self.told)
        #expect(line.fields["error"]?.contains("TLS failed: \(words)") == true, "\(line.text)")
        replica.terminate()
        #expect(try await replica.waitForExit() == .code(0))
        try deployment.start(
          "b", bare.merging(["WCH_API_CA_FILE": try deployment.authorityFile()]) { $1 })
        try await deployment.waitForLiveToken()
      }
    }
  }

  @Test("a proxy of the environment that cannot be used is told, and is no reason not to start")
  func unusableProxy() async throws {
    try await Deployment.run { deployment in
      let replica = try deployment.start("a", ["HTTPS_PROXY": "https://u:hush@127.0.0.1:1"])
      try await deployment.waitForLiveToken()
      #expect(replica.errorText.contains("HTTPS_PROXY is not used"))
      #expect(!replica.errorText.contains("hush"))
    }
  }
}
