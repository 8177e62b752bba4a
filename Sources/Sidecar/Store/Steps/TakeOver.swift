import TokenCore

extension Steps {
  /// Raises an account's fence, and reads it.
  ///
  /// Replies a view, `fenced epoch`, `foreign PTTL` or `newer v`. A server other
  /// than the record's may have lost what was written last: that is a doubt.
  static let takeOver = Step<StoreCommand.TakeOver>(
    "takeover", PackageResources.takeover_lua,
    after: .record,
    keys: { $1.keys($0.account, $0.outputs) },
    arguments: [
      .text("app") { $1.app($0.account) },
      .number("epoch") { command, _ in command.epoch.rawValue },
      .text("run_id") { $1.server($0.runID ?? "") },
      .milliseconds("away") { $0.away },
      .flag("mortal") { $0.isMortal },
    ], outputs: { ($0.outputs, nil) })
}
