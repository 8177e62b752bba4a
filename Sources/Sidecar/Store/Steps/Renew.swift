import TokenCore

extension Steps {
  /// Extends the lock of this term.
  ///
  /// Replies `renewed` or `lost`.
  static let renew = Step<(term: Term, lease: Duration)>(
    "renew", PackageResources.renew_lua, after: .time,
    keys: { _, context in [context.layout.leader, context.layout.epoch] },
    arguments: [
      .text("term") { command, _ in command.term.description },
      .milliseconds("lease") { $0.lease },
    ])
}
