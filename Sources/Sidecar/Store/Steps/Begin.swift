import TokenCore

extension Steps {
  /// Leaves the intent of a fetch.
  ///
  /// Replies `began committed_epoch committed_seq fetches_today at now`, `fenced epoch`,
  /// `stale epoch seq`, `foreign PTTL` or `newer v`. Repeating it keeps the first moment.
  static let begin = Step<StoreCommand.Begin>(
    "begin", PackageResources.begin_lua,
    after: .record,
    keys: { $1.keys($0.account, $0.outputs) },
    arguments: [
      .text("app") { $1.app($0.account) },
      .number("epoch") { command, _ in command.version.epoch.rawValue },
      .number("seq") { command, _ in command.version.sequence },
      .milliseconds("span") { $0.span },
      .flag("kills") { $0.kills },
      .flag("history") { $0.hasHistory },
      .flag("mortal") { $0.isMortal },
    ], outputs: { ($0.outputs, nil) })
}
