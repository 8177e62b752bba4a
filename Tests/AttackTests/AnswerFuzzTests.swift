import Foundation
import Logging
import NIOPosix
import RedisClient
import Sidecar
import Sweeps
import Synchronization
import TestSupport
import Testing
import TokenCore

/// Whatever comes in place of WeChat's answers: some hundred in each run of the tests, and a
/// hundred thousand in `deploy/test attack`.
///
/// `WCH_FUZZ_SEED` and `WCH_FUZZ_COUNT` repeat a part.
@Suite("Hostile answers", .serialized)
struct AnswerFuzzTests {
  private static let secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
  /// Answers between two looks at the process.
  private static let block = 5000
  private static let parallel = 16
  /// So long is waited for what never comes; a busy machine wakes us later.
  private static let timeout: Duration = .milliseconds(600)
  /// So long for an answer that ends by itself: a busy machine may take its time over it, too, and
  /// what must be taken from it must not be lost to that.
  private static let patientTimeout: Duration = .seconds(20)
  private static let slack: Duration = .seconds(10)

  private static func number(_ name: String) -> UInt64? {
    ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
  }

  @Test("a token is taken only when WeChat sent it whole, and every call ends in time")
  func client() async throws {
    let count = Self.number("WCH_FUZZ_COUNT") ?? (Attack.isWanted ? 100_000 : 500)
    let first = Self.number("WCH_FUZZ_SEED") ?? 1
    let scripts = Scripts()
    let server = try await ScriptedServer.start { scripts.take(for: $0) }
    let client = WeChatClient(
      hosts: [BaseURL("http://127.0.0.1:\(server.port)")!], logger: Logger(label: "test"),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
    let start = ContinuousClock.now
    var contradictions: [Contradiction] = []
    var settled: ProcessFigures?
    var (tried, taken): (UInt64, Int) = (0, 0)
    while tried < count, contradictions.count < 10 {
      let size = min(UInt64(Self.block), count - tried)
      let results = await Self.judge((first + tried)..<(first + tried + size), by: client, scripts)
      contradictions += results.compactMap(\.contradiction)
      taken += results.count(where: \.wasTaken)
      tried += size
      if settled == nil { settled = ProcessFigures(of: getpid()) }
    }
    await client.shutdown()
    await server.stop()
    let now = ProcessFigures(of: getpid())
    let grown = (now?.residentKiB ?? 0) - (settled?.residentKiB ?? 0)
    let descriptors = (now?.descriptors ?? 0) - (settled?.descriptors ?? 0)
    contradictions.report()
    if Attack.isWanted {
      #expect(grown < Attack.memoryBoundKiB, "memory grew by \(grown) KiB")
      #expect(descriptors < 100, "descriptors grew by \(descriptors)")
    }
    print(
      "figure: hostile answers: \(tried) from seed \(first), \(taken) tokens taken,"
        + " \(contradictions.count) contradictions, resident +\(grown >> 10) MiB and descriptors"
        + " \(descriptors) more since the first \(Self.block),"
        + " \((ContinuousClock.now - start).components.seconds) s")
  }

  private struct Judgement: Sendable {
    var wasTaken: Bool
    var contradiction: Contradiction?
  }

  /// What is to be answered to requests that are under way; the AppID is the seed, or the token
  /// that a ticket is asked for with.
  private final class Scripts: Sendable {
    private let scripts = Mutex<[String: ScriptedServer.Script]>([:])

    func give(_ script: ScriptedServer.Script, seed: UInt64) {
      scripts.withLock { $0["wx\(seed)"] = script }
    }

    func take(for line: String) -> ScriptedServer.Script {
      let name = ["appid=", "access_token="].lazy.compactMap { line.firstRange(of: $0) }.first
        .map { line[$0.upperBound...].prefix { $0 != "&" } }
      return scripts.withLock { $0.removeValue(forKey: String(name ?? "")) }
        ?? ScriptedServer.Script(pieces: [], ending: .closed)
    }
  }

  private static func judge(
    _ seeds: Range<UInt64>, by client: WeChatClient, _ scripts: Scripts
  ) async -> [Judgement] {
    await withTaskGroup(of: Judgement.self) { group in
      var judgements: [Judgement] = []
      for (index, seed) in seeds.enumerated() {
        if index >= parallel, let judgement = await group.next() { judgements.append(judgement) }
        group.addTask { await judge(seed, by: client, scripts) }
      }
      for await judgement in group { judgements.append(judgement) }
      return judgements
    }
  }

  private static func judge(
    _ seed: UInt64, by client: WeChatClient, _ scripts: Scripts
  ) async -> Judgement {
    // Every third call asks for a ticket, whose answers are read in the same way.
    let asksForTicket = seed.isMultiple(of: 3)
    let answer = HostileAnswer(seed: seed, member: asksForTicket ? "ticket" : "access_token")
    scripts.give(answer.script, seed: seed)
    let timeout = answer.endsByItself ? patientTimeout : timeout
    let start = ContinuousClock.now
    // The server tells from the target whose answer it is to give.
    let subject: WeChatRequest.Subject =
      asksForTicket
      ? .ticket(.jsapiTicket, source: AccessToken("wx\(seed)"))
      : .token(appID: "wx\(seed)", appSecret: Secret(secret), isForced: false)
    let result = await client.fetch(
      WeChatRequest(
        account: .unnamed, subject, api: .token, notAfter: .now + .seconds(30), timeout: timeout))
    let took = ContinuousClock.now - start
    var problem: String?
    var reason = ""
    var token: FetchedToken?
    switch result.outcome {
    case .token(let fetched):
      token = fetched
      problem = answer.contradiction(
        token: fetched.token.revealed, lifetime: fetched.lifetime.components.seconds, code: nil)
    case .knownFailure(let failure), .unknown(let failure):
      problem = answer.contradiction(token: nil, lifetime: nil, code: failure.code)
      let shown = "\(failure) \(failure.requestID ?? "") \(failure.egressAddress ?? "")"
      if shown.contains(HostileAnswer.mark) || shown.contains(secret) {
        (problem, reason) = ("a secret is shown", shown)
      } else if shown.utf8.count > 1000 || shown.unicodeScalars.contains(where: { $0.value < 32 }) {
        (problem, reason) = ("no text for a log", shown.debugDescription)
      }
      if problem != nil { reason = "\(failure)" }
    }
    if took > timeout + slack { (problem, reason) = ("a call did not end in time", "\(took)") }
    return Judgement(
      wasTaken: token != nil,
      contradiction: problem.map { problem in
        let sent = String(decoding: answer.pieces.joined().prefix(700), as: UTF8.self)
        return Contradiction(
          seed: seed, problem: problem,
          detail: "\(reason): \(answer.summary): \(sent.debugDescription)")
      })
  }

  @Test(
    "a replica publishes only what WeChat sent whole, and goes on whatever comes",
    .enabled(if: Attack.isWanted, "it takes minutes"))
  func replica() async throws {
    let accounts = 200
    let wanted = 5000
    let sent = Mutex<(count: UInt64, tokens: [String: Int64])>((0, [:]))
    try await Deployment.run(alone: true) { deployment in
      let server = try await ScriptedServer.start { _ in
        // Usual answers with short lives among them keep the replica asking.
        let number = sent.withLock { sent in
          sent.count += 1
          return sent.count
        }
        let answer = HostileAnswer(seed: 1_000_000_000 + number)
        if number.isMultiple(of: 2) {
          let token = "\(HostileAnswer.mark)_usual_\(number)"
          sent.withLock { $0.tokens[token] = 4 }
          return ScriptedServer.Script(usualToken: token, life: 4)
        }
        sent.withLock { $0.tokens.merge(answer.acceptable) { max($0, $1) } }
        return answer.script
      }
      let (settings, keys) = try deployment.accounts(count: accounts, life: 7_200_000)
      let target = try deployment.startTarget(
        "a",
        settings.merging([
          "WCH_API_URL": "http://127.0.0.1:\(server.port)", "WCH_LOG_LEVEL": "warning",
          "WCH_API_TIMEOUT": "1s", "WCH_PROBE": "off",
        ]) { $1 })
      try await waitUntil("it has been asked", within: .seconds(30)) {
        sent.withLock { $0.count } > 500
      }
      let lock = try await deployment.ask("GET", "WCH_leader").text
      let before = try #require(target.figures)
      let prober = Prober(target)
      let start = ContinuousClock.now
      var strange: Set<String> = []
      try await waitUntil("\(wanted) answers were sent", within: .seconds(600)) {
        let values =
          try await deployment.client.execute(
            RedisCommand("MGET", keys), deadline: .now + patience, waitForConnection: true
          ).elements ?? []
        let known = sent.withLock { $0.tokens }
        for value in values.compactMap(\.text) where known[value] == nil { strange.insert(value) }
        return sent.withLock { $0.count } >= UInt64(wanted)
      }
      prober.end()
      let after = try #require(target.figures)
      let (late, growth) = (
        prober.looks.count { !$0.isGood }, prober.mostResidentKiB - before.residentKiB
      )
      #expect(strange.isEmpty)
      #expect(late == 0)
      #expect(try await deployment.ask("GET", "WCH_leader").text == lock)
      #expect(growth < Attack.memoryBoundKiB)
      #expect(prober.mostDescriptors < 200)
      #expect(!target.process.errorText.contains(HostileAnswer.mark))
      print(
        "figure: hostile answers to a replica with \(accounts) accounts: \(wanted) in"
          + " \((ContinuousClock.now - start).components.seconds) s, resident +\(growth >> 10) MiB,"
          + " at most \(prober.mostDescriptors) descriptors,"
          + " \(after.processorSeconds - before.processorSeconds) s of processor,"
          + " \(late) of \(prober.looks.count) probes late")
      try await expectOrderlyEnd(of: target, in: deployment)
      await server.stop()
    }
  }
}

extension HostileAnswer {
  fileprivate var script: ScriptedServer.Script {
    let end: ScriptedServer.Script.Ending =
      switch ending {
      case .closed: .closed
      case .halfClosed: .halfClosed
      case .reset: .reset
      case .kept: .kept
      }
    return ScriptedServer.Script(pieces: pieces, ending: end)
  }
}

extension ScriptedServer.Script {
  /// WeChat's usual answer.
  fileprivate init(usualToken token: String, life: Int) {
    let body = #"{"access_token":"\#(token)","expires_in":\#(life)}"#
    let head = "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
    self.init(pieces: [Array((head + body).utf8)], ending: .closed)
  }
}
