import TokenCore

extension Steps {
  /// Says that a fetch may have killed the token that Redis has.
  ///
  /// Replies `marked`; `inorder` when that fetch was committed in its turn; `settled` when what
  /// Redis has was fetched after all of it was over. Repeating it changes nothing but the moment at
  /// which an outcome was not yet known.
  static let mark = Step<StoreCommand.Mark>(
    "mark", PackageResources.mark_lua,
    after: .record,
    keys: { $1.keys($0.account, $0.outputs) },
    arguments: [
      .text("app") { $1.app($0.account) },
      .number("epoch") { command, _ in command.version.epoch.rawValue },
      .number("seq") { command, _ in command.version.sequence },
      .milliseconds("age") { $0.age },
      .number("begun_at") { command, _ in command.begunAt?.milliseconds },
      .milliseconds("known_for") { $0.knownFor },
    ], outputs: { ($0.outputs, nil) })
}
