import ArgumentParser
import Glibc
import Sidecar
import Synchronization
import TokenCore

/// `demo`: everything on this machine, to watch and to break.
struct Demo: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show it at work: own Redis, a simulated WeChat, replicas to kill.",
    discussion: """
      Starts a redis-server on a free port, a simulated WeChat whose tokens live for seconds, \
      replicas as processes of their own, and an application that reads the token every 20 ms \
      and uses it. On a terminal it draws a live view, in which one key kills the leader, pauses \
      it, wipes Redis, breaks WeChat or lets the token die; elsewhere, and with --plain, it \
      prints a transcript. With --for it kills the leader once in the middle by itself, and the \
      exit code is 0 only when another replica took over and every read gave a live token.
      """)

  @Option(
    name: .customLong("for"),
    help: "End after this time, such as 30s; at least \(DemoCourse.shortest.written).",
    transform: Demo.duration)
  var limit: Duration?

  @Option(help: "How many replicas, 1 to \(Demo.mostReplicas).")
  var replicas = 3

  @Option(
    help: """
      How many accounts, 1 to \(DemoAccounts.most): the second has a ticket, the third is WeCom's.
      """)
  var accounts = 1

  @Flag(help: "A transcript, on a terminal too.")
  var plain = false

  /// So many fit on a screen of 24 lines, and on a small machine.
  static let mostReplicas = 9

  func validate() throws {
    guard (1...Self.mostReplicas).contains(replicas) else {
      throw ValidationError("--replicas takes 1 to \(Self.mostReplicas).")
    }
    guard (1...DemoAccounts.most).contains(accounts) else {
      throw ValidationError("--accounts takes 1 to \(DemoAccounts.most).")
    }
    if let limit, limit < DemoCourse.shortest {
      throw ValidationError(
        "--for takes at least \(DemoCourse.shortest.written): a lease has to run out in half of it."
      )
    }
    if limit != nil, replicas < 2 {
      throw ValidationError("--for kills the leader, so it takes at least two replicas.")
    }
  }

  func run() async throws {
    // From here on there is something to put away before the end.
    EndSignals.catchThem()
    let isLive = !plain && DemoTerminal.isUsable
    let stage = try await DemoStage.open(
      replicas: (0..<replicas).map { DemoStage.name($0) }, accounts: accounts,
      // Short enough to see refreshes; with a person at the keys, WeChat may be broken for the
      // time between a refresh that is due and the token's end, 3/8 of its life.
      lifetime: isLive ? .seconds(40) : .seconds(20))
    let verdict: DemoVerdict
    do {
      verdict = try await stage.withRedis { redis in
        try await play(on: stage, redis, isLive: isLive)
      }
    } catch {
      await stage.close()
      throw error
    }
    await stage.close()
    print(verdict.summary)
    if let problem = verdict.problem { throw Failure(.failed, "wch-sidecar demo: \(problem)") }
  }

  private func play(
    on stage: DemoStage, _ redis: DemoRedis, isLive: Bool
  ) async throws -> DemoVerdict {
    let show = DemoShow(
      stage: stage, redis: redis, course: limit.map { DemoCourse(length: $0) })
    guard isLive else {
      var transcript = DemoTranscript()
      return try await show.run { picture, news in transcript.write(picture, news) }
    }
    let terminal = try DemoTerminal(guardian: stage.guardian)
    defer { terminal.close() }
    return try await show.run(keys: terminal.keys) { picture, news in
      terminal.draw(picture, news)
    }
  }

  @Sendable private static func duration(_ text: String) throws -> Duration {
    guard let duration = Duration(written: text) else {
      throw ValidationError("'\(text)' is not a duration such as 30s or 5m.")
    }
    return duration
  }
}

/// SIGINT, SIGTERM and SIGHUP, remembered until the demo looks.
enum EndSignals {
  private static let requested = Atomic<Bool>(false)

  /// Whether one has come.
  static var came: Bool { requested.load(ordering: .acquiring) }

  /// Replaces the early handlers, which end the process at once.
  static func catchThem() {
    // Made before a handler needs it: a handler must not initialize anything.
    requested.store(false, ordering: .releasing)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { _ in EndSignals.requested.store(true, ordering: .releasing) }
    }
  }
}
