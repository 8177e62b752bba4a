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
