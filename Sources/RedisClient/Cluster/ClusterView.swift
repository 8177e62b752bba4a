package import NIOCore
import Synchronization

/// Knows which node of a cluster serves which slots: one a process, for all of its connections.
///
/// What it knows may be old at any time; a node that is asked for what it does not serve says so.
package final class ClusterView: Sendable {
  package typealias Address = RedisEndpoint.Address
  private typealias Outcome = Result<SlotMap, RedisFailure>

  private struct State {
    var map: SlotMap?
    /// Why the last asking failed, if it did.
    var failure: RedisFailure?
    /// When the last asking ended.
    var askedAt: ContinuousClock.Instant?
    var nextID: UInt64 = 0
    var observers: [UInt64: @Sendable () -> Void] = [:]
    var splits = SplitSlots()
    /// The slots that commands were for, and when the last one was.
    var used: [HashSlot: ContinuousClock.Instant] = [:]
  }

  /// The nodes of the URL: asked when none of the others answers, and their names looked up again.
  package let seeds: [Address]
  private let asking = SharedAsking<SlotMap>()
  /// Protects what is known.
  private let state = Mutex(State())

  /// So many of the known nodes are asked first: with one that is wrong, the others are two.
  private static let sample = 3
  /// No more are asked at a time.
  private static let mostAsked = 16
  /// So long a node may hold up the others that have answered.
  private static let patience: Duration = .milliseconds(300)
  /// A node that has not answered by then on a connection that stands does not.
  private static let longestAnswer: Duration = .seconds(1)
  /// Between two askings at least.
  static let spacing: Duration = .milliseconds(200)

  init(seeds: [Address]) { self.seeds = seeds }

  /// Who serves what, as of the last answer; nil before the first one.
  package var map: SlotMap? { state.withLock { $0.map } }

  /// Why the last asking failed; nil when it did not.
  var failure: RedisFailure? { state.withLock { $0.failure } }

  /// When the last asking ended.
  var askedAt: ContinuousClock.Instant? { state.withLock { $0.askedAt } }

  /// The slots that are stuck half-way between two nodes.
  package var stuck: [HashSlot] { state.withLock { $0.splits.stuck(at: .now) } }

  /// Of each slot that commands were for, who serves it; nil of one that nobody serves.
  ///
  /// Empty before the first answer.
  package var owners: [HashSlot: Address?] {
    state.withLock { state in
      guard let map = state.map else { return [:] }
      return Dictionary(uniqueKeysWithValues: state.used.keys.map { ($0, map[$0]) })
    }
  }

  /// A command is for the slot.
  func use(_ slot: HashSlot, at now: ContinuousClock.Instant) {
    state.withLock { $0.used[slot] = now }
  }

  /// Forgets slots that were not used since.
  func forget(unusedSince limit: ContinuousClock.Instant) {
    state.withLock { state in state.used = state.used.filter { $0.value >= limit } }
  }

  /// Calls back after each asking and each correction until the task is cancelled; the callback
  /// must not block.
  package func watch(_ onChange: @escaping @Sendable () -> Void) async {
    let id = observe(onChange)
    let (end, _) = AsyncStream.makeStream(of: Void.self)
    onChange()
    for await _ in end {}
    forget(id)
  }

  /// Calls back after each asking and each correction until it is forgotten; the callback must not
  /// block.
  func observe(_ observer: @escaping @Sendable () -> Void) -> UInt64 {
    state.withLock { state in
      state.nextID += 1
      state.observers[state.nextID] = observer
      return state.nextID
    }
  }

  func forget(_ id: UInt64) { state.withLock { $0.observers[id] = nil } }

  /// A node has said that another one serves the slot.
  func move(_ slot: HashSlot, to address: Address) {
    let observers = state.withLock { state -> [@Sendable () -> Void] in
      guard state.map != nil, state.map?[slot] != address else { return [] }
      state.map?.move(slot, to: address)
      return Array(state.observers.values)
    }
    for observer in observers { observer() }
  }

  /// A command with keys on both sides of a move was refused, or one with several was not.
  func note(_ slot: HashSlot, isSplit: Bool) {
    state.withLock { $0.splits.note(slot, isSplit: isSplit, at: .now) }
  }

  // MARK: One asking at a time

  /// Asks, unless somebody does already: then it shares what comes of that.
  ///
  /// - Parameters:
  ///   - configuration: of connections to nodes.
  ///   - links: connections that there are: who is asked on them costs no other.
  ///   - suspects: nodes that do not answer; asked last.
  @discardableResult
  func refresh(
    _ configuration: RedisConfiguration, through links: [Address: NodeClient] = [:],
    avoiding suspects: Set<Address> = [], by deadline: ContinuousClock.Instant,
    on eventLoop: any EventLoop
  ) async -> Result<SlotMap, RedisFailure> {
    await asking.outcome(by: deadline) {
      if let askedAt {
        // Cancellation ends the wait early, and the asking after it.
        try? await Task.sleep(until: askedAt + Self.spacing, clock: .continuous)
      }
      return end(
        await look(configuration, links, avoiding: suspects, by: deadline, on: eventLoop),
        isCancelled: Task.isCancelled)
    }
  }

  private func end(_ sight: ClusterSight, isCancelled: Bool) -> Outcome {
    let outcome: Outcome = isCancelled ? .failure(.cancelled) : sight.outcome
    let observers = state.withLock { state in
      state.askedAt = .now
      guard !isCancelled else { return [@Sendable () -> Void]() }
      switch outcome {
      case .success(let map):
        state.map = map
        state.failure = nil
      case .failure(let failure): state.failure = failure
      }
      return Array(state.observers.values)
    }
    for observer in observers { observer() }
    return outcome
  }

  // MARK: Asking

  private enum Heard: Sendable {
    case answer(Address, Result<SlotMap, RedisFailure>)
    case patienceIsOver
  }

  /// Asks once, and tells all that was said: some of the known nodes, and when none of these
  /// answers the seeds and the others.
  package func look(
    _ configuration: RedisConfiguration, by deadline: ContinuousClock.Instant,
    on eventLoop: any EventLoop
  ) async -> ClusterSight {
    await look(configuration, [:], avoiding: [], by: deadline, on: eventLoop)
  }

  private func look(
    _ configuration: RedisConfiguration, _ links: [Address: NodeClient],
    avoiding suspects: Set<Address>, by deadline: ContinuousClock.Instant,
    on eventLoop: any EventLoop
  ) async -> ClusterSight {
    let known = map
    let nodes = known?.nodes ?? []
    let sound = Self.first(of: nodes.filter { !suspects.contains($0) }, links)
    let first = sound.isEmpty ? Array(seeds.shuffled().prefix(Self.sample)) : sound
    let rest = Array((seeds + nodes.shuffled()).prefix(Self.mostAsked))
    var question = configuration
    question.asksWhoItIs = false
    question.clientName = nil
    return await withTaskGroup(of: Heard.self) { [question] group in
      var poll = SlotPoll()
      var isPatient = true
      func ask(_ nodes: [Address]) {
        let new = nodes.filter { !poll.asked.contains($0) }
        poll.ask(new)
        for node in Set(new) {
          group.addTask {
            await Self.answer(of: node, links[node], question, by: deadline, on: eventLoop)
          }
        }
      }
      ask(first)
      var hasAskedAll = false
      group.addTask {
        // Cancelled when all have answered before.
        try? await Task.sleep(for: Self.patience)
        return .patienceIsOver
      }
      for await heard in group {
        switch heard {
        case .answer(let node, let answer): poll.heard(answer, from: node)
        case .patienceIsOver: isPatient = false
        }
        let isOver = poll.isComplete || !isPatient
        if isOver, !poll.isAnswered, !hasAskedAll {
          hasAskedAll = true
          ask(rest)
        } else if isOver, poll.isAnswered || poll.isComplete {
          break
        }
      }
      group.cancelAll()
      return poll.sight(known: known)
    }
  }

  /// Who is asked first: those that there are connections to, and others where that is but one.
  private static func first(
    of nodes: [Address], _ links: [Address: NodeClient]
  ) -> [Address] {
    let linked = nodes.filter { links[$0] != nil }.shuffled()
    let others = linked.count > 1 ? [] : nodes.filter { links[$0] == nil }.shuffled()
    return Array((linked + others).prefix(sample))
  }

  private static func answer(
    of node: Address, _ link: NodeClient?, _ configuration: RedisConfiguration,
    by deadline: ContinuousClock.Instant, on eventLoop: any EventLoop
  ) async -> Heard {
    if let link {
      do throws(RedisError) {
        let replies = try await link.execute(
          [SlotQuestion.command], deadline: min(deadline, .now + longestAnswer),
          waitForConnection: false, onAbandonment: .discardReplies)
        return .answer(node, SlotQuestion.answer(replies, from: node))
      } catch {
        return .answer(node, .failure(error.failure))
      }
    }
    let connector = RedisConnector(
      configuration: configuration.connection(to: node), eventLoop: eventLoop)
    do {
      let replies = try await connector.ask([SlotQuestion.command], at: node, by: deadline)
      return .answer(node, SlotQuestion.answer(replies, from: node))
    } catch {
      return .answer(node, .failure(RedisFailure(channelError: error, tlsName: nil)))
    }
  }
}

/// Since when commands find their keys on both sides of a slot's move.
struct SplitSlots: Hashable {
  private struct Span: Hashable {
    let since: ContinuousClock.Instant
    var until: ContinuousClock.Instant
  }

  private var spans: [HashSlot: Span] = [:]

  /// A move of few keys takes no longer: then somebody has left it half-way.
  static let patience: Duration = .seconds(5)
  /// Whoever was refused comes again within it.
  private static let memory: Duration = .seconds(30)

  mutating func note(_ slot: HashSlot, isSplit: Bool, at now: ContinuousClock.Instant) {
    guard isSplit else { return spans[slot] = nil }
    let isOld = spans[slot].map { $0.until + Self.memory < now } ?? true
    spans[slot] = Span(since: isOld ? now : spans[slot]?.since ?? now, until: now)
  }

  func stuck(at now: ContinuousClock.Instant) -> [HashSlot] {
    spans.filter { $0.value.until - $0.value.since >= Self.patience }
      .filter { $0.value.until + Self.memory >= now }.keys.sorted()
  }
}
