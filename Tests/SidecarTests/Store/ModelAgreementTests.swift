import Foundation
import RedisClient
import Sidecar
import Simulation
import TestSupport
import Testing
import TokenCore

/// The scripts on a real Redis against the simulation's model of them: the same random steps, the
/// same answers, the same keys, so that what the simulation proves is true of what runs.
///
/// Redis's clock stands still (libfaketime) and is moved by the test, also backwards, so that
/// answers that contain times can be compared to the millisecond. In some steps the server is out
/// of memory, which must not make a difference.
@Suite("The scripts agree with the model", .serialized)
struct ModelAgreementTests {
  /// How many sequences are tried; `WCH_AGREEMENT_RUNS` sets another number.
  private static let runs =
    ProcessInfo.processInfo.environment["WCH_AGREEMENT_RUNS"].flatMap { UInt64($0) } ?? 20
  /// Steps of one sequence.
  private static let steps = 200
  /// So many sequences meet everything that is to be met.
  private static let enough: UInt64 = 20

  @Test("random steps bring the same answers and leave the same keys, also without memory")
  func randomSteps() async throws {
    let clock = try SteppedClock()
    let server = try await RedisServer.start(
      arguments: ["--maxmemory-policy", "noeviction"], environment: clock.environment)
    defer { server.stop() }
    let coverage = try await server.withClient { client in
      var coverage = Coverage()
      for seed in 1...Self.runs {
        _ = try await client.execute(
          RedisCommand("FLUSHALL"), deadline: .now + patience)
        let sequence = Sequence(seed: seed, client: client, clock: clock)
        try await sequence.run(steps: Self.steps)
        coverage.add(sequence.coverage)
      }
      return coverage
    }
    guard Self.runs >= Self.enough else { return }
    #expect(Coverage.possible.subtracting(coverage.answers) == [])
    #expect(Coverage.possible.subtracting(coverage.answersWhenFull) == [])
    #expect(coverage.answers.subtracting(Coverage.possible) == [])
  }

  /// Which answers were met, each as `command: answer`.
  private struct Coverage {
    var answers: Set<String> = []
    /// Those that a server gave that was out of memory.
    var answersWhenFull: Set<String> = []

    mutating func add(_ other: Coverage) {
      answers.formUnion(other.answers)
      answersWhenFull.formUnion(other.answersWhenFull)
    }

    mutating func add(_ command: StoreCommand, _ reply: StoreReply, isFull: Bool) {
      var name = command.kind.rawValue
      if case .commit(let commit) = command, commit.isRecommit { name = "recommit" }
      let answer = "\(name): \(Coverage.word(reply))"
      answers.insert(answer)
      if isFull { answersWhenFull.insert(answer) }
    }

    /// All that there are, but for those about another AppID or layout.
    static let possible: Set<String> = [
      "poll: lock", "poll: no lock", "acquire: acquired", "acquire: held", "renew: renewed",
      "renew: lost", "release: released", "look: account", "takeover: account",
      "takeover: fenced", "begin: began", "begin: fenced", "begin: stale", "resolve: resolved",
      "commit: committed", "commit: superseded", "commit: deposed", "commit: stale",
      "recommit: committed", "recommit: superseded", "recommit: deposed", "recommit: stale",
      "republish: written", "republish: unneeded", "republish: fenced", "mark: marked",
      "mark: inorder", "mark: settled", "heartbeat: replicas",
    ]

    private static func word(_ reply: StoreReply) -> String {
      switch reply {
      case .lock(let holder, _): holder == nil ? "no lock" : "lock"
      case .acquired: "acquired"
      case .held: "held"
      case .renewed: "renewed"
      case .lost: "lost"
      case .released: "released"
      case .account: "account"
      case .fenced: "fenced"
      case .foreignApp: "foreign"
      case .newerLayout: "newer"
      case .began: "began"
      case .stale: "stale"
      case .resolved: "resolved"
      case .committed: "committed"
      case .superseded: "superseded"
      case .deposed: "deposed"
      case .republished(let wrote): wrote ? "written" : "unneeded"
      case .marked: "marked"
      case .inOrder: "inorder"
      case .settled: "settled"
      case .replicas: "replicas"
      }
    }
  }

