import TokenCore

extension Steps {
  /// Raises an account's fence, and reads it.
  ///
  /// Replies a view, `fenced epoch`, `foreign PTTL` or `newer v`. A server other
  /// than the record's may have lost what was written last: that is a doubt.
  static let takeOver = Step<StoreCommand.TakeOver>(
    "takeover", PackageResources.takeover_lua,
    after: [PackageResources.time_lua, PackageResources.record_lua],
    keys: { $1.written($0.outputs, $0.account) },
    arguments: [
      .text("app") { $1.app($0.account) },
      .number("epoch") { command, _ in command.epoch.rawValue },
      .text("run_id") { command, _ in command.runID ?? "" },
      .milliseconds("away") { $0.away },
    ], outputs: { $0.outputs })
}
