import TestSupport
import Testing
import WeChatSimulator

/// Clients that hold on to what they have, and come again when they are hung up on.
@Suite("Clients that hold on", .serialized, .enabled(if: Attack.isWanted, "they take minutes"))
struct HeldConnectionTests {
  @Test("they say nothing", arguments: [600, 2000])
  func silent(count: Int) async throws {
    try await hold("\(count) silent clients", count: count, .silent, for: .seconds(65))
  }

  @Test("they ask for 700 pages of metrics and read nothing")
  func unreading() async throws {
    try await hold("530 clients that do not read", count: 530, .unreading, for: .seconds(60))
  }

  @Test("they send a body byte by byte")
  func drippingBody() async throws {
    try await hold("530 bodies that drip", count: 530, .drippingBody, for: .seconds(40))
  }

  @Test("they send a head byte by byte")
  func drippingHead() async throws {
    try await hold("530 heads that drip", count: 530, .drippingHead, for: .seconds(40))
  }

  @Test("they wait for a refresh while WeChat does not answer")
  func waiting() async throws {
    try await hold("530 waiting refreshes", count: 530, .forcing, for: .seconds(25)) {
      $0.simulator.setFault(.holdBeforeMint, count: nil)
    }
  }

  private func hold(
    _ name: String, count: Int, _ conduct: HeldConnections.Conduct, for span: Duration,
    prepare: @escaping @Sendable (Deployment) -> Void = { _ in }
  ) async throws {
    try await Deployment.run(alone: true) { deployment in
      let targets = try await deployment.startTargets(count: 2)
      prepare(deployment)
      let attackers = { @Sendable (target: Target) -> any Attackers in
        HeldConnections(count: count, to: target.port, conduct)
      }
      let descriptors = targets.map { $0.figures?.descriptors ?? 0 }
      let report = try await Watch.over(
        name, deployment, targets, for: span, attackers, attacked: [targets[0]])
      report.expectNoHarm()
      try await expectRecovery(
        name, deployment, [targets[0]], descriptors: descriptors, attackers)
    }
  }
}
