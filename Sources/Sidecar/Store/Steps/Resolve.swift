import TokenCore

extension Steps {
  /// Takes back the intent of a fetch that minted nothing.
  ///
  /// Replies `resolved`; takes back only this intent, and the life that it had cut short.
  static let resolve = Step<StoreCommand.Resolve>(
    "resolve", PackageResources.resolve_lua,
    after: [PackageResources.time_lua, PackageResources.record_lua],
    keys: { $1.written($0.outputs, $0.account) },
    arguments: [
      .number("epoch") { command, _ in command.version.epoch.rawValue },
      .number("seq") { command, _ in command.version.sequence },
    ], outputs: { $0.outputs })
}
