import Dialing
package import NIOCore
import Synchronization

/// Asks the sentinels of a URL where the primary is: one a process, for all of its connections.
///
/// Nothing that was found is used again: each attempt to connect asks, and attempts at one time
/// share one asking. While no sentinel answers no connection is made, since where the primary was
/// an isolated former one may be; connections that stand stay.
package final class SentinelLocator: PrimaryLocator {
  typealias Address = RedisEndpoint.Address
  private typealias Outcome = Result<Address, RedisFailure>

  private struct State {
    /// Where the primary was by the last election.
    var known: SentinelElection.Known?
    /// Whether the last asking failed.
    var hasFailed = false
    /// Sentinels that the others told of: asked when none of the URL's answers.
    var learned: [Address] = []
    /// Told of each asking.
    var onSight: (@Sendable (SentinelSight) -> Void)?
  }

  let set: SentinelSet
  let moves: PrimaryMoves? = PrimaryMoves()
  private let configuration: @Sendable (Address) -> RedisConfiguration
  private let asking = SharedAsking<Address>()
  /// Protects what is known.
  private let state = Mutex(State())

  /// So long a sentinel may hold up the others that have answered.
  static let patience: Duration = .milliseconds(300)
  /// Of a subscription that cannot be made: the sentinels are asked every five seconds without it.
  private static let longestRest: Duration = .seconds(10)

  /// - Parameters:
  ///   - endpoint: of the data nodes: the files of TLS are the same.
  ///   - password: asked at each connect; nil: the set's own.
  init(
    _ set: SentinelSet, of endpoint: RedisEndpoint, password: (@Sendable () -> String?)?,
    dialer: Dialer
  ) {
    self.set = set
    var tls = set.hasTLS ? endpoint.tls : nil
    tls?.serverName = nil
    configuration = { [tls] address in
      var own = RedisEndpoint(address)
      own.tls = tls
      own.username = set.username
      own.password = set.password
      var configuration = RedisConfiguration(endpoint: own, dialer: dialer)
      configuration.password = password
      configuration.asksWhoItIs = false
      configuration.backoff = Backoff(cap: Self.longestRest)
      return configuration
    }
  }

  func locate(
    by deadline: ContinuousClock.Instant, on eventLoop: any EventLoop
  ) async throws(RedisFailure) -> Address {
    let outcome = await asking.outcome(by: deadline) {
      let (known, learned) = state.withLock { ($0.known, $0.learned) }
      return end(await ask(known: known, learned: learned, by: deadline, on: eventLoop))
    }
    return try outcome.get()
  }

  /// Asks once, and tells all that was said.
  package func look(
    by deadline: ContinuousClock.Instant, on eventLoop: any EventLoop
  ) async -> SentinelSight {
    let (known, learned) = state.withLock { ($0.known, $0.learned) }
    return await ask(known: known, learned: learned, by: deadline, on: eventLoop).sight
  }

  /// What the configuration of a connection to this sentinel is.
  func connection(to sentinel: Address) -> RedisConfiguration { configuration(sentinel) }

  /// Tells of each asking from now on; nil: no more.
  func observe(_ onSight: (@Sendable (SentinelSight) -> Void)?) {
    state.withLock { $0.onSight = onSight }
  }

  private func end(_ asked: Asked) -> Outcome {
    let outcome = asked.sight.outcome
    let (isNews, onSight) = state.withLock { state in
      var isNews = false
      switch asked.elected {
      case let elected?:
        isNews = state.hasFailed || state.known.map { $0.address != elected.address } ?? false
        state.known = elected
        state.hasFailed = false
        if !asked.learned.isEmpty { state.learned = asked.learned }
      case nil:
        if outcome != .failure(.cancelled) { state.hasFailed = true }
      }
      return (isNews, state.onSight)
    }
    if outcome != .failure(.cancelled) { onSight?(asked.sight) }
    // First, so that whoever has waited finds the former place left.
    if isNews, case .success(let address) = outcome { moves?.tell(address) }
    return outcome
  }

  // MARK: Asking

  private struct Asked {
    let sight: SentinelSight
    let elected: SentinelElection.Known?
    let learned: [Address]
  }

  private enum Heard: Sendable {
    case answer(Address, SentinelAnswer, others: [Address])
    case patienceIsOver
  }

  private func ask(
    known: SentinelElection.Known?, learned: [Address], by deadline: ContinuousClock.Instant,
    on eventLoop: any EventLoop
  ) async -> Asked {
    await withTaskGroup(of: Heard.self) { group in
      var election = SentinelElection(
        primary: set.primary, configured: set.sentinels, known: known)
      var others: [Address] = []
      var isPatient = true
      var verdict = SentinelElection.Verdict.wait
      func ask(_ sentinels: [Address]) {
        for sentinel in sentinels {
          group.addTask { await self.answer(of: sentinel, by: deadline, on: eventLoop) }
        }
      }
      ask(set.sentinels)
      group.addTask {
        // Cancelled when all have answered before.
        try? await Task.sleep(for: Self.patience)
        return .patienceIsOver
      }
      for await heard in group {
        switch heard {
        case .answer(let sentinel, let answer, let its):
          election.heard(answer, from: sentinel)
          others += its.filter { !others.contains($0) }
        case .patienceIsOver: isPatient = false
        }
        verdict = election.verdict(isPatient: isPatient)
        let isHelpless =
          switch verdict {
          case .wait: !isPatient
          case .failed(.noSentinel): true
          case .failed, .elected: false
          }
        let unasked = isHelpless ? learned.filter { !election.asked.contains($0) } : []
        if !unasked.isEmpty {
          ask(unasked)
          election.ask(unasked)
          continue
        }
        if verdict != .wait { break }
      }
      group.cancelAll()
      return result(verdict, election, others)
    }
  }

  private func result(
    _ verdict: SentinelElection.Verdict, _ election: SentinelElection, _ others: [Address]
  ) -> Asked {
    let voices = election.asked.map {
      SentinelSight.Voice(sentinel: $0, answer: election.answers[$0])
    }
    let learned = Array(
      others.filter { !set.sentinels.contains($0) }.prefix(SentinelSet.mostSentinels))
    switch verdict {
    case .elected(let elected) where !Task.isCancelled:
      return Asked(
        sight: SentinelSight(voices: voices, outcome: .success(elected.address)),
        elected: elected, learned: learned)
    case .failed(let failure) where !Task.isCancelled:
      return Asked(
        sight: SentinelSight(voices: voices, outcome: .failure(failure)), elected: nil,
        learned: [])
    case .wait, .elected, .failed:
      return Asked(
        sight: SentinelSight(voices: voices, outcome: .failure(.cancelled)), elected: nil,
        learned: [])
    }
  }

  private func answer(
    of sentinel: Address, by deadline: ContinuousClock.Instant, on eventLoop: any EventLoop
  ) async -> Heard {
    let question = SentinelQuestion(primary: set.primary)
    let connector = RedisConnector(configuration: configuration(sentinel), eventLoop: eventLoop)
    do {
      let replies = try await connector.ask(question.commands, at: sentinel, by: deadline)
      return .answer(sentinel, question.answer(replies), others: question.others(replies))
    } catch {
      return .answer(
        sentinel, .failed(RedisFailure(channelError: error, tlsName: nil)), others: [])
    }
  }
}
