import TokenCore

extension Steps {
  /// Reads an account.
  ///
  /// Replies a view, `foreign PTTL` or `newer v`; writes nothing.
  static let look = Step<StoreCommand.Look>(
    "look", PackageResources.look_lua,
    after: .record,
    keys: { $1.keys($0.account, $0.outputs) },
    arguments: [
      .text("app") { $1.app($0.account) },
      .text("run_id") { _, context in context.server("") },
    ])
}
