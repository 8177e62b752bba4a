import TokenCore

extension Steps {
  /// Reads an account.
  ///
  /// Replies a view, `foreign PTTL` or `newer v`; writes nothing.
  static let look = Step<AccountName>(
    "look", PackageResources.look_lua,
    after: [PackageResources.time_lua, PackageResources.record_lua],
    keys: { $1.viewed($0) },
    arguments: [
      .text("app") { $1.app($0) }
    ])
}
