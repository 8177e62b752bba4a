import TokenCore

/// What tokens are handed on to.
extension Assessment {
  /// A file or a program that fails for less may be a volume or a server that is restarted.
  static let handingOn: Duration = .seconds(60)

  /// What reads there keeps a token that dies within minutes of the next one's birth; a failure or
  /// two are made up for by the next attempt.
  func judged(_ output: Observation.OutputTrouble) -> Condition {
    let age = known.now - output.since
    var condition = condition(
      output.kind, age < Self.handingOn ? .warning : .error, output.account, at: output.since
    ) {
      $0.subject = output.subject
      $0.reason = Self.cut(output.reason)
    }
    condition.isPending = age < Self.reconnecting
    return condition
  }
}
