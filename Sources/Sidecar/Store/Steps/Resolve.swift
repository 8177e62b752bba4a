import TokenCore

extension Steps {
  /// Takes back the intent of a fetch that minted nothing.
  ///
  /// Replies `resolved`; takes back only this intent, and the life that it had cut short.
  static let resolve = Step<StoreCommand.Resolve>(
    "resolve", PackageResources.resolve_lua,
    after: .record,
    keys: { $1.keys($0.account, $0.outputs) },
    arguments: [
      .number("epoch") { command, _ in command.version.epoch.rawValue },
      .number("seq") { command, _ in command.version.sequence },
    ], outputs: { ($0.outputs, nil) })
}