  /// One random sequence, run on both.
  private final class Sequence {
    private let seed: UInt64
    private let client: RedisClient
    private let clock: SteppedClock
    private let store: TokenStore
    private let layout = KeyLayout(prefix: "WCH_")
    private let account = CredentialID("shop")!
    private let instances = ["a", "b", "c"].map { InstanceID($0)! }
    private var random: SplitMix64
    private var model: ModelRedis
    private var second: Int64 = 1_800_000_000
    private var terms: [Term] = []
    private var epochs: [Epoch] = [Epoch(1)]
    private var begunAt: RedisTime?
    /// With every other seed those of other software, too.
    private let outputs: [Output]
    /// With every third seed answers repeat, and nothing dies of a fetch.
    private let polls: Bool
    /// With every fourth seed what is for other software lies in slots of its own.
    private let isSplit: Bool
    private var number: Int64 = 0
    private var history: [String] = []
    private(set) var coverage = Coverage()

    init(seed: UInt64, client: RedisClient, clock: SteppedClock) {
      self.seed = seed
      polls = seed.isMultiple(of: 3)
      isSplit = seed.isMultiple(of: 4)
      outputs = Self.outputs(withOthers: seed.isMultiple(of: 2))
      self.client = client
      self.clock = clock
      store = TokenStore(
        client: client, layout: layout, apps: AppRegister([account.account: "wx1"]),
        lacks: .untold, plan: isSplit ? .split(tellsServer: false) : .joined)
      random = SplitMix64(seed: seed)
      model = ModelRedis(accounts: [account])
      for instance in instances {
        for _ in 0..<2 { terms.append(Term(instance: instance, using: &random)) }
      }
    }

    func run(steps: Int) async throws {
      try clock.set(second)
      for step in 0..<steps {
        if chance(0.3) {
          try move(by: Int64.random(in: 1...(chance(0.2) ? 4000 : 40), using: &random))
        } else if chance(0.03) {
          try move(by: -Int64.random(in: 1...100, using: &random))
        }
        let disagreement: String?
        if chance(0.08) {
          try await damage()
          disagreement = try await compare()
        } else {
          disagreement = try await perform(nextCommand(), isFull: chance(0.3))
        }
        if let disagreement {
          Issue.record(
            """
            seed \(seed), step \(step): \(disagreement)
            after
            \(history.suffix(8).joined(separator: "\n"))
            """)
          return
        }
      }
    }

    private func move(by seconds: Int64) throws {
      second += seconds
      try clock.set(second)
    }

    /// Carries a step out on both, if wanted at a server that is out of memory; what differs.
    private func perform(_ command: StoreCommand, isFull: Bool) async throws -> String? {
      history.append("\(second)\(isFull ? ", out of memory" : ""): \(command)")
      if isFull {
        // Then the script's text has to be sent, too.
        if chance(0.1) { try await send("SCRIPT", "FLUSH") }
        try await send("CONFIG", "SET", "maxmemory", "1")
      }
      number += 1
      // What was sent earlier may come later.
      let number = number.isMultiple(of: 5) ? number - 3 : number
      let expected = modelled(command, number)
      let answer = await store.perform(command, number: number, deadline: .now + patience)
      let disagreement = try await answered(command, answer, expected, isFull: isFull)
      if isFull { try await send("CONFIG", "SET", "maxmemory", "0") }
      return disagreement
    }

    private func answered(
      _ command: StoreCommand, _ answer: Result<StoreReply, StoreFailure>, _ expected: StoreReply,
      isFull: Bool
    ) async throws -> String? {
      guard case .success(let actual) = answer, normalized(actual) == normalized(expected) else {
        return "Redis answered\n\(answer)\nand the model\n\(expected)"
      }
      remember(actual)
      coverage.add(command, actual, isFull: isFull)
      return try await compare()
    }

