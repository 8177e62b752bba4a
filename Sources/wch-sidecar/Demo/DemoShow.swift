import Sidecar
import TokenCore

/// The demo's loop: looks, does what a key or the course asks, and has the moment shown.
final class DemoShow {
  private let stage: DemoStage
  private let redis: DemoRedis
  private let application: DemoApplication
  private var course: DemoCourse?
  private let start = ContinuousClock.now
  private var isWeChatBroken = false
  private var news: [DemoNews] = []

  /// Between two looks: fast for the eye, slow for the processor.
  private static let interval: Duration = .milliseconds(100)
  /// How long the first token may take.
  private static let firstTokenLimit: Duration = .seconds(15)

  init(stage: DemoStage, redis: DemoRedis, course: DemoCourse?) {
    self.stage = stage
    self.redis = redis
    self.course = course
    application = DemoApplication(redis: redis, simulator: stage.simulator)
  }

  /// Plays until the course, a key or a signal ends it.
  ///
  /// - Parameters:
  ///   - keys: what was typed since the last time.
  ///   - show: takes each moment and what happened since the one before.
  func run(
    keys: () -> [Character] = { [] }, _ show: (DemoPicture, [DemoNews]) -> Void
  ) async throws -> DemoVerdict {
    try await withThrowingTaskGroup(of: Void.self) { group in
      defer { group.cancelAll() }
      var isUsing = false
      while true {
        for key in keys() where await press(key) == .quit { return verdict(wasEnded: true) }
        let picture = await look()
        show(picture, takeNews())
        if EndSignals.came { return verdict(wasEnded: true) }
        if let end = picture.end, picture.elapsed >= end { return verdict(wasEnded: false) }

        let hasToken = picture.keys?.token.value != nil
        if hasToken, !isUsing {
          isUsing = true
          let application = application
          group.addTask { await application.run() }
        }
        guard isUsing || picture.elapsed < Self.firstTokenLimit else {
          throw Failure(
            .failed, "wch-sidecar demo: no token after \(Self.firstTokenLimit.written)")
        }
        try follow(picture, hasToken: hasToken)
        try await Task.sleep(for: Self.interval)
      }
    }
  }

  private func verdict(wasEnded: Bool) -> DemoVerdict {
    DemoVerdict(
      application.tally, fetches: stage.fetches, course: course, wasEnded: wasEnded)
  }

  // MARK: Looking

  private var elapsed: Duration { start.duration(to: .now) }

  private func look() async -> DemoPicture {
    for (replica, words) in stage.hear() { tell(replica, words) }
    for words in application.hear() { tell("app", words) }
    for message in redis.hear() { tell("event", message) }
    var picture = DemoPicture()
    picture.keys = await redis.look()
    picture.elapsed = elapsed
    picture.end = course?.length
    picture.redisPort = stage.redisPort
    picture.lifetime = stage.lifetime
    let leader = picture.leader
    picture.replicas = stage.replicas.map { replica in
      let process = replica.process.flatMap { $0.isRunning ? $0 : nil }
      let state: DemoPicture.Replica.State =
        switch process {
        case nil: .gone
        case .some(let process) where process.isPaused: .paused
        case .some: replica.name == leader ? .leads : .follows
        }
      return DemoPicture.Replica(
        name: replica.name, id: process?.id, state: state, lastWords: replica.lastWords)
    }
    picture.application = application.tally
    picture.fetches = stage.fetches
    picture.isWeChatBroken = isWeChatBroken
    lastLeader = leader ?? lastLeader
    return picture
  }

  /// Who led when the lock was last seen taken.
  private var lastLeader: String?

  private func tell(_ source: String, _ words: String) {
    news.append(DemoNews(at: elapsed, source: source, words: words))
  }

  private func takeNews() -> [DemoNews] {
    defer { news = [] }
    return news
  }

  // MARK: Doing

  private func follow(_ picture: DemoPicture, hasToken: Bool) throws {
    switch course?.next(at: picture.elapsed, leader: picture.leader, hasToken: hasToken) {
    case .kill(let name): kill(name)
    case .startMissing: try startMissing()
    case nil: break
    }
  }

  private enum Reaction {
    case goOn, quit
  }

  private func press(_ key: Character) async -> Reaction {
    switch key {
    case "q", "\u{3}", "\u{4}": return .quit
    case "k":
      if let lastLeader { kill(lastLeader) }
    case "p":
      let resumed = stage.resumeAll()
      if !resumed.isEmpty {
        tell("demo", "\(resumed.joined(separator: ", ")) goes on (SIGCONT)")
      } else if let lastLeader, stage.pause(lastLeader) {
        tell("demo", "\(lastLeader) is paused (SIGSTOP); p lets it go on")
      }
    case "w":
      do throws {
        try await redis.wipe()
        tell("demo", "every key in Redis is gone (FLUSHALL)")
      } catch {
        tell("demo", "Redis was not wiped: \(error)")
      }
    case "b":
      isWeChatBroken.toggle()
      stage.setWeChatBroken(isWeChatBroken)
      application.weChatIsBroken(isWeChatBroken)
      tell("demo", isWeChatBroken ? "WeChat answers 502 to everything" : "WeChat works again")
    case "r":
      if let wait = stage.revokeToken() {
        tell("demo", "reports make one fetch in 30 s, 20 an hour; \(wait.tenths) s to go")
      } else {
        tell("demo", "the token has died early; the application will report it")
      }
    case "s":
      do {
        try startMissing()
      } catch {
        tell("demo", "\(error)")
      }
    default: break
    }
    return .goOn
  }

  private func kill(_ name: String) {
    if stage.kill(name) { tell("demo", "\(name) is killed (SIGKILL); s starts it again") }
  }

  private func startMissing() throws {
    let started = try stage.startMissing()
    if !started.isEmpty { tell("demo", "\(started.joined(separator: ", ")) is started") }
  }
}
