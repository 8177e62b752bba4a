import RedisClient
import TokenCore

extension StoreFailure {
  /// A step that brought no answer.
  init(_ error: RedisError) {
    self.init(
      mayHaveRun: error.mayHaveRun, reason: "\(error)",
      kind: error.failure.condition == .redisLogin ? .login : .transport)
  }

  /// What Redis refused it did not do, with one exception: a script that died half-way.
  ///
  /// - Parameters:
  ///   - key: which the step begins with.
  ///   - isClustered: whether the URL is a cluster's.
  init(_ refusal: RedisServerError, by key: String, isClustered: Bool = false) {
    let (kind, needsOperator) = Self.meaning(of: refusal)
    // What helps with a node that was taken for a server does not help in its cluster.
    let words =
      isClustered && (refusal.kind == .moved || refusal.kind == .ask)
      ? """
      \(refusal.withoutAdvice) (the nodes do not agree who serves this slot; `redis-cli --cluster \
      check` shows it)
      """ : "\(refusal)"
    self.init(
      mayHaveRun: true, reason: "\(words) (key \(key))", needsOperator: needsOperator, kind: kind)
  }

  private static func meaning(of refusal: RedisServerError) -> (Kind, needsOperator: Bool) {
    switch refusal.kind {
    case .noPermission, .noAuth, .wrongPassword: (.permission, true)
    case .outOfMemory: (.memory, false)
    case .readOnly, .noReplicas, .misconfigured, .masterDown: (.writes, false)
    case .wrongType: (.type, true)
    // A server without EVALSHA is asked by EVAL: this one has neither.
    case .unknownCommand where refusal.refuses("EVAL"),
      .unknownCommand where refusal.refuses("EVALSHA"):
      (.scripts, true)
    // The one sign by which a proxy before a cluster tells that steps must touch one slot each.
    case .crossSlot: (.slots, true)
    case .unknownInScript: (.scripts, true)
    case .loading, .busy, .noScript, .moved, .ask, .clusterDown, .tryAgain, .unknownCommand,
      .wrongProtocol, .tooManyClients, .protectedMode, .unkillable, .other:
      (.other, false)
    }
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
