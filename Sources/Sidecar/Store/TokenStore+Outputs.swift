import RedisClient
import TokenCore

/// A step that writes or reads the keys of a credential.
protocol OutputsCommand {
  var account: CredentialID { get }
  var outputs: [Output] { get set }
}

extension StoreCommand.Look: OutputsCommand {}
extension StoreCommand.TakeOver: OutputsCommand {}
extension StoreCommand.Begin: OutputsCommand {}
extension StoreCommand.Resolve: OutputsCommand {}
extension StoreCommand.Commit: OutputsCommand {}
extension StoreCommand.Republish: OutputsCommand {}
extension StoreCommand.Mark: OutputsCommand {}

/// Keys of other software that the ACL forbids are left out: Redis would refuse the whole step.
///
/// The record and the credential's own keys are never left out.
extension TokenStore {
  /// Carries out a step without those of its keys that are forbidden.
  func publish<Command: OutputsCommand>(
    _ step: Step<Command>, _ command: Command, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> Answer {
    let others = others(of: command)
    let tried = others.filter { !lacks.forbids($0) }
    let failure: StoreFailure
    do throws(StoreFailure) {
      let answer = try await call(
        step, command, without: Set(others).subtracting(tried), deadline)
      lacks.allowed(tried)
      return answer
    } catch {
      guard error.kind == .permission, !tried.isEmpty else { throw error }
      failure = error
    }
    let forbidden = try await forbidden(tried, by: deadline)
    guard !forbidden.isEmpty else { throw failure }
    lacks.forbade(forbidden)
    let left = others.filter { lacks.forbids($0) }
    return try await call(step, command, without: Set(left), deadline)
  }

  private func others(of command: some OutputsCommand) -> [String] {
    command.outputs.compactMap { if case .other(let name) = $0.key { name } else { nil } }
  }

  private func call<Command: OutputsCommand>(
    _ step: Step<Command>, _ command: Command, without left: Set<String>,
    _ deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> Answer {
    guard !left.isEmpty else { return try await call(step, command, by: deadline) }
    var rest = command
    rest.outputs = command.outputs.filter { !$0.isOf(left) }
    var answer = try await call(step, rest, by: deadline)
    guard case .account(var view) = answer.reply else { return answer }
    // In their places: what is there is not known, and no reason to mend anything.
    var seen = view.others[...]
    view.others = command.outputs.dropFirst().map { output in
      output.isOf(left) ? .unread : seen.popFirst() ?? .unread
    }
    answer.reply = .account(view)
    return answer
  }

  /// Which of these keys are forbidden, by a script each that does nothing: Redis asks its ACL for
  /// every key that a script is called with before it runs.
  private func forbidden(
    _ keys: [String], by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> [String: RedisServerError] {
    var found: [String: RedisServerError] = [:]
    for key in keys {
      let command = RedisCommand("EVAL", "return 1", "1", key)
      let reply = try await send([command], key: key, by: deadline)[0]
      guard let refusal = reply.refusal, refusal.kind == .noPermission,
        !refusal.refuses("EVAL")
      else { continue }
      found[key] = refusal
    }
    return found
  }
}

extension Output {
  /// Whether it is a key of other software, and one of these.
  fileprivate func isOf(_ keys: Set<String>) -> Bool {
    if case .other(let name) = key { keys.contains(name) } else { false }
  }
}
