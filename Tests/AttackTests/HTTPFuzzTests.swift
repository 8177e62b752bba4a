import Foundation
import Glibc
import RedisClient
import Sweeps
import Synchronization
import TestSupport
import Testing
import WeChatSimulator

/// Whatever strangers send to the HTTP interface: some hundred connections in each run of the
/// tests, and a hundred thousand in `deploy/test attack`.
///
/// `WCH_FUZZ_SEED` and `WCH_FUZZ_COUNT` repeat a part.
@Suite("Hostile connections", .serialized)
struct HTTPFuzzTests {
  private static let bearer = "b3arer-0f-the-test"
  /// Connections between two looks at the process.
  private static let block = 1000
  private static let parallel = 8
  /// So long is waited for an answer that may not come.
  private static let silence: Duration = .milliseconds(40)

  @Test("every answer is one of HTTP, no token gets out, and the replica does not mind")
  func fuzz() async throws {
    let environment = ProcessInfo.processInfo.environment
    let count =
      environment["WCH_FUZZ_COUNT"].flatMap { Int($0) } ?? (Attack.isWanted ? 100_000 : 400)
    let first = environment["WCH_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
    try await Deployment.run(alone: Attack.isWanted) { deployment in
      // Forced refreshes are among what is sent.
      deployment.simulator.update(Deployment.appID) { $0.dailyTokenQuota = 1_000_000 }
      let settings = ["WCH_LOG_LEVEL": "warning"]
      let open = try deployment.startTarget("open", settings)
      try await deployment.waitForLiveToken()
      let guarded = try deployment.startTarget(
        "guarded", settings.merging(["WCH_HTTP_BEARER": Self.bearer]) { $1 })
      let targets = [open, guarded]
      for target in targets {
        try await waitUntil("\(target.process.instance) answers", within: .seconds(10)) {
          Prober.look(at: target.port, path: "/readyz").isGood
        }
      }
      let lock = try await deployment.ask("GET", "WCH_leader").text
      let probers = targets.map { Prober($0) }
      let start = ContinuousClock.now
      let (tried, contradictions, grown) = try await deployment.withReader { reader in
        var settled: [ProcessFigures]?
        var contradictions: [Contradiction] = []
        var (tried, grown) = (0, 0)
        while tried < count, contradictions.count < 10 {
          let size = min(Self.block, count - tried)
          let seeds = (first + UInt64(tried))..<(first + UInt64(tried + size))
          contradictions += await Self.contradictions(of: seeds, at: targets)
          tried += size
          let figures = try await Self.settledFigures(of: targets)
          if settled == nil { settled = figures }
          let growth = zip(figures, settled ?? figures).map { $0.residentKiB - $1.residentKiB }
          grown = max(grown, growth.max() ?? 0)
          #expect(grown < Attack.memoryBoundKiB, "memory grew by \(growth) KiB")
          let leads = try await deployment.ask("GET", "WCH_leader").text == lock
          #expect(leads, "the lease was lost after \(seeds)")
          guard leads else { break }
        }
        #expect(reader.deadReadings == 0)
        #expect(reader.missingReadings == 0)
        return (tried, contradictions, grown)
      }
      for prober in probers { prober.end() }
      let looks = probers.flatMap(\.looks)
      let late = looks.count { !$0.isGood }
      #expect(late == 0, "\(late) of \(looks.count) probes were not answered within 1 s")
      contradictions.report()
      print(
        "figure: hostile connections: \(tried) from seed \(first),"
          + " \(contradictions.count) contradictions, resident +\(grown >> 10) MiB"
          + " since the first \(Self.block), \(late) of \(looks.count) probes late,"
          + " \((ContinuousClock.now - start).components.seconds) s")
    }
  }

  /// Waits until the connections are gone: each block must leave nothing behind.
  private static func settledFigures(of targets: [Target]) async throws -> [ProcessFigures] {
    try await waitUntil("the descriptors are given back", within: patience) {
      targets.allSatisfy { ($0.figures?.descriptors ?? 0) < 40 }
    }
    let figures = targets.compactMap(\.figures)
    try #require(figures.count == targets.count, "a replica has ended")
    return figures
  }

  private static func contradictions(of seeds: Range<UInt64>, at targets: [Target]) async
    -> [Contradiction]
  {
    let work = Work(seeds)
    let threads = (0..<parallel).map { _ in
      TestThread { goesOn in
        while goesOn(.zero), let seed = work.next() {
          if let contradiction = Self.contradiction(seed: seed, at: targets) {
            work.tell(contradiction)
          }
        }
      }
    }
    for thread in threads { await thread.join() }
    return work.found
  }

  /// What several threads share.
  private final class Work: Sendable {
    private struct State {
      var seeds: Range<UInt64>
      var found: [Contradiction] = []
    }

    /// Protects the seeds that are left and what was found.
    private let state: Mutex<State>

    init(_ seeds: Range<UInt64>) { state = Mutex(State(seeds: seeds)) }

    var found: [Contradiction] { state.withLock { $0.found } }

    func next() -> UInt64? { state.withLock { $0.seeds.popFirst() } }

    func tell(_ contradiction: Contradiction) { state.withLock { $0.found.append(contradiction) } }
  }

  private static func contradiction(seed: UInt64, at targets: [Target])
    -> Contradiction?
  {
    let connection = HostileConnection(seed: seed)
    let isGuarded = seed.isMultiple(of: 2)
    let sent = String(decoding: connection.bytes, as: UTF8.self)
    guard let received = exchange(connection, port: targets[isGuarded ? 1 : 0].port) else {
      return Contradiction(seed: seed, problem: "not connected", detail: sent)
    }
    let problem = connection.contradiction(
      in: received, permitted: !isGuarded && mayNameThisHost(sent))
    return problem.map { problem in
      let answer = String(decoding: received.bytes, as: UTF8.self)
      return Contradiction(
        seed: seed, problem: problem,
        detail: "sent \(sent.debugDescription.prefix(2000)), \(connection.ending), received"
          + " \(answer.debugDescription.prefix(2000))")
    }
  }

  /// Who does not write a name of this host's loopback anywhere may not have the token.
  private static func mayNameThisHost(_ text: String) -> Bool {
    let dense = text.lowercased().filter { $0 != " " && $0 != "\t" }
    return ["localhost", "127.0.0.1", "[::1]"].contains { dense.contains("host:\($0)") }
  }

  private static func exchange(_ connection: HostileConnection, port: Int)
    -> HostileConnection.Received?
  {
    guard let socket = try? RawSocket(port: port), socket.isConnected(within: .seconds(5)) else {
      return nil
    }
    var received = HostileConnection.Received(bytes: [], isWhole: false)
    for piece in connection.pieces {
      guard socket.sendAll(piece, within: .seconds(1)) else { break }
      // At times the pieces come as packets of their own: an answer to one may come before the
      // next is sent.
      if connection.seed.isMultiple(of: 5), connection.pieces.count < 10,
        case .bytes(let bytes) = socket.receive(within: .milliseconds(1))
      {
        received.bytes += bytes
      }
    }
    switch connection.ending {
    case .gone:
      socket.close()
      return received
    case .reset:
      if case .bytes(let bytes) = socket.receive(within: .milliseconds(5)) {
        received.bytes = bytes
      }
      socket.close(resetting: true)
      return received
    case .halfClosed: socket.endSending()
    case .patient: break
    }
    reading: while received.bytes.count < 4 << 20 {
      switch socket.receive(within: silence) {
      case .bytes(let bytes): received.bytes += bytes
      case .end:
        received.isWhole = true
        break reading
      case .reset, .nothing: break reading
      }
    }
    socket.close()
    return received
  }
}
