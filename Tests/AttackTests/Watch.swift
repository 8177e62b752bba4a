import RedisClient
import Synchronization
import TestSupport
import Testing
import WeChatSimulator

/// Looks at a deployment while something is done to it, and says afterwards what suffered.
final class Watch: Sendable {
  /// What the keys looked like over all accounts.
  private struct State {
    var looks = 0
    /// Looks at which nobody, or somebody else, held the lock.
    var lost = 0
    var withoutLeader = 0
    var accountReadings = 0
    var missing = 0
    var dead = 0
  }

  private static let interval: Duration = .milliseconds(100)
  private let deployment: Deployment
  private let keys: [String]
  /// What the lock held at first.
  private let lock: String
  /// Protects the counts: written by the watching task, read at the end.
  private let state = Mutex(State())

  private init(_ deployment: Deployment, keys: [String], lock: String) {
    self.deployment = deployment
    self.keys = keys
    self.lock = lock
  }

  /// What was seen.
  struct Report: Sendable {
    var name: String
    var lockLooks: Int
    var lockLost: Int
    var withoutLeader: Int
    var live: Int
    var missing: Int
    var dead: Int
    var probers: [Prober]
    var growthKiB: Int
    var processorSeconds: Double
    var account: String

    /// The line for the documentation.
    var figure: String {
      let looks = probers.flatMap(\.looks)
      let slow = looks.count { !$0.isGood }
      let median = looks.map(\.took).sorted()[looks.count / 2]
      let worst = looks.map(\.took).max() ?? .zero
      return "figure: \(name): readings \(live) live, \(missing) missing, \(dead) dead;"
        + " lock not with its leader at \(lockLost) of \(lockLooks) looks,"
        + " with nobody at \(withoutLeader);"
        + " /livez median \(median.wholeMilliseconds) ms, worst \(worst.wholeMilliseconds) ms,"
        + " \(slow) of \(looks.count) not within 1 s,"
        + " a kubelet would have killed \(probers.map(\.kills).reduce(0, +)) times;"
        + " resident +\(growthKiB >> 10) MiB; \(processorSeconds.rounded()) s of processor;"
        + " \(account)"
    }

    /// No lease lost, no empty and no dead reading, every probe answered, memory bounded.
    func expectNoHarm(sourceLocation: SourceLocation = #_sourceLocation) {
      #expect(lockLost == 0, "the lease was lost", sourceLocation: sourceLocation)
      #expect(missing == 0, "the key was empty", sourceLocation: sourceLocation)
      #expect(dead == 0, "a dead token was read", sourceLocation: sourceLocation)
      #expect(live > 0, "nothing was read", sourceLocation: sourceLocation)
      let late = probers.flatMap(\.looks).count { !$0.isGood }
      #expect(late == 0, "probes were not answered within 1 s", sourceLocation: sourceLocation)
      #expect(
        growthKiB < Attack.memoryBoundKiB, "memory grew", sourceLocation: sourceLocation)
    }
  }

  /// Lets attackers at the targets for that span, and watches.
  static func over(
    _ name: String, _ deployment: Deployment, _ targets: [Target], keys: [String] = [],
    for span: Duration, _ attackers: @escaping @Sendable (Target) throws -> any Attackers,
    attacked: [Target]? = nil
  ) async throws -> Report {
    let lock = try await deployment.ask("GET", "WCH_leader").text ?? ""
    let watch = Watch(deployment, keys: keys, lock: lock)
    let targets = attacked ?? targets
    let before = targets.map { $0.figures }
    let probers = targets.map { Prober($0) }
    let (reader, account) = try await deployment.withReader { reader in
      let attackers = try targets.map { try attackers($0) }
      // The span itself is what is looked at: there is no event to wait for.
      _ = try await firstExcept(for: span, every: Self.interval) { () -> Int? in
        await watch.look()
        return nil
      }
      for attacker in attackers { await attacker.end() }
      return (reader, attackers.map(\.account).joined(separator: " and "))
    }
    for prober in probers { prober.end() }
    let after = targets.map { $0.figures }
    let growth = zip(probers, before).map { $0.mostResidentKiB - ($1?.residentKiB ?? 0) }
    let spent = zip(after, before).map { ($0?.processorSeconds ?? 0) - ($1?.processorSeconds ?? 0) }
    let seen = watch.state.withLock { $0 }
    let report = Report(
      name: name, lockLooks: seen.looks, lockLost: seen.lost, withoutLeader: seen.withoutLeader,
      live: reader.liveReadings + seen.accountReadings - seen.missing - seen.dead,
      missing: reader.missingReadings + seen.missing, dead: reader.deadReadings + seen.dead,
      probers: probers, growthKiB: growth.max() ?? 0, processorSeconds: spent.reduce(0, +),
      account: account)
    print(report.figure)
    return report
  }

  private func look() async {
    let deadline = ContinuousClock.now + .milliseconds(500)
    if let reply = try? await deployment.client.execute(
      RedisCommand("GET", "WCH_leader"), deadline: deadline)
    {
      state.withLock { state in
        state.looks += 1
        if reply.text != lock { state.lost += 1 }
        if reply.text == nil { state.withoutLeader += 1 }
      }
    }
    guard !keys.isEmpty,
      let values = try? await deployment.client.execute(
        RedisCommand("MGET", keys), deadline: deadline
      ).elements
    else { return }
    let dead = values.compactMap(\.text).count { !deployment.simulator.judge($0).isLive }
    state.withLock { state in
      state.accountReadings += values.count
      state.missing += values.count { $0.text == nil }
      state.dead += dead
    }
  }
}

