package import TokenCore

/// Decides what is handed on when: files and programs that fail, hang or are slow hold up nothing
/// but themselves.
///
/// A value: what is wanted, what came of it and the time go in; what is to be begun comes out. For
/// each place one attempt is under way at a time, so that an old one that hangs cannot overtake a
/// new one.
package struct OutputPlan: Sendable {
  /// What bounds it.
  package struct Limits: Hashable, Sendable {
    /// So many attempts that have just begun at a time: more would only wait for each other.
    package var quick: Int
    /// What takes longer counts no longer among these: it waits for something, and others need not.
    package var patience: Duration
    /// So many in all, and of a lane: what hangs takes a thread each.
    package var most: Int
    package var mostOfLane: Int
    /// What takes longer is told, and ends all beginnings in its lane; nil where an attempt ends by
    /// itself.
    package var hangsAfter: Duration?
    /// How often it is looked whether what was handed on is still there; nil for never.
    package var look: Duration?

    /// Of files: four at a time, more of a disk's time are not to be had.
    package static func files(look: Duration) -> Limits {
      Limits(
        quick: 4, patience: .seconds(1), most: 64, mostOfLane: 2, hangsAfter: .seconds(5),
        look: look)
    }

    /// Of programs: eight at a time, and of those that wait for something half a hundred.
    package static let hooks = Limits(
      quick: 8, patience: .seconds(1), most: 56, mostOfLane: 1, hangsAfter: nil, look: nil)
  }

  /// An attempt that is to begin.
  package struct Start: Hashable, Sendable {
    /// What is to be done.
    package enum Task: Hashable, Sendable {
      case handOn
      /// Look whether it is there, and put it there again when it is not, or when it is something
      /// else and that may be replaced.
      case look(mayReplace: Bool)
    }

    package let id: UInt64
    package let errand: Errand
    package let task: Task
  }

  /// What came of an attempt.
  package enum Outcome: Hashable, Sendable {
    case done
    /// Somebody else has put something there.
    case replaced
    case failed(String)
    /// It was called off.
    case stopped
  }

  /// Something that could not be handed on yet.
  package struct Trouble: Hashable, Sendable {
    package let place: Errand.Place
    package let subject: String
    package let reason: String
    package let since: Moment
  }

  fileprivate struct Attempt: Sendable {
    let start: Start
    let begunAt: Moment
  }

  fileprivate struct Entry: Sendable {
    /// What is to be there; nil while nothing that is known lives.
    var wanted: Errand?
    var done: Errand?
    var attempt: Attempt?
    /// The place is no longer served here, and is forgotten with the attempt that is under way.
    var isGone = false
    var failures = 0
    var failingSince: Moment?
    var reason: String?
    var nextAt: Moment
    /// The last look found something else there.
    var replacedAt: Moment?
  }

  private let limits: Limits
  private var entries: [Errand.Place: Entry] = [:]
  private var lastID: UInt64 = 0

  /// After the first failure; doubled with each.
  static let firstRetry: Duration = .seconds(1)
  static let longestRetry: Duration = .seconds(60)

  package init(_ limits: Limits) { self.limits = limits }

  /// Whether nothing is to be handed on anywhere.
  package var isEmpty: Bool { entries.isEmpty }

  // MARK: What happens

  /// Takes everything that is to be handed on now; what has no errand waits for one.
  ///
  /// - Returns: the attempts that are to be called off: their places are no longer served here.
  package mutating func want(
    _ errands: [Errand.Place: Errand?], at now: Moment
  ) -> [UInt64] {
    var calledOff: [UInt64] = []
    for (place, entry) in entries where errands[place] == nil {
      if let attempt = entry.attempt {
        if !entry.isGone { calledOff.append(attempt.start.id) }
        entries[place]?.isGone = true
      } else {
        entries[place] = nil
      }
    }
    for (place, errand) in errands {
      var entry = entries[place] ?? Entry(nextAt: now)
      let isNews = errand.map { errand in
        entry.wanted.map { !$0.isSame(as: errand) } ?? true
      }
      if isNews ?? false { entry.nextAt = now }
      entry.wanted = errand
      entry.isGone = false
      entries[place] = entry
    }
    return calledOff
  }

  /// An attempt is over.
  package mutating func finished(_ start: Start, _ outcome: Outcome, at now: Moment) {
    guard var entry = entries[start.errand.place], entry.attempt?.start.id == start.id else {
      return
    }
    entry.attempt = nil
    entry.nextAt = now
    switch outcome {
    case .done:
      entry.settle()
      entry.done = start.errand
      entry.replacedAt = nil
    case .replaced:
      entry.replacedAt = entry.replacedAt ?? now
    case .failed(let reason):
      entry.failures += 1
      entry.failingSince = entry.failingSince ?? now
      entry.reason = reason
    case .stopped: break
    }
    // Another version that came meanwhile does not wait.
    if entry.wanted?.isSame(as: start.errand) ?? true {
      switch outcome {
      case .done, .replaced: entry.nextAt = now + (limits.look ?? .zero)
      case .failed: entry.nextAt = now + Self.wait(after: entry.failures)
      case .stopped: break
      }
    }
    entries[start.errand.place] = entry.isGone ? nil : entry
  }

  static func wait(after failures: Int) -> Duration {
    min(firstRetry * (1 << min(failures - 1, 10)), longestRetry)
  }

  // MARK: What is to be done

  /// What is to begin now.
  package mutating func due(at now: Moment) -> [Start] {
    let running = entries.values.compactMap(\.attempt)
    var quick = running.count { now - $0.begunAt < limits.patience }
    var all = running.count
    var lanes: [String: Int] = [:]
    for attempt in running { lanes[attempt.start.errand.lane, default: 0] += 1 }
    let hanging = hangingLanes(at: now)
    var starts: [Start] = []
    // Who waits longest comes first.
    let waiting = entries.filter { $0.value.attempt == nil && $0.value.nextAt <= now }
      .sorted { ($0.value.nextAt, $0.key) < ($1.value.nextAt, $1.key) }
    for (place, entry) in waiting {
      guard quick < limits.quick, all < limits.most else { break }
      guard let errand = entry.wanted, let task = task(entry, errand) else { continue }
      guard !hanging.contains(errand.lane), lanes[errand.lane, default: 0] < limits.mostOfLane
      else { continue }
      lastID += 1
      let start = Start(id: lastID, errand: errand, task: task)
      entries[place]?.attempt = Attempt(start: start, begunAt: now)
      starts.append(start)
      quick += 1
      all += 1
      lanes[errand.lane, default: 0] += 1
    }
    return starts
  }

  private func task(_ entry: Entry, _ errand: Errand) -> Start.Task? {
    guard let done = entry.done, done.isSame(as: errand), entry.failures == 0 else {
      return .handOn
    }
    guard limits.look != nil else { return nil }
    // What was seen in Redis after somebody else had written is newer than that.
    return .look(mayReplace: entry.replacedAt.map { errand.seenAt > $0 } ?? false)
  }

  private func hangingLanes(at now: Moment) -> Set<String> {
    guard let limit = limits.hangsAfter else { return [] }
    return Set(
      entries.values.compactMap(\.attempt).filter { now - $0.begunAt >= limit }
        .map(\.start.errand.lane))
  }

  // MARK: What is wrong

  /// What could not be handed on, in the order of places.
  package func troubles(at now: Moment) -> [Trouble] {
    let hanging = hangingLanes(at: now)
    return entries.sorted { $0.key < $1.key }.compactMap { place, entry in
      guard !entry.isGone, let errand = entry.wanted else { return nil }
      func trouble(_ reason: String, since: Moment) -> Trouble {
        Trouble(place: place, subject: errand.way.subject, reason: reason, since: since)
      }
      if let attempt = entry.attempt, let limit = limits.hangsAfter, now - attempt.begunAt >= limit
      {
        return trouble(Self.hangs, since: entry.failingSince ?? attempt.begunAt)
      }
      if entry.attempt == nil, hanging.contains(errand.lane), entry.task(for: errand) {
        return trouble(Self.waits, since: entry.failingSince ?? entry.nextAt)
      }
      guard let reason = entry.reason, let since = entry.failingSince else { return nil }
      return trouble(reason, since: since)
    }
  }

  private static let hangs = "a write has not ended: the disk, or what is behind it, hangs"
  private static let waits = "it waits for a write in the same directory that has not ended"
}

extension OutputPlan.Entry {
  /// Nothing is wrong any more.
  fileprivate mutating func settle() {
    failures = 0
    failingSince = nil
    reason = nil
  }

  /// Whether it is still to be handed on.
  fileprivate func task(for errand: Errand) -> Bool {
    done.map { !$0.isSame(as: errand) } ?? true
  }
}