    /// What differs between the two, by a look at the account, one at the lock, and all keys.
    private func compare() async throws -> String? {
      model.expire(at: now)
      let before = model.data
      for command in [StoreCommand.look(.init(account: account, outputs: outputs)), .pollLock] {
        let expected = modelled(command, number)
        let answer = await store.perform(command, number: number, deadline: .now + patience)
        guard case .success(let actual) = answer, actual == expected else {
          return "Redis shows\n\(answer)\nand the model\n\(expected)"
        }
      }
      guard model.data == before else { return "a look changed the model" }
      let contents = try await RedisContents.of(client).modelled(layout)
      let modelled = RedisContents(of: model.data, at: now, layout, others: others)
      let differences = contents.changes(since: modelled)
      guard differences.isEmpty else {
        let others = modelled.changes(since: contents)
        return "Redis holds\n\(differences)\nand the model\n\(others)"
      }
      return nil
    }

    private func modelled(_ command: StoreCommand, _ number: Int64) -> StoreReply {
      guard isSplit else { return model.execute(command, at: now) }
      return model.perform(command, number: number, at: now, others: Self.others) { output in
        if case .other = output.key { true } else { false }
      }
    }

    private func send(_ words: String...) async throws { try await send(words) }

    private func send(_ words: [String]) async throws {
      let reply = try await client.execute(
        RedisCommand(words[0], Array(words.dropFirst())), deadline: .now + patience)
      if let refusal = reply.refusal { throw refusal }
    }

    private var now: RedisTime { RedisTime(milliseconds: second * 1000) }

    private func chance(_ probability: Double) -> Bool {
      Double.random(in: 0..<1, using: &random) < probability
    }

    private func pick<Element>(_ elements: [Element]) -> Element {
      elements[Int.random(in: 0..<elements.count, using: &random)]
    }

    /// Epochs that were issued, as one learns them, and when a BEGIN was first carried out.
    private func remember(_ reply: StoreReply) {
      switch reply {
      case .acquired(let epoch): epochs.append(epoch)
      case .began(let receipt):
        begunAt = receipt.at
      default: break
      }
    }

    /// Replicas come in any order from a hash.
    private func normalized(_ reply: StoreReply) -> StoreReply {
      guard case .replicas(let replicas, let now) = reply else { return reply }
      let sorted = replicas.sorted { a, b in
        (a.instance.rawValue, a.life ?? 0) < (b.instance.rawValue, b.life ?? 0)
      }
      return .replicas(sorted, now: now)
    }

    private func version() -> Version {
      Version(epoch: pick(epochs.suffix(3)), sequence: Int64.random(in: 1...4, using: &random))
    }

    /// The keys of other software among them.
    private static let others = ["other:token", "other:expiry"]

    private var others: [String] { outputs.count > 2 ? Self.others : [] }

    private static func outputs(withOthers: Bool) -> [Output] {
      guard withOthers else { return Output.own(Margins()) }
      return Output.own(Margins()) + [
        Output(
          key: .other(others[0]),
          content: .token(
            Spelling([.text("s:"), .count, .text(":\""), .token, .text("\";")]))),
        Output(key: .other(others[1]), content: .clientExpiry(margin: .zero)),
      ]
    }

    private func seconds(_ range: ClosedRange<Int64>) -> Duration {
      .seconds(Int64.random(in: range, using: &random))
    }

    /// A moment that a BEGIN answered, or one a while ago, or none.
    private func begun() -> RedisTime? {
      chance(0.5) ? begunAt : chance(0.7) ? now - seconds(0...400) : nil
    }

    private func server() -> String? {
      let server = pick(["r1", "r2", nil])
      return isSplit ? nil : server
    }

    /// Where answers repeat, only every second fetch brings another value.
    private func token(of version: Version) -> AccessToken {
      AccessToken(polls ? "T\(version.sequence / 2)" : "T\(version)")
    }

