import TokenCore

/// What steps at Redis do without.
extension Assessment {
  /// Readers of the token itself notice nothing of it.
  func judged(_ absent: RedisLacks.AbsentKey) -> Condition {
    let (kind, reason): (Condition.Kind, String) =
      switch absent.reason {
      case .forbidden(let words): (.outputForbidden, words)
      case .unreached(let words): (.outputUnreached, words)
      }
    var open = condition(kind, .warning, nil, since: absent.since) {
      $0.subject = absent.key
      $0.reason = Self.cut(reason)
    }
    // A fail-over is over by then.
    open.isPending = kind == .outputUnreached && isYoung(open, Self.hiccup)
    return open
  }
}
