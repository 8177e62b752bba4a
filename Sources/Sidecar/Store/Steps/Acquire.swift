import TokenCore

extension Steps {
  /// Takes the lock if nobody has it, and issues an epoch.
  ///
  /// Replies `acquired epoch`, `held holder PTTL` or `foreign PTTL`. Repeating it with the same
  /// term extends the lock and returns the same epoch. A lock that has more than its lease left is
  /// shortened to that.
  static let acquire = Step<(term: Term, lease: Duration, floor: Epoch)>(
    "acquire", PackageResources.acquire_lua, after: .time,
    keys: { _, context in [context.layout.leader, context.layout.epoch] },
    arguments: [
      .text("term") { command, _ in command.term.description },
      .milliseconds("lease") { $0.lease },
      .number("floor") { command, _ in command.floor.rawValue },
      .text("app") { _, context in context.apps.lockMark },
      .text("channel") { _, context in context.layout.events },
      .text("instance") { command, _ in command.term.instance.rawValue },
    ])
}