    private func nextCommand() -> StoreCommand {
      let version = version()
      let kills = !polls && chance(0.8)
      switch Int.random(in: 0..<17, using: &random) {
      case 0: return .pollLock
      case 1, 2: return .acquire(pick(terms), lease: .seconds(pick([10, 15])), floor: pick(epochs))
      case 3: return .renew(pick(terms), lease: .seconds(15))
      case 4: return .release(pick(terms))
      case 5: return .look(.init(account: account, outputs: outputs))
      case 6:
        return .takeOver(
          .init(
            account: account, epoch: pick(epochs.suffix(3)), runID: server(),
            away: chance(0.3) ? seconds(0...300) : .zero, isMortal: !polls, outputs: outputs))
      case 7, 8:
        return .begin(
          .init(
            account: account, version: version, span: .milliseconds(6500), kills: kills,
            hasHistory: chance(0.5), isMortal: !polls, outputs: outputs))
      case 9: return .resolve(.init(account: account, version: version, outputs: outputs))
      case 10, 11, 16:
        return .commit(
          .init(
            account: account, fence: pick(epochs.suffix(3)), version: version,
            token: token(of: version), outputs: outputs, lifetime: .seconds(7200),
            age: seconds(0...(chance(0.1) ? 8000 : 5)), begunAt: begun(),
            parent: chance(0.5) ? Version(epoch: pick(epochs), sequence: 1) : nil,
            kills: kills, isRecommit: chance(0.4), least: polls ? seconds(60...2400) : nil,
            runID: server(),
            instance: pick(instances)))
      case 12, 13:
        let committed = model.data.accounts.first?.state.committed
        let version = chance(0.7) ? committed ?? version : version
        return .republish(
          .init(
            account: account, fence: pick(epochs.suffix(3)), version: version,
            token: token(of: version), outputs: outputs, lifetime: .seconds(7200),
            certain: seconds(0...(chance(0.5) ? 290 : 7200)), until: begun(),
            slack: seconds(0...5), begunAt: begun(), isMortal: !polls))
      case 14:
        return .mark(
          .init(
            account: account, version: version, age: seconds(0...(chance(0.2) ? 400 : 9)),
            begunAt: begun(), knownFor: chance(0.7) ? seconds(0...200) : nil, outputs: outputs))
      default:
        return .heartbeat(
          .init(
            instance: pick(instances), isLeader: chance(0.3), abdicates: chance(0.1),
            life: UInt64.random(in: 1...3, using: &random)))
      }
    }

    /// What others do to the keys.
    private func damage() async throws {
      let token = layout.accessToken(account.account)
      let expiry = layout.expiresIn(account.account)
      let index = 0
      func run(_ words: String...) async throws {
        try await send(words)
        history.append("\(second): \(words.joined(separator: " "))")
      }
      model.expire(at: now)
      switch Int.random(in: 0..<12, using: &random) {
      case 11:
        guard let place = others.indices.randomElement(using: &random) else { break }
        if chance(0.5) {
          try await run("DEL", others[place])
          model.data.accounts[index][output: place + 2] = nil
        } else {
          try await run("SET", others[place], "foreign")
          model.data.accounts[index][output: place + 2] = .init(
            text: "foreign", expiresAt: nil)
        }
      case 0:
        try await run("DEL", token)
        model.data.accounts[index].token = nil
      case 1:
        try await run("DEL", expiry)
        model.data.accounts[index].expiry = nil
      case 2:
        try await run("SET", token, "foreign", "PX", "100000")
        model.data.accounts[index].token = .init(
          text: "foreign", expiresAt: now + .seconds(100))
      case 3:
        try await run("DEL", token)
        try await run("RPUSH", token, "x")
        model.data.accounts[index].token = .init(text: nil, expiresAt: nil)
      case 4:
        try await run("PERSIST", token)
        model.data.accounts[index].token?.expiresAt = nil
      case 5:
        try await run("DEL", layout.leader)
        model.data.lock = nil
      case 7:
        if chance(0.5) {
          try await run("PERSIST", layout.leader)
          model.data.lock?.expiresAt = nil
        } else {
          try await run("PEXPIRE", layout.leader, "100000")
          model.data.lock?.expiresAt = now + .seconds(100)
        }
      case 6:
        try await run("DEL", layout.state(account))
        model.data.accounts[index].state = .init()
      case 8:
        try await run("PEXPIRE", token, "5000")
        if model.data.accounts[index].token != nil {
          model.data.accounts[index].token?.expiresAt = now + .seconds(5)
        }
      case 9:
        try await run("HDEL", layout.state(account), "run_id")
        model.data.accounts[index].state.runID = nil
      default:
        if chance(0.2) {
          try await run("FLUSHALL")
          model.wipe()
        }
      }
    }
  }
}
