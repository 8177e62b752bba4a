import TestSupport
import Testing
import WeChatSimulator

/// More clients than the process may have descriptors.
@Suite(
  "Descriptors that run out", .serialized, .enabled(if: Attack.isWanted, "they take a minute"))
struct DescriptorTests {
  @Test(
    "more clients than that: little work, a word, and the dead token is replaced",
    arguments: [64, 128, 1024])
  func runOut(limit: Int) async throws {
    try await Deployment.run(alone: true) { deployment in
      let target = try await deployment.startTargets(
        count: 1, launcher: ["prlimit", "--nofile=\(limit)"])[0]
      let before = try #require(target.figures)
      let held = HeldConnections(count: limit + 500, to: target.port, .silent)
      let name = "\(limit) descriptors"
      let span = 5.0
      let report = try await Watch.over(name, deployment, [target], for: .seconds(span)) { _ in held
      }
      report.expectNoHarm()
      // Those that are hung up on come again at once, some thousand a second: each costs something,
      // but never a whole processor, as trying in vain to take them did.
      #expect(report.processorSeconds < 0.8 * span, "the processor was kept busy")
      // The watch has ended them; a token dies while others hold on.
      let others = HeldConnections(count: limit + 500, to: target.port, .silent)
      try await waitUntil("they are there", within: .seconds(10)) {
        (target.figures?.descriptors ?? 0) > before.descriptors + 10
      }
      let token = try await deployment.token() ?? ""
      deployment.simulator.schedule(.killCurrentToken(.legacy), for: Deployment.appID)
      let start = ContinuousClock.now
      try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      let served = try? await waited(for: "the next token", within: .seconds(30)) {
        () -> Duration? in
        let next = try await deployment.token()
        return next != nil && next != token ? ContinuousClock.now - start : nil
      }
      #expect((served ?? .seconds(30)) < .seconds(3), "the dead token stayed")
      let words = ["descriptor", "open files", "ulimit", "NOFILE"]
      let word = target.process.log.first { line in words.contains { line.text.contains($0) } }
      // With 1024 there is room for all connections that are allowed.
      #expect(word != nil || limit >= 1024, "no line says what is the matter")
      await others.end()
      try await waitUntil("the descriptors are given back", within: patience) {
        (target.figures?.descriptors ?? .max) <= before.descriptors + 2
      }
      #expect(Prober.look(at: target.port, path: "/readyz").isGood)
      let took = try await expectOrderlyEnd(of: target, in: deployment)
      print(
        "figure: \(name): a dead token replaced after"
          + " \(served.map { "\($0.wholeMilliseconds) ms" } ?? "never"),"
          + " said: \(word?.message ?? "nothing"), SIGTERM: \(took.wholeMilliseconds) ms")
    }
  }
}
