import TokenCore

extension Steps {
  /// Brings the end of an output forward that lies in another slot than its record.
  ///
  /// Replies `shortened`, or `outranked epoch` when a later order was about it. Repeating it finds
  /// nothing left to do.
  static let shorten = Step<ApartCommand.Shorten>(
    "shorten", PackageResources.shorten_lua,
    after: .time,
    keys: { $1.apart($0.output, $0.account) },
    arguments: [
      .number("epoch") { command, _ in command.rank?.epoch.rawValue },
      .number("number") { command, _ in command.rank?.number },
      .text("text") { command, _ in command.text ?? "" },
      .milliseconds("left") { $0.left },
    ])
}