extension Duration {
  /// Rounded down.
  var wholeMilliseconds: Int { Int(self / .milliseconds(1)) }
}

/// After an attack: the descriptors are given back, and with the attackers there again SIGTERM is
/// an orderly end in time.
func expectRecovery(
  _ name: String, _ deployment: Deployment, _ targets: [Target], descriptors: [Int],
  _ attackers: (Target) throws -> any Attackers,
  sourceLocation: SourceLocation = #_sourceLocation
) async throws {
  let start = ContinuousClock.now
  for (target, before) in zip(targets, descriptors) {
    // A connection to Redis may be between two lives.
    try await waitUntil("\(target.process.instance) gave its descriptors back", within: patience) {
      (target.figures?.descriptors ?? .max) <= before + 2
    }
  }
  let recovered = ContinuousClock.now - start
  let leader = targets[0]
  let attacker = try attackers(leader)
  if let held = attacker as? HeldConnections { try await held.settle() }
  let took = try await expectOrderlyEnd(of: leader, in: deployment, sourceLocation: sourceLocation)
  await attacker.end()
  print(
    "figure: \(name): descriptors back after \(recovered.wholeMilliseconds) ms;"
      + " SIGTERM under attack: ended after \(took.wholeMilliseconds) ms")
}

/// SIGTERM ends it with 0 in time, whatever clients do, and the lock is given back.
@discardableResult
func expectOrderlyEnd(
  of target: Target, in deployment: Deployment,
  sourceLocation: SourceLocation = #_sourceLocation
) async throws -> Duration {
  let start = ContinuousClock.now
  target.process.terminate()
  let exit = try? await waited(
    for: "the end of \(target.process.instance)", within: .seconds(60)
  ) { target.process.exit }
  let took = ContinuousClock.now - start
  #expect(exit == .code(0), "not an orderly end", sourceLocation: sourceLocation)
  #expect(took < Attack.endLimit, "a late end", sourceLocation: sourceLocation)
  let lock = try await deployment.ask("GET", "WCH_leader").text ?? ""
  #expect(
    !lock.hasPrefix("\(target.process.instance):"), "the lock was kept",
    sourceLocation: sourceLocation)
  return took
}
