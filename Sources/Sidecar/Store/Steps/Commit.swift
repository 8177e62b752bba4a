import TokenCore

extension Steps {
  /// Publishes a token under the fence.
  ///
  /// Replies `committed certain?`, `superseded epoch`, `deposed epoch`, `stale epoch seq`,
  /// `foreign PTTL` or `newer v`. Repeating it writes the same again.
  static let commit = Step<StoreCommand.Commit>(
    "commit", PackageResources.commit_lua,
    after: .record,
    keys: { $1.keys($0.account, $0.outputs) },
    arguments: [
      .text("app") { $1.app($0.account) },
      .number("fence") { command, _ in command.fence.rawValue },
      .number("epoch") { command, _ in command.version.epoch.rawValue },
      .number("seq") { command, _ in command.version.sequence },
      .milliseconds("lifetime") { $0.lifetime },
      .milliseconds("age") { $0.age },
      .number("begun_at") { command, _ in command.begunAt?.milliseconds },
      .number("parent_epoch") { command, _ in command.parent?.epoch.rawValue ?? 0 },
      .number("parent_seq") { command, _ in command.parent?.sequence ?? 0 },
      .flag("kills") { $0.kills },
      .flag("recommit") { $0.isRecommit },
      .milliseconds("least") { $0.least },
      .text("run_id") { $1.server($0.runID ?? "") },
      .text("instance") { command, _ in command.instance.rawValue },
      .text("sha256") { command, _ in TokenStore.digest(command.token.revealed) },
      .text("channel") { _, context in context.announcing },
      .text("account") { command, _ in command.account.description },
      .milliseconds("client_margin") { $0.outputs.clientMargin },
    ], outputs: { ($0.outputs, ($0.token, $0.lifetime)) })
}
