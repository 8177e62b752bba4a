package import Logging
import RedisClient
import Synchronization
import TokenCore

/// What this Redis, or a proxy before it, does not do, as it was found out: each told once, and
/// done in another way from then on.
///
/// One for all connections of a process.
package final class RedisLacks: Sendable {
  private struct State {
    /// The commands that were told of.
    var told: Set<String> = []
    /// Why scripts are called by their text, since they cannot be called by their digest.
    var digests: RedisFailure?
    var digestHangUps = HangUps()
    var publishHangUps = HangUps()
    /// Whether this server answers what it does not know by hanging up.
    var hangsUp = false
    /// The keys that steps do without, and when that was found out.
    var absent: [String: Absence] = [:]
    /// Whether one script may not touch all keys of an account.
    var needsSplitting = false
  }

  private struct Absence {
    var key: AbsentKey
    var foundAt: ContinuousClock.Instant
    /// Whether it is tried again with the next step.
    var isDue = false
  }

  private let logger: Logger
  /// Protects what was found out: by steps, reports and connections.
  private let state = Mutex(State())

  /// A key that may not be touched is tried again after so long.
  private static let forbiddenFor: Duration = .seconds(60)
  /// One that was not tried for so long is kept no longer: accounts come and go.
  private static let forgottenAfter: Duration = forbiddenFor * 3

  package init(logger: Logger) { self.logger = logger }

  // MARK: Connections

  /// There is a new connection for commands: what was refused on the last one may be taken on it.
  func connected(to server: RedisServerInfo) {
    for command in server.lacking { met(command) }
    state.withLock { state in
      if case .refused? = state.digests { state.digests = nil }
      if server.lacking.contains(where: { !$0.isRefusal }) { state.hangsUp = true }
      for key in state.absent.keys { state.absent[key]?.isDue = true }
    }
  }

  /// Whether it is better not to ask for what is not needed, since that may end the connection.
  var hangsUp: Bool { state.withLock { $0.hangsUp } }

  // MARK: Commands

  /// A command is not taken; told once.
  func met(_ command: LackingCommand) {
    guard state.withLock({ $0.told.insert(command.name).inserted }) else { return }
    logger.tell(
      .redisLacks, level: Self.instead[command.name]?.isHarmless ?? true ? .info : .warning,
      "Redis, or a proxy before it, does not take a command; the daemon does without it",
      .keyed([
        .redisCommand: "\(command.name)", .error: "\(command.failure)",
        .remedy: "\(Self.instead[command.name]?.words ?? "nothing needs it")",
      ]))
  }

  /// What is done in place of a command, and whether anybody could notice that.
  private static let instead: [String: (words: String, isHarmless: Bool)] = [
    "CLIENT": ("CLIENT LIST shows these connections without a name", true),
    "ROLE": ("INFO is asked for the role; else a replica shows itself by READONLY", true),
    "INFO": (
      """
      writes that a fail-over has lost are noticed only where the record itself is gone, and \
      neither version nor eviction is warned about
      """, false
    ),
    "EVALSHA": ("scripts are sent whole with each step (EVAL)", true),
    "BLPOP": ("the list of reports is looked at every 500 ms", false),
    "SUBSCRIBE": (
      "hints are not heard: replicas look every 2 and 10 s; tried again each minute", false
    ),
    "PUBLISH": ("other replicas find out by looking", true),
  ]

  /// The connection that listens to events has ended.
  func heardOfEvents(_ failure: RedisFailure) {
    switch failure {
    case .refused(command: "SUBSCRIBE", _), .hungUp(commands: "SUBSCRIBE"):
      met(LackingCommand("SUBSCRIBE", failure))
    default: break
    }
  }

  // MARK: Scripts

  /// Whether scripts can be called by their digest, as far as is known.
  var takesDigests: Bool { state.withLock { $0.digests == nil } }

  func answeredDigest() { state.withLock { $0.digestHangUps.answered() } }

  func refusedDigest(_ failure: RedisFailure) {
    state.withLock { $0.digests = failure }
    met(LackingCommand("EVALSHA", failure))
  }

  /// A connection was lost while a script that was called by its digest ran.
  func lostDigest(_ failure: RedisFailure) {
    if state.withLock({ $0.digestHangUps.lost(failure) }) {
      refusedDigest(.hungUp(commands: "EVALSHA"))
    }
  }

  /// Whether what lies in several slots is to be written in several calls.
  var needsSplitting: Bool { state.withLock { $0.needsSplitting } }

  /// A script was refused since its keys are in several slots; told once.
  func needsSplitting(_ reason: String) {
    let isNew = state.withLock { state in
      defer { state.needsSplitting = true }
      return !state.needsSplitting
    }
    guard isNew else { return }
    logger.tell(
      .redisLacks, level: .warning,
      """
      Redis, or a proxy before it, runs no script over several slots; keys that lie in another one \
      than the token are written after it, each by a script of its own
      """,
      .keyed([
        .error: "\(reason)",
        .remedy: "name the account, or begin WCH_KEY_PREFIX with a {tag}: one script does then",
      ]))
  }

  /// Which keys in slots of their own a step could read and write, and which it could not.
  func took(_ step: SplitStep, _ name: (Output.Key) -> String) {
    var lost: [String: AbsentKey.Reason] = [:]
    for (key, failure) in step.failures {
      let words = "\(failure)"
      lost[name(key)] = failure.kind == .permission ? .forbidden(words) : .unreached(words)
    }
    miss(lost)
    allowed(step.reached.subtracting(step.failures.keys).map(name))
  }

  // MARK: Hints

  /// Whether it makes sense to publish anything by a command.
  var takesPublish: Bool { state.withLock { !$0.told.contains("PUBLISH") && !$0.hangsUp } }

  func published(_ result: Result<RedisReply, RedisError>) {
    switch result {
    case .success(let reply):
      state.withLock { $0.publishHangUps.answered() }
      guard let refusal = reply.refusal, refusal.refuses("PUBLISH") else { return }
      met(LackingCommand("PUBLISH", .refused(command: "PUBLISH", refusal)))
    case .failure(.outcomeUnknown(let failure)):
      guard state.withLock({ $0.publishHangUps.lost(failure) }) else { return }
      met(LackingCommand("PUBLISH", .hungUp(commands: "PUBLISH")))
    case .failure(.notSent): break
    }
  }

  // MARK: Keys that steps do without

  /// A key that is not read or written, for people.
  package struct AbsentKey: Hashable, Sendable {
    /// Why, in Redis's words.
    package enum Reason: Hashable, Sendable {
      /// The ACL does not allow it.
      case forbidden(String)
      /// It lies in another slot than the token, and that does not answer or refuses it.
      case unreached(String)
    }

    package let key: String
    package let reason: Reason
    package let since: Timestamp
  }

  /// Which keys steps do without now.
  package var absentKeys: [AbsentKey] {
    state.withLock { state in
      state.absent = state.absent.filter {
        $0.value.foundAt.duration(to: .now) < Self.forgottenAfter
      }
      return state.absent.values.map(\.key).sorted { $0.key < $1.key }
    }
  }

  /// Whether a script has to do without this key for now.
  func forbids(_ key: String, at now: ContinuousClock.Instant = .now) -> Bool {
    state.withLock { state in
      guard let known = state.absent[key], case .forbidden = known.key.reason else { return false }
      return !known.isDue && known.foundAt.duration(to: now) < Self.forbiddenFor
    }
  }

  /// These may not be touched.
  func forbade(_ keys: [String: RedisServerError]) {
    miss(keys.mapValues { .forbidden("\($0)") })
  }

  /// These are done without; each told once, until it is there again.
  private func miss(_ keys: [String: AbsentKey.Reason]) {
    guard !keys.isEmpty else { return }
    let news = state.withLock { state in
      keys.filter { key, reason in
        let before = state.absent[key]?.key
        state.absent[key] = Absence(
          key: AbsentKey(key: key, reason: reason, since: before?.since ?? .now), foundAt: .now)
        return before == nil
      }
    }
    for (key, reason) in news.sorted(by: { $0.key < $1.key }) {
      switch reason {
      case .forbidden(let words):
        logger.tell(
          .outputForbidden,
          """
          Redis does not let this user write a key beside the token: it is left out, all else is \
          published
          """,
          .keyed([
            .redisKey: "\(key)", .error: "\(words)",
            .remedy: "grant what `wch-sidecar acl` prints; it is tried again each minute",
          ]))
      case .unreached(let words):
        logger.tell(
          .outputUnreached,
          "A key in another slot than the token could not be read or written; all else goes on",
          .keyed([
            .redisKey: "\(key)", .error: "\(words)",
            .remedy: "look at the node that serves its slot; it is mended with the next look",
          ]))
      }
    }
  }

  /// A step has touched these.
  func allowed(_ keys: [String]) {
    let news = state.withLock { state in
      keys.compactMap { state.absent.removeValue(forKey: $0)?.key }
    }
    for absent in news {
      switch absent.reason {
      case .forbidden:
        logger.tell(
          .outputAllowed, "A key beside the token may be written again",
          .keyed([.redisKey: "\(absent.key)"]))
      case .unreached:
        logger.tell(
          .outputReached, "A key in another slot than the token is reached again",
          .keyed([.redisKey: "\(absent.key)"]))
      }
    }
  }
}

extension LackingCommand {
  /// Whether it was refused in words, and not hung up on.
  fileprivate var isRefusal: Bool { if case .refused = failure { true } else { false } }
}
