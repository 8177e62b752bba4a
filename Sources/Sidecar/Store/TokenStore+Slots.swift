import RedisClient
import TokenCore

/// Steps whose keys are in several slots: what SplitStep sends, each call to its own.
extension TokenStore {
  /// What lies apart has so much of the time of a step less than the step itself: a slot that hangs
  /// is given up before the whole step is.
  private static let keptBack = 4

  func performSplit(
    _ command: StoreCommand, number: Int64, by deadline: ContinuousClock.Instant
  ) async -> Result<StoreReply, StoreFailure> {
    let layout = context.layout
    var split = SplitStep(command, number: number) { output in
      command.account.map { layout.isApart(output, $0) } ?? false
    }
    let result = await carryOut(&split, by: deadline)
    lacks.apart(split.failures.map { (key: $0, failure: $1) }, in: command, layout)
    if case .success(let reply) = result { await announce(command, reply, split, by: deadline) }
    return result
  }

  private func carryOut(
    _ split: inout SplitStep, by deadline: ContinuousClock.Instant
  ) async -> Result<StoreReply, StoreFailure> {
    let now = ContinuousClock.now
    let apartBy = now + now.duration(to: deadline) * (Self.keptBack - 1) / Self.keptBack
    return await withTaskGroup(
      of: (Int, Result<SplitStep.Reply, StoreFailure>).self,
      returning: Result<StoreReply, StoreFailure>.self
    ) { group in
      defer { group.cancelAll() }
      var turn = split.begin()
      while true {
        switch turn {
        case .ends(let result): return result
        case .waits: break
        case .sends(let calls, let first):
          for (index, call) in calls.enumerated() {
            group.addTask { (first + index, await self.answer(to: call, deadline, apartBy)) }
          }
        }
        guard let (call, answer) = await group.next() else { return split.end(.unanswered) }
        turn = split.answered(call, answer)
      }
    }
  }

  private func answer(
    to call: SplitStep.Call, _ deadline: ContinuousClock.Instant,
    _ apartBy: ContinuousClock.Instant
  ) async -> Result<SplitStep.Reply, StoreFailure> {
    do throws(StoreFailure) {
      switch call {
      case .step(let command):
        let answer = try await perform(command, by: deadline)
        return .success(.step(answer.reply, answer.life))
      case .apart(let command):
        return .success(.apart(try await carryOut(command, by: apartBy)))
      }
    } catch {
      return .failure(error)
    }
  }

  private func carryOut(
    _ command: ApartCommand, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> ApartReply {
    func reply<Command>(
      _ step: Step<Command>, _ command: Command
    ) async throws(StoreFailure) -> ApartReply {
      guard let reply = try await run(step, command, by: deadline).apartReply else {
        throw .unknownForm(of: step.script)
      }
      return reply
    }
    switch command {
    case .read(let read): return try await reply(Steps.read, read)
    case .shorten(let shorten): return try await reply(Steps.shorten, shorten)
    case .place(let place): return try await reply(Steps.place, place)
    }
  }

  /// Says what the script would have said of a change, had it written all of it.
  private func announce(
    _ command: StoreCommand, _ reply: StoreReply, _ split: SplitStep,
    by deadline: ContinuousClock.Instant
  ) async {
    switch reply {
    case .committed, .republished(wrote: true): break
    default: return
    }
    guard lacks.takesPublish, let account = command.account, let expiresAt = split.clientExpiry
    else { return }
    let text =
      "{\"event\":\"token\",\"account\":\"\(account)\",\"expires_at\":\(expiresAt)}"
    do throws(RedisError) {
      let command = RedisCommand("PUBLISH", context.layout.events, text)
      lacks.published(.success(try await client.execute(command, deadline: deadline)))
    } catch {
      lacks.published(.failure(error))
    }
  }
}
