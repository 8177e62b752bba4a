/// Which step at Redis an answer is to: no two steps of a keeper share one.
package struct StepID: Hashable, Sendable {
  package let kind: StoreCommand.Kind
  /// The account that the step is about; nil for the lock and the list of replicas.
  package let account: CredentialID?
  /// Counts the steps of whoever sent it.
  package let number: Int64
  /// When the step was issued: what its answer tells was so then or later.
  package let issuedAt: Moment

  package init(of command: StoreCommand, number: Int64, issuedAt: Moment) {
    kind = command.kind
    account = command.account
    self.number = number
    self.issuedAt = issuedAt
  }
}

/// Numbers the steps that one part of a keeper sends.
struct StepCounter: Hashable, Sendable {
  private var last: Int64 = 0

  mutating func next(_ command: StoreCommand, at now: Moment) -> StepID {
    last += 1
    return StepID(of: command, number: last, issuedAt: now)
  }
}

/// How far a step at Redis is.
package enum Flight: Hashable, Sendable {
  /// None is needed.
  case idle
  /// To be sent then.
  case due(Moment)
  /// Sent, and neither answered nor given up.
  case sent(StepID)

  /// When it was sent, if it was.
  package var sentAt: Moment? { if case .sent(let step) = self { step.issuedAt } else { nil } }
  /// When it is to be sent, if it is.
  var dueAt: Moment? { if case .due(let moment) = self { moment } else { nil } }
}
