import Foundation
import TestSupport
import Testing
import WeChatSimulator

/// SIGTERM while a client is not done.
@Suite("The end among clients", .serialized, .enabled(if: Attack.isWanted, "it takes a minute"))
struct EndTests {
  @Test("a body is half sent")
  func halfBody() async throws {
    try await end("one half-sent body", count: 1, .drippingBody)
  }

  @Test("a client does not read")
  func unreading() async throws {
    try await end("one client that does not read", count: 1, .unreading)
  }

  @Test("fifty wait for a refresh while WeChat does not answer")
  func waiting() async throws {
    try await end("50 waiting refreshes", count: 50, .forcing)
  }

  @Test("a client over TLS never says farewell")
  func withoutFarewell() async throws {
    try await Deployment.run { deployment in
      let directory = deployment.redis.directory
      func file(_ name: String, _ text: String) throws -> String {
        let file = directory.appendingPathComponent(name)
        try Data(text.utf8).write(to: file)
        return file.path
      }
      let target = try deployment.startTarget(
        "a",
        [
          "WCH_HTTP_TLS_CERT_FILE": try file("http.pem", FixedCertificates.localhost),
          "WCH_HTTP_TLS_KEY_FILE": try file("http.key", FixedCertificates.localhostKey),
        ])
      try await deployment.waitForLiveToken()
      try await target.process.waitForLog("HTTP interface listens")
      // A ticket comes once the handshake is done; then the client stands still.
      let ticket = directory.appendingPathComponent("ticket").path
      let client = try ChildProcess([
        "openssl", "s_client", "-connect", "localhost:\(target.port)", "-sess_out", ticket,
        "-ign_eof",
      ])
      defer { client.end(SIGKILL) }
      try await waitUntil("the handshake is over", within: .seconds(10)) {
        (try? Data(contentsOf: URL(fileURLWithPath: ticket)))?.isEmpty == false
      }
      client.signal(SIGSTOP)
      let took = try await expectOrderlyEnd(of: target, in: deployment)
      print("figure: SIGTERM, a client without farewell: ended after \(took.wholeMilliseconds) ms")
    }
  }

  private func end(_ name: String, count: Int, _ conduct: HeldConnections.Conduct) async throws {
    try await Deployment.run { deployment in
      // A fetch under way is finished before the end, as the protocol wants it: the bound is for
      // what clients do, so the call to WeChat is given up sooner than usual.
      let target = try await deployment.startTargets(count: 1, ["WCH_API_TIMEOUT": "1s"])[0]
      deployment.simulator.setFault(.holdBeforeMint, count: nil)
      let attackers = HeldConnections(count: count, to: target.port, conduct)
      try await attackers.settle()
      // Connections are taken in turn: who comes later and is answered says that these are there.
      try await waitUntil("the replica has them", within: .seconds(10)) {
        Prober.look(at: target.port, path: "/livez").isGood
      }
      let took = try await expectOrderlyEnd(of: target, in: deployment)
      await attackers.end()
      print("figure: SIGTERM, \(name): ended after \(took.wholeMilliseconds) ms")
    }
  }
}
