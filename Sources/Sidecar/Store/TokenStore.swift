import Crypto
package import RedisClient
package import TokenCore

/// The protocol's steps, carried out at Redis.
///
/// Names, scripts and the form of answers end here: above it there are only the core's values.
package struct TokenStore: Sendable {
  let client: RedisClient
  let lacks: RedisLacks
  /// Tells other replicas of what no script tells them.
  let announce: @Sendable (String) -> Void
  private let base: StepContext
  private let plan: WritePlan

  /// - Parameters:
  ///   - lacks: what is known of this Redis; one for all of a process.
  ///   - plan: how steps are written until a refusal teaches otherwise.
  ///   - announce: publishes a message on the channel that all replicas listen to, without waiting.
  package init(
    client: RedisClient, layout: KeyLayout, apps: AppRegister, lacks: RedisLacks,
    plan: WritePlan = .joined, announce: @escaping @Sendable (String) -> Void = { _ in },
    said: @escaping @Sendable () -> String = { "" }
  ) {
    self.announce = announce
    self.client = client
    self.lacks = lacks
    self.plan = plan
    base = StepContext(layout: layout, apps: apps, said: said)
  }

  /// What steps know of this Redis now.
  var context: StepContext {
    var context = base
    context.plan = plan == .joined && lacks.needsSplitting ? .split(tellsServer: false) : plan
    return context
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
  ///
  /// - Parameter number: grows from step to step of one leader.
  package func perform(
    _ command: StoreCommand, number: Int64, deadline: ContinuousClock.Instant
  ) async -> Result<StoreReply, StoreFailure> {
    if command.account != nil, context.plan != .joined {
      return await performSplit(command, number: number, by: deadline)
    }
    do {
      return .success(try await perform(command, by: deadline).reply)
    } catch {
      guard error.kind == .slots, command.account != nil else { return .failure(error) }
      lacks.needsSplitting(error.reason)
      return await performSplit(command, number: number, by: deadline)
    }
  }

  /// What a script said, and what its record states where that was asked for.
  struct Answer {
    var reply: StoreReply
    var life: StatedLife?
  }

  func perform(
    _ command: StoreCommand, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> Answer {
    switch command {
    case .pollLock: try await pollLock(by: deadline)
    case .acquire(let term, let lease, let floor):
      try await call(Steps.acquire, (term, lease, floor), by: deadline)
    case .renew(let term, let lease): try await call(Steps.renew, (term, lease), by: deadline)
    case .release(let term): try await call(Steps.release, term, by: deadline)
    case .look(let look): try await self.look(look, by: deadline)
    case .takeOver(let takeOver): try await publish(Steps.takeOver, takeOver, by: deadline)
    case .begin(let begin): try await publish(Steps.begin, begin, by: deadline)
    case .resolve(let resolve): try await publish(Steps.resolve, resolve, by: deadline)
    case .commit(let commit): try await publish(Steps.commit, commit, by: deadline)
    case .republish(let republish): try await publish(Steps.republish, republish, by: deadline)
    case .mark(let mark): try await tell(mark, by: deadline)
    case .heartbeat(let heartbeat): try await call(Steps.heartbeat, heartbeat, by: deadline)
    }
  }

  // MARK: Steps that are not one script

  private func pollLock(
    by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> Answer {
    let replies = try await send(
      [RedisCommand("GET", context.layout.leader), RedisCommand("PTTL", context.layout.leader)],
      key: context.layout.leader, by: deadline)
    if let refusal = replies[0].refusal { throw StoreFailure(refusal, by: context.layout.leader) }
    let left = replies[1].number ?? -2
    // A lock that lapsed between the two reads is gone; one without a TTL is never about to be.
    guard let holder = replies[0].text, left != -2 else {
      return Answer(reply: .lock(holder: nil, remaining: nil))
    }
    return Answer(
      reply: .lock(holder: holder, remaining: left < 0 ? nil : .milliseconds(left)))
  }

  private func tell(
    _ mark: StoreCommand.Mark, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> Answer {
    let answer = try await publish(Steps.mark, mark, by: deadline)
    guard case .marked = answer.reply else { return answer }
    // The leader looks at once instead of with its next renewal; without this it only takes longer.
    let wake = ReportItem.wake(mark.account).text
    let list = context.layout.refreshRequests
    _ = try? await send([RedisCommand("RPUSH", list, wake)], key: list, by: deadline)
    return answer
  }

  // MARK: Calls

  /// Runs a script, and reads what it says.
  func call<Command>(
    _ step: Step<Command>, _ command: Command, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> Answer {
    let said = try await run(step, command, by: deadline)
    guard let reply = said.storeReply else { throw .unknownForm(of: step.script) }
    return Answer(reply: reply, life: said.statedLife)
  }

  /// Runs a script.
  func run<Command>(
    _ step: Step<Command>, _ command: Command, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> ScriptReply {
    let script = step.script
    let (keys, arguments) = step.call(command, in: context)
    let reply: RedisReply
    do throws(RedisError) {
      reply = try await ScriptCall(lacks: lacks).run(
        script, keys, arguments, on: client, by: deadline)
    } catch {
      throw StoreFailure(error)
    }
    if let refusal = reply.refusal {
      // A key of a wrong type is an alarm that names it. Other scripts mind one key's type only,
      // which comes first.
      let isEither = refusal.kind == .wrongType && script == Steps.acquire.script
      throw StoreFailure(
        refusal, by: isEither ? keys.joined(separator: " or ") : keys[0],
        isClustered: client.isClustered)
    }
    guard let said = ScriptReply(reply) else { throw .unknownForm(of: script) }
    return said
  }

  /// - Parameter key: whose slot the commands are for; those that write come one by one.
  func send(
    _ commands: [RedisCommand], key: String, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> [RedisReply] {
    try await send(each: commands.map { ($0, key) }, by: deadline)
  }

  func send(
    each commands: [(command: RedisCommand, key: String?)], by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> [RedisReply] {
    do {
      return try await client.execute(each: commands, deadline: deadline)
    } catch {
      throw StoreFailure(error)
    }
  }
}

extension StoreFailure {
  /// A script's answer cannot be read.
  static func unknownForm(of script: Script) -> StoreFailure {
    StoreFailure(
      mayHaveRun: true, reason: "the script \(script.name) answered in a form unknown here",
      kind: .other)
  }
}
