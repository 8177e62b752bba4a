import TokenCore

extension Steps {
  /// Restores what was damaged or lost, and takes away what is over.
  ///
  /// Replies `republished wrote?`, `fenced epoch`, `foreign PTTL` or `newer v`. Repeating it finds
  /// nothing left to do.
  static let republish = Step<StoreCommand.Republish>(
    "republish", PackageResources.republish_lua,
    after: .record,
    keys: { $1.keys($0.account, $0.outputs) },
    arguments: [
      .text("app") { $1.app($0.account) },
      .number("fence") { command, _ in command.fence.rawValue },
      .number("epoch") { command, _ in command.version.epoch.rawValue },
      .number("seq") { command, _ in command.version.sequence },
      .milliseconds("lifetime") { $0.lifetime },
      .milliseconds("certain") { $0.certain },
      .milliseconds("ttl_tolerance") { RemainingTolerance.ofTTL(lifetime: $0.lifetime) },
      .milliseconds("clock_tolerance") { $0.slack },
      .text("sha256") { command, _ in TokenStore.digest(command.token.revealed) },
      .number("begun_at") { command, _ in command.begunAt?.milliseconds },
      .number("until_time") { command, _ in command.until?.milliseconds },
      .text("channel") { _, context in context.announcing },
      .text("account") { command, _ in command.account.description },
      .milliseconds("client_margin") { $0.outputs.clientMargin },
      .flag("mortal") { $0.isMortal },
    ], outputs: { ($0.outputs, ($0.token, $0.lifetime)) })
}
