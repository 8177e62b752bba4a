import TokenCore

/// What `--for` does by itself: it kills the leader in the middle, sees it replaced, and starts
/// it again.
struct DemoCourse {
  /// How far it is: waiting → killed → replaced → restored.
  enum Phase: Hashable {
    case waiting
    case killed(name: String)
    case replaced(victim: String)
    case restored
  }

  enum Step: Hashable {
    case kill(String)
    case startMissing
  }

  /// Half of it is the lease of the dead leader, its successor's start, and some slack.
  static let shortest: Duration = .seconds(16)
  /// How long the dead stay away, to be seen.
  private static let absence: Duration = .seconds(1)

  let length: Duration
  private(set) var phase = Phase.waiting
  private var replacedAt: Duration = .zero

  init(length: Duration) { self.length = length }

  /// What to do now.
  mutating func next(at elapsed: Duration, leader: String?, hasToken: Bool) -> Step? {
    switch phase {
    case .waiting:
      guard elapsed >= length / 2, let leader, hasToken else { return nil }
      phase = .killed(name: leader)
      return .kill(leader)
    case .killed(let name):
      guard let leader, leader != name else { return nil }
      phase = .replaced(victim: name)
      replacedAt = elapsed
      return nil
    case .replaced:
      guard elapsed >= replacedAt + Self.absence else { return nil }
      phase = .restored
      return .startMissing
    case .restored: return nil
    }
  }

  /// Why the course was not run as it should; nil when it was.
  var problem: String? {
    switch phase {
    case .waiting: "there was no leader with a token to kill in the middle of \(length.written)"
    case .killed(let name): "the leader \(name) was killed, and nobody replaced it"
    case .replaced, .restored: nil
    }
  }
}

/// How it went.
struct DemoVerdict {
  let summary: String
  /// Why the exit code is not 0.
  let problem: String?

  /// - Parameters:
  ///   - course: when there was one, every single read must have given a live token.
  ///   - wasEnded: somebody ended it before its time.
  init(_ tally: DemoApplication.Tally, fetches: Int, course: DemoCourse?, wasEnded: Bool) {
    var summary =
      "The application used the token \(tally.uses) times, and \(tally.succeeded) times it was"
      + " alive: \(tally.percent) %. WeChat was asked for \(fetches) tokens."
    if tally.afterWaiting > 0 { summary += " \(tally.afterWaiting) uses waited for it." }
    if tally.unavailable > 0 {
      summary += " \(tally.unavailable) found none while WeChat was broken."
    }
    self.summary = summary
    if tally.failed > 0 {
      problem = "\(tally.failed) uses failed, the last one: \(tally.lastFailure ?? "unknown")"
    } else if let course, wasEnded {
      problem = "it was ended before \(course.length.written) were over"
    } else if let course, let failure = course.problem {
      problem = failure
    } else if course != nil, tally.afterWaiting > 0 {
      problem = "\(tally.afterWaiting) reads gave no live token at once"
    } else {
      problem = nil
    }
  }
}
