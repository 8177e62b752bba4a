import Crypto
package import RedisClient
package import TokenCore

/// The protocol's steps, carried out at Redis.
///
/// Names, scripts and the form of answers end here: above it there are only the core's values.
package struct TokenStore: Sendable {
  private let client: RedisClient
  private let context: StepContext

  package init(
    client: RedisClient, layout: KeyLayout, apps: AppRegister,
    said: @escaping @Sendable () -> String = { "" }
  ) {
    self.client = client
    context = StepContext(layout: layout, apps: apps, said: said)
  }

  /// The first 16 hexadecimal digits of a text's SHA-256.
  package static func digest(_ text: String) -> TokenDigest {
    String(fullDigest(text).prefix(16))
  }

  /// The 64 hexadecimal digits of a text's SHA-256.
  package static func fullDigest(_ text: String) -> String {
    hexadecimal(SHA256.hash(data: Array(text.utf8)))
  }

  /// The names under which steps are counted.
  package static let commandNames = ["poll"] + Script.all.map(\.name)

  /// Carries out one step within the deadline.
  ///
  /// The answer is whole or a failure; a failure says whether the step may have been carried out.
  package func perform(
    _ command: StoreCommand, deadline: ContinuousClock.Instant
  ) async -> Result<StoreReply, StoreFailure> {
    do {
      return .success(try await perform(command, by: deadline))
    } catch {
      return .failure(error)
    }
  }

  private func perform(
    _ command: StoreCommand, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> StoreReply {
    switch command {
    case .pollLock: try await pollLock(by: deadline)
    case .acquire(let term, let lease, let floor):
      try await call(Steps.acquire, (term, lease, floor), by: deadline)
    case .renew(let term, let lease): try await call(Steps.renew, (term, lease), by: deadline)
    case .release(let term): try await call(Steps.release, term, by: deadline)
    case .look(let look): try await call(Steps.look, look, by: deadline)
    case .takeOver(let takeOver): try await call(Steps.takeOver, takeOver, by: deadline)
    case .begin(let begin): try await call(Steps.begin, begin, by: deadline)
    case .resolve(let resolve): try await call(Steps.resolve, resolve, by: deadline)
    case .commit(let commit): try await call(Steps.commit, commit, by: deadline)
    case .republish(let republish): try await call(Steps.republish, republish, by: deadline)
    case .mark(let mark): try await tell(mark, by: deadline)
    case .heartbeat(let heartbeat): try await call(Steps.heartbeat, heartbeat, by: deadline)
    }
  }

  // MARK: Steps that are not one script

  private func pollLock(
    by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> StoreReply {
    let replies = try await send(
      [RedisCommand("GET", context.layout.leader), RedisCommand("PTTL", context.layout.leader)],
      key: context.layout.leader, by: deadline)
    if let refusal = replies[0].refusal { throw refused(refusal, by: context.layout.leader) }
    let left = replies[1].number ?? -2
    // A lock that lapsed between the two reads is gone; one without a TTL is never about to be.
    guard let holder = replies[0].text, left != -2 else {
      return .lock(holder: nil, remaining: nil)
    }
    return .lock(holder: holder, remaining: left < 0 ? nil : .milliseconds(left))
  }

  private func tell(
    _ mark: StoreCommand.Mark, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> StoreReply {
    let reply = try await call(Steps.mark, mark, by: deadline)
    guard case .marked = reply else { return reply }
    // The leader looks at once instead of with its next renewal; without this it only takes longer.
    let wake = ReportItem.wake(mark.account).text
    let list = context.layout.refreshRequests
    _ = try? await send([RedisCommand("RPUSH", list, wake)], key: list, by: deadline)
    return reply
  }

  // MARK: Calls

  /// Runs a script by its digest, and by its text when this server does not know it yet.
  private func call<Command>(
    _ step: Step<Command>, _ command: Command, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> StoreReply {
    let script = step.script
    let (keys, arguments) = step.call(command, in: context)
    let rest = ["\(keys.count)"] + keys + arguments
    // All keys of a script are in the slot of its first one.
    var reply = try await send(
      [RedisCommand("EVALSHA", [script.digest] + rest)], key: keys[0], by: deadline)[0]
    if reply.refusal?.kind == .noScript {
      reply = try await send(
        [RedisCommand("EVAL", [script.source] + rest)], key: keys[0], by: deadline)[0]
    }
    if let refusal = reply.refusal {
      // A key of a wrong type is an alarm that names it. Other scripts mind one key's type only,
      // which comes first.
      let isEither = refusal.kind == .wrongType && script == Steps.acquire.script
      throw refused(refusal, by: isEither ? keys.joined(separator: " or ") : keys[0])
    }
    guard let parsed = ScriptReply(reply)?.storeReply else {
      throw StoreFailure(
        mayHaveRun: true, reason: "the script \(script.name) answered in a form unknown here",
        kind: .other)
    }
    return parsed
  }

  /// - Parameter key: whose slot the commands are for; those that write come one by one.
  private func send(
    _ commands: [RedisCommand], key: String, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> [RedisReply] {
    do {
      return try await client.execute(commands, key: key, deadline: deadline)
    } catch {
      throw StoreFailure(mayHaveRun: error.mayHaveRun, reason: "\(error)")
    }
  }

  /// What Redis refused it did not do, with one exception: a script that died half-way.
  private func refused(_ refusal: RedisServerError, by key: String) -> StoreFailure {
    let needsOperator =
      switch refusal.kind {
      case .noPermission, .noAuth, .wrongPassword, .wrongType: true
      default: false
      }
    let kind: StoreFailure.Kind =
      switch refusal.kind {
      case .noPermission, .noAuth, .wrongPassword: .permission
      case .outOfMemory: .memory
      case .readOnly, .noReplicas, .misconfigured, .masterDown: .writes
      case .wrongType: .type
      case .loading, .busy, .noScript, .moved, .ask, .crossSlot, .clusterDown, .tryAgain,
        .other:
        .other
      }
    let isNodeOfCluster = [.moved, .crossSlot].contains(refusal.kind) && !client.isClustered
    let remedy =
      isNodeOfCluster
      ? "; this Redis is a node of a cluster: write redis-cluster:// in its URL" : ""
    return StoreFailure(
      mayHaveRun: true, reason: "\(refusal.description) (key \(key))\(remedy)",
      needsOperator: needsOperator, kind: kind)
  }
}

extension RedisError {
  /// Whether the command may have been carried out all the same.
  fileprivate var mayHaveRun: Bool {
    switch self {
    case .notSent: false
    case .outcomeUnknown: true
    }
  }
}
