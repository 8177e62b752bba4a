import RedisClient
import TokenCore

/// Steps whose keys are in several slots: what SplitStep sends, each call to its own.
extension TokenStore {
  /// A call about what lies apart has half of a step's time, counted from when it is sent, and so
  /// much at most: a slow step leaves it time, and a slot that hangs is given up before the keeper
  /// gives up the step.
  private static let longestApart: Duration = .seconds(1)

  func performSplit(
    _ command: StoreCommand, number: Int64, by deadline: ContinuousClock.Instant
  ) async -> Result<StoreReply, StoreFailure> {
    let layout = context.layout
    var split = SplitStep(command, number: number) { output in
      command.account.map { layout.isApart(output, $0) } ?? false
    }
    let result = await carryOut(&split, by: deadline)
    if let account = command.account { lacks.took(split) { layout.key($0, account) } }
    if case .success(let reply) = result { announce(command, reply, split) }
    return result
  }

  private func carryOut(
    _ split: inout SplitStep, by deadline: ContinuousClock.Instant
  ) async -> Result<StoreReply, StoreFailure> {
    let span = min(ContinuousClock.now.duration(to: deadline) / 2, Self.longestApart)
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
            let apartBy = ContinuousClock.now + span
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
  private func announce(_ command: StoreCommand, _ reply: StoreReply, _ split: SplitStep) {
    switch reply {
    case .committed, .republished(wrote: true): break
    default: return
    }
    guard let account = command.account, let expiresAt = split.clientExpiry else { return }
    announce("{\"event\":\"token\",\"account\":\"\(account)\",\"expires_at\":\(expiresAt)}")
  }
}
