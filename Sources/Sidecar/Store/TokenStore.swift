import Crypto
package import RedisClient
package import TokenCore

/// The protocol's steps, carried out at Redis.
///
/// Names, scripts and the form of answers end here: above it there are only the core's values.
package struct TokenStore: Sendable {
  private let client: RedisClient
  private let layout: KeyLayout
  /// What marks the records of each account as this AppID's.
  private let apps: [AccountName: String]
  /// What marks the lock as this deployment's: the first account's AppID.
  private let lockApp: String
  /// What this replica tells people with each heartbeat.
  private let said: @Sendable () -> String

  /// The keys of replicas that were not seen for this long are removed.
  private static let replicaMemory: Duration = .seconds(60)

  package init(
    client: RedisClient, layout: KeyLayout, appIDs: [AccountName: String],
    said: @escaping @Sendable () -> String = { "" }
  ) {
    self.client = client
    self.said = said
    self.layout = layout
    apps = appIDs.mapValues(TokenStore.digest)
    lockApp = appIDs.min { $0.key < $1.key }.map { TokenStore.digest($0.value) } ?? ""
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

  /// The name under which a step is counted.
  package static func name(of command: StoreCommand) -> String {
    switch command {
    case .pollLock: "poll"
    case .acquire: Script.acquire.name
    case .renew: Script.renew.name
    case .release: Script.release.name
    case .look: Script.look.name
    case .takeOver: Script.takeOver.name
    case .begin: Script.begin.name
    case .resolve: Script.resolve.name
    case .commit: Script.commit.name
    case .republish: Script.republish.name
    case .mark: Script.mark.name
    case .heartbeat: Script.heartbeat.name
    }
  }

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
    case .pollLock:
      return try await pollLock(by: deadline)
    case .acquire(let term, let lease, let floor):
      return try await call(
        .acquire, keys: [layout.leader, layout.epoch],
        [
          term.description, lease.text, floor.description, lockApp, layout.events,
          term.instance.rawValue,
        ], by: deadline)
    case .renew(let term, let lease):
      return try await call(
        .renew, keys: [layout.leader, layout.epoch], [term.description, lease.text], by: deadline)
    case .release(let term):
      return try await call(
        .release, keys: [layout.leader, layout.epoch], [term.description, layout.events],
        by: deadline)
    case .look(let account):
      return try await call(
        .look, keys: viewed(account), [app(account), "\(Script.layout)"], by: deadline)
    case .takeOver(let takeOver):
      return try await call(
        .takeOver, keys: written(takeOver.outputs, takeOver.account),
        [
          app(takeOver.account), "\(Script.layout)", takeOver.epoch.description,
          takeOver.runID ?? "", takeOver.away.text,
        ] + formats(takeOver.outputs), by: deadline)
    case .begin(let begin):
      return try await call(
        .begin, keys: written(begin.outputs, begin.account),
        [
          app(begin.account), "\(Script.layout)", begin.version.epoch.description,
          "\(begin.version.sequence)", begin.span.text, flag(begin.kills),
          flag(begin.hasHistory),
        ] + formats(begin.outputs), by: deadline)
    case .resolve(let resolve):
      return try await call(
        .resolve, keys: written(resolve.outputs, resolve.account),
        [resolve.version.epoch.description, "\(resolve.version.sequence)"]
          + formats(resolve.outputs), by: deadline)
    case .commit(let commit):
      return try await call(
        .commit, keys: written(commit.outputs, commit.account), arguments(commit), by: deadline)
    case .republish(let republish):
      return try await call(
        .republish, keys: written(republish.outputs, republish.account), arguments(republish),
        by: deadline)
    case .mark(let mark):
      return try await call(mark, by: deadline)
    case .heartbeat(let heartbeat):
      return try await call(
        .heartbeat, keys: [layout.replicas],
        [
          heartbeat.instance.rawValue, flag(heartbeat.isLeader), flag(heartbeat.abdicates),
          TokenStore.replicaMemory.text, String(heartbeat.life, radix: 16), said(),
        ], by: deadline)
    }
  }

  // MARK: Steps that are not one script

  private func pollLock(
    by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> StoreReply {
    let replies = try await send(
      [RedisCommand("GET", layout.leader), RedisCommand("PTTL", layout.leader)], by: deadline)
    if let refusal = replies[0].refusal { throw refused(refusal, by: layout.leader) }
    let left = replies[1].number ?? -2
    // A lock that lapsed between the two reads is gone; one without a TTL is never about to be.
    guard let holder = replies[0].text, left != -2 else {
      return .lock(holder: nil, remaining: nil)
    }
    return .lock(holder: holder, remaining: left < 0 ? nil : .milliseconds(left))
  }

  private func call(
    _ mark: StoreCommand.Mark, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> StoreReply {
    let reply = try await call(
      .mark, keys: written(mark.outputs, mark.account),
      [
        app(mark.account), mark.version.epoch.description, "\(mark.version.sequence)",
        mark.age.text, mark.begunAt?.description ?? "", mark.knownFor?.text ?? "",
      ] + formats(mark.outputs), by: deadline)
    guard case .marked = reply else { return reply }
    // The leader looks at once instead of with its next renewal; without this it only takes longer.
    if let wake = Hint.wake(mark.account).item {
      _ = try? await send([RedisCommand("RPUSH", layout.refreshRequests, wake)], by: deadline)
    }
    return reply
  }

  // MARK: Arguments

  private func app(_ account: AccountName) -> String { apps[account] ?? "" }

  private func flag(_ value: Bool) -> String { value ? "1" : "0" }

  private func viewed(_ account: AccountName) -> [String] {
    [layout.state(account), layout.accessToken(account), layout.expiresIn(account)]
  }

  private func written(_ outputs: [Output], _ account: AccountName) -> [String] {
    [layout.state(account)] + outputs.map { layout.key($0.key, account) }
  }

  private func formats(_ outputs: [Output]) -> [String] {
    outputs.flatMap { output in
      switch output.format {
      case .token(let token): ["token", token.revealed]
      case .kept: ["kept", ""]
      case .clientExpiry(let margin): ["expiry", margin.text]
      }
    }
  }

  private func digest(_ outputs: [Output]) -> TokenDigest {
    for case .token(let token) in outputs.map(\.format) {
      return TokenStore.digest(token.revealed)
    }
    return ""
  }

  private func arguments(_ commit: StoreCommand.Commit) -> [String] {
    [
      app(commit.account), "\(Script.layout)", commit.fence.description,
      commit.version.epoch.description, "\(commit.version.sequence)", commit.lifetime.text,
      commit.age.text, commit.begunAt?.description ?? "",
      (commit.parent?.epoch ?? .none).description, "\(commit.parent?.sequence ?? 0)",
      flag(commit.kills), flag(commit.isRecommit), commit.runID ?? "",
      commit.instance.rawValue, digest(commit.outputs), layout.events,
      commit.account.description,
    ] + formats(commit.outputs)
  }

  private func arguments(_ republish: StoreCommand.Republish) -> [String] {
    [
      app(republish.account), "\(Script.layout)", republish.fence.description,
      republish.version.epoch.description, "\(republish.version.sequence)",
      republish.lifetime.text, republish.certain.text,
      RemainingTolerance.ofTTL(lifetime: republish.lifetime).text, republish.slack.text,
      digest(republish.outputs), republish.begunAt?.description ?? "",
      republish.until?.description ?? "", layout.events, republish.account.description,
    ] + formats(republish.outputs)
  }

  // MARK: Calls

  /// Runs a script by its digest, and by its text when this server does not know it yet.
  private func call(
    _ script: Script, keys: [String], _ arguments: [String],
    by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> StoreReply {
    let rest = ["\(keys.count)"] + keys + arguments
    var reply = try await send([RedisCommand("EVALSHA", [script.digest] + rest)], by: deadline)[0]
    if reply.refusal?.kind == .noScript {
      reply = try await send([RedisCommand("EVAL", [script.source] + rest)], by: deadline)[0]
    }
    if let refusal = reply.refusal {
      // A key of a wrong type is an alarm that names it. Other scripts mind one key's type only,
      // which comes first.
      let isEither = refusal.kind == .wrongType && script == .acquire
      throw refused(refusal, by: isEither ? keys.joined(separator: " or ") : keys[0])
    }
    guard let parsed = ScriptReply(reply)?.storeReply else {
      throw StoreFailure(
        mayHaveRun: true, reason: "the script \(script.name) answered in a form unknown here",
        kind: .other)
    }
    return parsed
  }

  private func send(
    _ commands: [RedisCommand], by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> [RedisReply] {
    do {
      return try await client.execute(commands, deadline: deadline)
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
      case .loading, .busy, .noScript, .moved, .ask, .crossSlot, .clusterUnavailable, .other: .other
      }
    return StoreFailure(
      mayHaveRun: true, reason: "\(refusal.description) (key \(key))",
      needsOperator: needsOperator, kind: kind)
  }
}

extension Duration {
  /// Whole milliseconds, as the scripts take them.
  fileprivate var text: String { "\(wholeMilliseconds)" }
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
