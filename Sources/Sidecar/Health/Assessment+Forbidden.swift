import TokenCore

/// What Redis does not let be written.
extension Assessment {
  /// Readers of the account's own keys notice nothing of it.
  func judged(_ forbidden: RedisLacks.ForbiddenKey) -> Condition {
    condition(.outputForbidden, .warning, nil, since: forbidden.since) {
      $0.subject = forbidden.key
      $0.reason = Self.cut(forbidden.reason)
    }
  }
}
